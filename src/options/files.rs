//! Reading the files that options name.

use std::io;
use std::path::Path;

use crate::error::{Fatal, Reason};
use crate::file::{self, Refused};

/// What stands in the file that `option` names, of up to `most` bytes.
///
/// # Errors
/// A file that cannot be read, or that SIGHUP could not read again: 100.
pub(crate) fn read(option: &str, path: &Path, most: usize) -> Result<Vec<u8>, Fatal> {
    file::read(path, most).map_err(|why| {
        let hint = hint(option, &why);
        Fatal::usage(format!("unable to read {}: {}{hint}", path.display(), Reason(&why)))
    })
}

/// What to do about it.
fn hint(option: &str, why: &io::Error) -> String {
    match Refused::reason(why) {
        Some(Refused::NotRegular(_)) => format!(", which SIGHUP needs to read {option} again"),
        Some(Refused::TooBig(_)) if option == "--rules" => {
            ": make a cdb of it with tcprules, and use -x".into()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_which_option_and_what_to_do() {
        let error =
            |option, path: &str, most| read(option, Path::new(path), most).unwrap_err().message;
        assert_eq!(
            error("--config", "/dev/zero", 10),
            "unable to read /dev/zero: it is a device, not a regular file, which SIGHUP needs to \
             read --config again"
        );
        let too_big = error("--rules", "/proc/self/status", 1);
        assert!(too_big.ends_with("it is over 0 KiB: make a cdb of it with tcprules, and use -x"));
        assert!(error("--rules", "/nonexistent", 1).ends_with("(os error 2)"));
    }
}
