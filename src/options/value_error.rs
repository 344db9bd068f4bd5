//! Why the argument of an option cannot be used.

use std::{error, fmt};

use ipnet::IpNet;

use crate::dns::list::ListError;
use crate::error::Hint;
use crate::known::share::engine::address::AddressError;

/// Why the argument of an option cannot be used.  Displayed as what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueError {
    /// It is not UTF-8.
    NotUtf8,
    /// It is not a number of seconds.
    Seconds,
    /// It is not a number in this range.
    Number {
        /// The smallest that is valid.
        least: u32,
        /// The largest that is valid.
        most: u32,
    },
    /// It is empty, and has to name a directory.
    NoDirectory,
    /// The path of the socket in this directory is too long for unix(7).
    PathTooLong,
    /// It is not the address of a name server.
    Resolver,
    /// It is an IPv6 address without brackets, of which the last part may be a port.
    AmbiguousPort {
        /// The address, if there is a port.
        ip: String,
        /// The port.
        port: String,
    },
    /// It names no network.
    NoNetworks,
    /// This part of it is not a network.
    Network(String),
    /// This network of proxies has all addresses.
    AllAreProxies(IpNet),
    /// It is a network with bits set after its prefix.
    HostBits {
        /// As it was typed.
        text: String,
        /// What may have been meant.
        meant: IpNet,
    },
    /// It is not a host name.
    LocalName,
    /// It is not one line of a reply.
    ReplyText,
    /// It is a reply that rblsmtpd would make a permanent one of.
    ReplyDash,
    /// It is a reply of more than so many bytes.
    ReplyTooLong(usize),
    /// syslog has no such facility.
    Facility(Hint),
    /// It is not a tag of syslog.
    Tag,
    /// It is a tag with a slash.
    TagSlash,
    /// It is not one of these words.
    Choice {
        /// The words.
        words: Vec<String>,
        /// What may have been meant.
        hint: Hint,
    },
    /// It is not a DNS list.
    List(ListError),
    /// It is not the address of an engine.
    Share(AddressError),
    /// Keys of an engine cannot begin with this.
    SharePrefix,
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
            Self::Share(why) => why.fmt(f),
            Self::SharePrefix => {
                f.write_str("it takes 1 to 100 printable characters, without spaces")
            }
        }
    }
}

impl error::Error for ValueError {}

impl From<ListError> for ValueError {
    fn from(why: ListError) -> Self {
        Self::List(why)
    }
}
