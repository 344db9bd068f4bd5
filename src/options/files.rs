//! Reading the files that options name.

use std::io;
use std::path::Path;

use super::Options;
use crate::error::Fatal;
use crate::file::{self, Refused};

/// What stands in the file that the setting `name` of `options` names, of up to
/// `most` bytes.
///
/// # Errors
/// A file that cannot be read, or that SIGHUP could not read again: 100.
pub(crate) fn read(
    options: &Options,
    name: &str,
    path: &Path,
    most: usize,
) -> Result<Vec<u8>, Fatal> {
    file::read(path, most).map_err(|why| unreadable(options, name, path, why))
}

/// Says that the file of a setting cannot be read, and where the setting stands.
fn unreadable(options: &Options, name: &str, path: &Path, why: io::Error) -> Fatal {
    let origin = options.origin(name);
    let hint = match Refused::reason(&why) {
        Some(Refused::NotRegular(_)) => format!(", which SIGHUP needs to read {origin} again"),
        Some(Refused::TooBig(_)) if name == "rules" => {
            format!(" ({origin}): make a cdb of it with tcprules, and use -x")
        }
        _ => format!(" ({origin})"),
    };
    Fatal::Unreadable { path: path.into(), why, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_option_and_what_to_do() {
        let options = Options::default();
        let error = |name, path: &str, most| {
            read(&options, name, Path::new(path), most).unwrap_err().to_string()
        };
        assert_eq!(
            error("config", "/dev/zero", 10),
            "unable to read /dev/zero: it is a device, not a regular file, which SIGHUP needs to \
             read --config again"
        );
        let too_big = error("rules", "/proc/self/status", 1);
        assert!(too_big.ends_with(" (--rules): make a cdb of it with tcprules, and use -x"));
        let missing = error("static-file", "/nonexistent", 1);
        assert!(missing.ends_with("(os error 2) (--static-file)"), "{missing}");
    }
}
