//! The client's end of a connection: its socket, its address and ours.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use socket2::Socket;

use crate::log::EarlyBytes;
use crate::sys;

/// Early bytes that are shown in the log.
const SHOWN: usize = 100;

/// A client that was accepted.  Its socket blocks; what must not wait says so
/// call by call.
pub struct Client {
    socket: Socket,
    /// Its address; an IPv4 address where it came mapped into IPv6.
    pub peer: SocketAddr,
    /// Ours, likewise.
    pub local: SocketAddr,
    /// The scope of a link-local IPv6 peer, 0 for none.
    pub scope: u32,
    /// When it was accepted.
    pub accepted: Instant,
}

/// What a look at the socket shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing was said.
    Silence,
    /// There are bytes to read.
    Talk,
    /// The client is gone, or has closed its side, and said nothing.
    Gone,
}

impl Client {
    /// A client that accept(2) gave, from `peer`.
    ///
    /// # Errors
    /// Where our own address cannot be had.
    pub fn new(socket: Socket, peer: SocketAddr, accepted: Instant) -> io::Result<Self> {
        let local = socket.local_addr()?.as_socket();
        let local = local.ok_or_else(|| io::Error::from(ErrorKind::Unsupported))?;
        let scope = match peer {
            SocketAddr::V6(peer) => peer.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        Ok(Self { socket, peer: canonical(peer), local: canonical(local), scope, accepted })
    }

    /// Its address without the port.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.peer.ip()
    }

    /// Since it was accepted.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.accepted.elapsed()
    }

    /// Looks whether it has said something.
    #[must_use]
    pub fn look(&self) -> Look {
        match sys::peek(self, &mut [0]) {
            Ok(0) => Look::Gone,
            Ok(_) => Look::Talk,
            Err(Errno::EAGAIN | Errno::EINTR) => Look::Silence,
            Err(_) => Look::Gone,
        }
    }

    /// What it has said before its turn; the bytes stay where they are.
    #[must_use]
    pub fn early_bytes(&self) -> EarlyBytes {
        let mut text = vec![0; SHOWN];
        let shown = sys::peek(self, &mut text).unwrap_or(0);
        text.truncate(shown);
        let bytes = sys::readable_bytes(self.as_fd()).unwrap_or(0).max(shown);
        EarlyBytes { bytes, text }
    }

    /// Takes the IP options of the client back (tcpserver's `-O`): a source
    /// route would let it pose as another host.
    pub fn kill_ip_options(&self) {
        if self.local.is_ipv4() {
            sys::kill_ip_options(self.as_fd());
        }
    }

    /// Disables Nagle's algorithm.
    ///
    /// # Errors
    /// Where the connection is gone.
    pub fn send_at_once(&self) -> io::Result<()> {
        self.socket.set_tcp_nodelay(true)
    }

    /// Closes our side: the client reads what was sent, then end of file.
    pub fn finish_sending(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
