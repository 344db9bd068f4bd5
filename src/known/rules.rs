//! What counts as a pass, what follows from it, and for how long.

use std::time::Duration;

use super::record::{Record, Time};
use crate::class::Class;

/// A day.
pub const DAY: Duration = Duration::from_secs(86_400);

/// How a client that was handed over has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Silent, for the whole delay of its class.
    InFull,
    /// Silent, but shorter, because it was known.
    Shortened,
    /// In a way that says nothing about it: it talked, its delay was shortened under load,
    /// or it had none.
    Otherwise,
}

/// What the keeper is told of a client that was handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// It has waited for the whole delay of this class.
    Full(Class),
    /// It was known, and stays known.
    Renewal,
}

impl Pass {
    /// What the keeper is told about a client of the class `now`, if anything.  A `static`
    /// client that was silent again stays known; any other has to wait in full again, since
    /// its address may have been assigned to another host.
    #[must_use]
    pub fn of(now: Class, waited: Waited) -> Option<Self> {
        match waited {
            Waited::InFull if now != Class::NotLookedUp => Some(Self::Full(now)),
            Waited::Shortened if now == Class::Static => Some(Self::Renewal),
            Waited::InFull | Waited::Shortened | Waited::Otherwise => None,
        }
    }

    /// What is remembered after this pass of a client about which `before` was remembered.
    /// One that was forgotten meanwhile stays forgotten.
    #[must_use]
    pub fn remembered(self, before: Option<Record>, now: Time) -> Option<Record> {
        match (self, before) {
            (Self::Full(class), None) => Some(Record::new(class, now)),
            (Self::Full(class), Some(record)) => Some(record.passed(class, now)),
            (Self::Renewal, before) => before.map(|record| record.renewed(now)),
        }
    }
}

/// The delays that a known client may have instead of its class's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownDelays {
    /// `--delay-known`: of a client that was `static`, and still is.
    pub known: Duration,
    /// `--delay-static`: of any other.
    pub of_static: Duration,
}

impl KnownDelays {
    /// How long a client of the class `now`, whose delay is `delay`, has to wait if it
    /// was of the class `before` when it last waited in full: never longer than
    /// `delay`.
    #[must_use]
    pub fn wait(&self, delay: Duration, now: Class, before: Class) -> Duration {
        match (now, before) {
            (Class::NotLookedUp, _) => delay,
            (Class::Static, Class::Static) => delay.min(self.known),
            _ => delay.min(self.of_static),
        }
    }
}

/// For how long a client is remembered after its last pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// `--known-days`: of class static.
    pub of_static: Duration,
}

impl Lifetimes {
    /// The default: longer than a month, for monthly mailings.
    pub const DAYS: u32 = 36;

    /// So many days for class static.
    #[must_use]
    pub fn days(days: u32) -> Self {
        Self { of_static: DAY.saturating_mul(days) }
    }

    /// For how long a client of the class `class` is remembered: a dynamic address is
    /// assigned to other hosts.
    #[must_use]
    pub fn of(&self, class: Class) -> Duration {
        if class == Class::Static { self.of_static } else { DAY.min(self.of_static) }
    }

    /// Whether `record` is too old to count.
    #[must_use]
    pub fn have_ended(&self, record: &Record, now: Time) -> bool {
        record.last.until(now) > self.of(record.class)
    }
}

/// The limits of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most clients.
    pub size: u64,
    /// How long they are remembered.
    pub lifetimes: Lifetimes,
}

impl Default for Limits {
    fn default() -> Self {
        Self { size: 1_000_000, lifetimes: Lifetimes::days(Lifetimes::DAYS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Class::{Dynamic, NotLookedUp, Static, Unknown};

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_wait_in_full_makes_a_client_known() {
        for class in Class::JUDGED {
            assert_eq!(Pass::of(class, Waited::InFull), Some(Pass::Full(class)));
            assert_eq!(Pass::of(class, Waited::Otherwise), None);
            let renewal = (class == Static).then_some(Pass::Renewal);
            assert_eq!(Pass::of(class, Waited::Shortened), renewal);
        }
        assert_eq!(Pass::of(NotLookedUp, Waited::InFull), None);
    }

    #[test]
    fn a_client_that_was_forgotten_is_not_renewed() {
        let now = Time(100);
        assert_eq!(Pass::Renewal.remembered(None, now), None);
        let record = Record::new(Static, Time(50));
        assert_eq!(Pass::Renewal.remembered(Some(record), now), Some(record.renewed(now)));
        let full = Pass::Full(Class::None);
        assert_eq!(full.remembered(None, now), Some(Record::new(Class::None, now)));
        assert_eq!(full.remembered(Some(record), now), Some(record.passed(Class::None, now)));
    }

    #[test]
    fn what_being_known_is_worth() {
        let delays = KnownDelays { known: Duration::ZERO, of_static: 2 * SECOND };
        let wait = |secs, now, before| delays.wait(secs * SECOND, now, before);
        assert_eq!(wait(2, Static, Static), Duration::ZERO);
        assert_eq!(wait(2, Static, Dynamic), 2 * SECOND);
        for (now, before) in
            [(Unknown, Static), (Dynamic, Static), (Class::None, Unknown), (Dynamic, Dynamic)]
        {
            assert_eq!(wait(12, now, before), 2 * SECOND);
            assert_eq!(wait(1, now, before), SECOND, "it is never longer");
        }
        assert_eq!(wait(12, NotLookedUp, Static), 12 * SECOND);
        let slow = KnownDelays { known: 30 * SECOND, of_static: 20 * SECOND };
        assert_eq!(slow.wait(2 * SECOND, Static, Static), 2 * SECOND);
        assert_eq!(slow.wait(12 * SECOND, Dynamic, Static), 12 * SECOND);
    }

    #[test]
    fn static_clients_are_remembered_longer() {
        let lifetimes = Lifetimes::days(36);
        let record = |class| Record::new(class, Time(1_000_000));
        let after = |days: u32, class| {
            let now = Time(1_000_000 + days * 86_400);
            [Time(now.0), Time(now.0 + 1)].map(|now| lifetimes.have_ended(&record(class), now))
        };
        assert_eq!(after(36, Static), [false, true]);
        for class in [Class::None, Dynamic, Unknown] {
            assert_eq!(after(1, class), [false, true]);
        }
    }

    #[test]
    fn clocks_that_jump_are_survived() {
        let lifetimes = Lifetimes::days(36);
        let record = Record::new(Static, Time(50_000_000));
        for seconds in [0, 50_000_000 - 3600, 50_000_000] {
            assert!(!lifetimes.have_ended(&record, Time(seconds)));
        }
        assert!(lifetimes.have_ended(&record, Time(50_000_000 + 365 * 86_400)));
        assert!(!Lifetimes::days(u32::MAX).have_ended(&record, Time(u32::MAX)));
    }
}
