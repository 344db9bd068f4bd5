//! Clients that were refused for the reserve a moment ago: if they return at once they
//! need not be looked up again.  One table for all children, one word for each entry;
//! if it is full the oldest entry of a row is replaced.

use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::class::Class;

/// The number of entries, and of words.
const WORDS: usize = 4096;
/// Entries that share a row: a cache line.
const ROW: usize = 8;
/// Seconds for which an entry is valid.
const KEPT: u64 = 30;

/// An entry: the rest of the client's hash, its class, and when it was refused, in
/// seconds.
const HASH_BITS: u32 = 40;
const CLASS_BITS: u32 = 3;
const TIME_BITS: u32 = 64 - HASH_BITS - CLASS_BITS;

/// The table.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct RefusalTable([AtomicU64; WORDS]);

impl RefusalTable {
    /// The row of the client with this hash, and the rest of the hash.
    fn row(&self, hash: u64) -> (&[AtomicU64], u64) {
        let index = usize::try_from(hash % (WORDS / ROW) as u64).unwrap_or_default();
        (&self.0[index * ROW..][..ROW], hash >> (64 - HASH_BITS))
    }

    /// Remembers the client with this hash, refused as one of `class` at `now`.
    pub(super) fn put(&self, hash: u64, class: Class, now: u64) {
        let (row, hash) = self.row(hash);
        let priority = |entry: &&AtomicU64| {
            let value = entry.load(Ordering::Relaxed);
            if value == 0 || hash_in(value) == hash { u64::MAX } else { age(value, now) }
        };
        let value = (hash << CLASS_BITS | class.index() as u64) << TIME_BITS | time(now);
        if let Some(entry) = row.iter().max_by_key(priority) {
            entry.store(value, Ordering::Relaxed);
        }
    }

    /// The class as which it was refused, if that was not long ago.
    pub(super) fn get(&self, hash: u64, now: u64) -> Option<Class> {
        let (row, hash) = self.row(hash);
        let values = row.iter().map(|entry| entry.load(Ordering::Relaxed));
        let mut known = values.filter(|value| *value != 0 && hash_in(*value) == hash);
        let value = known.find(|value| age(*value, now) < KEPT)?;
        let class = value >> TIME_BITS & ((1 << CLASS_BITS) - 1);
        usize::try_from(class).ok().and_then(|index| Class::ALL.get(index)).copied()
    }
}

fn hash_in(value: u64) -> u64 {
    value >> (CLASS_BITS + TIME_BITS)
}

fn age(value: u64, now: u64) -> u64 {
    time(now).wrapping_sub(time(value)) % (1 << TIME_BITS)
}

fn time(seconds: u64) -> u64 {
    seconds % (1 << TIME_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

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
