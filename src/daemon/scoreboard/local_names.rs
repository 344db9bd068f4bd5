//! The names of our own addresses, looked up once in ten minutes for all children
//! together: a child serves too few clients to keep a cache.
//!
//! Each entry is guarded by a sequence number that is odd while a process writes,
//! so that a reader never sees half a name and never waits.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::daemon::scoreboard::address::address_words;

const ENTRIES: usize = 16;
/// Words of a name that are stored: 256 bytes.
const NAME_WORDS: usize = 32;

/// The name of one address.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct NameEntry {
    sequence: AtomicU64,
    address: [AtomicU64; 2],
    /// When it was written, in milliseconds.
    written: AtomicU64,
    /// For how long it is valid, in milliseconds.
    valid: AtomicU64,
    length: AtomicU64,
    name: [AtomicU64; NAME_WORDS],
}

/// The table in the scoreboard.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct NameTable([NameEntry; ENTRIES]);

/// Milliseconds for which an answer is valid.
const KEPT: u64 = 600_000;
/// The same for a failure to answer.
const FAILURE_KEPT: u64 = 30_000;
/// A writer that takes longer has died.
const STALE: Duration = Duration::from_secs(1);

/// The table of names, as a process uses it.
#[derive(Clone, Copy)]
pub struct LocalNames<'a> {
    table: &'a NameTable,
    epoch: Instant,
}

impl<'a> LocalNames<'a> {
    pub(super) fn new(table: &'a NameTable, epoch: Instant) -> Self {
        Self { table, epoch }
    }

    fn entry(&self, ip: IpAddr) -> &'a NameEntry {
        let [high, low] = address_words(ip);
        let mixed = (high ^ low).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        &self.table.0[mixed as usize % ENTRIES]
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The entry: `None` if there is none, `Some(None)` for an address that has no
    /// name.
    #[must_use]
    pub fn get(&self, ip: IpAddr) -> Option<Option<String>> {
        let entry = self.entry(ip);
        let sequence = entry.sequence.load(Ordering::Acquire);
        let address = entry.address.each_ref().map(load);
        let age = self.now().saturating_sub(load(&entry.written));
        let fresh = age < load(&entry.valid);
        let (length, name) = (load(&entry.length), entry.name.each_ref().map(load));
        let untouched = entry.sequence.load(Ordering::Acquire) == sequence;
        let usable = untouched && fresh && sequence > 0 && sequence % 2 == 0;
        (usable && address == address_words(ip)).then(|| name_of(length, &name))
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

    fn write(&self, ip: IpAddr, name: Option<&str>, valid: u64) {
        let entry = self.entry(ip);
        let sequence = entry.sequence.load(Ordering::Acquire);
        let now = self.now();
        let busy = sequence % 2 == 1;
        let age = Duration::from_millis(now.saturating_sub(load(&entry.written)));
        let odd = sequence + if busy { 2 } else { 1 };
        let swap = |from, to| {
            entry.sequence.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
        };
        if (busy && age < STALE) || swap(sequence, odd).is_err() {
            return;
        }
        entry.written.store(now, Ordering::Release);
        for (word, half) in entry.address.iter().zip(address_words(ip)) {
            word.store(half, Ordering::Release);
        }
        entry.valid.store(valid, Ordering::Release);
        entry.write_name(name.unwrap_or_default().as_bytes());
        let _ = swap(odd, odd + 1);
    }
}

impl NameEntry {
    fn write_name(&self, name: &[u8]) {
        let name = &name[..name.len().min(8 * NAME_WORDS)];
        self.length.store(name.len() as u64, Ordering::Release);
        for (word, bytes) in self.name.iter().zip(name.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(eight), Ordering::Release);
        }
    }
}

fn load(word: &AtomicU64) -> u64 {
    word.load(Ordering::Acquire)
}

fn name_of(length: u64, words: &[u64]) -> Option<String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let name = bytes.get(..usize::try_from(length).ok()?)?;
    String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;
    use zerocopy::FromZeros;

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
        let table = NameTable::new_zeroed();
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let Some(epoch) = Instant::now().checked_sub(Duration::from_secs(5)) else { return };
        let names = LocalNames::new(&table, epoch);
        names.entry(ip).sequence.store(7, Ordering::Relaxed);
        assert_eq!(names.get(ip), None);
        names.put(ip, Some("mx.example.org"));
        assert_eq!(names.get(ip), Some(Some("mx.example.org".into())));
    }
}
