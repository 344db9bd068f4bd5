//! `smtp-delayctl pid FILE`: who owns a pidfile, with the exit codes that LSB
//! has for the status of a service.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};

use super::{Failure, unprintable};
use crate::daemon::pidfile::owner;
use crate::error::{TROUBLE, USAGE};

/// The daemon has died, and left its file behind.
const DIED: u8 = 1;
/// It is not running.
const NOT_RUNNING: u8 = 3;

/// Prints the process id of the owner.
///
/// # Errors
/// 100 for wrong usage; 1 where the daemon has died, 3 where it is not running,
/// both without a word; 111 for a file that cannot be read.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let [file] = arguments else {
        return Err(Failure::new(USAGE, "smtp-delayctl: fatal: pid takes FILE (try --help)"));
    };
    match owner(file.as_ref()) {
        Ok(Some(pid)) => writeln!(io::stdout(), "{pid}").map_err(|why| unprintable(&why)),
        Ok(None) => {
            let left = fs::metadata(file).is_ok_and(|file| file.is_file() && file.len() > 0);
            Err(Failure::new(if left { DIED } else { NOT_RUNNING }, ""))
        }
        Err(why) if why.kind() == ErrorKind::NotFound => Err(Failure::new(NOT_RUNNING, "")),
        Err(why) => {
            let file = file.to_string_lossy();
            let message = format!("smtp-delayctl: fatal: unable to read {file}: {why}");
            Err(Failure::new(TROUBLE, message))
        }
    }
}
