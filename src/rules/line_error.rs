//! Why a line of rules in text form cannot be used.

use std::{error, fmt};

/// Why a line cannot be used, and the line.
#[derive(Debug)]
pub(super) struct LineError {
    pub(super) why: WhyNot,
    /// The beginning of the line.
    pub(super) shown: String,
}

/// Why a line cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhyNot {
    TooLong,
    NoColon,
    NoRule,
    NoNetwork,
    NoRange,
    /// With this line the file has too many keys.
    TooManyKeys,
    /// With this line its keys are too long together.
    TooManyBytes,
}

impl fmt::Display for WhyNot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "it is over 128 KiB",
            Self::NoColon => "there is no colon",
            Self::NoRule => "it takes address:allow or address:deny, with ,NAME=/value/",
            Self::NoNetwork => "not a valid network",
            Self::NoRange => "not a valid range",
            Self::TooManyKeys => "over 250000 keys: use networks such as 10.0.0.0/8, or a cdb (-x)",
            Self::TooManyBytes => "the keys are over 8 MiB: use a cdb (-x)",
        })
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.why, self.shown)
    }
}

impl error::Error for LineError {}
