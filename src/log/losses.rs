//! Lines that were lost: how many, since when, and whether the next line should wait
//! for room.  All processes share these counts.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::sys;

/// How often a warning about lost lines is written: a reader that loses one line in ten
/// could not take as many warnings.
const INTERVAL: Duration = Duration::from_secs(1);

/// The counters of a process that shares no memory.
static ALONE: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

/// Where the scoreboard counts lines that are lost.
#[derive(Clone, Copy, Debug)]
pub struct LossCounters {
    /// All that were lost since the start.
    pub lost: &'static AtomicU64,
    /// Since when every line has been lost, in microseconds of
    /// [`sys::monotonic_micros`]; 0 once one was taken.
    pub since: &'static AtomicU64,
}

/// The warning that precedes the first line after lost ones.
pub(super) fn warning(lost: u64) -> String {
    format!("warning: {lost} log lines were lost")
}

/// What processes that write to the same place know of lost lines.
#[derive(Debug)]
pub(super) struct Losses {
    /// Lines that were lost and not yet reported.
    unlogged: &'static AtomicU64,
    /// When a process last waited in vain for a line to be taken, in microseconds.
    in_vain: &'static AtomicU64,
    /// When lost lines were last reported.
    told: &'static AtomicU64,
    counters: OnceLock<LossCounters>,
}

impl Losses {
    /// Shared by all processes that are forked from here on.
    pub(super) fn new() -> Self {
        let words = sys::shared_words(3).unwrap_or(&ALONE);
        let [unlogged, in_vain, told] = [&words[0], &words[1], &words[2]];
        Self { unlogged, in_vain, told, counters: OnceLock::new() }
    }

    /// Counts in the scoreboard as well, also what was lost before there was one.
    pub(super) fn count_in(&self, counters: LossCounters) {
        let before = self.unlogged.load(Ordering::Relaxed);
        if before > 0 {
            counters.lost.fetch_add(before, Ordering::Relaxed);
            counters.since.store(sys::monotonic_micros(), Ordering::Relaxed);
        }
        let _ = self.counters.set(counters);
    }

    /// Writes one line by `put`, which returns whether it was taken.  The first one
    /// after lost lines is preceded by a warning with their number.
    pub(super) fn write(&self, warn: impl Fn(u64) -> bool, put: impl Fn() -> bool) {
        let lost = if self.may_tell() { self.unlogged.swap(0, Ordering::Relaxed) } else { 0 };
        if lost > 0 {
            if !warn(lost) {
                self.unlogged.fetch_add(lost, Ordering::Relaxed);
                return self.lose();
            }
            self.told.store(sys::monotonic_micros(), Ordering::Relaxed);
        }
        if put() { self.note_taken() } else { self.lose() }
    }

    fn lose(&self) {
        self.unlogged.fetch_add(1, Ordering::Relaxed);
        let Some(counters) = self.counters.get() else { return };
        counters.lost.fetch_add(1, Ordering::Relaxed);
        let now = sys::monotonic_micros();
        let _ = counters.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn note_taken(&self) {
        if let Some(counters) = self.counters.get() {
            clear(counters.since);
        }
    }

    /// A process waited, and the line was not taken.
    pub(super) fn note_vain_wait(&self) {
        self.in_vain.store(sys::monotonic_micros(), Ordering::Relaxed);
    }

    /// There is room again.
    pub(super) fn forget_vain_wait(&self) {
        clear(self.in_vain);
    }

    /// Time since a process last waited in vain.
    pub(super) fn since_vain_wait(&self) -> Option<Duration> {
        since(self.in_vain)
    }

    fn may_tell(&self) -> bool {
        since(self.told).is_none_or(|time| time >= INTERVAL)
    }

    #[cfg(test)]
    pub(super) fn forget_telling(&self) {
        self.told.store(0, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub(super) fn unlogged(&self) -> u64 {
        self.unlogged.load(Ordering::Relaxed)
    }
}

/// Usually there is nothing to clear, and a page that is only read is not copied
/// between processors.
fn clear(word: &AtomicU64) {
    if word.load(Ordering::Relaxed) != 0 {
        word.store(0, Ordering::Relaxed);
    }
}

fn since(word: &AtomicU64) -> Option<Duration> {
    let then = word.load(Ordering::Relaxed);
    (then > 0).then(|| Duration::from_micros(sys::monotonic_micros().saturating_sub(then)))
}
