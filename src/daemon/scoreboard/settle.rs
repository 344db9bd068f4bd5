//! What a process of the pool leaves behind when it has ended: whether it was a session,
//! the verdict of its client, and what has not been logged about it.

use std::net::IpAddr;

use crate::connection::acceptor::Counter;
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::starts::Starts;
use crate::daemon::scoreboard::words::ClaimedBy;

/// What the supervisor has to log about a child that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Unlogged {
    /// It had no client, or all is logged; or it is a session, whose end is logged.
    Nothing,
    /// It had this client, and has not handed it over.
    Client(Option<IpAddr>),
    /// It has handed this client over, and not logged that.
    Pass(Option<IpAddr>),
}

/// Counts the verdict of the client of `slot` if its child did not live to do so: it has
/// become the program itself, or was killed.  Returns what is left to log.
pub(in crate::daemon) fn settle(board: &Scoreboard<'_>, slot: SlotId) -> Unlogged {
    let tally = &board.slot(slot).tally;
    let (is_session, is_due) = (is_session(board, slot), tally.is_due());
    let passed = is_session || has_session(board, slot) || Starts(board).had_session(slot);
    tally.count(if passed { Counter::Pass } else { Counter::Error });
    let is_known = board.is_about_client_of(slot, slot);
    let ip = board.client(slot).filter(|_| is_known).map(|client| client.0);
    match board.stages.of(slot) {
        _ if is_session => Unlogged::Nothing,
        _ if is_due && passed => Unlogged::Pass(ip),
        Some(Stage::Busy | Stage::Prog) => Unlogged::Client(ip),
        _ if is_due => Unlogged::Client(ip),
        _ => Unlogged::Nothing,
    }
}

/// Whether the process of `slot` is a session: it was made for one, or was about to become
/// the program itself.  One that has no more than a place is not.
pub(in crate::daemon) fn is_session(board: &Scoreboard<'_>, slot: SlotId) -> bool {
    let is_program_slot = matches!(board.claimed_by(slot), ClaimedBy::Child(_));
    let becomes = is_program_slot || board.slot(slot).client.becomes_program();
    board.stages.at(Stage::Prog).has(slot) && becomes
}

/// Whether the last client of the child of `slot` has a session in a process of its own.
fn has_session(board: &Scoreboard<'_>, slot: SlotId) -> bool {
    board.claims_of(slot).any(|program_slot| {
        is_session(board, program_slot)
            && board.pid(program_slot).is_some()
            && board.is_about_client_of(program_slot, slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::{Pool, test_pool};
    use crate::daemon::scoreboard::stuck::ProgramStart;
    use crate::sys;

    /// Steps of a child from the accept on.
    type Step = fn(&Pool, SlotId);

    const CHILD: SlotId = SlotId(0);
    const PROGRAM: SlotId = SlotId(1);

    fn ip() -> IpAddr {
        "192.0.2.7".parse().unwrap()
    }

    fn hand_over(pool: &Pool, _: SlotId) {
        assert_eq!(pool.slots().occupy(Some(CHILD), 1), Some(PROGRAM));
        pool.slots().transfer(CHILD, PROGRAM);
    }

    fn start(pool: &Pool, child: SlotId) {
        std::mem::forget(ProgramStart::begin(pool, child));
        sys::put_pid(pool.slots().pid_word(PROGRAM), 4711);
    }

    fn end_session(pool: &Pool, _: SlotId) {
        assert!(pool.starts().unlogged(PROGRAM).is_some());
        assert_eq!(settle(&pool.board, PROGRAM), Unlogged::Nothing, "its end is told");
        pool.slots().vacate(PROGRAM);
    }

    /// What is logged, and counted, about a child that is killed after each of `steps`.
    #[track_caller]
    fn assert_settled(steps: &[(Step, Unlogged, Option<Counter>)]) {
        for killed_after in 0..steps.len() {
            let pool = test_pool(4, 1);
            // Of an earlier client nothing is left that counts.
            assert_eq!(pool.slots().occupy(None, 0), Some(CHILD));
            pool.slots().note_accepted(CHILD);
            pool.slots().set_client(CHILD, "2001:db8::1".parse().unwrap());
            pool.slots().count_verdict(CHILD, Counter::Early);
            pool.slots().leave(CHILD);
            pool.slots().enter(CHILD, Stage::Idle);
            steps[..=killed_after].iter().for_each(|(step, ..)| step(&pool, CHILD));
            let (_, unlogged, counter) = steps[killed_after];
            assert_eq!(settle(&pool.board, CHILD), unlogged, "after step {killed_after}");
            let mut expected = [0; Counter::ALL.len()];
            expected[Counter::Early as usize] = 1;
            if let Some(counter) = counter {
                expected[counter as usize] += 1;
            }
            assert_eq!(pool.stats().verdicts, expected, "after step {killed_after}");
            settle(&pool.board, CHILD);
            assert_eq!(pool.stats().verdicts, expected, "once");
        }
    }

    #[test]
    fn a_client_is_counted_once_wherever_its_child_is_killed() {
        let (client, pass) = (Unlogged::Client(Some(ip())), Unlogged::Pass(Some(ip())));
        assert_settled(&[
            (|_, _| (), Unlogged::Nothing, None),
            (
                |pool, slot| pool.slots().note_accepted(slot),
                Unlogged::Client(None),
                Some(Counter::Error),
            ),
            (|pool, slot| pool.slots().set_client(slot, ip()), client, Some(Counter::Error)),
            (|pool, slot| assert!(pool.queue().claim(slot, 2)), client, Some(Counter::Error)),
            (hand_over, client, Some(Counter::Error)),
            (start, pass, Some(Counter::Pass)),
            (end_session, pass, Some(Counter::Pass)),
            (
                |pool, slot| pool.slots().count_verdict(slot, Counter::Pass),
                Unlogged::Nothing,
                Some(Counter::Pass),
            ),
        ]);
    }

    #[test]
    fn a_child_that_is_killed_as_the_program_has_passed_its_client() {
        let client = Unlogged::Client(Some(ip()));
        assert_settled(&[
            (
                |pool, slot| pool.slots().note_accepted(slot),
                Unlogged::Client(None),
                Some(Counter::Error),
            ),
            (|pool, slot| pool.slots().set_client(slot, ip()), client, Some(Counter::Error)),
            (|pool, slot| assert!(pool.queue().claim(slot, 2)), client, Some(Counter::Error)),
            (
                |pool, slot| pool.slots().note_becoming_program(slot),
                Unlogged::Nothing,
                Some(Counter::Pass),
            ),
            (
                |pool, slot| pool.slots().note_not_becoming_program(slot),
                client,
                Some(Counter::Error),
            ),
        ]);
    }

    #[test]
    fn a_child_that_is_killed_while_it_refuses_a_client_is_logged() {
        let client = Unlogged::Client(Some(ip()));
        assert_settled(&[
            (
                |pool, slot| pool.slots().note_accepted(slot),
                Unlogged::Client(None),
                Some(Counter::Error),
            ),
            (|pool, slot| pool.slots().set_client(slot, ip()), client, Some(Counter::Error)),
            (
                |pool, slot| pool.slots().count_verdict(slot, Counter::Listed),
                client,
                Some(Counter::Listed),
            ),
            (|pool, slot| pool.slots().leave(slot), client, Some(Counter::Listed)),
            (
                |pool, slot| pool.slots().enter(slot, Stage::Idle),
                Unlogged::Nothing,
                Some(Counter::Listed),
            ),
        ]);
    }
}
