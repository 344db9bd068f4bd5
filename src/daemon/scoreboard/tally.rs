//! Clients by verdict.
//!
//! Each slot counts the clients that its children have accepted, and those whose
//! verdict is known, by verdict.  The difference is whether a verdict is due.  So
//! accepting a client and counting its verdict are one atomic operation each, and a
//! child that is killed at any point between the two leaves a verdict that the
//! supervisor counts, once.  As long as a child lives it alone counts in its slot.
//! The counts stay when the slot is given back: they are the daemon's.

use std::sync::atomic::{AtomicU64, Ordering};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::connection::acceptor::Counter;

/// How many clients each verdict has had, by the number of its [`Counter`].
pub(super) type Verdicts = [u64; Counter::ALL.len()];

/// The clients of a slot.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct Tally {
    accepted: AtomicU64,
    verdicts: [AtomicU64; Counter::ALL.len()],
}

impl Tally {
    /// A client was accepted, whose verdict is due from now on.
    pub(super) fn note_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::SeqCst);
    }

    /// How many were accepted.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Whether a client was accepted whose verdict has not been counted.
    pub(super) fn is_due(&self) -> bool {
        // Of a scoreboard that is read as it changes, or was damaged, anything may come.
        self.accepted() != self.verdicts().iter().copied().fold(0, u64::wrapping_add)
    }

    /// Counts the verdict that is due, unless that has been done.
    pub(super) fn count(&self, counter: Counter) {
        if self.is_due() {
            self.verdicts[counter as usize].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The verdicts so far.
    pub(super) fn verdicts(&self) -> Verdicts {
        self.verdicts.each_ref().map(|count| count.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::{Pool, test_pool};
    use crate::daemon::scoreboard::stage::SlotId;
    use crate::daemon::scoreboard::status::stats;

    const LAST: SlotId = SlotId(2);

    fn verdicts(pool: &Pool) -> Verdicts {
        stats(&pool.board).verdicts
    }

    #[test]
    fn every_counter_has_a_number_of_its_own() {
        assert_eq!(Counter::ALL.map(|counter| counter as usize), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_client_is_counted_once_by_its_child_or_the_supervisor() {
        let pool = test_pool(3, 1);
        pool.slots().count_verdict(LAST, Counter::Error);
        assert_eq!(verdicts(&pool), Verdicts::default(), "none was accepted");
        for (counter, number) in [(Counter::Early, 1), (Counter::Error, 2), (Counter::Pass, 3)] {
            pool.slots().note_accepted(LAST);
            assert!(pool.board.slot(LAST).tally.is_due());
            pool.slots().count_verdict(LAST, counter);
            pool.slots().count_verdict(LAST, Counter::Error);
            assert!(!pool.board.slot(LAST).tally.is_due());
            assert_eq!(verdicts(&pool).iter().sum::<u64>(), number);
        }
        assert_eq!(verdicts(&pool), [1, 1, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn counts_outlive_the_process_that_had_the_slot() {
        let pool = test_pool(3, 1);
        pool.slots().note_accepted(LAST);
        pool.slots().vacate(LAST);
        assert!(
            pool.board.slot(LAST).tally.is_due(),
            "a process that was killed has counted nothing"
        );
        pool.slots().count_verdict(LAST, Counter::Error);
        pool.slots().vacate(LAST);
        assert_eq!(verdicts(&pool)[Counter::Error as usize], 1);
    }

    #[test]
    fn a_child_that_becomes_the_program_counts_as_passed_until_it_is_counted() {
        let pool = test_pool(3, 1);
        pool.slots().note_accepted(LAST);
        pool.slots().set_client(LAST, "192.0.2.7".parse().unwrap());
        assert!(pool.queue().claim(LAST, 3));
        assert_eq!(verdicts(&pool), Verdicts::default(), "it has a place and may be killed");
        pool.slots().note_becoming_program(LAST);
        assert_eq!(verdicts(&pool)[Counter::Pass as usize], 1);
        pool.slots().count_verdict(LAST, Counter::Pass);
        assert_eq!(verdicts(&pool)[Counter::Pass as usize], 1);
    }

    #[test]
    fn what_is_known_of_a_client_is_not_used_for_the_next() {
        let pool = test_pool(3, 1);
        let program_slot = SlotId(0);
        pool.slots().note_accepted(LAST);
        assert!(!pool.board.is_about_client_of(LAST, LAST), "nothing is known of it yet");
        pool.slots().set_client(LAST, "192.0.2.7".parse().unwrap());
        assert!(pool.board.is_about_client_of(LAST, LAST));
        pool.slots().transfer(LAST, program_slot);
        assert!(pool.board.is_about_client_of(program_slot, LAST));
        pool.slots().note_accepted(LAST);
        assert!(!pool.board.is_about_client_of(program_slot, LAST));
        assert!(!pool.board.is_about_client_of(LAST, LAST));
    }
}
