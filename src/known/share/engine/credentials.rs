//! The user and the password for an engine, which stand in a file: `[USER:]PASSWORD`.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::{error, fmt};

use crate::error::{Advice, Fatal};
use crate::file;

/// The most bytes of the file.
const LARGEST: usize = 4096;
/// Everybody may read it.
const READABLE_BY_ALL: u32 = 0o004;

/// A password, and the user that it belongs to.  Not shown by any trait.
pub struct Credentials {
    /// `None` for the engine's default user.
    user: Option<Vec<u8>>,
    password: Vec<u8>,
}

/// What is wrong with the line of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineError {
    NoPassword,
    Lines,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPassword => "it takes [USER:]PASSWORD",
            Self::Lines => "it takes one line alone",
        })
    }
}

impl error::Error for LineError {}

impl Credentials {
    /// Reads the file at `path`, which is read again for each connection.
    ///
    /// # Errors
    /// A file that cannot be read, or whose contents are not one such line: 100.
    pub fn read(path: &Path) -> Result<Self, Fatal> {
        let unreadable =
            |why: io::Error| Fatal::Unreadable { path: path.into(), why, advice: Advice::None };
        let contents = file::read(path, LARGEST).map_err(unreadable)?;
        file::check_lasting(path).map_err(unreadable)?;
        Self::parse(&contents).map_err(|(line, why)| Fatal::At {
            file: path.display().to_string(),
            line,
            why: why.into(),
        })
    }

    /// What everybody could read at `path`, if that is so.
    #[must_use]
    pub fn exposed(path: &Path) -> Option<String> {
        let mode = file::open(path).ok()?.metadata().ok()?.mode();
        let path = path.display();
        (mode & READABLE_BY_ALL != 0)
            .then(|| format!("all users may read the password in {path}: use chmod o-r {path}"))
    }

    /// The words of the command that says who we are.
    pub(in crate::known::share) fn command(&self) -> Vec<&[u8]> {
        let user = self.user.as_deref();
        [Some(&b"AUTH"[..]), user, Some(&self.password)].into_iter().flatten().collect()
    }

    /// A password may have colons in it behind the one that ends the user, who may be
    /// empty.
    fn parse(contents: &[u8]) -> Result<Self, (usize, LineError)> {
        let line = contents.strip_suffix(b"\n").unwrap_or(contents);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.contains(&b'\n') {
            return Err((2, LineError::Lines));
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (user, password) = match colon {
            Some(colon) => (&line[..colon], &line[colon + 1..]),
            None => (&[][..], line),
        };
        if password.is_empty() {
            return Err((1, LineError::NoPassword));
        }
        let user = Some(user.to_vec()).filter(|user| !user.is_empty());
        Ok(Self { user, password: password.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn parsed(contents: &[u8]) -> Result<(Option<Vec<u8>>, Vec<u8>), String> {
        let found = Credentials::parse(contents);
        let found = found.map(|it| (it.user, it.password));
        found.map_err(|(line, why)| format!("{line}: {why}"))
    }

    #[test]
    fn a_line_has_a_password_and_may_have_a_user() {
        let expected = |user: &str, password: &str| {
            Ok((Some(user.into()).filter(|user: &Vec<u8>| !user.is_empty()), password.into()))
        };
        assert_eq!(parsed(b"secret"), expected("", "secret"));
        assert_eq!(parsed(b"secret\r\n"), expected("", "secret"));
        assert_eq!(parsed(b"mail:sec ret\n"), expected("mail", "sec ret"));
        assert_eq!(parsed(b"mail:s:e:c\n"), expected("mail", "s:e:c"));
        assert_eq!(parsed(b":s:e:c"), expected("", "s:e:c"));
        for none in [&b""[..], b"\n", b"mail:\n", b":"] {
            assert_eq!(parsed(none), Err("1: it takes [USER:]PASSWORD".into()));
        }
        assert_eq!(parsed(b"secret\nmore"), Err("2: it takes one line alone".into()));
        assert_eq!(parsed(b"secret\n\n"), Err("2: it takes one line alone".into()));
    }

    #[test]
    fn errors_never_show_the_password() {
        let path = std::env::temp_dir().join(format!("credentials.{}", std::process::id()));
        fs::write(&path, "secret\nsecret\n").unwrap();
        let why = Credentials::read(&path).err().unwrap().to_string();
        assert_eq!(
            why,
            format!("unable to use {} line 2: it takes one line alone", path.display())
        );
        fs::write(&path, "x".repeat(LARGEST + 1)).unwrap();
        let why = Credentials::read(&path).err().unwrap().to_string();
        assert!(why.ends_with(": it is over 4 KiB"), "{why}");
        fs::remove_file(&path).unwrap();
        let why = Credentials::read(&path).err().unwrap().to_string();
        assert!(why.starts_with("unable to read "), "{why}");
    }

    #[test]
    fn a_file_that_all_may_read_is_reported() {
        let path = std::env::temp_dir().join(format!("exposed.{}", std::process::id()));
        fs::write(&path, "secret").unwrap();
        for (mode, is_exposed) in [(0o600, false), (0o640, false), (0o604, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(Credentials::exposed(&path).is_some(), is_exposed, "{mode:o}");
        }
        fs::remove_file(&path).unwrap();
    }
}
