//! How much of an address is in a name, and how it is written there.

use std::fmt;

/// How the address is spelled in the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As separated decimal numbers, in either order.
    Decimal,
    /// As one run of decimal digits, padded with zeros or not.
    Joined,
    /// In hexadecimal.
    Hexadecimal,
    /// As the decimal number that the whole address is.
    Number,
    /// Three or more groups of an IPv6 address.
    Groups,
    /// The network or the host half of an IPv6 address, digit by digit.
    Nibbles,
}

/// How much of the address is in the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All four octets; or half of an IPv6 address, or three of its groups.
    Whole,
    /// Three octets.
    Three,
    /// Two octets, the network's or the host's. Separated decimal numbers are too
    /// little to go by alone: `m42-4.mailgun.net` is 69.72.42.4.
    Two,
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decimal => "decimal",
            Self::Joined => "decimal, joined",
            Self::Hexadecimal => "hexadecimal",
            Self::Number => "one decimal number",
            Self::Groups => "in groups",
            Self::Nibbles => "digit by digit",
        })
    }
}
