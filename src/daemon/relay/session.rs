//! Which session a pipe belongs to: what the process that becomes a program sends about
//! itself, with the reading end of the pipe.

use std::fs::File;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::stat::fstat;
use nix::unistd::Pid;

use crate::sys;

/// Bytes of an address, of a port and of a process id in a message.
const ADDRESS: usize = 16;
const PORT: usize = 2;
const PID: usize = 4;
const LENGTH: usize = ADDRESS + PORT + PID;

/// A program and its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The client's address, IPv4 if it was mapped into IPv6.
    pub(super) client: SocketAddr,
    /// The process that becomes the program.
    pub(super) pid: Pid,
}

impl Session {
    fn encode(&self) -> [u8; LENGTH] {
        let address = match self.client.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut message = [0; LENGTH];
        let (addresses, rest) = message.split_at_mut(ADDRESS);
        let (ports, pids) = rest.split_at_mut(PORT);
        addresses.copy_from_slice(&address.octets());
        ports.copy_from_slice(&self.client.port().to_be_bytes());
        pids.copy_from_slice(&self.pid.as_raw().to_be_bytes());
        message
    }

    fn decode(message: &[u8; LENGTH]) -> Option<Self> {
        let (addresses, rest) = message.split_at(ADDRESS);
        let (ports, pids) = rest.split_at(PORT);
        let address = Ipv6Addr::from(<[u8; ADDRESS]>::try_from(addresses).ok()?);
        let port = u16::from_be_bytes(ports.try_into().ok()?);
        let pid = i32::from_be_bytes(pids.try_into().ok()?);
        let client = SocketAddr::new(address.to_canonical(), port);
        Some(Self { client, pid: Pid::from_raw(pid) })
    }

    /// Passes the reading end of its pipe on, without waiting.
    ///
    /// # Errors
    /// As [`sys::pass`].
    pub(super) fn pass(&self, socket: BorrowedFd<'_>, pipe: BorrowedFd<'_>) -> nix::Result<()> {
        sys::pass(socket, &self.encode(), pipe).map(drop)
    }
}

/// The reading end of a session's standard error.
#[derive(Debug)]
pub(super) struct SessionPipe {
    pub(super) session: Session,
    pub(super) pipe: File,
}

/// What identifies an open pipe: its inode.
pub(super) type PipeId = u64;

/// The pipe that `pipe` is an end of.
///
/// # Errors
/// None for a descriptor that is open.
pub(super) fn pipe_id(pipe: &File) -> nix::Result<PipeId> {
    fstat(pipe).map(|stat| stat.st_ino)
}

/// What can be received.
#[derive(Debug)]
pub(super) enum Received {
    /// A session's pipe.
    Pipe(SessionPipe),
    /// Nothing at present.
    Nothing,
    /// Nothing any more: no process is left that could send.
    End,
}

/// Receives the next pipe that was passed on, without waiting.
pub(super) fn receive(socket: impl AsFd) -> Received {
    loop {
        let mut message = [0; LENGTH];
        match sys::receive(socket.as_fd(), &mut message) {
            Ok((0, _)) => return Received::End,
            Ok((LENGTH, Some(pipe))) => {
                if let Some(session) = Session::decode(&message) {
                    return Received::Pipe(SessionPipe { session, pipe: pipe.into() });
                }
            }
            // There was no descriptor for it: what its program writes is lost.
            Ok(_) | Err(Errno::EINTR) => (),
            Err(_) => return Received::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use nix::unistd::pipe2;
    use std::io::{Read, Write};

    #[test]
    fn a_pipe_arrives_with_its_session() {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        assert!(matches!(receive(&ours), Received::Nothing));
        for client in ["192.0.2.7:40112", "[2001:db8::1]:25", "[::]:0"] {
            let session =
                Session { client: client.parse().unwrap(), pid: Pid::from_raw(4_194_304) };
            let (reading, writing) = pipe2(OFlag::O_CLOEXEC).unwrap();
            session.pass(theirs.as_fd(), reading.as_fd()).unwrap();
            drop(reading);
            let Received::Pipe(mut received) = receive(&ours) else { panic!("nothing came") };
            assert_eq!(received.session, session);
            File::from(writing).write_all(b"words").unwrap();
            let mut text = String::new();
            received.pipe.read_to_string(&mut text).unwrap();
            assert_eq!(text, "words");
        }
        drop(theirs);
        assert!(matches!(receive(&ours), Received::End));
    }
}
