//! The queue of clients that wait for a place for their session (`--max-prog`): which is
//! first, and which process wakes which.
//!
//! Only the first in the queue reaches for a place, so that no client waits for ever.  A client
//! whose process is stopped is passed over until it looks for a place again: it would block
//! all that come after it.  A process that may have made a place free, or should have taken
//! one and does not, wakes the next.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::process_state::{is_stopped, wake_child};
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::words::{QueueState, Word};
use crate::sys::monotonic_micros as now;

/// How long a client that was woken may take before it is checked whether it is stopped.
const PATIENCE: Duration = Duration::from_millis(75);
/// How often that is checked in any case, while a client waits.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often it is checked whether one does.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// When the supervisor searches the queue for clients that are stopped.
pub(in crate::daemon) struct QueueCheck {
    next: Instant,
}

impl QueueCheck {
    /// The first search is due at once.
    pub(in crate::daemon) fn start() -> Self {
        Self { next: Instant::now() }
    }

    /// A client was woken to take a place.
    pub(in crate::daemon) fn note_wake(&mut self) {
        self.next = self.next.min(Instant::now() + PATIENCE);
    }

    /// If a search is due, passes over the clients that are stopped, if one of `most`
    /// places is free.
    pub(in crate::daemon) fn run_if_due(&mut self, queue: Queue<'_>, most: usize) {
        let now = Instant::now();
        if now >= self.next {
            queue.pass_over_stopped(most);
            self.next = now + if queue.first().is_some() { INTERVAL } else { IDLE_INTERVAL };
        }
    }

    /// When the next search is due.
    pub(in crate::daemon) fn due(&self) -> Instant {
        self.next
    }
}

/// A client in the queue: since when, and where.  The least is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiter {
    since: u64,
    slot: SlotId,
}

/// The queue of a scoreboard.
#[derive(Clone, Copy)]
pub struct Queue<'a>(pub(super) &'a Scoreboard<'a>);

impl<'a> Queue<'a> {
    /// Takes one of `most` places for programs, if one is free and no client has been
    /// waiting for longer; else the client of `slot` is in the queue from now on.
    #[must_use]
    pub fn claim(self, slot: SlotId, most: usize) -> bool {
        let stages = self.0.stages;
        if most >= self.0.size() {
            stages.enter(slot, Stage::Prog);
            self.leave(slot);
            return true;
        }
        loop {
            let waiter = self.join(slot);
            if self.first() != Some(waiter) {
                return false;
            }
            stages.at(Stage::Prog).add(slot);
            if self.places_taken() <= most && self.take_turn(waiter) {
                stages.at(Stage::Busy).remove(slot);
                self.wake_next_if_free(most);
                return true;
            }
            stages.at(Stage::Prog).remove(slot);
            self.clear_passed_over(slot);
            // Two that both took themselves for the first may have missed the last place.
            if self.places_taken() >= most {
                return false;
            }
        }
    }

    /// Puts the client at the end of the queue, unless it is in it.
    fn join(self, slot: SlotId) -> Waiter {
        let word = self.word(slot);
        // Before it can be found: a process that is killed here leaves the number too high,
        // which costs a search, and never too low.
        self.0.header.waiting.fetch_add(1, Ordering::SeqCst);
        let now = now();
        let (not_queued, joined) = (QueueState::NotQueued, QueueState::Since(now));
        let since =
            match word.compare_exchange(not_queued, joined, Ordering::SeqCst, Ordering::SeqCst) {
                Err(QueueState::Since(since) | QueueState::PassedOver(since)) => {
                    self.0.header.waiting.fetch_sub(1, Ordering::SeqCst);
                    self.clear_passed_over(slot);
                    since
                }
                Ok(()) | Err(QueueState::NotQueued) => now,
            };
        Waiter { since, slot }
    }

