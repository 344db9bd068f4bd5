//! Words whose bits have a meaning, each with its values as an enum.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::daemon::scoreboard::stage::SlotId;

/// The values that a word may have.
pub(super) trait Packed: Copy {
    /// The word for this value.
    fn encode(self) -> u64;

    /// The value of a word.  That of zero is the value of memory that is not written to yet.
    /// Every word has one: of a scoreboard that was damaged anything may come.
    fn decode(word: u64) -> Self;
}

/// A word in shared memory that holds a `T`.  Its methods are those of [`AtomicU64`], and
/// each is one atomic operation.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(transparent)]
pub(super) struct Word<T> {
    bits: AtomicU64,
    values: PhantomData<T>,
}

impl<T: Packed> Word<T> {
    pub(super) fn load(&self, order: Ordering) -> T {
        T::decode(self.bits.load(order))
    }

    pub(super) fn store(&self, value: T, order: Ordering) {
        self.bits.store(value.encode(), order);
    }

    pub(super) fn swap(&self, value: T, order: Ordering) -> T {
        T::decode(self.bits.swap(value.encode(), order))
    }

    /// Writes `new` if the word has `current`.
    ///
    /// # Errors
    /// The value that it has, if it is another.
    pub(super) fn compare_exchange(
        &self,
        current: T,
        new: T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<(), T> {
        let swapped = self.bits.compare_exchange(current.encode(), new.encode(), success, failure);
        swapped.map(drop).map_err(T::decode)
    }

    /// Writes what `change` makes of the value, until no other process has written
    /// meanwhile, or nothing is to be changed; whether it was written.
    pub(super) fn update(&self, mut change: impl FnMut(T) -> Option<T>) -> bool {
        let change = |bits| change(T::decode(bits)).map(T::encode);
        self.bits.fetch_update(Ordering::SeqCst, Ordering::SeqCst, change).is_ok()
    }
}

impl<T> Word<T> {
    /// The word itself, for what clears or copies words of all kinds.
    pub(super) fn bits(&self) -> &AtomicU64 {
        &self.bits
    }
}

impl Packed for bool {
    fn encode(self) -> u64 {
        self.into()
    }

    fn decode(word: u64) -> Self {
        word != 0
    }
}

/// Who has claimed a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimedBy {
    /// No process: the slot is free.
    Nobody,
    /// The supervisor, for a child.
    Supervisor,
    /// The child of this slot, for a program process.
    Child(SlotId),
}

impl Packed for ClaimedBy {
    fn encode(self) -> u64 {
        match self {
            Self::Nobody => 0,
            Self::Child(slot) => slot.0 as u64 + 1,
            Self::Supervisor => u64::MAX,
        }
    }

    fn decode(word: u64) -> Self {
        match word {
            0 => Self::Nobody,
            u64::MAX => Self::Supervisor,
            number => Self::Child(SlotId(usize::try_from(number - 1).unwrap_or(usize::MAX))),
        }
    }
}

/// Set in words that have a time besides: no uptime in microseconds is so long.
const FLAG: u64 = 1 << 63;

/// Whether the client of a slot is in the queue for a place.  Times are in microseconds of
/// the monotonic clock, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueState {
    /// It is not.
    NotQueued,
    /// It has been in it since this time.
    Since(u64),
    /// The same, but its process was stopped when it was its turn.  It has no place then,
    /// even if its bit says that it reaches for one.
    PassedOver(u64),
}

impl Packed for QueueState {
    fn encode(self) -> u64 {
        match self {
            Self::NotQueued => 0,
            Self::Since(time) => time & !FLAG,
            Self::PassedOver(time) => time | FLAG,
        }
    }

    fn decode(word: u64) -> Self {
        match (word, word & !FLAG) {
            (0, _) => Self::NotQueued,
            (_, time) if word == time => Self::Since(time),
            (_, time) => Self::PassedOver(time),
        }
    }
}

