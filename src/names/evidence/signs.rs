//! The signs by which names are judged, and the weight of each.  `fit.rs` finds the weights
//! from names whose class is known.

use std::fmt;

/// The points from which a name is a dynamic (residential) host name.
pub const THRESHOLD: i32 = 100;

/// A sign in a name for or against a dynamic (residential) host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// All of the address.
    WholeAddress,
    /// Three octets of it.
    ThreeOctets,
    /// Two octets as one run of digits, decimal or hexadecimal.
    TwoOctetsAsOne,
    /// Two octets with a separator between them.
    TwoOctets,
    /// The last octet as a number of the first label.
    LastOctet,
    /// A hardware address.
    HardwareAddress,
    /// A word for dynamic addresses.
    DynamicWord,
    /// A word for residential connections.
    ResidentialWord,
    /// A word that may stand for residential connections.
    PlaceWord,
    /// Another one of these words.
    SecondResidentialWord,
    /// Such a word within a longer one.
    ResidentialStem,
    /// The same in the owner's own label.
    ResidentialOwner,
    /// A word for a customer or a device, followed by a number.
    NumberedWord,
    /// A word that any host may have.
    AnyWord,
    /// A few letters and a long number at the start.
    CustomerNumber,
    /// A letter and a number as a part of the first label.
    PortNumber,
    /// Numbers with letters between them, and no separator.
    AlternatingNumbers,
    /// Three numbers or more in the first label.
    ManyNumbers,
    /// A number of five digits or more.
    LongNumber,
    /// The first label has only digits and hyphens.
    NumberAsLabel,
    /// As many digits as letters, or more.
    MostlyDigits,
    /// Three labels or more before the owner's domain.
    DeepName,
    /// A mail server word at the start.
    MailWordFirst,
    /// A mail server word elsewhere.
    MailWord,
    /// A mail server word within a longer one.
    MailStem,
    /// A word for fixed addresses.
    FixedWord,
    /// A word for other servers.
    ServerWord,
    /// Such a word within a longer one.
    ServerStem,
    /// A mail server word in the owner's own label.
    OwnerOfMail,
    /// A word for servers or hosting in the owner's own label.
    OwnerOfServers,
    /// No digit before the owner's domain.
    NoDigit,
}

impl Sign {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 31] = [
        Self::WholeAddress,
        Self::ThreeOctets,
        Self::TwoOctetsAsOne,
        Self::TwoOctets,
        Self::LastOctet,
        Self::HardwareAddress,
        Self::DynamicWord,
        Self::ResidentialWord,
        Self::PlaceWord,
        Self::SecondResidentialWord,
        Self::ResidentialStem,
        Self::ResidentialOwner,
        Self::NumberedWord,
        Self::AnyWord,
        Self::CustomerNumber,
        Self::PortNumber,
        Self::AlternatingNumbers,
        Self::ManyNumbers,
        Self::LongNumber,
        Self::NumberAsLabel,
        Self::MostlyDigits,
        Self::DeepName,
        Self::MailWordFirst,
        Self::MailWord,
        Self::MailStem,
        Self::FixedWord,
        Self::ServerWord,
        Self::ServerStem,
        Self::OwnerOfMail,
        Self::OwnerOfServers,
        Self::NoDigit,
    ];

    /// Whether it stands for a part of the address.
    pub(super) fn is_of_address(self) -> bool {
        use Sign::{ThreeOctets, TwoOctets, TwoOctetsAsOne, WholeAddress};
        matches!(self, WholeAddress | ThreeOctets | TwoOctets | TwoOctetsAsOne)
    }

    /// Points: positive for a dynamic name, negative against it.
    #[must_use]
    #[allow(clippy::match_same_arms, reason = "a table of figures")]
    pub const fn weight(self) -> i32 {
        match self {
            Self::WholeAddress => 168,
            Self::ThreeOctets => 120,
            Self::TwoOctetsAsOne => 153,
            Self::TwoOctets => 59,
            Self::LastOctet => 9,
            Self::HardwareAddress => 136,
            Self::DynamicWord => 182,
            Self::ResidentialWord => 161,
            Self::PlaceWord => 90,
            Self::SecondResidentialWord => 36,
            Self::ResidentialStem => 95,
            Self::ResidentialOwner => 31,
            Self::NumberedWord => 140,
            Self::AnyWord => 57,
            Self::CustomerNumber => 28,
            Self::PortNumber => 135,
            Self::AlternatingNumbers => 117,
            Self::ManyNumbers => 9,
            Self::LongNumber => 29,
            Self::NumberAsLabel => 49,
            Self::MostlyDigits => 9,
            Self::DeepName => 25,
            Self::MailWordFirst => -169,
            Self::MailWord => -192,
            Self::MailStem => -243,
            Self::FixedWord => -294,
            Self::ServerWord => -41,
            Self::ServerStem => -34,
            Self::OwnerOfMail => -134,
            Self::OwnerOfServers => -95,
            Self::NoDigit => -37,
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WholeAddress => "the address is in the name",
            Self::ThreeOctets => "three octets of the address are in the name",
            Self::TwoOctetsAsOne | Self::TwoOctets => "two octets of the address are in the name",
            Self::LastOctet => "the last octet of the address is in the first label",
            Self::HardwareAddress => "a hardware address",
            Self::DynamicWord => "a word for dynamic addresses",
            Self::ResidentialWord => "a word for residential connections",
            Self::PlaceWord => "a word that may be for residential connections",
            Self::SecondResidentialWord => "another word for residential connections",
            Self::ResidentialStem => "a word for residential connections within",
            Self::ResidentialOwner => "a word for residential connections within the owner's",
            Self::NumberedWord => "a number behind",
            Self::AnyWord => "a word for any host",
            Self::CustomerNumber => "a customer's number",
            Self::PortNumber => "a port's number",
            Self::AlternatingNumbers => "numbers with letters between them",
            Self::ManyNumbers => "three numbers or more in the first label",
            Self::LongNumber => "a long number",
            Self::NumberAsLabel => "the first label is a number",
            Self::MostlyDigits => "half of it is digits",
            Self::DeepName => "three labels or more before the owner's domain",
            Self::MailWordFirst => "begins with the mail server word",
            Self::MailWord => "mail server word",
            Self::MailStem => "a mail server word within",
            Self::FixedWord => "a word for fixed addresses",
            Self::ServerWord => "a word for servers",
            Self::ServerStem => "a word for servers within",
            Self::OwnerOfMail => "a mail server word within the owner's",
            Self::OwnerOfServers => "a word for servers within the owner's",
            Self::NoDigit => "no digit before the owner's domain",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_the_weights() {
        let manual = include_str!("../../../man/smtp-delayd.8");
        let rows = manual.lines().filter_map(|line| line.strip_prefix(".It ")?.split_once(" Ta "));
        let weights = rows.filter_map(|(weight, _)| weight.replace("\\-", "-").parse().ok());
        let weights: Vec<i32> = weights.take(Sign::ALL.len()).collect();
        assert_eq!(weights, Sign::ALL.map(Sign::weight));
    }
}
