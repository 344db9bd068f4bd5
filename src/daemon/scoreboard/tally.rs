//! Clients by verdict.
//!
//! Each slot counts the clients that its children have accepted, and those whose
//! verdict is known, by verdict.  The difference is whether a verdict is due.  So
//! accepting a client and counting its verdict are one atomic operation each, and a
//! child that is killed at any point between the two leaves a verdict that the
//! supervisor counts, once.  As long as a child lives it alone counts in its slot.
//! The counts stay when the slot is given back: they are the daemon's.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::connection::acceptor::Counter;
use crate::daemon::scoreboard::layout::{Board, NUMBER, Slot, Stage, TALLY, VERDICTS};
use crate::daemon::scoreboard::pool::Pool;

impl Pool {
    /// The child of `slot` has accepted a client, whose verdict is due from now on.
    pub fn note_accepted(&self, slot: Slot) {
        self.board.accepted(slot).fetch_add(1, Ordering::SeqCst);
    }

    /// Counts the verdict of the client of `slot`, unless that has been done.
    pub fn count_verdict(&self, slot: Slot, counter: Counter) {
        if self.board.is_due(slot) {
            self.board.verdicts_of(slot)[counter as usize].fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether a client has been accepted whose verdict has not been counted.
    pub(in crate::daemon) fn is_due(&self, slot: Slot) -> bool {
        self.board.is_due(slot)
    }

    /// Notes that what `slot` tells of a client is about the last one that its child has
    /// accepted.
    pub(in crate::daemon) fn note_described(&self, slot: Slot) {
        let number = self.board.accepted(slot).load(Ordering::SeqCst);
        self.board.slot_words(slot)[NUMBER].store(number, Ordering::SeqCst);
    }

    /// Whether what `slot` tells of a client is about the last one that the child of
    /// `child` has accepted.
    pub(in crate::daemon) fn is_about_client_of(&self, slot: Slot, child: Slot) -> bool {
        let number = self.board.slot_words(slot)[NUMBER].load(Ordering::SeqCst);
        number != 0 && number == self.board.accepted(child).load(Ordering::SeqCst)
    }
}

impl Board<'_> {
    fn accepted(&self, slot: Slot) -> &AtomicU64 {
        &self.slot_words(slot)[TALLY]
    }

    fn verdicts_of(&self, slot: Slot) -> &[AtomicU64] {
        &self.slot_words(slot)[TALLY + 1..][..VERDICTS]
    }

    fn is_due(&self, slot: Slot) -> bool {
        let counts = self.verdicts_of(slot).iter().map(|count| count.load(Ordering::SeqCst));
        // Of a scoreboard that is read as it changes, or was damaged, anything may come.
        let counted = counts.fold(0, u64::wrapping_add);
        self.accepted(slot).load(Ordering::SeqCst) != counted
    }

    /// All clients by verdict, in the order of [`Counter`].  Children that have become
    /// the program themselves are among those that passed: their verdict is counted
    /// when they have ended.
    pub(in crate::daemon) fn verdicts(&self) -> [u64; VERDICTS] {
        let mut sums = [0_u64; VERDICTS];
        for slot in (0..self.slots()).map(Slot) {
            for (sum, count) in sums.iter_mut().zip(self.verdicts_of(slot)) {
                *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
            }
            let passes = self.is(slot, Stage::Prog) && self.becomes_program(slot);
            if passes && self.is_due(slot) {
                let sum = &mut sums[Counter::Pass as usize];
                *sum = sum.wrapping_add(1);
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;

    const LAST: Slot = Slot(2);

    fn verdicts(pool: &Pool) -> [u64; VERDICTS] {
        pool.board.verdicts()
    }

    #[test]
    fn a_client_is_counted_once_whoever_counts_it() {
        let pool = test_pool(3, 1);
        pool.count_verdict(LAST, Counter::Error);
        assert_eq!(verdicts(&pool), [0; VERDICTS], "none was accepted");
        for (counter, number) in [(Counter::Early, 1), (Counter::Error, 2), (Counter::Pass, 3)] {
            pool.note_accepted(LAST);
            assert!(pool.is_due(LAST));
            pool.count_verdict(LAST, counter);
            pool.count_verdict(LAST, Counter::Error);
            assert!(!pool.is_due(LAST));
            assert_eq!(verdicts(&pool).iter().sum::<u64>(), number);
        }
        assert_eq!(verdicts(&pool), [1, 1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn counts_outlive_the_process_that_had_the_slot() {
        let pool = test_pool(3, 1);
        pool.note_accepted(LAST);
        pool.vacate(LAST);
        assert!(pool.is_due(LAST), "whoever was killed has counted nothing");
        pool.count_verdict(LAST, Counter::Error);
        pool.vacate(LAST);
        assert_eq!(verdicts(&pool)[Counter::Error as usize], 1);
    }

    #[test]
    fn a_child_that_becomes_the_program_counts_as_passed_until_it_is_counted() {
        let pool = test_pool(3, 1);
        pool.note_accepted(LAST);
        pool.set_client(LAST, "192.0.2.7".parse().unwrap());
        assert!(pool.claim_prog(LAST, 3));
        assert_eq!(verdicts(&pool), [0; VERDICTS], "it has a place and may be killed");
        pool.note_becoming_program(LAST);
        assert_eq!(verdicts(&pool)[Counter::Pass as usize], 1);
        pool.count_verdict(LAST, Counter::Pass);
        assert_eq!(verdicts(&pool)[Counter::Pass as usize], 1);
    }

    #[test]
    fn what_is_told_of_a_client_is_not_taken_for_the_next_ones() {
        let pool = test_pool(3, 1);
        let program_slot = Slot(0);
        pool.note_accepted(LAST);
        assert!(!pool.is_about_client_of(LAST, LAST), "nothing is known of it yet");
        pool.set_client(LAST, "192.0.2.7".parse().unwrap());
        assert!(pool.is_about_client_of(LAST, LAST));
        pool.transfer(LAST, program_slot);
        assert!(pool.is_about_client_of(program_slot, LAST));
        pool.note_accepted(LAST);
        assert!(!pool.is_about_client_of(program_slot, LAST));
        assert!(!pool.is_about_client_of(LAST, LAST));
    }
}
