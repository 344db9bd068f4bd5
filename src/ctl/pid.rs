//! `smtp-delayctl pid FILE`: the owner of a pidfile, with LSB's exit codes for the
//! status of a service.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::{Failure, unprintable};
use crate::daemon::startup::pidfile::{Content, content};
use crate::error::{DIED, Fatal, NOT_RUNNING};
use crate::file;
use crate::file::lock::{Holder, owner};

/// Prints the process id of the owner.
///
/// # Errors
/// 100 for wrong usage; 1 if the daemon has died, 3 if it is not running, both without
/// a message; 111 for a file that cannot be read.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let [file] = arguments else {
        return Err(Fatal::Usage("pid takes FILE".into()).into());
    };
    match ask(file.as_ref()) {
        Ok(Answer::Runs(pid)) => writeln!(io::stdout(), "{pid}").map_err(unprintable),
        Ok(Answer::Died) => Err(Failure::new(DIED, "")),
        Ok(Answer::NotRunning) => Err(Failure::new(NOT_RUNNING, "")),
        Err(why) => Err(Fatal::unable(format_args!("read {}", file.to_string_lossy()), why).into()),
    }
}

/// The content of a pidfile.
enum Answer {
    Runs(i32),
    Died,
    NotRunning,
}

fn ask(path: &Path) -> io::Result<Answer> {
    let file = match file::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Answer::NotRunning),
        opened => opened?,
    };
    match (owner(&file)?, content(&file)?) {
        (Holder::Process(pid), _) => Ok(Answer::Runs(pid)),
        (Holder::Unknown, _) => {
            Err(io::Error::other("its lock belongs to no process that can be told"))
        }
        (Holder::Nobody, Content::Empty) => Ok(Answer::NotRunning),
        (Holder::Nobody, Content::Pid) => Ok(Answer::Died),
        (Holder::Nobody, Content::Other) => Err(io::Error::other("it is no pidfile")),
    }
}
