//! The descriptors through which a client is reached: a socket that accept(2)
//! gave, or descriptors 0 and 1, which are a socket or two pipes (recordio,
//! sslserver).  Nothing here waits.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{dup2_stdin, dup2_stdout, read, write};
use socket2::{SockRef, Socket};

use crate::sys;

/// What a pipe takes without waiting once poll(2) says that there is room
/// (`PIPE_BUF`, pipe(7)).
const PIPE_ROOM: usize = 4096;

/// A client's descriptors.
pub enum Stream {
    /// A socket of our own.
    Accepted(Socket),
    /// Descriptors 0 and 1, which a server before us has set up.
    Given,
}

/// What a look at a stream shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing was said.
    Silence,
    /// There are bytes to read.
    Talk,
    /// The client is gone, or has closed its side, and said nothing.
    Gone,
}

impl Stream {
    /// What the client says is read from.
    #[must_use]
    pub fn input(&self) -> BorrowedFd<'_> {
        match self {
            Self::Accepted(socket) => socket.as_fd(),
            Self::Given => sys::standard_input(),
        }
    }

    /// What it is told is written to.
    #[must_use]
    pub fn output(&self) -> BorrowedFd<'_> {
        match self {
            Self::Accepted(socket) => socket.as_fd(),
            Self::Given => sys::standard_output(),
        }
    }

    /// Looks whether the client has said something.
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

    /// How many bytes wait, and the first of them, as many as `most`; they stay
    /// where they are.  Those in a pipe cannot be seen.
    #[must_use]
    pub fn peek(&self, most: usize) -> (usize, Option<Vec<u8>>) {
        let waiting = || sys::readable_bytes(self.input()).unwrap_or(0);
        let mut text = vec![0; most];
        match sys::peek(self.input(), &mut text) {
            Err(Errno::ENOTSOCK) => (waiting(), None),
            seen => {
                text.truncate(seen.unwrap_or(0));
                // Where there was room for more, that was all.
                let bytes = if text.len() < most { 0 } else { waiting() };
                (bytes.max(text.len()), Some(text))
            }
        }
    }

    /// Takes what waits.  0 is the end of file.
    ///
    /// # Errors
    /// EAGAIN where nothing is there, ECONNRESET and the like.
    pub fn take(&self, buffer: &mut [u8]) -> nix::Result<usize> {
        match sys::take(self.input(), buffer) {
            Err(Errno::ENOTSOCK) if !is_ready(self.input(), PollFlags::POLLIN) => {
                Err(Errno::EAGAIN)
            }
            Err(Errno::ENOTSOCK) => read(self.input(), buffer),
            taken => taken,
        }
    }

    /// Sends what there is room for, without SIGPIPE where that is ignored or
    /// the stream is a socket.
    ///
    /// # Errors
    /// EAGAIN where there is no room, EPIPE, ECONNRESET and the like.
    pub fn put(&self, bytes: &[u8]) -> nix::Result<usize> {
        match sys::put(self.output(), bytes) {
            Err(Errno::ENOTSOCK) if !is_ready(self.output(), PollFlags::POLLOUT) => {
                Err(Errno::EAGAIN)
            }
            Err(Errno::ENOTSOCK) => write(self.output(), &bytes[..bytes.len().min(PIPE_ROOM)]),
            sent => sent,
        }
    }

    /// Closes our side: the client reads what was sent, then end of file.  A pipe
    /// is closed with the process, since whoever reads it takes its end for the
    /// end of the connection.
    pub fn finish_sending(&self) {
        let _ = SockRef::from(&self.output()).shutdown(std::net::Shutdown::Write);
    }

    /// Makes them descriptors 0 and 1, and such that whoever uses them waits:
    /// shell scripts and exim do not expect anything else.
    ///
    /// # Errors
    /// None that can happen to descriptors that are open.
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

    /// Takes descriptors 0 and 1 away from a socket that stays ours.
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

/// A pipe tells its end of file by a hang-up, a file or terminal by being
/// readable with nothing in it.
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
