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
use crate::proxy::header::Header;
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
    /// How it reached us.
    pub origin: Origin,
}

/// How a client reaches us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By a connection of its own.
    Direct,
    /// By the proxy of this address, which has named it.
    Proxied(IpAddr),
    /// It is a proxy, which checks whether we are there.
    Check,
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
        Ok(Self {
            stream,
            peer,
            local,
            scope,
            accepted,
            received: accepted,
            host: None,
            introduced: false,
            origin: Origin::Direct,
        })
    }

    /// Its address without the port.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.peer.ip()
    }

    /// The client that the proxy on this connection names, or the proxy itself, if it
    /// speaks for itself: the checks of `HAProxy` name it as the client in version 1.
    #[must_use]
    pub fn named_by(self, header: Header) -> Self {
        match header {
            Header::Proxied { client, local } if canonical(client) != self.peer => Self {
                origin: Origin::Proxied(self.ip()),
                peer: canonical(client),
                local: canonical(local),
                scope: 0,
                // What is known of a name is about the proxy.
                host: None,
                introduced: false,
                ..self
            },
            Header::Proxied { .. } | Header::Local => Self { origin: Origin::Check, ..self },
        }
    }

    /// The proxy that relays its connection.
    #[must_use]
    pub fn via(&self) -> Option<IpAddr> {
        match self.origin {
            Origin::Proxied(proxy) => Some(proxy),
            Origin::Direct | Origin::Check => None,
        }
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
