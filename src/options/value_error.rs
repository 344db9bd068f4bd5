//! Why the argument of an option cannot be used.

use std::{error, fmt};

use ipnet::IpNet;

use crate::dns::list::ListError;
use crate::error::Hint;

/// Why the argument of an option cannot be used.  Displayed as what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// It is not UTF-8.
    NotUtf8,
    /// These are no seconds.
    Seconds,
    /// This is no number from the one to the other.
    Number {
        /// The smallest that is taken.
        least: u32,
        /// The largest.
        most: u32,
    },
    /// It is empty where a directory is to be named.
    NoDirectory,
    /// The path of the socket in this directory is too long for unix(7).
    PathTooLong,
    /// This is no name server.
    Resolver,
    /// An IPv6 address without brackets may have a port behind it, or not.
    AmbiguousPort {
        /// The address, if there is a port.
        ip: String,
        /// The port.
        port: String,
    },
    /// There is no network at all.
    NoNetworks,
    /// This is no network.
    Network(String),
    /// A network of proxies that has all addresses.
    AllAreProxies(IpNet),
    /// A network with bits behind its prefix.
    HostBits {
        /// As it was typed.
        text: String,
        /// What may have been meant.
        meant: IpNet,
    },
    /// This is no name of a host.
    LocalName,
    /// This is more than a line of a reply, or none.
    ReplyText,
    /// A reply that rblsmtpd would take for a permanent one.
    ReplyDash,
    /// A reply of more than so many bytes.
    ReplyTooLong(usize),
    /// syslog has no such facility.
    Facility(Hint),
    /// This is no tag of syslog.
    Tag,
    /// A tag with a slash.
    TagSlash,
    /// This is none of a few words.
    Choice {
        /// The words.
        words: Vec<String>,
        /// What may have been meant.
        hint: Hint,
    },
    /// This is no DNS list.
    List(ListError),
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::Seconds => f.write_str("it takes seconds from 0 to 86400, such as 2 or 0.5"),
            Self::Number { least, most } => write!(f, "it takes a number from {least} to {most}"),
            Self::NoDirectory => f.write_str("it takes a directory"),
            Self::PathTooLong => f.write_str("its path is too long: 100 bytes at most"),
            Self::Resolver => f.write_str(
                "it takes an address such as 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53",
            ),
            Self::AmbiguousPort { ip, port } => {
                write!(f, "it may be a port or not: use [{ip}]:{port} or [{ip}:{port}]")
            }
            Self::NoNetworks => f.write_str("it takes networks such as 10.0.0.0/8, or none"),
            Self::Network(text) => {
                write!(f, "`{text}' is not a valid network such as 10.0.0.0/8 or fd00::/8")
            }
            Self::AllAreProxies(net) => {
                write!(f, "with {net} whoever connects could name any client")
            }
            Self::HostBits { text, meant } => {
                write!(f, "`{text}' is not a valid network: use {meant}")
            }
            Self::LocalName => f.write_str("it takes a host name such as mx.example.org, or 0"),
            Self::ReplyText => f.write_str("it takes one line of printable ASCII"),
            Self::ReplyDash => f.write_str("a `-' in front would tell rblsmtpd to refuse for good"),
            Self::ReplyTooLong(most) => write!(f, "it takes {most} bytes at most"),
            Self::Facility(hint) => {
                write!(f, "it takes a facility such as mail, daemon or local0{hint}")
            }
            Self::Tag => f.write_str("it takes up to 32 letters, digits, `-', `_' and `.'"),
            Self::TagSlash => f.write_str("a `/' ends the name by which rsyslog files lines"),
            Self::Choice { words, hint } => write!(f, "it takes {}{hint}", words.join(" or ")),
            Self::List(why) => why.fmt(f),
        }
    }
}

impl error::Error for ValueError {}

impl From<ListError> for ValueError {
    fn from(why: ListError) -> Self {
        Self::List(why)
    }
}
