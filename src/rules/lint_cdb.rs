//! Warnings about a cdb that tcprules compiled.

use std::io;
use std::path::Path;

use nix::errno::Errno;

use super::cdb::Cdb;
use super::lint::{quoted, why_useless};
use super::record::Rule;
use crate::findings::Extent;

/// The most bytes of a file that are checked.
const MOST_BYTES: u32 = 8 << 20;

/// Warns of variables in a cdb that have no effect.
///
/// # Errors
/// A cdb that is damaged.
pub(crate) fn lint_cdb(path: &Path, extent: Extent) -> io::Result<Vec<String>> {
    let file = path.display().to_string();
    let useless = useless_variables(&Cdb::open(path)?)?;
    let more = useless.len().saturating_sub(extent.most());
    let shown = useless.iter().take(extent.most()).map(|why| format!("{file} {why}"));
    Ok(shown.chain(extent.rest(&file, more)).collect())
}

fn useless_variables(cdb: &Cdb) -> io::Result<Vec<String>> {
    let mut useless = Vec::new();
    for (key, record) in cdb.records(MOST_BYTES)? {
        // A record whose table entry is lost is not found.
        cdb.find(&key)?.ok_or(Errno::EPROTO)?;
        for (name, value) in Rule::decode(&record).variables {
            let why = why_useless(&name, &value);
            let place = || format!("key {}: {}", quoted(&key), quoted(&name));
            useless.extend(why.map(|why| format!("{}: {why}", place())));
        }
    }
    Ok(useless)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use cdb2::CDBMake;

    use super::*;

    fn lint(records: &[(&str, &str)], cut: usize) -> io::Result<Vec<String>> {
        let path = std::env::temp_dir().join(format!("lint.{cut}.{}", std::process::id()));
        let mut cdb = CDBMake::new(File::create(&path).unwrap()).unwrap();
        for (key, record) in records {
            cdb.add(key.as_bytes(), record.as_bytes()).unwrap();
        }
        cdb.finish().unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - cut]).unwrap();
        let warnings = lint_cdb(&path, Extent::Some);
        fs::remove_file(&path).unwrap();
        let plain = |why: &String| why.replace(path.to_str().unwrap(), "f");
        Ok(warnings?.iter().map(plain).collect())
    }

    #[test]
    fn a_delay_that_is_no_number_is_warned_of_with_its_key() {
        let records = [
            ("192.0.2.7", "+SMTPDELAY=abc\0"),
            ("10.", "+GREETDELAY=1.5\0+RELAYCLIENT=\0"),
            ("=.example", "D\0+SMTPD_GREETDELAY=2s\0"),
            ("", ""),
        ];
        let warnings = lint(&records, 0).unwrap();
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("f key `192.0.2.7': `SMTPDELAY': `abc' "), "{warnings:?}");
        assert!(warnings[1].starts_with("f key `=.example': `SMTPD_GREETDELAY': `2s' "));
        assert_eq!(lint(&[], 0).unwrap(), [""; 0]);
        let many: Vec<(&str, &str)> = vec![("x", "+SMTPDELAY=\0"); 30];
        assert_eq!(lint(&many, 0).unwrap().len(), 21);
        assert_eq!(lint(&many, 0).unwrap()[20], "f: 10 more warnings: use --check to see them");
    }

    #[test]
    fn a_broken_file_is_an_error() {
        for cut in [2048, 2000, 100] {
            assert!(lint(&[], cut).is_err(), "{cut}");
        }
        assert!(lint(&[("192.0.2.7", "D\0")], 16).is_err());
    }
}
