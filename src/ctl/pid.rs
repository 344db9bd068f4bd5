//! `smtp-delayctl pid FILE`: the owner of a pidfile, with LSB's exit codes for the
//! status of a service.

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use super::failure::Failure;
use crate::daemon::process::pidfile::{Content, content};
use crate::error::{Fatal, Usage};
use crate::file;
use crate::file::lock::{Holder, owner};

/// Prints the process id of the owner.
///
/// # Errors
/// 100 for wrong usage; 1 if the daemon has died, 3 if it is not running, both without
/// a message; 111 for a file that cannot be read.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let [file] = arguments else {
        return Err(Usage::Takes { what: "pid".into(), takes: "FILE" }.into());
    };
    match ask(file.as_ref()) {
        Ok(Answer::Runs(pid)) => writeln!(io::stdout(), "{pid}").map_err(Failure::of_output),
        Ok(Answer::Died) => Err(Failure::Died),
        Ok(Answer::NotRunning) => Err(Failure::NotRunning),
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
        (Holder::NoProcess, Content::Empty) => Ok(Answer::NotRunning),
        (Holder::NoProcess, Content::Pid) => Ok(Answer::Died),
        (Holder::NoProcess, Content::Other) => Err(io::Error::other("it is no pidfile")),
    }
}
