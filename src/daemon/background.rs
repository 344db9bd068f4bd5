//! `--daemon`: whoever started us waits until all is up, and gets to know if it
//! is not.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::exit;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{pipe2, setsid};

use crate::error::{Fatal, TROUBLE};
use crate::log::Log;
use crate::sys::{self, Fork};

/// Most bytes of a message: what goes through a pipe in one piece.
const LONGEST: usize = 4000;

/// What the one who waits is told, in one piece through a pipe: the exit code,
/// and a message if ours cannot reach him any more.
pub struct Readiness {
    pipe: Option<File>,
    detached: bool,
}

impl Readiness {
    /// Nobody waits.
    #[must_use]
    pub fn in_foreground() -> Self {
        Self { pipe: None, detached: false }
    }

    /// All is up.
    pub fn ready(&mut self) {
        self.tell(0, "");
    }

    /// Standard error leads elsewhere from now on.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    fn failed(&mut self, fatal: &Fatal) {
        let message = if self.detached { fatal.message.clone() } else { String::new() };
        self.tell(fatal.code, &message);
    }

    fn tell(&mut self, code: u8, message: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            let message = &message.as_bytes()[..message.len().min(LONGEST)];
            let _ = pipe.write_all(&[&[code], message].concat());
        }
    }
}

/// Runs `daemon` in a session of its own, and ends this process with 0 once it
/// says that all is up, else with its exit code.
///
/// # Errors
/// Where no process can be made: 111.
#[allow(clippy::exit)]
pub fn launch(
    log: &Log,
    daemon: impl FnOnce(&mut Readiness) -> Result<(), Fatal>,
) -> Result<(), Fatal> {
    let pipe = pipe2(OFlag::O_CLOEXEC).map_err(|why| Fatal::unable("make a pipe", why))?;
    let (theirs, ours) = (File::from(pipe.0), File::from(pipe.1));
    match sys::fork().map_err(unable_to_fork)? {
        Fork::Parent(pid) => {
            drop(ours);
            let (code, message) = wait_for(theirs);
            let _ = waitpid(pid, None);
            if !message.is_empty() {
                log.fatal(&Fatal { code, message, in_djbs_words: None });
            }
            exit(i32::from(code))
        }
        Fork::Child => {
            drop(theirs);
            let mut readiness = Readiness { pipe: Some(ours), detached: false };
            let done = leave_session().and_then(|()| daemon(&mut readiness));
            let code = done.err().map_or(0, |fatal| {
                if !readiness.detached {
                    log.fatal(&fatal);
                }
                readiness.failed(&fatal);
                fatal.code
            });
            exit(i32::from(code))
        }
    }
}

/// Away from the terminal, and from any that may be opened later: only the
/// leader of a session gets one.
#[allow(clippy::exit)]
fn leave_session() -> Result<(), Fatal> {
    let _ = setsid();
    match sys::fork().map_err(unable_to_fork)? {
        Fork::Parent(_) => exit(0),
        Fork::Child => Ok(()),
    }
}

fn unable_to_fork(why: Errno) -> Fatal {
    Fatal::unable("fork", io::Error::from(why))
}

/// What comes through the pipe; where nothing comes the daemon has died.
fn wait_for(mut pipe: File) -> (u8, String) {
    let mut buffer = [0; LONGEST + 1];
    match pipe.read(&mut buffer) {
        Ok(length) if length > 0 => {
            (buffer[0], String::from_utf8_lossy(&buffer[1..length]).into_owned())
        }
        _ => (TROUBLE, "the daemon died before it was up".into()),
    }
}
