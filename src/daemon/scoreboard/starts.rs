//! Children that wait for a program to start: since when, and which of them cannot be
//! counted on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::client::Accepted;
use crate::daemon::scoreboard::process_state::is_stopped;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::sys::monotonic_micros as now;

/// In the time since when a child waits: the supervisor waits to be woken at the end of it.
const AWAITED: u64 = 1 << 63;
/// Written as the time since when a child waits that is stopped: it is not available.
const FOR_EVER: u64 = 1;

/// A start that has not been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct UnloggedStart {
    child: SlotId,
    since: u64,
}

/// The starts of a scoreboard.
#[derive(Clone, Copy)]
pub(in crate::daemon) struct Starts<'a>(pub(super) &'a Scoreboard<'a>);

impl<'a> Starts<'a> {
    /// The child of `slot` waits for a program to start from now on.
    pub(super) fn begin(self, slot: SlotId) {
        self.word(slot).store(now(), Ordering::SeqCst);
    }

    /// It does not any more; whether the supervisor waits to be woken.
    pub(super) fn end(self, slot: SlotId) -> bool {
        self.word(slot).swap(0, Ordering::SeqCst) & AWAITED != 0
    }

    /// Whether the child that started the program of `slot` has still to log it; then
    /// it wakes the supervisor.
    pub(in crate::daemon) fn unlogged(self, slot: SlotId) -> Option<UnloggedStart> {
        let child = self.0.owner(slot)?;
        let since = self.since(child);
        if since == 0 || !self.0.is_about_client_of(slot, child) {
            return None;
        }
        let marked = self.word(child).fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
            (now & !AWAITED == since).then_some(now | AWAITED)
        });
        marked.is_ok().then_some(UnloggedStart { child, since })
    }

    /// Whether that is still so.
    pub(in crate::daemon) fn is_unlogged(self, start: UnloggedStart) -> bool {
        self.since(start.child) == start.since
    }

    /// Whether the client of `slot`, whose child is gone, had a session that has ended.
    pub(super) fn had_session(self, slot: SlotId) -> bool {
        self.word(slot).load(Ordering::SeqCst) & AWAITED != 0
    }

    /// Idle children that can accept, according to the last check.
    pub(in crate::daemon) fn ready(self) -> usize {
        let stuck = usize::try_from(self.0.header.stuck.load(Ordering::Relaxed));
        self.0.count(Stage::Idle).saturating_sub(stuck.unwrap_or_default())
    }

    /// Counts the idle children that have waited for longer than `patience`.
    pub(super) fn note_stuck(self, patience: Duration) {
        let now = now();
        let is_old = |since| Duration::from_micros(now.saturating_sub(since)) > patience;
        let since = self.0.starts.iter().map(|word| word.load(Ordering::Relaxed) & !AWAITED);
        let old = since.enumerate().filter(|(_, since)| *since > 0 && is_old(*since));
        let idle = self.0.stages.at(Stage::Idle);
        let stuck = old.filter(|(number, _)| idle.has(SlotId(*number))).count();
        self.0.header.stuck.store(stuck as u64, Ordering::Relaxed);
    }

    /// Marks idle children that are stopped, if none has accepted a client for as long
    /// as `interval`: clients queue for those.  They count as idle again once they accept
    /// one.
    pub(super) fn note_stopped(self, interval: Duration) {
        if self.ready() == 0 || self.since_accept() < interval {
            return;
        }
        let idle = self.0.stages.at(Stage::Idle).iter();
        for slot in idle.filter(|slot| self.0.pid(*slot).is_some_and(is_stopped)) {
            let (free, gone) = (0, FOR_EVER);
            // A child that waits for a program to start is found by that.
            let word = self.word(slot);
            let _ = word.compare_exchange(free, gone, Ordering::SeqCst, Ordering::Relaxed);
        }
    }

    /// Time since a client was last accepted, according to the slots.
    fn since_accept(self) -> Duration {
        let accepted = self.0.slots.iter().map(|slot| slot.client.accepted());
        let times = accepted.map(|accepted| match accepted {
            Accepted::At(time) => time,
            Accepted::Unplaced => 0,
        });
        Duration::from_micros(now().saturating_sub(times.max().unwrap_or_default()))
    }

    fn since(self, slot: SlotId) -> u64 {
        self.word(slot).load(Ordering::SeqCst) & !AWAITED
    }

    fn word(self, slot: SlotId) -> &'a AtomicU64 {
        &self.0.starts[slot.0]
    }
}
