//! `--daemon`: whoever started us waits until all is up, and gets to know if it
//! is not.

use std::fs::File;
use std::io::{self, Read, Write};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{pipe2, setsid};

use crate::error::{Fatal, TROUBLE};
use crate::log::Log;
use crate::sys;

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

    /// Tells why the daemon ends; its exit code.
    fn fail(&mut self, log: &Log, fatal: &Fatal) -> u8 {
        let message = if self.detached { fatal.message.as_str() } else { "" };
        if !self.detached {
            log.fatal(fatal);
        }
        self.tell(fatal.code, message);
        fatal.code
    }

    fn tell(&mut self, code: u8, message: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            let message = &message.as_bytes()[..message.len().min(LONGEST)];
            let _ = pipe.write_all(&[&[code], message].concat());
        }
    }
}

/// Runs `daemon` in a session of its own, and waits until it says that all is up,
/// or ends; the exit code, 0 or one whose reason the daemon has told.
///
/// # Errors
/// Where no process can be made, or the daemon's reason cannot reach its standard
/// error any more: 111.
pub fn launch(
    log: &Log,
    daemon: impl FnOnce(&mut Readiness) -> Result<(), Fatal>,
) -> Result<u8, Fatal> {
    let pipe = pipe2(OFlag::O_CLOEXEC).map_err(|why| Fatal::unable("make a pipe", why))?;
    let (mut theirs, ours) = (Some(File::from(pipe.0)), File::from(pipe.1));
    let leader = sys::spawn(|| {
        theirs = None;
        let mut readiness = Readiness { pipe: Some(ours), detached: false };
        lead_session(log, &mut readiness, daemon)
    });
    let leader = leader.map_err(unable_to_fork)?;
    let (code, message) = wait_for(theirs);
    let _ = waitpid(leader, None);
    if message.is_empty() { Ok(code) } else { Err(Fatal { code, message, in_djbs_words: None }) }
}

/// Away from the terminal, and from any that may be opened later: only the leader
/// of a session gets one, and the daemon is a child of it.
fn lead_session(
    log: &Log,
    readiness: &mut Readiness,
    daemon: impl FnOnce(&mut Readiness) -> Result<(), Fatal>,
) -> u8 {
    let _ = setsid();
    let spawned = sys::spawn(|| {
        let done = daemon(readiness);
        done.err().map_or(0, |fatal| readiness.fail(log, &fatal))
    });
    spawned.err().map_or(0, |why| readiness.fail(log, &unable_to_fork(why)))
}

fn unable_to_fork(why: Errno) -> Fatal {
    Fatal::unable("fork", io::Error::from(why))
}

/// What comes through the pipe; where nothing comes the daemon has died.
fn wait_for(pipe: Option<File>) -> (u8, String) {
    let mut buffer = [0; LONGEST + 1];
    match pipe.map(|mut pipe| pipe.read(&mut buffer)) {
        Some(Ok(length)) if length > 0 => {
            (buffer[0], String::from_utf8_lossy(&buffer[1..length]).into_owned())
        }
        _ => (TROUBLE, "the daemon died before it was up".into()),
    }
}
