//! Clients that queue while children that count as idle accept none: those children
//! were stopped (SIGSTOP), and others have to be forked in their place.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::daemon::scoreboard::layout::{ACCEPTED, Column, Slot, Stage, UNPLACED, now};
use crate::daemon::scoreboard::pool::Pool;
use crate::daemon::scoreboard::process_state::is_stopped;

/// Written as the time since when a child waits for a program to start: it is not
/// available.
const FOR_EVER: u64 = 1;

impl Pool {
    /// Marks idle children that are stopped, if none has accepted a client for as long
    /// as `interval`.  They count as idle again once they accept one.
    pub(in crate::daemon) fn note_stopped(&self, interval: Duration) {
        if self.ready() == 0 || self.since_accept() < interval {
            return;
        }
        let column = self.board.column(Column::Start);
        let idle = (0..self.slots()).map(Slot).filter(|slot| self.board.is(*slot, Stage::Idle));
        for slot in idle.filter(|slot| self.pid(*slot).is_some_and(is_stopped)) {
            let (free, gone) = (0, FOR_EVER);
            // A child that waits for a program to start is found by that.
            let _ =
                column[slot.0].compare_exchange(free, gone, Ordering::SeqCst, Ordering::Relaxed);
        }
    }

    /// Time since a client was last accepted, according to the slots.
    fn since_accept(&self) -> Duration {
        let accepted = |slot| self.board.slot_words(Slot(slot))[ACCEPTED].load(Ordering::SeqCst);
        let times = (0..self.slots()).map(accepted).filter(|time| *time != UNPLACED);
        Duration::from_micros(now().saturating_sub(times.max().unwrap_or_default()))
    }
}
