//! What is remembered about one client.

use std::time::{Duration, SystemTime};

use crate::class::Class;

/// Bytes of a record.
pub const LENGTH: usize = 13;

/// Seconds since 1970, by the system clock; up to the year 2106.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub u32);

impl Time {
    /// Now; a clock that is set to before 1970 counts as 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self(u32::try_from(since.as_secs()).unwrap_or(u32::MAX))
    }

    /// How long this was before `now`; a time in the future counts as now.
    #[must_use]
    pub fn until(self, now: Self) -> Duration {
        Duration::from_secs(now.0.saturating_sub(self.0).into())
    }
}

/// What is remembered about one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it passed first.
    pub first: Time,
    /// When it passed last.
    pub last: Time,
    /// How often it has passed: 1 or more.
    pub count: u32,
    /// Its class when it last waited for the whole delay of its class.
    pub class: Class,
}

impl Record {
    /// For a client that has waited for the whole delay of its `class`, and was not
    /// remembered.
    #[must_use]
    pub fn new(class: Class, now: Time) -> Self {
        Self { first: now, last: now, count: 1, class }
    }

    /// What is remembered after another pass for which it waited for the whole delay of its
    /// `class`.  A name that could not be looked up does not change the class.
    #[must_use]
    pub fn passed(self, class: Class, now: Time) -> Self {
        let class = if class == Class::Unknown { self.class } else { class };
        Self { class, ..self.renewed(now) }
    }

    /// What is remembered after another pass for which it waited less, being known.
    #[must_use]
    pub fn renewed(self, now: Time) -> Self {
        Self { last: now, count: self.count.saturating_add(1), ..self }
    }

    /// The record in these bytes, as [`bytes`](Self::bytes) returns them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LENGTH]) -> Option<Self> {
        let number = |at: usize| {
            bytes[at..].first_chunk().map_or(0, |four: &[u8; 4]| u32::from_be_bytes(*four))
        };
        let class = class_of(bytes[LENGTH - 1])?;
        let count = number(8);
        let record = Self { first: Time(number(0)), last: Time(number(4)), count, class };
        (count > 0).then_some(record)
    }

    /// The bytes of it in the store and in messages.
    #[must_use]
    pub fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..4].copy_from_slice(&self.first.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.last.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_be_bytes());
        bytes[LENGTH - 1] = class_byte(self.class);
        bytes
    }
}

/// The class of a byte; only those that a client can have waited for.
#[must_use]
pub fn class_of(byte: u8) -> Option<Class> {
    Class::JUDGED.into_iter().find(|class| class_byte(*class) == byte)
}

/// The byte of a class in the store and in messages.  It must never change: a store
/// outlives the program that wrote it.
#[must_use]
pub fn class_byte(class: Class) -> u8 {
    match class {
        Class::NotLookedUp => 0,
        Class::None => 1,
        Class::Dynamic => 2,
        Class::Unknown => 3,
        Class::Static => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_replaces_no_other_class() {
        let record = Record::new(Class::Dynamic, Time(10));
        assert_eq!(record.passed(Class::Unknown, Time(20)).class, Class::Dynamic);
        assert_eq!(record.passed(Class::Static, Time(20)).class, Class::Static);
        let unknown = Record::new(Class::Unknown, Time(10));
        assert_eq!(unknown.passed(Class::Unknown, Time(20)).class, Class::Unknown);
        assert_eq!(unknown.passed(Class::None, Time(20)).class, Class::None);
    }

    #[test]
    fn a_pass_is_counted_and_dated() {
        let record = Record::new(Class::Static, Time(10)).renewed(Time(20)).renewed(Time(15));
        assert_eq!((record.first, record.last, record.count), (Time(10), Time(15), 3));
        let most = Record { count: u32::MAX, ..record };
        assert_eq!(most.renewed(Time(30)).count, u32::MAX);
    }

    #[test]
    fn bytes_lead_back_to_the_record() {
        for class in Class::JUDGED {
            let record = Record { first: Time(1), last: Time(u32::MAX), count: 7, class };
            assert_eq!(Record::from_bytes(&record.bytes()), Some(record));
        }
        let record = Record::new(Class::Static, Time(1)).bytes();
        let damaged = |at: usize, byte| {
            let mut bytes = record;
            bytes[at] = byte;
            Record::from_bytes(&bytes)
        };
        assert_eq!([damaged(12, 0), damaged(12, 5), damaged(11, 0)], [None; 3]);
    }

    #[test]
    fn the_future_counts_as_now() {
        assert_eq!(Time(10).until(Time(25)), Duration::from_secs(15));
        assert_eq!(Time(25).until(Time(10)), Duration::ZERO);
        assert!(Time::now() > Time(1_700_000_000));
    }
}
