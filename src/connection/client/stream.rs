//! The descriptors of a client: a socket from accept(2), or descriptors 0 and 1, which
//! are a socket or two pipes (recordio, sslserver).  Nothing here blocks.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{dup2_stdin, dup2_stdout, read, write};
use socket2::{SockRef, Socket};

use crate::sys;

/// What a pipe takes without blocking once poll(2) reports room (`PIPE_BUF`, pipe(7)).
const PIPE_ROOM: usize = 4096;

/// A client's descriptors.
pub enum Stream {
    /// A socket of our own.
    Accepted(Socket),
    /// Descriptors 0 and 1, set up by a server before us.
    Given,
}

/// The state of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing was said.
    Silence,
    /// There are bytes to read.
    Talk,
    /// The client has closed its side or reset the connection, and has said nothing.
    Gone,
}

impl Stream {
    /// The descriptor to read from.
    #[must_use]
    pub fn input(&self) -> BorrowedFd<'_> {
        match self {
            Self::Accepted(socket) => socket.as_fd(),
            Self::Given => sys::standard_input(),
        }
    }

    /// The descriptor to write to.
    #[must_use]
    pub fn output(&self) -> BorrowedFd<'_> {
        match self {
            Self::Accepted(socket) => socket.as_fd(),
            Self::Given => sys::standard_output(),
        }
    }

    /// Checks whether the client has said something.
    #[must_use]
    pub fn look(&self) -> Look {
        match sys::peek(self.input(), &mut [0]) {
            Ok(0) => Look::Gone,
            Ok(_) => Look::Talk,
            Err(Errno::EAGAIN | Errno::EINTR) => Look::Silence,
            Err(Errno::ENOTSOCK) => look_at_pipe(self.input()),
            Err(_) => Look::Gone,
        }
    }

    /// How many bytes can be read, and the first of them, up to `most`, without
    /// consuming them.  Those in a pipe cannot be peeked at.
    #[must_use]
    pub fn peek(&self, most: usize) -> (usize, Option<Vec<u8>>) {
        let waiting = || sys::readable_bytes(self.input()).unwrap_or(0);
        let mut text = vec![0; most];
        match sys::peek(self.input(), &mut text) {
            Err(Errno::ENOTSOCK) => (waiting(), None),
            seen => {
                text.truncate(seen.unwrap_or(0));
                // If the buffer was not filled, that was all.
                let bytes = if text.len() < most { 0 } else { waiting() };
                (bytes.max(text.len()), Some(text))
            }
        }
    }

    /// Reads without blocking.  0 is the end of file.
    ///
    /// # Errors
    /// EAGAIN if there is nothing to read, ECONNRESET and the like.
    pub fn take(&self, buffer: &mut [u8]) -> nix::Result<usize> {
        match sys::take(self.input(), buffer) {
            Err(Errno::ENOTSOCK) if !is_ready(self.input(), PollFlags::POLLIN) => {
                Err(Errno::EAGAIN)
            }
            Err(Errno::ENOTSOCK) => read(self.input(), buffer),
            taken => taken,
        }
    }

    /// Writes as much as there is room for, without SIGPIPE if that is ignored or the
    /// stream is a socket.
    ///
    /// # Errors
    /// EAGAIN if there is no room, EPIPE, ECONNRESET and the like.
    pub fn put(&self, bytes: &[u8]) -> nix::Result<usize> {
        match sys::put(self.output(), bytes) {
            Err(Errno::ENOTSOCK) if !is_ready(self.output(), PollFlags::POLLOUT) => {
                Err(Errno::EAGAIN)
            }
            Err(Errno::ENOTSOCK) => write(self.output(), &bytes[..bytes.len().min(PIPE_ROOM)]),
            sent => sent,
        }
    }

    /// Closes our side: the client reads what was sent, then end of file.  A pipe stays
    /// open until the process ends, since its reader takes the end of file for the end
    /// of the connection.
    pub fn finish_sending(&self) {
        let _ = SockRef::from(&self.output()).shutdown(std::net::Shutdown::Write);
    }

    /// Makes them descriptors 0 and 1, in blocking mode: shell scripts and exim do not
    /// expect anything else.
    ///
    /// # Errors
    /// Errors of dup2(2) and fcntl(2), which do not occur for open descriptors.
    pub fn become_standard(&self) -> nix::Result<()> {
        match self {
            Self::Accepted(socket) => {
                dup2_stdin(socket)?;
                dup2_stdout(socket)
            }
            Self::Given => {
                make_wait(self.input())?;
                make_wait(self.output())
            }
        }
    }

    /// Takes descriptors 0 and 1 away from a socket that we keep.
    pub fn leave_standard(&self) {
        if let (Self::Accepted(_), Ok(null)) = (self, sys::null()) {
            let _ = dup2_stdin(&null);
            let _ = dup2_stdout(&null);
        }
    }

    /// The socket, if it is one of our own.
    #[must_use]
    pub fn accepted(&self) -> Option<&Socket> {
        match self {
            Self::Accepted(socket) => Some(socket),
            Self::Given => None,
        }
    }
}

/// A pipe reports its end of file as a hang-up, a file or terminal by being readable
/// with nothing in it.
fn look_at_pipe(pipe: BorrowedFd<'_>) -> Look {
    if !is_ready(pipe, PollFlags::POLLIN) {
        Look::Silence
    } else if sys::readable_bytes(pipe).is_ok_and(|bytes| bytes > 0) {
        Look::Talk
    } else {
        Look::Gone
    }
}

fn make_wait(fd: BorrowedFd<'_>) -> nix::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

fn is_ready(fd: BorrowedFd<'_>, flags: PollFlags) -> bool {
    poll(&mut [PollFd::new(fd, flags)], PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}
