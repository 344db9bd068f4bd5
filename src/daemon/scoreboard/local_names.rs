//! The names of our own addresses, looked up once in ten minutes for all children
//! together: a child serves too few clients to keep a cache.
//!
//! Each entry is guarded by a sequence number that is odd while a process writes,
//! so that a reader never sees half a name and never waits.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::daemon::scoreboard::address::address_words;

const ENTRIES: usize = 16;
/// Sequence, address (2), when it was written, for how long it is good, length,
/// and up to 256 bytes.
const ENTRY_WORDS: usize = 6 + 32;
/// Words that the table takes.
pub(in crate::daemon) const WORDS: usize = ENTRIES * ENTRY_WORDS;

/// Milliseconds for which an answer is valid.
const KEPT: u64 = 600_000;
/// The same for a failure to answer.
const FAILURE_KEPT: u64 = 30_000;
/// A writer that takes longer has died.
const STALE: Duration = Duration::from_secs(1);

/// The table of names.
#[derive(Clone, Copy)]
pub struct LocalNames<'a> {
    words: &'a [AtomicU64],
    epoch: Instant,
}

impl<'a> LocalNames<'a> {
    pub(in crate::daemon) fn new(words: &'a [AtomicU64], epoch: Instant) -> Self {
        Self { words, epoch }
    }

    fn entry(&self, ip: IpAddr) -> &'a [AtomicU64] {
        let [high, low] = address_words(ip);
        let mixed = (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        &self.words[mixed as usize % ENTRIES * ENTRY_WORDS..][..ENTRY_WORDS]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The entry: `None` if there is none, `Some(None)` for an address that has no
    /// name.
    #[must_use]
    pub fn get(&self, ip: IpAddr) -> Option<Option<String>> {
        let entry = self.entry(ip);
        let sequence = entry[0].load(Ordering::Acquire);
        let mut copy = [0_u64; ENTRY_WORDS];
        for (to, from) in copy.iter_mut().zip(entry) {
            *to = from.load(Ordering::Acquire);
        }
        let untouched = entry[0].load(Ordering::Acquire) == sequence;
        let fresh = self.now().saturating_sub(copy[3]) < copy[4];
        let usable = untouched && fresh && sequence > 0 && sequence % 2 == 0;
        (usable && copy[1..3] == address_words(ip)).then(|| name_of(&copy[5..]))
    }

    /// Stores the name of `ip`, or that it has none.
    pub fn put(&self, ip: IpAddr, name: Option<&str>) {
        self.write(ip, name, KEPT);
    }

    /// Stores for a short while that no name server answered, so that not every client
    /// waits for our own name.
    pub fn put_failure(&self, ip: IpAddr) {
        self.write(ip, None, FAILURE_KEPT);
    }

    fn write(&self, ip: IpAddr, name: Option<&str>, kept: u64) {
        let entry = self.entry(ip);
        let sequence = entry[0].load(Ordering::Acquire);
        let now = self.now();
        let busy = sequence % 2 == 1;
        let age = Duration::from_millis(now.saturating_sub(entry[3].load(Ordering::Acquire)));
        let odd = sequence + if busy { 2 } else { 1 };
        let claim =
            || entry[0].compare_exchange(sequence, odd, Ordering::AcqRel, Ordering::Relaxed);
        if (busy && age < STALE) || claim().is_err() {
            return;
        }
        entry[3].store(now, Ordering::Release);
        let [high, low] = address_words(ip);
        entry[1].store(high, Ordering::Release);
        entry[2].store(low, Ordering::Release);
        entry[4].store(kept, Ordering::Release);
        write_name(&entry[5..], name.unwrap_or_default().as_bytes());
        let _ = entry[0].compare_exchange(odd, odd + 1, Ordering::AcqRel, Ordering::Relaxed);
    }
}

fn write_name(words: &[AtomicU64], name: &[u8]) {
    let room = (words.len() - 1) * 8;
    let name = &name[..name.len().min(room)];
    words[0].store(name.len() as u64, Ordering::Release);
    for (word, bytes) in words[1..].iter().zip(name.chunks(8)) {
        let mut eight = [0; 8];
        eight[..bytes.len()].copy_from_slice(bytes);
        word.store(u64::from_le_bytes(eight), Ordering::Release);
    }
}

fn name_of(words: &[u64]) -> Option<String> {
    let bytes: Vec<u8> = words[1..].iter().flat_map(|word| word.to_le_bytes()).collect();
    let name = bytes.get(..usize::try_from(words[0]).ok()?)?;
    String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;

    #[test]
    fn names_are_kept_by_address() {
        let pool = test_pool(1, 1);
        let names = pool.local_names();
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let other: IpAddr = "2001:db8::7".parse().unwrap();
        assert_eq!(names.get(ip), None);
        let long = format!("{}.example.org", "a".repeat(241));
        for name in [Some("mx.example.org"), None, Some(long.as_str())] {
            names.put(ip, name);
            assert_eq!(names.get(ip), Some(name.map(String::from)));
        }
        assert_eq!(names.get(other), None);
    }

    #[test]
    fn a_writer_that_died_does_not_block_the_entry() {
        let words: Vec<AtomicU64> = (0..WORDS).map(|_| AtomicU64::new(0)).collect();
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let Some(epoch) = Instant::now().checked_sub(Duration::from_secs(5)) else { return };
        let names = LocalNames::new(&words, epoch);
        names.entry(ip)[0].store(7, Ordering::Relaxed);
        assert_eq!(names.get(ip), None);
        names.put(ip, Some("mx.example.org"));
        assert_eq!(names.get(ip), Some(Some("mx.example.org".into())));
    }
}
