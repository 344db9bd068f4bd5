//! The client's end of a connection: its descriptors, its address and ours.

pub(super) mod closing;
pub(super) mod poll;
pub mod stream;

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::connection::lookup::HostName;
use crate::log::EarlyBytes;
use crate::sys;
use stream::{Look, Stream};

/// Early bytes that the log shows.
const SHOWN: usize = 100;

/// A client.  Its descriptors are blocking; calls that must not block pass a flag.
pub struct Client {
    /// Its descriptors.
    pub stream: Stream,
    /// Its address; IPv4 if it was mapped into IPv6.  The port is 0 if it is not known.
    pub peer: SocketAddr,
    /// Ours, likewise; unspecified if it is not known.
    pub local: SocketAddr,
    /// The scope of a link-local IPv6 peer, 0 for none.
    pub scope: u32,
    /// When it was accepted, by us or by the server before us.
    pub accepted: Instant,
    /// When we got it; our deadlines count from here.
    pub received: Instant,
    /// Its name, if it need not be looked up.
    pub host: Option<HostName>,
    /// Whether the server before us has set its variables.
    pub introduced: bool,
}

impl Client {
    /// A client that accept(2) gave, from `peer`.  Our address is asked for unless it is
    /// `local` for all clients.
    ///
    /// # Errors
    /// Errors of getsockname(2).
    pub fn accepted(
        socket: Socket,
        peer: SocketAddr,
        local: Option<SocketAddr>,
        accepted: Instant,
    ) -> io::Result<Self> {
        let local = match local {
            Some(local) => local,
            None => own_address(&socket)?,
        };
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

    /// Time since the accept.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.accepted.elapsed()
    }

    /// Checks whether it has said something.
    #[must_use]
    pub fn look(&self) -> Look {
        self.stream.look()
    }

    /// What it said before the greeting; the bytes are only peeked at.
    #[must_use]
    pub fn early_bytes(&self) -> EarlyBytes {
        let (bytes, text) = self.stream.peek(SHOWN);
        EarlyBytes { bytes, text }
    }

    /// Removes the client's IP options (tcpserver's `-O`): a source route would let it
    /// pose as another host.
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

fn own_address(socket: &Socket) -> io::Result<SocketAddr> {
    let local = socket.local_addr()?.as_socket();
    local.ok_or_else(|| ErrorKind::Unsupported.into())
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
