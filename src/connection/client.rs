//! The client's end of a connection: its descriptors, its address and ours.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::Socket;

use super::lookup::HostName;
use super::stream::{Look, Stream};
use crate::log::EarlyBytes;
use crate::sys;

/// Early bytes that are shown in the log.
const SHOWN: usize = 100;

/// A client.  Its descriptors block; what must not wait says so call by call.
pub struct Client {
    /// Its descriptors.
    pub stream: Stream,
    /// Its address; an IPv4 address where it came mapped into IPv6.  The port
    /// is 0 where nobody has told it.
    pub peer: SocketAddr,
    /// Ours, likewise; unspecified where nobody has told it.
    pub local: SocketAddr,
    /// The scope of a link-local IPv6 peer, 0 for none.
    pub scope: u32,
    /// When it was accepted, by us or by a server before us.
    pub accepted: Instant,
    /// When we got it; what we do has its deadlines from here.
    pub received: Instant,
    /// Its name, where that need not be looked up any more.
    pub host: Option<HostName>,
    /// Whether a server before us has told of it in the environment.
    pub introduced: bool,
}

impl Client {
    /// A client that accept(2) gave, from `peer`.
    ///
    /// # Errors
    /// Where our own address cannot be had.
    pub fn accepted(socket: Socket, peer: SocketAddr, accepted: Instant) -> io::Result<Self> {
        let local = socket.local_addr()?.as_socket();
        let local = local.ok_or_else(|| io::Error::from(ErrorKind::Unsupported))?;
        let stream = Stream::Accepted(socket);
        let scope = scope(peer);
        let (peer, local) = (canonical(peer), canonical(local));
        let (received, host, introduced) = (accepted, None, false);
        Ok(Self { stream, peer, local, scope, accepted, received, host, introduced })
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
        self.stream.look()
    }

    /// What it has said before its turn; the bytes stay where they are.
    #[must_use]
    pub fn early_bytes(&self) -> EarlyBytes {
        let (bytes, text) = self.stream.peek(SHOWN);
        EarlyBytes { bytes, text }
    }

    /// Takes the IP options of the client back (tcpserver's `-O`): a source
    /// route would let it pose as another host.
    pub fn kill_ip_options(&self) {
        if self.local.is_ipv4() {
            sys::kill_ip_options(self.stream.input());
        }
    }

    /// Disables Nagle's algorithm.
    pub fn send_at_once(&self) {
        if let Some(socket) = self.stream.accepted() {
            let _ = socket.set_tcp_nodelay(true);
        }
    }
}

/// The scope of a link-local IPv6 address, 0 for none.
#[must_use]
pub fn scope(address: SocketAddr) -> u32 {
    match address {
        SocketAddr::V6(address) => address.scope_id(),
        SocketAddr::V4(_) => 0,
    }
}

/// An address, as IPv4 where it was mapped into IPv6.
#[must_use]
pub fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
