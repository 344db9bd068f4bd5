//! `--daemon`: the process that was started waits until the daemon is up, and reports
//! an error otherwise.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::time::TimeSpec;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2, setsid};

use crate::daemon::process::signals;
use crate::error::{Fatal, NotForked, TROUBLE};
use crate::log::Log;
use crate::sys;

/// Most bytes of a message: what goes through a pipe in one piece.
const LONGEST: usize = 4000;
/// How often TERM and INT are passed on to a daemon that is not up yet.
const INTERVAL: Duration = Duration::from_millis(50);

/// What the waiting process receives through a pipe, in one piece: the exit code, and a
/// message if the daemon's standard error leads elsewhere by then.
pub struct Readiness {
    pipe: Option<File>,
    detached: bool,
    announce: Option<Announce>,
}

/// Reports, once, where the daemon listens.
type Announce = Box<dyn FnOnce(SocketAddr)>;

impl Readiness {
    /// No process waits.
    #[must_use]
    pub fn in_foreground() -> Self {
        Self { pipe: None, detached: false, announce: None }
    }

    /// In the foreground: `announce` is called with the address once the daemon is up.
    #[must_use]
    pub fn announced_by(announce: impl FnOnce(SocketAddr) + 'static) -> Self {
        Self { announce: Some(Box::new(announce)), ..Self::in_foreground() }
    }

    /// Clients are accepted at `address`.
    pub fn listens_at(&mut self, address: SocketAddr) {
        if let Some(announce) = self.announce.take() {
            announce(address);
        }
    }

    /// The daemon is up, with this warning.
    pub fn ready(&mut self, warning: Option<&str>, log: &Log) {
        match warning {
            Some(warning) if self.pipe.is_none() => log.warn_on_stderr(warning),
            warning => self.tell(0, warning.unwrap_or_default()),
        }
    }

    /// Standard error leads elsewhere from now on.
    pub fn detach(&mut self) {
        self.detached = true;
    }

    /// Reports why the daemon ends; returns its exit code.
    fn fail(&mut self, log: &Log, fatal: &Fatal) -> u8 {
        let message = if self.detached { fatal.to_string() } else { String::new() };
        if !self.detached {
            log.fatal(fatal);
        }
        self.tell(fatal.exit_code(), &message);
        fatal.exit_code()
    }

    fn tell(&mut self, code: u8, message: &str) {
        if let Some(mut pipe) = self.pipe.take() {
            let message = &message.as_bytes()[..message.len().min(LONGEST)];
            let _ = pipe.write_all(&[&[code], message].concat());
        }
    }
}

/// Runs `daemon` in a session of its own, and waits until it is up or ends; returns 0,
/// or an exit code whose reason the daemon has reported.
///
/// # Errors
/// If no process can be made, or the daemon's reason has to be printed here: 111.
pub fn launch(
    log: &Log,
    daemon: impl FnOnce(&mut Readiness) -> Result<(), Fatal>,
) -> Result<u8, Fatal> {
    signals::take_stopping().map_err(|why| Fatal::unable("catch signals", why))?;
    let pipe = pipe2(OFlag::O_CLOEXEC).map_err(|why| Fatal::unable("make a pipe", why))?;
    let (mut theirs, ours) = (Some(File::from(pipe.0)), File::from(pipe.1));
    let leader = sys::spawn(|| {
        theirs = None;
        let mut readiness = Readiness { pipe: Some(ours), detached: false, announce: None };
        lead_session(log, &mut readiness, daemon)
    });
    let leader = leader.map_err(unable_to_fork)?;
    let (code, message) = theirs.map_or((TROUBLE, String::new()), |pipe| wait_for(pipe, leader));
    let _ = waitpid(leader, None);
    match code {
        _ if message.is_empty() => Ok(code),
        0 => {
            log.warn_on_stderr(&message);
            Ok(0)
        }
        code => Err(Fatal::Reported { code, message }),
    }
}

/// Away from the terminal, and from any that may be opened later: only a session leader
/// gets one, and the daemon is a child of the leader.
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
    Fatal::because("fork", NotForked::from(why))
}

/// What comes through the pipe; if nothing comes, the daemon has died.
fn wait_for(mut pipe: File, leader: Pid) -> (u8, String) {
    if pass_stopping_on(&pipe, leader) == Launch::Stopped {
        return (TROUBLE, "told to stop before the daemon was up".into());
    }
    let mut buffer = [0; LONGEST + 1];
    match pipe.read(&mut buffer) {
        Ok(length) if length > 0 => {
            (buffer[0], String::from_utf8_lossy(&buffer[1..length]).into_owned())
        }
        _ => (TROUBLE, "the daemon died before it was up".into()),
    }
}

/// Whether a start was completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Launch {
    Undisturbed,
    Stopped,
}

/// Waits until something comes through the pipe, or its last writer has ended.  TERM
/// and INT to this process are meant for the daemon, which is in the leader's process
/// group; they are sent repeatedly, since the group may not exist yet.
fn pass_stopping_on(pipe: &File, leader: Pid) -> Launch {
    let mut launch = Launch::Undisturbed;
    loop {
        let time = (launch == Launch::Stopped).then(|| TimeSpec::from(INTERVAL));
        let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut fds, time, Some(signals::deferred())) {
            Ok(0) | Err(Errno::EINTR) => (),
            _ => return launch,
        }
        if signals::told_to_stop() > 0 {
            launch = Launch::Stopped;
        }
        if launch == Launch::Stopped {
            let _ = killpg(leader, Signal::SIGTERM);
        }
    }
}
