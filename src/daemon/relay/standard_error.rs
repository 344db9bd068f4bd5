//! Standard error of a process that becomes a program: a pipe of its own, so that each line
//! is known to be about its client, or, if that is not possible, the one that all share.
//!
//! Either is open for reading as well, and never waited for: whatever happens to the relay
//! and the supervisor, no program gets SIGPIPE or is blocked.  What a pipe has no room for
//! is lost.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use nix::unistd::{dup2_stderr, getpid, pipe2};

use super::session::Session;

/// Whether the relay can take pipes: a word that it shares with all processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room(pub(super) &'static AtomicU64);

impl Room {
    /// Sets whether there is any.  Usually nothing changes, and a page that is only read is
    /// not copied between processors.
    pub(super) fn set(self, is_there: bool) {
        let word = u64::from(is_there);
        if self.0.load(Ordering::Relaxed) != word {
            self.0.store(word, Ordering::Relaxed);
        }
    }

    pub(super) fn is_there(self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// What a child of the pool needs to set up standard error of programs.
pub struct StandardError {
    /// An end of the pipe that all share.
    pub(super) shared: File,
    pub(super) to_relay: OwnedFd,
    pub(super) to_supervisor: OwnedFd,
    pub(super) room: Room,
}

impl StandardError {
    /// Gives this process, which becomes the program of `client`, a standard error: a pipe
    /// of its own, if one can be made and the relay takes it now.
    pub(in crate::daemon) fn set_up(&self, client: SocketAddr) {
        if !self.room.is_there() || self.make_own(client).is_err() {
            self.share();
        }
    }

    /// Makes the shared pipe standard error, by an open file description of this process
    /// alone: a program that makes it blocking makes no other one block.
    pub(in crate::daemon) fn share(&self) {
        if let Ok(own) = open_for_both(&self.shared) {
            let _ = dup2_stderr(&own);
        }
    }

    /// The supervisor keeps a copy for the next relay.  If it has no room for it, or has
    /// ended, the relay still has its own.
    fn make_own(&self, client: SocketAddr) -> io::Result<()> {
        let (reading, _writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let own = open_for_both(&reading)?;
        let session = Session { client, pid: getpid() };
        session.pass(self.to_relay.as_fd(), reading.as_fd())?;
        let _ = session.pass(self.to_supervisor.as_fd(), reading.as_fd());
        dup2_stderr(&own)?;
        Ok(())
    }
}

/// Opens a pipe for writing and reading, never blocking.
pub(super) fn open_for_both(pipe: &impl AsRawFd) -> io::Result<File> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    let flags = OFlag::O_NONBLOCK.bits();
    File::options().read(true).write(true).custom_flags(flags).open(path)
}
