//! What a process of the pool leaves behind that has ended: whether it was a session,
//! the verdict of its client, and what nobody has told of it.

use std::net::IpAddr;
use std::sync::atomic::Ordering;

use crate::connection::acceptor::Counter;
use crate::daemon::scoreboard::layout::{IN_PLACE, Slot, Stage};
use crate::daemon::scoreboard::pool::Pool;

/// What nobody but the supervisor can tell of a child that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Untold {
    /// It had no client, or all is told of it; or it is a session, whose end is told.
    Nothing,
    /// It had this client, and has not handed it over.
    Client(Option<IpAddr>),
    /// It has handed this client over, and not told of it.
    Pass(Option<IpAddr>),
}

impl Pool {
    /// Counts the verdict of a client that the child of `slot` has not lived to count: it
    /// has become the program itself, or was killed.  What is left to tell.
    pub(in crate::daemon) fn settle(&self, slot: Slot) -> Untold {
        let (is_session, is_due) = (self.is_session(slot), self.is_due(slot));
        let passed = is_session || self.has_session(slot) || self.had_session(slot);
        self.count_verdict(slot, if passed { Counter::Pass } else { Counter::Error });
        let is_known = self.is_about_client_of(slot, slot);
        let ip = self.client(slot).filter(|_| is_known).map(|client| client.0);
        match self.stage(slot) {
            _ if is_session => Untold::Nothing,
            _ if is_due && passed => Untold::Pass(ip),
            Some(Stage::Busy | Stage::Prog) => Untold::Client(ip),
            _ if is_due => Untold::Client(ip),
            _ => Untold::Nothing,
        }
    }

    /// Whether the process of `slot` is a session: it was made for one, or was about to
    /// become the program itself.  One that has a place and no more is none.
    pub(in crate::daemon) fn is_session(&self, slot: Slot) -> bool {
        let becomes = self.owner(slot).is_some() || self.board.becomes_program(slot);
        self.board.is(slot, Stage::Prog) && becomes
    }

    /// Whether the last client of the child of `slot` has a session in a process of its
    /// own.
    fn has_session(&self, slot: Slot) -> bool {
        let mut programs = (0..self.slots())
            .map(Slot)
            .filter(|program_slot| self.owner(*program_slot) == Some(slot));
        programs.any(|program_slot| {
            self.is_session(program_slot)
                && self.pid(program_slot).is_some()
                && self.is_about_client_of(program_slot, slot)
        })
    }

    /// The child of `slot` becomes the program itself.
    pub fn note_becoming_program(&self, slot: Slot) {
        self.board.slot_words(slot)[IN_PLACE].store(1, Ordering::SeqCst);
    }

    /// It could not.
    pub fn note_not_becoming_program(&self, slot: Slot) {
        self.board.slot_words(slot)[IN_PLACE].store(0, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;
    use crate::daemon::scoreboard::stuck::Start;
    use crate::sys;

    /// Steps of a child from the accept on.
    type Step = fn(&Pool, Slot);

    const CHILD: Slot = Slot(0);
    const PROGRAM: Slot = Slot(1);

    fn ip() -> IpAddr {
        "192.0.2.7".parse().unwrap()
    }

    fn hand_over(pool: &Pool, _: Slot) {
        assert_eq!(pool.claim(Some(CHILD), 1), Some(PROGRAM));
        pool.transfer(CHILD, PROGRAM);
    }

    fn start(pool: &Pool, child: Slot) {
        std::mem::forget(Start::begin(pool, child));
        sys::put_pid(pool.pid_word(PROGRAM), 4711);
    }

    fn end_session(pool: &Pool, _: Slot) {
        assert!(pool.untold_start(PROGRAM).is_some());
        assert_eq!(pool.settle(PROGRAM), Untold::Nothing, "its end is told");
        pool.vacate(PROGRAM);
    }

    /// What is told, and counted, of a child that is killed after each of `steps`.
    #[track_caller]
    fn assert_settled(steps: &[(Step, Untold, Option<Counter>)]) {
        for killed_after in 0..steps.len() {
            let pool = test_pool(4, 1);
            // Of an earlier client nothing is left that counts.
            assert_eq!(pool.claim(None, 0), Some(CHILD));
            pool.note_accepted(CHILD);
            pool.set_client(CHILD, "2001:db8::1".parse().unwrap());
            pool.count_verdict(CHILD, Counter::Early);
            pool.leave(CHILD);
            pool.enter(CHILD, Stage::Idle);
            steps[..=killed_after].iter().for_each(|(step, ..)| step(&pool, CHILD));
            let (_, untold, counter) = steps[killed_after];
            assert_eq!(pool.settle(CHILD), untold, "after step {killed_after}");
            let mut expected = [0; 7];
            expected[Counter::Early as usize] = 1;
            if let Some(counter) = counter {
                expected[counter as usize] += 1;
            }
            assert_eq!(pool.stats().verdicts, expected, "after step {killed_after}");
            pool.settle(CHILD);
            assert_eq!(pool.stats().verdicts, expected, "once");
        }
    }

    #[test]
    fn a_client_is_counted_once_wherever_its_child_is_killed() {
        let (client, pass) = (Untold::Client(Some(ip())), Untold::Pass(Some(ip())));
        assert_settled(&[
            (|_, _| (), Untold::Nothing, None),
            (Pool::note_accepted, Untold::Client(None), Some(Counter::Error)),
            (|pool, slot| pool.set_client(slot, ip()), client, Some(Counter::Error)),
            (|pool, slot| assert!(pool.claim_prog(slot, 2)), client, Some(Counter::Error)),
            (hand_over, client, Some(Counter::Error)),
            (start, pass, Some(Counter::Pass)),
            (end_session, pass, Some(Counter::Pass)),
            (
                |pool, slot| pool.count_verdict(slot, Counter::Pass),
                Untold::Nothing,
                Some(Counter::Pass),
            ),
        ]);
    }

    #[test]
    fn a_child_that_is_killed_as_the_program_has_passed_its_client() {
        let client = Untold::Client(Some(ip()));
        assert_settled(&[
            (Pool::note_accepted, Untold::Client(None), Some(Counter::Error)),
            (|pool, slot| pool.set_client(slot, ip()), client, Some(Counter::Error)),
            (|pool, slot| assert!(pool.claim_prog(slot, 2)), client, Some(Counter::Error)),
            (Pool::note_becoming_program, Untold::Nothing, Some(Counter::Pass)),
            (Pool::note_not_becoming_program, client, Some(Counter::Error)),
        ]);
    }

    #[test]
    fn a_child_that_is_killed_while_it_refuses_a_client_is_told_of() {
        let client = Untold::Client(Some(ip()));
        assert_settled(&[
            (Pool::note_accepted, Untold::Client(None), Some(Counter::Error)),
            (|pool, slot| pool.set_client(slot, ip()), client, Some(Counter::Error)),
            (|pool, slot| pool.count_verdict(slot, Counter::Listed), client, Some(Counter::Listed)),
            (Pool::leave, client, Some(Counter::Listed)),
            (|pool, slot| pool.enter(slot, Stage::Idle), Untold::Nothing, Some(Counter::Listed)),
        ]);
    }
}
