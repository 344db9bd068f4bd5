//! Clients that were refused for the reserve a moment ago: those that come back
//! at once need not be looked up again.  One table for all children, of one word
//! an entry; an entry that another falls on is forgotten.

use std::sync::atomic::{AtomicU64, Ordering};

use super::board::CLASSES;
use crate::connection::class::Class;

/// Entries, and the words that they take.
pub(super) const WORDS: usize = 4096;
/// Seconds for which a client is remembered.
const KEPT: u64 = 30;

/// An entry: what is left of the client's hash, its class, and when it was
/// refused, in seconds.
const HASH_BITS: u32 = 40;
const CLASS_BITS: u32 = 3;
const TIME_BITS: u32 = 64 - HASH_BITS - CLASS_BITS;

/// The table.
#[derive(Clone, Copy)]
pub(super) struct Refused<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Refused<'a> {
    pub(super) fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    fn entry(&self, hash: u64) -> (&'a AtomicU64, u64) {
        let index = usize::try_from(hash % WORDS as u64).unwrap_or_default();
        (&self.words[index], hash >> (64 - HASH_BITS))
    }

    /// Remembers the client with this hash, refused as one of `class` at `now`.
    pub(super) fn put(&self, hash: u64, class: Class, now: u64) {
        let Some(class) = CLASSES.iter().position(|known| *known == class) else { return };
        let (entry, hash) = self.entry(hash);
        let value = (hash << CLASS_BITS | class as u64) << TIME_BITS | time(now);
        entry.store(value, Ordering::Relaxed);
    }

    /// As which class it was refused, if that is not long ago.
    pub(super) fn get(&self, hash: u64, now: u64) -> Option<Class> {
        let (entry, hash) = self.entry(hash);
        let value = entry.load(Ordering::Relaxed);
        let same = value >> (CLASS_BITS + TIME_BITS) == hash;
        let age = time(now).wrapping_sub(time(value)) % (1 << TIME_BITS);
        let class = value >> TIME_BITS & ((1 << CLASS_BITS) - 1);
        let class = usize::try_from(class).ok().and_then(|index| CLASSES.get(index));
        class.copied().filter(|_| value != 0 && same && age < KEPT)
    }
}

fn time(seconds: u64) -> u64 {
    seconds % (1 << TIME_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_remembered_for_a_while() {
        let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let refused = Refused::new(&words);
        let (hash, other) = (0x0123_4567_89ab_cdef, 0xf123_4567_89ab_cdef);
        assert_eq!([refused.get(hash, 5), refused.get(0, 0)], [None, None]);
        for (class, now) in [(Class::Unknown, 5), (Class::None, (1 << TIME_BITS) - 2)] {
            refused.put(hash, class, now);
            assert_eq!(refused.get(hash, now), Some(class));
            assert_eq!(refused.get(hash, now + KEPT - 1), Some(class), "also past midnight");
            assert_eq!(refused.get(hash, now + KEPT), None);
            assert_eq!(refused.get(other, now), None, "in the same place");
        }
        refused.put(other, Class::Dynamic, 5);
        assert_eq!(refused.get(hash, 5), None, "another has fallen on it");
    }
}
