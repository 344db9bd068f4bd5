//! The most frequent of any number of different keys, in bounded memory.

use std::collections::HashMap;

/// Different keys that are kept when there are too many.
const KEPT: usize = 20_000;

/// Counts by key.  Beyond 40,000 keys the rarest half is dropped: a key that is more
/// frequent than [`Self::error`] is always included, and its count is too small by no more
/// than that.
#[derive(Debug, Default)]
pub struct Top {
    counts: HashMap<Box<[u8]>, u64>,
    error: u64,
}

impl Top {
    /// Counts `key` `times` times.
    pub fn add(&mut self, key: &[u8], times: u64) {
        if let Some(count) = self.counts.get_mut(key) {
            *count += times;
            return;
        }
        if self.counts.len() == 2 * KEPT {
            self.drop_the_rarest();
        }
        self.counts.insert(key.into(), times);
    }

    fn drop_the_rarest(&mut self) {
        let mut counts: Vec<u64> = self.counts.values().copied().collect();
        let (_, middle, _) = counts.select_nth_unstable(KEPT);
        let most = *middle;
        self.counts.retain(|_, count| *count > most);
        self.error += most;
    }

    /// By how much a count may be too small.
    #[must_use]
    pub fn error(&self) -> u64 {
        self.error
    }

    /// The `length` most frequent ones, the most frequent first, then by name.
    #[must_use]
    pub fn first(&self, length: usize) -> Vec<(&[u8], u64)> {
        let mut all: Vec<(&[u8], u64)> =
            self.counts.iter().map(|(key, count)| (&**key, *count)).collect();
        all.sort_unstable_by(|(a, many), (b, few)| few.cmp(many).then(a.cmp(b)));
        all.truncate(length);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_come_first() {
        let mut top = Top::default();
        for (key, times) in [("b", 2), ("a", 2), ("c", 5), ("d", 1)] {
            top.add(key.as_bytes(), times);
        }
        assert_eq!(top.first(3), [(&b"c"[..], 5), (b"a", 2), (b"b", 2)]);
    }

    #[test]
    fn memory_is_bounded_and_the_frequent_are_kept() {
        let mut top = Top::default();
        for number in 0..10 * KEPT {
            top.add(&number.to_ne_bytes(), 1);
            top.add(b"often", 1);
        }
        assert!(top.counts.len() <= 2 * KEPT);
        let first = top.first(1)[0];
        assert_eq!(first.0, b"often");
        assert!(first.1 + top.error() >= 10 * KEPT as u64);
    }
}
