//! What the process of each slot is doing: sets of slots, a bit for each.

use std::sync::atomic::{AtomicU64, Ordering};

/// The number of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SlotId(pub(in crate::daemon) usize);

/// What the process of a slot is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It blocks in accept(2), or is about to.
    Idle,
    /// It has a client that has not been handed over.
    Busy,
    /// It has a place for a session: it is about to become the program, or has become it.
    Prog,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Idle, Self::Busy, Self::Prog];

    /// What the administrator is shown: `idle`, `waiting` or `prog`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Busy => "waiting",
            Self::Prog => "prog",
        }
    }
}

/// A set of slots.
#[derive(Clone, Copy)]
pub(super) struct SlotSet<'a>(pub(super) &'a [AtomicU64]);

impl<'a> SlotSet<'a> {
    /// The number of words of a set of so many slots.
    pub(super) fn words(slots: usize) -> usize {
        slots.div_ceil(64)
    }

    pub(super) fn add(self, slot: SlotId) {
        self.0[slot.0 / 64].fetch_or(1 << (slot.0 % 64), Ordering::SeqCst);
    }

    pub(super) fn remove(self, slot: SlotId) {
        self.0[slot.0 / 64].fetch_and(!(1 << (slot.0 % 64)), Ordering::SeqCst);
    }

    pub(super) fn has(self, slot: SlotId) -> bool {
        self.0[slot.0 / 64].load(Ordering::SeqCst) & (1 << (slot.0 % 64)) != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.iter().all(|word| word.load(Ordering::SeqCst) == 0)
    }

    pub(super) fn count(self) -> usize {
        // With many slots nearly all words are all zeros or all ones.
        let ones = |word: &AtomicU64| match word.load(Ordering::SeqCst) {
            0 => 0,
            u64::MAX => 64,
            bits => bits.count_ones() as usize,
        };
        self.0.iter().map(ones).sum()
    }

    /// The slots in it, word by word as they are at that time.
    pub(super) fn iter(self) -> impl Iterator<Item = SlotId> + 'a {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let bits = word.load(Ordering::SeqCst);
            let set = (0..64).filter(move |bit| bits >> bit & 1 != 0);
            // Most words of a large set are empty.
            set.take(bits.count_ones() as usize).map(move |bit| SlotId(64 * index + bit))
        })
    }
}

/// The stages of all slots: a set for each.  A slot is in two only for the moment in which
/// its process goes from one to the next, or reaches for a place.
#[derive(Clone, Copy)]
pub(super) struct Stages<'a> {
    sets: [SlotSet<'a>; Stage::ALL.len()],
}

impl<'a> Stages<'a> {
    /// The sets in the order of [`Stage::ALL`].
    pub(super) fn new(sets: [SlotSet<'a>; Stage::ALL.len()]) -> Self {
        Self { sets }
    }

    /// The slots at `stage`.
    pub(super) fn at(self, stage: Stage) -> SlotSet<'a> {
        self.sets[stage as usize]
    }

    /// The latest stage that `slot` is at, if its process is at any.
    pub(super) fn of(self, slot: SlotId) -> Option<Stage> {
        Stage::ALL.into_iter().rev().find(|stage| self.at(*stage).has(slot))
    }

    /// Moves `slot` to `stage`.
    pub(super) fn enter(self, slot: SlotId, stage: Stage) {
        self.at(stage).add(slot);
        for other in Stage::ALL {
            if other != stage && self.at(other).has(slot) {
                self.at(other).remove(slot);
            }
        }
    }

    /// No process has `slot`.
    pub(super) fn clear(self, slot: SlotId) {
        self.sets.into_iter().for_each(|set| set.remove(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_added_and_not_removed() {
        let words: Vec<AtomicU64> = (0..SlotSet::words(130)).map(|_| AtomicU64::new(0)).collect();
        let set = SlotSet(&words);
        let slots = [0, 1, 63, 64, 129].map(SlotId);
        for slot in slots {
            set.add(slot);
        }
        set.remove(SlotId(1));
        set.remove(SlotId(2));
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 129].map(SlotId));
        assert_eq!((set.count(), set.has(SlotId(1)), set.has(SlotId(129))), (4, false, true));
        assert!(!set.is_empty());
    }
}