    /// A client that was passed over, and does not reach for a place now, is in the queue
    /// again.
    fn clear_passed_over(self, slot: SlotId) {
        self.word(slot).update(|state| match state {
            QueueState::PassedOver(since) => Some(QueueState::Since(since)),
            QueueState::NotQueued | QueueState::Since(_) => None,
        });
    }

    /// Those that wait, except those that were passed over.
    fn waiters(self) -> impl Iterator<Item = Waiter> + 'a {
        let queue = self.0.columns.queue.iter().enumerate();
        queue.filter_map(|(number, word)| match word.load(Ordering::SeqCst) {
            QueueState::Since(since) => Some(Waiter { since, slot: SlotId(number) }),
            QueueState::NotQueued | QueueState::PassedOver(_) => None,
        })
    }

    /// The one that has waited for longest.
    fn first(self) -> Option<Waiter> {
        self.waiters().min()
    }

    /// It has a place, unless it was passed over meanwhile.
    fn take_turn(self, waiter: Waiter) -> bool {
        let word = self.word(waiter.slot);
        let (waits, over) = (QueueState::Since(waiter.since), QueueState::NotQueued);
        let won = word.compare_exchange(waits, over, Ordering::SeqCst, Ordering::SeqCst).is_ok();
        if won {
            self.0.header.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        won
    }

    fn pass_over(self, Waiter { since, slot }: Waiter) {
        self.0.header.ever_passed_over.store(true, Ordering::SeqCst);
        let (waits, passed) = (QueueState::Since(since), QueueState::PassedOver(since));
        let word = self.word(slot);
        let _ = word.compare_exchange(waits, passed, Ordering::SeqCst, Ordering::SeqCst);
    }

    /// Places that are taken, or reached for by a client that is not stopped.
    fn places_taken(self) -> usize {
        if !self.0.header.ever_passed_over.load(Ordering::SeqCst) {
            return self.0.count(Stage::Prog);
        }
        let queue = self.0.columns.queue.chunks(64);
        let words = self.0.stages.at(Stage::Prog).0.iter().zip(queue);
        // Those that were passed over are checked first: one may reach for a place again,
        // and sees by then which others do.
        let taken = words.map(|(word, queue)| {
            let passed_over = passed_over(queue);
            (word.load(Ordering::SeqCst) & !passed_over).count_ones() as usize
        });
        taken.sum()
    }

    /// The child of `slot` does not wait for a place any more; whether it did.
    #[allow(clippy::must_use_candidate)]
    pub fn leave(self, slot: SlotId) -> bool {
        let state = self.word(slot).swap(QueueState::NotQueued, Ordering::SeqCst);
        let waited = state != QueueState::NotQueued;
        if waited {
            self.0.header.waiting.fetch_sub(1, Ordering::SeqCst);
        }
        waited
    }

    /// Wakes the client that has waited for a place for longest; whether there is one.
    #[allow(clippy::must_use_candidate)]
    pub fn wake_next(self) -> bool {
        let first = if self.waiting() > 0 { self.first() } else { None };
        first.inspect(|first| self.wake_waiter(*first)).is_some()
    }

    fn wake_waiter(self, waiter: Waiter) {
        if let Some(pid) = self.0.pid(waiter.slot) {
            wake_child(pid);
        }
    }

    /// Two places that were free at once have woken the same client.
    fn wake_next_if_free(self, most: usize) {
        if self.waiting() > 0 && self.places_taken() < most {
            self.wake_next();
        }
    }

    /// Passes over those that are stopped while they reach for one of `most` places, or
    /// that should take one that is free, and wakes the first that can.
    pub fn pass_over_stopped(self, most: usize) {
        if self.waiting() == 0 {
            return;
        }
        let is_stopped = |slot| self.0.pid(slot).is_some_and(is_stopped);
        let reaching =
            self.waiters().filter(|waiter| self.0.stages.at(Stage::Prog).has(waiter.slot));
        reaching.filter(|waiter| is_stopped(waiter.slot)).for_each(|waiter| self.pass_over(waiter));
        while self.places_taken() < most {
            let Some(first) = self.first() else { return };
            // Including one that is stopped: it looks for a place as soon as it continues.
            self.wake_waiter(first);
            if !is_stopped(first.slot) {
                return;
            }
            self.pass_over(first);
        }
    }

    /// How many clients wait; too many where one was killed as it joined or left.
    fn waiting(self) -> u64 {
        self.0.header.waiting.load(Ordering::SeqCst)
    }

    fn word(self, slot: SlotId) -> &'a Word<QueueState> {
        &self.0.columns.queue[slot.0]
    }
}

