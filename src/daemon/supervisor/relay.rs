//! What programs write on standard error, on its way to syslog: one pipe for
//! all of them, and a process that reads it line by line until nobody is left
//! who could write.
//!
//! Programs hold the pipe open for reading as well, and never wait for it:
//! whatever becomes of the relay and of the supervisor, no program gets SIGPIPE
//! or is held up.  What the pipe has no room for is lost.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, dup2_stderr, pipe2};

use crate::log::Log;
use crate::sys;

/// Room for what comes while the relay is busy; more than a user may have is
/// not asked for.
const ROOM: i32 = 1 << 20;
/// Bytes of a line that are passed on at once.
const LONGEST: usize = 2000;
/// How long the end of a line is waited for.
const UNENDED: u16 = 1000;
/// How soon after its start the relay may be replaced.
const INTERVAL: Duration = Duration::from_secs(1);
/// What a signal to the process group must not end.
const DEAF_TO: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGQUIT];

/// The relay of a supervisor.
pub struct Relay {
    pid: Option<Pid>,
    started: Instant,
    pipe: File,
}

impl Relay {
    /// Makes the pipe standard error, for us and whomever we fork, and forks the
    /// process that reads it.
    ///
    /// # Errors
    /// No descriptors, or no process.
    pub fn start(log: &Log) -> io::Result<Self> {
        let (pipe, writing) = pipe2(OFlag::O_CLOEXEC)?;
        let _ = fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(ROOM));
        let mut relay = Self { pid: None, started: Instant::now(), pipe: pipe.into() };
        let shared = open_for_both(writing.as_fd())?;
        drop(writing);
        relay.fork(log)?;
        dup2_stderr(&shared)?;
        Ok(relay)
    }

    /// Whether the process `pid`, which has ended, was the relay.
    pub fn has_ended(&mut self, pid: Pid) -> bool {
        let it_was = self.pid == Some(pid);
        if it_was {
            self.pid = None;
        }
        it_was
    }

    /// When a relay that has ended is to be replaced.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.pid.is_none().then_some(self.started + INTERVAL)
    }

    /// Replaces one that has ended, if that is due.
    pub fn replace(&mut self, log: &Log) {
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.started = Instant::now();
            if let Err(why) = self.fork(log) {
                log.error(format_args!("unable to fork the relay of standard error: {why}"));
            }
        }
    }

    fn fork(&mut self, log: &Log) -> io::Result<()> {
        let pid = sys::spawn(|| {
            settle(&self.pipe, log);
            pass_on(&mut self.pipe, log);
            0
        })?;
        self.pid = Some(pid);
        Ok(())
    }
}

/// Gives this process a standard error of its own: whoever makes it wait makes
/// nobody else wait.
pub(in crate::daemon) fn part_from_others() {
    if let Ok(own) = open_for_both(io::stderr().as_fd()) {
        let _ = dup2_stderr(&own);
    }
}

/// The pipe, for writing and reading, and never waited for.
fn open_for_both(writing: BorrowedFd<'_>) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", writing.as_raw_fd());
    let flags = OFlag::O_NONBLOCK.bits();
    File::options().read(true).write(true).custom_flags(flags).open(path)
}

/// Lets go of all that a supervisor holds: the listener would go on taking
/// clients for nobody, and the relay would wait for itself to stop writing.
fn settle(pipe: &File, log: &Log) {
    if let Ok(null) = sys::null() {
        let _ = dup2_stderr(&null);
    }
    let kept: Vec<_> = std::iter::once(pipe.as_fd()).chain(log.descriptor()).collect();
    sys::close_all_but(&kept);
    for signal in DEAF_TO {
        let _ = sys::ignore(signal);
    }
    let _ = SigSet::empty().thread_set_mask();
}

/// Until the last writer is gone.  A line that is not ended is not kept for long,
/// lest it be glued to another program's.
fn pass_on(pipe: &mut File, log: &Log) {
    let (mut line, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if !line.is_empty() && !is_readable(pipe, UNENDED) {
            tell(&mut line, log);
        }
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => buffer[..length].iter().for_each(|byte| take(*byte, &mut line, log)),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => (),
            Err(_) => break,
        }
    }
    tell(&mut line, log);
}

fn is_readable(pipe: &File, millis: u16) -> bool {
    let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(millis)) != Ok(0)
}

fn take(byte: u8, line: &mut Vec<u8>, log: &Log) {
    if byte != b'\n' {
        line.push(byte);
    }
    if byte == b'\n' || line.len() == LONGEST {
        tell(line, log);
    }
}

fn tell(line: &mut Vec<u8>, log: &Log) {
    if !line.is_empty() {
        log.program_said(line);
        line.clear();
    }
}
