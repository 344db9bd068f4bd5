//! The class of a client.

use std::fmt;

/// How suspicious a client is before it has said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The name server says that it has no name, or none that is a host name.
    None,
    /// Its name is dynamic (residential).
    Dynamic,
    /// The look-up of its name failed.
    Unknown,
    /// Every other client.
    Static,
    /// Names are not looked up (`-H`): classification is disabled.
    NotLookedUp,
}

impl Class {
    /// All of them; the scoreboard uses their numbers.
    pub const ALL: [Self; 5] =
        [Self::Static, Self::Dynamic, Self::None, Self::Unknown, Self::NotLookedUp];

    /// The classes that a client may have if names are looked up.
    pub const JUDGED: [Self; 4] = [Self::None, Self::Dynamic, Self::Unknown, Self::Static];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Dynamic => "dynamic",
            Self::Unknown => "unknown",
            Self::Static => "static",
            Self::NotLookedUp => "-",
        })
    }
}