/// The slots of a part of the queue that were passed over, a bit each.
fn passed_over(queue: &[Word<QueueState>]) -> u64 {
    let states = queue.iter().map(|word| word.load(Ordering::SeqCst));
    states.enumerate().fold(0, |bits, (number, state)| {
        bits | u64::from(matches!(state, QueueState::PassedOver(_))) << number
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::{Pool, test_pool};
    use crate::sys;
    use nix::sys::signal::{Signal, kill};
    use nix::sys::wait::{WaitPidFlag, waitpid};
    use nix::unistd::Pid;
    use std::process::{Child, Command};

    /// A process that is stopped, as the child of a client in the queue may be.
    struct Stopped(Child);

    impl Stopped {
        fn start() -> Self {
            let process = Self(Command::new("sleep").arg("60").spawn().unwrap());
            kill(process.pid(), Signal::SIGSTOP).unwrap();
            waitpid(process.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
            process
        }

        fn pid(&self) -> Pid {
            Pid::from_raw(i32::try_from(self.0.id()).unwrap())
        }

        fn resume(&self) {
            kill(self.pid(), Signal::SIGCONT).unwrap();
        }
    }

    impl Drop for Stopped {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// A pool with one place, which slot 0 has, and a stopped client in slot 1 that is
    /// the first in the queue, before the one of slot 2.
    fn pool_with_queue(first: &Stopped) -> Pool {
        let pool = test_pool(130, 1);
        (0..3).map(SlotId).for_each(|slot| pool.slots().enter(slot, Stage::Busy));
        sys::put_pid(pool.slots().pid_word(SlotId(1)), first.0.id());
        assert!(pool.queue().claim(SlotId(0), 1));
        assert!(!pool.queue().claim(SlotId(1), 1));
        assert!(!pool.queue().claim(SlotId(2), 1));
        pool
    }

    #[test]
    fn places_for_programs_are_bounded() {
        let pool = test_pool(130, 5);
        let claimed = (0..130).filter(|n| {
            let slot = SlotId(*n);
            pool.slots().enter(slot, Stage::Busy);
            pool.queue().claim(slot, 128)
        });
        assert_eq!(claimed.count(), 128);
        assert_eq!((pool.count(Stage::Prog), pool.count(Stage::Busy)), (128, 2));
        pool.slots().vacate(SlotId(0));
        assert!(!pool.queue().claim(SlotId(129), 128), "another has waited for longer");
        assert!(pool.queue().claim(SlotId(128), 128));
    }

    #[test]
    fn a_stopped_client_is_passed_over_and_takes_its_turn_again() {
        let stopped = Stopped::start();
        let pool = pool_with_queue(&stopped);
        pool.queue().pass_over_stopped(1);
        assert!(!pool.queue().claim(SlotId(2), 1), "no place is free");
        pool.slots().vacate(SlotId(0));
        assert!(!pool.queue().claim(SlotId(2), 1), "another is first");
        pool.queue().pass_over_stopped(1);
        assert!(pool.queue().claim(SlotId(2), 1));
        stopped.resume();
        assert!(!pool.queue().claim(SlotId(1), 1), "no place is free");
        assert!(!pool.queue().claim(SlotId(3), 1));
        pool.slots().vacate(SlotId(2));
        assert!(!pool.queue().claim(SlotId(3), 1), "it is the first again");
        assert!(pool.queue().claim(SlotId(1), 1));
    }

    #[test]
    fn one_that_runs_is_not_passed_over() {
        let stopped = Stopped::start();
        let pool = pool_with_queue(&stopped);
        stopped.resume();
        pool.slots().vacate(SlotId(0));
        pool.queue().pass_over_stopped(1);
        assert!(!pool.queue().claim(SlotId(2), 1));
        assert!(pool.queue().claim(SlotId(1), 1));
    }

    #[test]
    fn one_that_is_stopped_as_it_reaches_for_a_place_has_none() {
        let stopped = Stopped::start();
        let pool = pool_with_queue(&stopped);
        pool.slots().vacate(SlotId(0));
        let reaching = pool.queue().first().unwrap();
        pool.board.stages.at(Stage::Prog).add(reaching.slot);
        assert!(pool.queue().places_taken() <= 1, "it has seen that the place is free");
        assert!(!pool.queue().claim(SlotId(2), 1));
        pool.queue().pass_over_stopped(1);
        assert!(pool.queue().claim(SlotId(2), 1));
        stopped.resume();
        assert!(!pool.queue().take_turn(reaching), "the place is taken");
        pool.board.stages.at(Stage::Prog).remove(reaching.slot);
        pool.queue().clear_passed_over(reaching.slot);
        assert_eq!(pool.count(Stage::Prog), 1);
        pool.slots().vacate(SlotId(2));
        assert!(pool.queue().claim(SlotId(1), 1));
    }

    #[test]
    fn one_that_has_won_its_place_keeps_it_while_it_is_stopped() {
        let stopped = Stopped::start();
        let pool = pool_with_queue(&stopped);
        pool.slots().vacate(SlotId(0));
        let reaching = pool.queue().first().unwrap();
        pool.board.stages.at(Stage::Prog).add(reaching.slot);
        assert!(pool.queue().take_turn(reaching));
        pool.queue().pass_over_stopped(1);
        assert!(!pool.queue().claim(SlotId(2), 1));
    }

    #[test]
    fn no_more_places_are_taken_than_there_are_if_clients_are_passed_over() {
        const PLACES: usize = 2;
        let pool = test_pool(6, 1);
        let sessions = std::sync::atomic::AtomicUsize::new(0);
        let over = std::sync::atomic::AtomicBool::new(false);
        let hold_and_release = |slot| {
            for _ in 0..3000 {
                pool.slots().enter(slot, Stage::Busy);
                while !pool.queue().claim(slot, PLACES) {
                    std::thread::yield_now();
                }
                assert!(sessions.fetch_add(1, Ordering::SeqCst) < PLACES);
                sessions.fetch_sub(1, Ordering::SeqCst);
                pool.slots().enter(slot, Stage::Idle);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    pool.queue().waiters().for_each(|waiter| pool.queue().pass_over(waiter));
                    std::thread::yield_now();
                }
            });
            let slots = (0..6).map(SlotId);
            let running: Vec<_> =
                slots.map(|slot| scope.spawn(move || hold_and_release(slot))).collect();
            let ended: Vec<bool> = running.into_iter().map(|one| one.join().is_ok()).collect();
            over.store(true, Ordering::SeqCst);
            assert_eq!(ended, [true; 6]);
        });
        assert_eq!((pool.count(Stage::Prog), pool.queue().waiting()), (0, 0));
    }

    #[test]
    fn a_client_that_has_left_the_queue_is_not_counted_in_it() {
        let pool = test_pool(3, 1);
        (0..3).map(SlotId).for_each(|slot| pool.slots().enter(slot, Stage::Busy));
        assert!(pool.queue().claim(SlotId(0), 1));
        assert!(!pool.queue().claim(SlotId(1), 1) && !pool.queue().claim(SlotId(1), 1));
        assert_eq!(pool.queue().waiting(), 1);
        assert!(pool.queue().leave(SlotId(1)) && !pool.queue().leave(SlotId(1)));
        assert_eq!(pool.queue().waiting(), 0);
    }
}
