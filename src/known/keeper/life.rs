//! How long a keeper runs.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use crate::sys;

/// How long a keeper runs.
pub enum Life {
    /// Until TERM or INT, which are counted and blocked.
    Signals,
    /// Until there is something to read from this pipe, or no process is left that could
    /// write to it, or this is no longer its parent.
    Supervisor(OwnedFd, Pid),
}

impl Life {
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Signals => None,
            Self::Supervisor(pipe, _) => Some(pipe.as_fd()),
        }
    }

    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Signals => sys::take_count(Signal::SIGTERM) + sys::take_count(Signal::SIGINT) > 0,
            Self::Supervisor(pipe, pid) => {
                let mut byte = [0];
                !matches!(nix::unistd::read(pipe, &mut byte), Err(Errno::EAGAIN | Errno::EINTR))
                    || getppid() != *pid
            }
        }
    }
}
