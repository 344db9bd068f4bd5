//! Questions to name servers, and their answers.

use std::fmt;
use std::net::IpAddr;

use nix::errno::Errno;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// The host names of an address (PTR).
    Names(IpAddr),
    /// The first of them, whatever bytes it has, as tcpserver writes it: bytes that no host
    /// name has become `\ooo`.
    RawNames(IpAddr),
    /// The IPv4 addresses of a host name (A).
    Ipv4(String),
    /// The IPv6 addresses of a host name (AAAA).
    Ipv6(String),
    /// The texts of a name (TXT).
    Text(String),
}

/// The records of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Records {
    /// The targets of the PTR records that are host names, sorted, the first eight; of raw
    /// names the first of the answer.  Empty if there are records but none is a host name.
    Names(Vec<String>),
    /// The addresses.
    Addresses(Vec<IpAddr>),
    /// The texts, the strings of each joined.
    Texts(Vec<Vec<u8>>),
}

/// The result of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There are such records.
    Found(Records),
    /// The name server says that there are none: NXDOMAIN, or no data.
    Absent,
    /// No name server could tell.
    Failed(Failure),
}

/// Why no name server could tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer before the deadline.
    TimedOut,
    /// Every name server refused, failed, or could not be reached.
    ServersFailed,
    /// This host has no socket to ask with: the limit of open files is reached, or
    /// memory has run out.
    Shortage(Errno),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no name server answered in time"),
            Self::ServersFailed => f.write_str("no name server could answer"),
            Self::Shortage(why) => write!(f, "no socket to ask with: {}", why.desc()),
        }
    }
}
