//! What the keeper of known clients says of itself, for the administrator.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::daemon::scoreboard::words::{Packed, Word};
use crate::known::asking::message::Where;
use crate::known::sharing::Sharing;
use crate::sys::monotonic_micros as now;

/// A keeper that has said nothing for so long does not answer: it does so once a second.
const SILENCE: Duration = Duration::from_secs(5);

/// What was last said about the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum LastReport {
    /// Nothing: none was asked for.
    Nothing,
    /// By the supervisor: there is to be one.
    Expected,
    /// By the keeper: it keeps clients here.
    Knows(Where),
}

impl Packed for LastReport {
    fn encode(self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::Expected => 1,
            Self::Knows(Where::Disk) => 2,
            Self::Knows(Where::Memory) => 3,
        }
    }

    fn decode(word: u64) -> Self {
        match word {
            0 => Self::Nothing,
            2 => Self::Knows(Where::Disk),
            3 => Self::Knows(Where::Memory),
            _ => Self::Expected,
        }
    }
}

impl Packed for Sharing {
    fn encode(self) -> u64 {
        self.byte().into()
    }

    fn decode(word: u64) -> Self {
        u8::try_from(word).ok().and_then(Self::of_byte).unwrap_or(Self::Off)
    }
}

/// The words of a scoreboard about the keeper.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(in crate::daemon) struct KeeperRecord {
    last_report: Word<LastReport>,
    sharing: Word<Sharing>,
    clients: AtomicU64,
    said_at: AtomicU64,
}

/// The state of the keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeeperState {
    /// The daemon has none.
    Off,
    /// It has not said anything for a while, or not yet.
    Silent,
    /// It knows so many clients, keeps them here, and shares them or not.
    Knows(u64, Where, Sharing),
}

impl KeeperState {
    /// What it is called: `off`, `silent`, `disk` or `memory`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Silent => "silent",
            Self::Knows(_, Where::Disk, _) => "disk",
            Self::Knows(_, Where::Memory, _) => "memory",
        }
    }

    /// How many clients it knows.
    #[must_use]
    pub fn clients(self) -> Option<u64> {
        match self {
            Self::Knows(clients, ..) => Some(clients),
            Self::Off | Self::Silent => None,
        }
    }

    /// Whether its clients are shared with other hosts.
    #[must_use]
    pub fn sharing(self) -> Option<Sharing> {
        match self {
            Self::Knows(_, _, sharing) => Some(sharing),
            Self::Off | Self::Silent => None,
        }
    }
}

impl KeeperRecord {
    /// There is to be a keeper.
    pub(in crate::daemon) fn expect(&self) {
        self.last_report.store(LastReport::Expected, Ordering::Relaxed);
    }

    /// The keeper knows so many clients, which are shared or not.
    pub(in crate::daemon) fn knows(&self, clients: u64, place: Where, sharing: Sharing) {
        self.clients.store(clients, Ordering::Relaxed);
        self.sharing.store(sharing, Ordering::Relaxed);
        self.said_at.store(now(), Ordering::Relaxed);
        self.last_report.store(LastReport::Knows(place), Ordering::Release);
    }

    /// The state of the keeper.
    pub(super) fn get(&self) -> KeeperState {
        let place = match self.last_report.load(Ordering::Acquire) {
            LastReport::Nothing => return KeeperState::Off,
            LastReport::Expected => return KeeperState::Silent,
            LastReport::Knows(place) => place,
        };
        let silence = now().saturating_sub(self.said_at.load(Ordering::Relaxed));
        if Duration::from_micros(silence) > SILENCE {
            return KeeperState::Silent;
        }
        let sharing = self.sharing.load(Ordering::Relaxed);
        KeeperState::Knows(self.clients.load(Ordering::Relaxed), place, sharing)
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;
    use crate::daemon::scoreboard::words::assert_packs;

    #[test]
    fn every_value_has_a_word_of_its_own() {
        let [disk, memory] = [Where::Disk, Where::Memory].map(LastReport::Knows);
        assert_packs(&[LastReport::Nothing, LastReport::Expected, disk, memory]);
        assert_packs(&Sharing::ALL);
    }

    #[test]
    fn a_keeper_that_says_nothing_is_silent() {
        let record = KeeperRecord::new_zeroed();
        assert_eq!(record.get(), KeeperState::Off);
        record.expect();
        assert_eq!(record.get(), KeeperState::Silent);
        record.knows(7, Where::Memory, Sharing::Off);
        assert_eq!(record.get(), KeeperState::Knows(7, Where::Memory, Sharing::Off));
        record.knows(8, Where::Disk, Sharing::Up);
        assert_eq!(record.get().sharing(), Some(Sharing::Up));
        assert_eq!((record.get().word(), record.get().clients()), ("disk", Some(8)));
        record.said_at.store(now().saturating_sub(6_000_000), Ordering::Relaxed);
        assert_eq!(record.get(), KeeperState::Silent);
    }
}
