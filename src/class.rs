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
    /// All of them, in the order of [`index`](Self::index).
    pub const ALL: [Self; 5] =
        [Self::Static, Self::Dynamic, Self::None, Self::Unknown, Self::NotLookedUp];

    /// The classes that a client may have if names are looked up.
    pub const JUDGED: [Self; 4] = [Self::None, Self::Dynamic, Self::Unknown, Self::Static];

    /// Its place in [`ALL`](Self::ALL), by which memory that processes share names it.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Static => 0,
            Self::Dynamic => 1,
            Self::None => 2,
            Self::Unknown => 3,
            Self::NotLookedUp => 4,
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_number_of_its_own() {
        assert_eq!(Class::ALL.map(Class::index), [0, 1, 2, 3, 4]);
        let judged = Class::ALL.into_iter().filter(|class| *class != Class::NotLookedUp);
        assert!(judged.clone().all(|class| Class::JUDGED.contains(&class)));
        assert_eq!(judged.count(), Class::JUDGED.len());
    }
}
