//! Children that wait for a program to start: since when, and which of them accept no
//! client meanwhile.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::client::Accepted;
use crate::daemon::scoreboard::process_state::is_stopped;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::words::{ClaimedBy, StartState, Word};
use crate::sys::monotonic_micros as now;

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
        self.word(slot).store(StartState::Since(now()), Ordering::SeqCst);
    }

    /// It does not any more; whether the supervisor waits to be woken.
    pub(super) fn end(self, slot: SlotId) -> bool {
        let state = self.word(slot).swap(StartState::NotStarting, Ordering::SeqCst);
        matches!(state, StartState::AwaitedSince(_))
    }

    /// Whether the child that started the program of `slot` has still to log it; then
    /// it wakes the supervisor.
    pub(in crate::daemon) fn unlogged(self, slot: SlotId) -> Option<UnloggedStart> {
        let ClaimedBy::Child(child) = self.0.claimed_by(slot) else { return None };
        let since = self.since(child)?;
        if !self.0.is_about_client_of(slot, child) {
            return None;
        }
        let is_marked = self.word(child).update(|state| {
            (state.since() == Some(since)).then_some(StartState::AwaitedSince(since))
        });
        is_marked.then_some(UnloggedStart { child, since })
    }

    /// Whether that is still so.
    pub(in crate::daemon) fn is_unlogged(self, start: UnloggedStart) -> bool {
        self.since(start.child) == Some(start.since)
    }

    /// Whether the client of `slot`, whose child is gone, had a session that has ended.
    pub(super) fn had_session(self, slot: SlotId) -> bool {
        matches!(self.word(slot).load(Ordering::SeqCst), StartState::AwaitedSince(_))
    }

    /// Idle children that can accept, according to the last check.
    pub(in crate::daemon) fn ready(self) -> usize {
        let stuck = usize::try_from(self.0.header.stuck.load(Ordering::Relaxed));
        self.0.count(Stage::Idle).saturating_sub(stuck.unwrap_or_default())
    }

    /// Whether a child waits for a program to start, or is stopped.
    pub(super) fn are_under_way(self) -> bool {
        let mut starts = self.0.columns.starts.iter();
        starts.any(|word| word.load(Ordering::Relaxed) != StartState::NotStarting)
    }

    /// Counts the idle children that have waited for longer than `patience`.
    pub(super) fn note_stuck(self, patience: Duration) {
        let now = now();
        let is_old = |since| Duration::from_micros(now.saturating_sub(since)) > patience;
        let is_stuck = |state| match state {
            StartState::NotStarting => false,
            StartState::Stopped => true,
            StartState::Since(since) | StartState::AwaitedSince(since) => is_old(since),
        };
        let starts = self.0.columns.starts.iter().enumerate();
        let stuck = starts.filter(|(_, word)| is_stuck(word.load(Ordering::Relaxed)));
        let idle = self.0.stages.at(Stage::Idle);
        let stuck = stuck.filter(|(number, _)| idle.has(SlotId(*number))).count();
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
            // A child that waits for a program to start is found by that.
            let (word, idle) = (self.word(slot), StartState::NotStarting);
            let stopped = StartState::Stopped;
            let _ = word.compare_exchange(idle, stopped, Ordering::SeqCst, Ordering::Relaxed);
        }
    }

    /// Time since a client was last accepted, according to the slots.
    fn since_accept(self) -> Duration {
        let accepted = self.0.slots.iter().map(|slot| slot.client.accepted());
        let times = accepted.map(|accepted| match accepted {
            Accepted::At(time) => time,
            Accepted::Never | Accepted::Unplaced => 0,
        });
        Duration::from_micros(now().saturating_sub(times.max().unwrap_or_default()))
    }

    fn since(self, slot: SlotId) -> Option<u64> {
        self.word(slot).load(Ordering::SeqCst).since()
    }

    fn word(self, slot: SlotId) -> &'a Word<StartState> {
        &self.0.columns.starts[slot.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;

    const CHILD: SlotId = SlotId(0);

    #[test]
    fn a_child_that_is_stopped_after_it_has_logged_a_start_has_none_to_log() {
        let pool = test_pool(2, 1);
        pool.slots().note_accepted(CHILD);
        pool.slots().set_client(CHILD, "192.0.2.7".parse().unwrap());
        assert!(pool.queue().claim(CHILD, 1));
        let program_slot = pool.slots().occupy(Some(CHILD), 1).unwrap();
        pool.slots().transfer(CHILD, program_slot);
        pool.starts().begin(CHILD);
        assert!(pool.starts().unlogged(program_slot).is_some());
        assert!(pool.starts().end(CHILD), "the supervisor waits to be woken");
        let word = pool.starts().word(CHILD);
        word.store(StartState::Stopped, Ordering::SeqCst);
        assert_eq!(pool.starts().unlogged(program_slot), None);
        assert_eq!(word.load(Ordering::SeqCst), StartState::Stopped);
    }
}
