//! The address of a host, which a thread looks up: files and services of the system may
//! take seconds, and the keeper goes on answering meanwhile.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read};

use crate::databases::hosts::address;

/// Bytes of the thread's stack.
const STACK: usize = 256 << 10;

/// A look-up in progress; it ends within the time that the system's services have, 10 s.
pub(in crate::known::share) struct Resolving {
    thread: JoinHandle<io::Result<IpAddr>>,
    /// Its other end is closed when the thread ends.
    end: OwnedFd,
    port: u16,
}

impl Resolving {
    /// Begins to look `host` up.
    ///
    /// # Errors
    /// No descriptors, or no thread.
    pub(in crate::known::share) fn start(host: &str, port: u16) -> io::Result<Self> {
        let (end, until) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let host = host.to_string();
        let look_up = move || {
            let _until = until;
            address(&host)?.ok_or_else(|| io::Error::other("it has no IP address"))
        };
        let thread = thread::Builder::new().name("resolve".into()).stack_size(STACK);
        Ok(Self { thread: thread.spawn(look_up)?, end, port })
    }

    /// Readable once the look-up has ended.
    pub(in crate::known::share) fn descriptor(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Whether it has ended.
    pub(in crate::known::share) fn has_ended(&self) -> bool {
        !matches!(read(&self.end, &mut [0]), Err(Errno::EAGAIN | Errno::EINTR))
    }

    /// The result; waits for it.
    ///
    /// # Errors
    /// A host without an address, or a system that cannot look it up.
    pub(in crate::known::share) fn result(self) -> io::Result<SocketAddr> {
        let found = self.thread.join();
        let found = found.map_err(|_| io::Error::other("the look-up has panicked"))?;
        Ok(SocketAddr::new(found?, self.port))
    }
}

#[cfg(test)]
mod tests {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    #[test]
    fn a_descriptor_tells_of_the_end() {
        for (host, is_found) in [("localhost", true), ("nosuchhost.invalid", false)] {
            let resolving = Resolving::start(host, 6379).unwrap();
            let mut fds = [PollFd::new(resolving.descriptor(), PollFlags::POLLIN)];
            assert_eq!(poll(&mut fds, PollTimeout::from(20_000_u16)), Ok(1));
            assert!(resolving.has_ended());
            let found = resolving.result();
            assert_eq!(found.is_ok(), is_found, "{found:?}");
            assert!(found.is_err() || found.is_ok_and(|address| address.port() == 6379));
        }
    }
}
