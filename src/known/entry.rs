//! What there is about one client, if there is anything.

use super::record::{Record, Time};

/// What is remembered about one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// This is remembered.
    Known(Record),
    /// Nothing is remembered, whatever others have; since when.
    Forgotten(Time),
}

impl Entry {
    /// What is remembered, if anything.
    #[must_use]
    pub fn record(self) -> Option<Record> {
        match self {
            Self::Known(record) => Some(record),
            Self::Forgotten(_) => None,
        }
    }
}