/// Whether a child waits for a program to start, until that is logged.  Times are in
/// microseconds of the monotonic clock, from 2 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StartState {
    /// It does not.
    NotStarting,
    /// It does not, but a signal has stopped it while it was idle: it accepts no client.
    Stopped,
    /// It has been waiting since this time.
    Since(u64),
    /// The same, and the supervisor waits to be woken at the end of it.
    AwaitedSince(u64),
}

impl StartState {
    const STOPPED: u64 = 1;

    /// Since when the child has been waiting, if it is.
    pub(super) fn since(self) -> Option<u64> {
        match self {
            Self::Since(time) | Self::AwaitedSince(time) => Some(time),
            Self::NotStarting | Self::Stopped => None,
        }
    }
}

impl Packed for StartState {
    fn encode(self) -> u64 {
        match self {
            Self::NotStarting => 0,
            Self::Stopped => Self::STOPPED,
            Self::Since(time) => time & !FLAG,
            Self::AwaitedSince(time) => time | FLAG,
        }
    }

    fn decode(word: u64) -> Self {
        match (word, word & !FLAG) {
            (0, _) => Self::NotStarting,
            (Self::STOPPED, _) => Self::Stopped,
            (_, time) if word == time => Self::Since(time),
            (_, time) => Self::AwaitedSince(time),
        }
    }
}

/// Checks that each of `values` comes back from its word, that no two have the same, and
/// that the first is the value of a word that is not written to yet.
#[cfg(test)]
#[track_caller]
pub(super) fn assert_packs<T: Packed + PartialEq + std::fmt::Debug>(values: &[T]) {
    assert_eq!(values.first().map(|first| first.encode()), Some(0));
    let mut words = std::collections::BTreeSet::new();
    for value in values {
        assert_eq!(T::decode(value.encode()), *value);
        assert!(words.insert(value.encode()), "{value:?} has another's word");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: u64 = FLAG - 1;

    #[test]
    fn every_value_has_a_word_of_its_own() {
        assert_packs(&[false, true]);
        let [first, last] = [0, 99_999].map(|slot| ClaimedBy::Child(SlotId(slot)));
        assert_packs(&[ClaimedBy::Nobody, ClaimedBy::Supervisor, first, last]);
        let times = [1, 2, LATEST];
        let queued =
            times.map(QueueState::Since).into_iter().chain(times.map(QueueState::PassedOver));
        assert_packs(&std::iter::once(QueueState::NotQueued).chain(queued).collect::<Vec<_>>());
        let times = [2, 3, LATEST];
        let waits =
            times.map(StartState::Since).into_iter().chain(times.map(StartState::AwaitedSince));
        let waits = [StartState::NotStarting, StartState::Stopped].into_iter().chain(waits);
        assert_packs(&waits.collect::<Vec<_>>());
    }

    #[test]
    fn every_word_has_a_value() {
        for word in [0, 1, 2, LATEST, FLAG, FLAG | 1, FLAG | 2, u64::MAX - 1, u64::MAX] {
            assert_eq!(ClaimedBy::decode(word).encode(), word);
            assert_eq!(QueueState::decode(word).encode(), word);
            assert_eq!(StartState::decode(word).encode(), word);
            assert!(bool::decode(word) || word == 0);
        }
    }

    #[test]
    fn a_word_is_written_if_it_has_what_was_expected() {
        let word = <Word<QueueState> as zerocopy::FromZeros>::new_zeroed();
        let write =
            |current, new| word.compare_exchange(current, new, Ordering::SeqCst, Ordering::SeqCst);
        assert_eq!(write(QueueState::NotQueued, QueueState::Since(7)), Ok(()));
        assert_eq!(write(QueueState::NotQueued, QueueState::Since(8)), Err(QueueState::Since(7)));
        assert!(word.update(|_| Some(QueueState::PassedOver(7))) && !word.update(|_| None));
        assert_eq!(word.swap(QueueState::NotQueued, Ordering::SeqCst), QueueState::PassedOver(7));
        assert_eq!(word.load(Ordering::SeqCst), QueueState::NotQueued);
    }
}
