//! Passes what programs write on standard error to syslog.
//!
//! A process that becomes a program makes a pipe, and passes the reading end to the relay,
//! a process that logs what arrives line by line, with the client and the process.  A copy
//! goes to the supervisor, so that a relay that replaces another can go on reading.  If
//! there is no room for another pipe the program gets one that all share, and the client of
//! its lines is not known.

mod held_pipes;
mod lines;
mod reader;
mod session;
mod standard_error;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socketpair, sockopt};
use nix::unistd::{Pid, dup2_stderr, pipe2};

use crate::error::{NotForked, TROUBLE};
use crate::log::Log;
use crate::options::{LogTo, Options};
use crate::sys;

use held_pipes::HeldPipes;
use reader::PipeReader;
pub use standard_error::StandardError;
use standard_error::{Room, open_for_both};

/// The size of the pipe that all share, for what arrives while the relay is busy; no more
/// than an unprivileged user may have.
const ROOM: i32 = 1 << 20;
/// Bytes of memory for pipes in flight, of which the kernel takes about 700 for each.
const QUEUE: usize = 200_000;
/// How soon after its start the relay may be replaced.
const INTERVAL: Duration = Duration::from_secs(1);
/// Signals to the process group that must not end it.
const DEAF_TO: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGQUIT];

/// The relay of a supervisor.
pub struct Relay {
    pid: Option<Pid>,
    started: Instant,
    held: HeldPipes,
    /// Where the process that reads pipes receives them.
    for_reader: OwnedFd,
    standard_error: StandardError,
}

impl Relay {
    /// Whether what programs write on standard error is to go to syslog.
    #[must_use]
    pub fn is_wanted(options: &Options) -> bool {
        options.daemon && options.log_to() == LogTo::Syslog
    }

    /// Makes the pipe that all share standard error, for this process and all that it
    /// forks, and forks the process that reads it.
    ///
    /// # Errors
    /// No descriptors, no memory, or no process.
    pub fn start(log: &Log) -> io::Result<Self> {
        let (shared, _writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let _ = fcntl(&shared, FcntlArg::F_SETPIPE_SZ(ROOM));
        let own = open_for_both(&shared)?;
        let ((to_relay, for_reader), (to_supervisor, for_held)) = (pair()?, pair()?);
        let room = sys::shared_words(1)?.first().map(Room).ok_or(Errno::ENOMEM)?;
        let standard_error = StandardError { shared: shared.into(), to_relay, to_supervisor, room };
        let (pid, started, held) = (None, Instant::now(), HeldPipes::new(for_held));
        let mut relay = Self { pid, started, held, for_reader, standard_error };
        relay.fork(log)?;
        dup2_stderr(&own)?;
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

    /// Takes the pipes that sessions have passed on, and replaces a process that has ended,
    /// if that is due.
    pub fn tend(&mut self, log: &Log) {
        self.held.tend();
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.started = Instant::now();
            if let Err(why) = self.fork(log).map_err(NotForked::from) {
                log.error(format_args!("unable to fork the relay of standard error: {why}"));
            }
        }
    }

    /// How a process of the pool sets up standard error of programs.
    pub(in crate::daemon) fn standard_error(&self) -> &StandardError {
        &self.standard_error
    }

    /// Closes, in a process of the pool that was just forked, what only the supervisor
    /// and the relay need.
    pub(in crate::daemon) fn close_in_child(&self) {
        sys::close_this(self.held.socket());
        sys::close_this(self.for_reader.as_fd());
        sys::close_these(self.held.pipes());
    }

    fn fork(&mut self, log: &Log) -> io::Result<()> {
        let pid = sys::spawn(|| {
            self.settle(log);
            let Err(why) = self.read(log) else { return 0 };
            log.error(format_args!("unable to relay standard error: {why}"));
            TROUBLE
        })?;
        self.pid = Some(pid);
        Ok(())
    }

    /// Closes all that a supervisor holds: otherwise the listener would go on accepting
    /// clients that no process serves, and the relay would wait for its own writing end.
    fn settle(&self, log: &Log) {
        if let Ok(null) = sys::null() {
            let _ = dup2_stderr(&null);
        }
        let own = [self.standard_error.shared.as_fd(), self.for_reader.as_fd()];
        let kept: Vec<_> =
            own.into_iter().chain(self.held.pipes()).chain(log.descriptor()).collect();
        sys::close_all_but(&kept);
        for signal in DEAF_TO {
            let _ = sys::ignore(signal);
        }
        let _ = SigSet::empty().thread_set_mask();
    }

    /// Pipes of sessions from before this relay are read first.
    fn read(&mut self, log: &Log) -> io::Result<()> {
        let held = self.held.take_all();
        let StandardError { shared, room, .. } = &self.standard_error;
        let mut reader = PipeReader::new(shared.try_clone()?, self.for_reader.as_fd(), *room, log)?;
        for pipe in held.into_values() {
            reader.adopt(pipe);
        }
        reader.run();
        Ok(())
    }
}

/// The sending and the receiving end.
fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    // Doubled by the kernel (socket(7)).
    setsockopt(&pair.0, sockopt::SndBuf, &(QUEUE / 2))?;
    Ok(pair)
}

#[cfg(test)]
mod tests {
    use super::*;
    use session::Session;

    #[test]
    fn no_more_pipes_are_on_their_way_than_a_relay_leaves_room_for() {
        let (sending, _receiving) = pair().unwrap();
        let (pipe, _writing) = pipe2(OFlag::O_CLOEXEC).unwrap();
        let session = Session { client: ([192, 0, 2, 7], 25).into(), pid: Pid::this() };
        let pass = || session.pass(sending.as_fd(), pipe.as_fd());
        let passed = std::iter::repeat_with(pass).take_while(Result::is_ok).count();
        assert!((100..reader::ON_THEIR_WAY).contains(&passed), "{passed}");
    }
}
