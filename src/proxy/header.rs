//! A header, and why one cannot be used.

use std::fmt;
use std::net::SocketAddr;

/// What a proxy says about a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// The proxy speaks for itself, as in its health checks (`LOCAL`).
    Local,
    /// It relays the connection of a client.
    Proxied {
        /// The client.
        client: SocketAddr,
        /// The address of the proxy that the client has connected to.
        local: SocketAddr,
    },
}

/// Why a header cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    /// The first bytes are not those of a header.
    Missing,
    /// A line of version 1 that is not as it has to be.
    Malformed,
    /// It is longer than a header of its version may be.
    TooLong,
    /// The version or the command of a binary header is not known.
    UnknownCommand(u8),
    /// The family or the protocol is not known.
    UnknownFamily(u8),
    /// The family has no addresses of TCP, so that nothing of the client could be judged.
    NoAddress,
    /// There are fewer bytes of addresses than the family has.
    Short,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(f, "there is none"),
            Self::Malformed => write!(f, "its line is malformed"),
            Self::TooLong => write!(f, "it is too long"),
            Self::UnknownCommand(byte) => write!(f, "unknown version or command {byte:#04x}"),
            Self::UnknownFamily(byte) => write!(f, "unknown family or protocol {byte:#04x}"),
            Self::NoAddress => write!(f, "it names no TCP client"),
            Self::Short => write!(f, "it is too short for its addresses"),
        }
    }
}

impl std::error::Error for HeaderError {}
