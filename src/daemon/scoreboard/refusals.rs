//! Clients that were refused for the reserve a moment ago: if they return at once they
//! need not be looked up again.  One table for all children, one word for each entry;
//! if it is full the oldest entry of a row is replaced.

use std::sync::atomic::Ordering;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::class::Class;
use crate::daemon::scoreboard::words::{Packed, Word};

/// The number of entries, and of words.
const WORDS: usize = 4096;
/// Entries that share a row: a cache line.
const ROW: usize = 8;
/// Seconds for which an entry is valid.
const KEPT: u64 = 30;

/// The parts of a word, from its high end.
const HASH_BITS: u32 = 40;
const CLASS_BITS: u32 = 3;
const TIME_BITS: u32 = 64 - HASH_BITS - CLASS_BITS;

/// An entry: a client that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Its hash without the bits that all clients of the row share: `HASH_BITS` of them.
    hash: u64,
    /// The class as which it was refused.
    class: Class,
    /// When, in seconds, modulo 2 to the power of `TIME_BITS`.
    time: u64,
}

impl Refusal {
    /// Seconds since then.
    fn age(self, now: u64) -> u64 {
        low_bits(now.wrapping_sub(self.time), TIME_BITS)
    }
}

/// A static client with hash 0 that was refused at time 0 is as good as none.
impl Packed for Option<Refusal> {
    fn encode(self) -> u64 {
        self.map_or(0, |Refusal { hash, class, time }| {
            (hash << CLASS_BITS | class.index() as u64) << TIME_BITS | time
        })
    }

    fn decode(word: u64) -> Self {
        let index = usize::try_from(low_bits(word >> TIME_BITS, CLASS_BITS)).ok()?;
        let class = *Class::ALL.get(index).filter(|_| word != 0)?;
        let (hash, time) = (word >> (CLASS_BITS + TIME_BITS), low_bits(word, TIME_BITS));
        Some(Refusal { hash, class, time })
    }
}

fn low_bits(word: u64, bits: u32) -> u64 {
    word % (1 << bits)
}

/// The table.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct RefusalTable([Word<Option<Refusal>>; WORDS]);

impl RefusalTable {
    /// The row of the client with this hash, and the rest of the hash.
    fn row(&self, hash: u64) -> (&[Word<Option<Refusal>>], u64) {
        let index = usize::try_from(hash % (WORDS / ROW) as u64).unwrap_or_default();
        (&self.0[index * ROW..][..ROW], hash >> (64 - HASH_BITS))
    }

    /// Remembers the client with this hash, refused as one of `class` at `now`.
    pub(super) fn put(&self, hash: u64, class: Class, now: u64) {
        let (row, hash) = self.row(hash);
        let priority = |entry: &&Word<Option<Refusal>>| match entry.load(Ordering::Relaxed) {
            Some(other) if other.hash != hash => other.age(now),
            _ => u64::MAX,
        };
        let refusal = Refusal { hash, class, time: low_bits(now, TIME_BITS) };
        if let Some(entry) = row.iter().max_by_key(priority) {
            entry.store(Some(refusal), Ordering::Relaxed);
        }
    }

    /// The class as which it was refused, if that was not long ago.
    pub(super) fn get(&self, hash: u64, now: u64) -> Option<Class> {
        let (row, hash) = self.row(hash);
        let mut refusals = row.iter().filter_map(|entry| entry.load(Ordering::Relaxed));
        let found = refusals.find(|refusal| refusal.hash == hash && refusal.age(now) < KEPT);
        found.map(|refusal| refusal.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::words::assert_packs;
    use zerocopy::FromZeros;

    #[test]
    fn every_refusal_has_a_word_of_its_own() {
        let (most_hash, most_time) = ((1 << HASH_BITS) - 1, (1 << TIME_BITS) - 1);
        let each = |hash, time| Class::ALL.map(|class| Some(Refusal { hash, class, time }));
        let all = [(most_hash, most_time), (most_hash, 0), (0, most_time), (1, 1)];
        let refusals = all.into_iter().flat_map(|(hash, time)| each(hash, time));
        assert_packs(&std::iter::once(None).chain(refusals).collect::<Vec<_>>());
        assert_eq!(<Option<Refusal>>::decode(u64::MAX), None, "there is no such class");
    }

    #[test]
    fn a_client_is_remembered_for_a_while() {
        let refused = RefusalTable::new_zeroed();
        let (hash, other) = (0x0123_4567_89ab_cdef, 0xf123_4567_89ab_cdef);
        assert_eq!([refused.get(hash, 5), refused.get(0, 0)], [None, None]);
        for (class, now) in [(Class::Unknown, 5), (Class::None, (1 << TIME_BITS) - 2)] {
            refused.put(hash, class, now);
            assert_eq!(refused.get(hash, now), Some(class));
            assert_eq!(refused.get(hash, now + KEPT - 1), Some(class), "also past the wrap");
            assert_eq!(refused.get(hash, now + KEPT), None);
            assert_eq!(refused.get(other, now), None, "in the same place");
        }
        refused.put(hash, Class::None, 5);
        let others: Vec<u64> = (1..=ROW as u64).map(|number| hash ^ number << 40).collect();
        for (other, now) in others.iter().zip(6..) {
            assert_eq!(refused.get(hash, now), Some(Class::None));
            refused.put(*other, Class::Dynamic, now);
        }
        assert_eq!(refused.get(hash, 20), None, "it was the oldest in its row");
        assert!(others.iter().all(|other| refused.get(*other, 20) == Some(Class::Dynamic)));
    }
}
