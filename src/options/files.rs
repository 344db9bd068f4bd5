//! Reading the files that options name.

use std::io;
use std::path::Path;

use super::{Options, Setting};
use crate::error::{Advice, Fatal, Reader};
use crate::file::{self, Refused};
use crate::known::share::engine::credentials::Credentials;
use crate::names::{Names, Patterns};

impl Options {
    /// What names are judged by in a program that reads the files once; `warn` is told of
    /// expressions that do not do what they seem to.
    ///
    /// # Errors
    /// A file that cannot be read, or that contains a mistake: 100.
    pub fn names(&self, warn: impl Fn(&str)) -> Result<Names, Fatal> {
        let read = |(setting, path): (Setting<'_>, &Path)| {
            let text = read_once(self, setting, path, Patterns::LARGEST_FILE)?;
            let origin = path.display().to_string();
            let patterns = Patterns::parse(&origin, &text).map_err(Fatal::from)?;
            let warnings = Patterns::warnings(&origin, &text);
            warnings.iter().chain(&patterns.slow_warning()).for_each(|warning| warn(warning));
            Ok(patterns)
        };
        let read_all = |name, paths| Setting::each(name, paths).map(read).collect();
        let dynamic: Result<_, Fatal> = read_all("dynamic-file", &self.dynamic_files);
        let exceptions: Result<_, Fatal> = read_all("static-file", &self.static_files);
        let (dynamic, exceptions) = (dynamic?, exceptions?);
        Ok(Names::new(self.builtin_patterns, dynamic, exceptions))
    }
}

/// Whether the password for the engine can be read, which is read for each connection.
///
/// # Errors
/// A file that cannot be read, or whose contents are none: 100.
pub(crate) fn check_credentials(options: &Options) -> Result<(), Fatal> {
    let Some(path) = &options.known_share_auth else { return Ok(()) };
    let checked = Credentials::read(path).map(drop);
    checked.map_err(|why| options.with_origin("known-share-auth", why))
}

/// The contents of the file that a setting of `options` names, of up to `most` bytes, for
/// a daemon.
///
/// # Errors
/// A file that cannot be read, or that could not be read again on SIGHUP: 100.
pub(crate) fn read<'a>(
    options: &Options,
    setting: impl Into<Setting<'a>>,
    path: &Path,
    most: usize,
) -> Result<Vec<u8>, Fatal> {
    let contents = file::read(path, most);
    let contents = contents.and_then(|contents| file::check_lasting(path).map(|()| contents));
    contents.map_err(|why| unreadable_again(options, setting, path, why))
}

/// The same for a program that reads it only once.
///
/// # Errors
/// A file that cannot be read: 100.
pub(crate) fn read_once<'a>(
    options: &Options,
    setting: impl Into<Setting<'a>>,
    path: &Path,
    most: usize,
) -> Result<Vec<u8>, Fatal> {
    file::read(path, most)
        .map_err(|why| unreadable(path, why, Advice::Setting(options.origin(setting))))
}

/// Says that a daemon cannot read the file of a setting, and where the setting is.
pub(crate) fn unreadable_again<'a>(
    options: &Options,
    setting: impl Into<Setting<'a>>,
    path: &Path,
    why: io::Error,
) -> Fatal {
    let named = setting.into();
    let setting = options.origin(named);
    let reader = if named.name == "x" { Reader::Connection } else { Reader::Sighup };
    let advice = match Refused::reason(&why) {
        Some(Refused::NotRegular(_) | Refused::Descriptor) => Advice::ReadAgain { setting, reader },
        Some(Refused::TooBig(_)) if named.name == "rules" => Advice::MakeCdb(setting),
        None | Some(Refused::TooBig(_)) => Advice::Setting(setting),
    };
    unreadable(path, why, advice)
}

fn unreadable(path: &Path, why: io::Error, advice: Advice) -> Fatal {
    Fatal::Unreadable { path: path.into(), why, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_reads_no_descriptor() {
        let options = Options::default();
        let file = std::fs::File::open("/proc/self/status").unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let error = read(&options, "rules", Path::new(&path), 1 << 20).unwrap_err().to_string();
        let expected = "it is a descriptor, not the name of a file, which SIGHUP needs to read \
                        --rules again";
        assert_eq!(error, format!("unable to read {path}: {expected}"));
        assert!(read_once(&options, "rules", Path::new(&path), 1 << 20).is_ok());
    }

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
        let once = read_once(&options, "static-file", Path::new("/dev/zero"), 10).unwrap_err();
        let expected =
            "unable to read /dev/zero: it is a device, not a regular file (--static-file)";
        assert_eq!(once.to_string(), expected);
        let missing = error("static-file", "/nonexistent", 1);
        assert!(missing.ends_with("(os error 2) (--static-file)"), "{missing}");
    }
}
