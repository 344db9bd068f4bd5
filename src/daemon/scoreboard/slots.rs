//! The slots of the scoreboard: which process has one, what it is doing, and for which
//! client.
//!
//! A slot is claimed by the supervisor for a child that it forks, or by a child for
//! the process that execs the program in its place.  The claim names the claimant with one
//! atomic operation, so that the slot of a program that never started can be found; only
//! the supervisor frees a slot that a process has had.
//!
//! A child changes only what is its own slot's and that of one that it has claimed for a
//! program process, so that a child that is killed at any point leaves nothing that the
//! supervisor cannot repair when it reaps.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::class::Class;
use crate::connection::acceptor::Counter;
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::layout::Columns;
use crate::daemon::scoreboard::per_network::Networks;
use crate::daemon::scoreboard::queue::Queue;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::starts::Starts;
use crate::daemon::scoreboard::words::{ClaimedBy, StartState};
use crate::sys;

/// The slots of a scoreboard.
#[derive(Clone, Copy)]
pub struct Slots<'a>(pub(super) &'a Scoreboard<'a>);

impl<'a> Slots<'a> {
    /// How many slots are taken.
    #[must_use]
    pub fn taken(self) -> usize {
        let claims = self.0.columns.claimed_by.iter().map(|word| word.load(Ordering::Relaxed));
        claims.filter(|claimed_by| *claimed_by != ClaimedBy::Nobody).count()
    }

    /// Frees a slot.
    pub fn vacate(self, slot: SlotId) {
        self.0.stages.clear(slot);
        self.0.movers.remove(slot);
        self.0.slot(slot).client.clear();
        Networks(self.0).count_out(slot);
        Queue(self.0).leave(slot);
        let Columns { claimed_by, pids, networks: _, queue: _, starts } = self.0.columns;
        pids[slot.0].store(0, Ordering::SeqCst);
        starts[slot.0].store(StartState::NotStarting, Ordering::SeqCst);
        // Last: the slot may be claimed again from now on.
        claimed_by[slot.0].store(ClaimedBy::Nobody, Ordering::SeqCst);
    }

    /// Frees the slots that the child of `slot`, which has ended, had claimed for
    /// processes that never started.
    pub fn vacate_unstarted_of(self, slot: SlotId) {
        let unstarted = self.0.claims_of(slot).filter(|slot| self.0.pid(*slot).is_none());
        unstarted.for_each(|slot| self.vacate(slot));
    }

    /// The process that has `slot`, if there is one.
    #[must_use]
    pub fn pid(self, slot: SlotId) -> Option<u32> {
        self.0.pid(slot)
    }

    /// The word for the process id of `slot`.
    #[must_use]
    pub fn pid_word(self, slot: SlotId) -> &'a AtomicU64 {
        &self.0.columns.pids[slot.0]
    }

    /// The slot of a process.
    #[must_use]
    pub fn of(self, pid: u32) -> Option<SlotId> {
        self.0.columns.pids.iter().position(|word| sys::pid_in(word) == pid).map(SlotId)
    }

    /// Writes which set of files the child of `slot` is started with.
    pub fn set_files(self, slot: SlotId, generation: u64) {
        self.0.slot(slot).files.store(generation, Ordering::Relaxed);
    }

    /// Idle children with an older set of files than new ones get.
    pub fn outdated(self) -> impl Iterator<Item = u32> + 'a {
        let current = self.0.header.generation.load(Ordering::SeqCst);
        let files = move |slot: &SlotId| self.0.slot(*slot).files.load(Ordering::Relaxed);
        let idle = self.0.stages.at(Stage::Idle).iter();
        idle.filter(move |slot| files(slot) != current).filter_map(move |slot| self.0.pid(slot))
    }

    /// The processes that run programs, or are about to.
    #[must_use]
    pub fn sessions(self) -> Vec<(SlotId, u32)> {
        let sessions = self.0.stages.at(Stage::Prog).iter();
        sessions.filter_map(|slot| Some((slot, self.0.pid(slot)?))).collect()
    }

    /// What the process of `slot` was last doing, if there is one.
    #[must_use]
    pub fn stage(self, slot: SlotId) -> Option<Stage> {
        self.0.stages.of(slot)
    }

    /// Moves the child of `slot` to `stage`.
    pub fn enter(self, slot: SlotId, stage: Stage) {
        self.0.stages.enter(slot, stage);
    }

    /// The child of `slot`, which is idle, ends.  It does not count as idle from now
    /// on, and not only once it is reaped: otherwise children that are ending would
    /// hide that too few are idle.
    pub fn retire(self, slot: SlotId) {
        self.0.stages.at(Stage::Idle).remove(slot);
    }

    /// The same if more than `most` children that can accept are idle, including it;
    /// returns whether there were.
    #[must_use]
    pub fn retire_beyond(self, slot: SlotId, most: usize) -> bool {
        let starts = Starts(self.0);
        if starts.ready() <= most {
            return false;
        }
        self.retire(slot);
        // Other children may do the same at the same time.
        let enough = starts.ready() >= most;
        if !enough {
            self.0.stages.at(Stage::Idle).add(slot);
        }
        enough
    }

    /// Hands the client of `slot`, which has a place for its session, to a new process;
    /// the child of `slot` is idle then.  The session keeps its place meanwhile.  Its
    /// verdict stays due in `slot`, whose child counts it.
    pub(super) fn transfer(self, slot: SlotId, program_slot: SlotId) {
        self.0.slot(program_slot).client.copy(&self.0.slot(slot).client);
        Networks(self.0).move_count(slot, slot, program_slot, || {
            self.enter(program_slot, Stage::Prog);
            self.enter(slot, Stage::Idle);
        });
    }

    /// Takes the client back from a process that never started.
    pub(super) fn take_back(self, slot: SlotId, program_slot: SlotId) {
        Networks(self.0).move_count(slot, program_slot, slot, || self.enter(slot, Stage::Prog));
    }

    /// The process of `slot` could not exec a program, and ends.
    pub fn release(self, program_slot: SlotId) {
        self.0.stages.at(Stage::Prog).remove(program_slot);
    }

    /// The child of `slot` becomes the program itself.
    pub fn note_becoming_program(self, slot: SlotId) {
        self.0.slot(slot).client.set_becomes_program(true);
    }

    /// It could not.
    pub fn note_not_becoming_program(self, slot: SlotId) {
        self.0.slot(slot).client.set_becomes_program(false);
    }

    /// The child of `slot` has accepted a client, whose verdict is due from now on.
    pub fn note_accepted(self, slot: SlotId) {
        self.0.slot(slot).tally.note_accepted();
    }

    /// Counts the verdict of the client of `slot`, unless that has been done.
    pub fn count_verdict(self, slot: SlotId, counter: Counter) {
        self.0.slot(slot).tally.count(counter);
    }

    /// Writes the client that the child of `slot` has accepted just now; the child is
    /// busy from now on.
    pub fn set_client(self, slot: SlotId, ip: IpAddr) {
        let record = self.0.slot(slot);
        record.client.begin(ip, record.tally.accepted());
        self.0.columns.starts[slot.0].store(StartState::NotStarting, Ordering::Relaxed);
        Networks(self.0).count_out(slot);
        Networks(self.0).count_in(slot, ip);
        self.enter(slot, Stage::Busy);
        // Its place in the order is assigned after it has become visible without one:
        // otherwise two that come at the same time would miss each other.
        record.client.place();
    }

    /// It has left.
    pub fn leave(self, slot: SlotId) {
        Networks(self.0).count_out(slot);
    }

    /// Writes that it is being refused.
    pub fn note_refusal(self, slot: SlotId) {
        self.0.slot(slot).client.note_refusal();
    }

    /// Writes what is known about it.
    pub fn describe(self, slot: SlotId, class: Class, host: Option<&str>) {
        self.0.slot(slot).client.describe(class, host);
    }

    /// The client that it has accepted, and how long ago.
    #[must_use]
    pub fn client(self, slot: SlotId) -> Option<(IpAddr, Duration)> {
        self.0.client(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::layout::Slot;
    use crate::daemon::scoreboard::pool::{Pool, test_pool};
    use crate::daemon::scoreboard::stuck::ProgramStart;

    fn words_of(pool: &Pool, slot: SlotId) -> impl Iterator<Item = &AtomicU64> {
        let (number, columns) = (slot.0, pool.board.columns);
        let Columns { claimed_by, pids, networks, queue, starts } = columns;
        let columns = [
            claimed_by[number].bits(),
            &pids[number],
            networks[number].bits(),
            queue[number].bits(),
            starts[number].bits(),
        ];
        // The tally outlives the process.
        let Slot { files, client, tally: _ } = pool.board.slot(slot);
        client.words().chain(columns).chain([files])
    }

    #[test]
    fn a_child_is_at_one_stage_at_a_time() {
        let pool = test_pool(70, 5);
        let slot = SlotId(69);
        assert_eq!(pool.slots().stage(slot), None);
        for stage in [Stage::Idle, Stage::Busy, Stage::Idle, Stage::Prog, Stage::Busy] {
            pool.slots().enter(slot, stage);
            assert_eq!(pool.slots().stage(slot), Some(stage));
            assert_eq!(Stage::ALL.map(|other| pool.count(other)).iter().sum::<usize>(), 1);
        }
        pool.slots().vacate(slot);
        assert_eq!(pool.slots().stage(slot), None);
    }

    #[test]
    fn a_child_that_ends_is_not_idle_any_more() {
        let pool = test_pool(5, 1);
        let slots: Vec<SlotId> = (0..5).filter_map(|_| pool.slots().occupy(None, 0)).collect();
        for slot in &slots {
            pool.slots().enter(*slot, Stage::Idle);
        }
        let ended: Vec<&SlotId> =
            slots.iter().filter(|slot| pool.slots().retire_beyond(**slot, 3)).collect();
        assert_eq!(ended, [&slots[0], &slots[1]]);
        assert_eq!((pool.count(Stage::Idle), pool.slots().taken()), (3, 5));
        pool.slots().retire(slots[2]);
        assert_eq!(
            (pool.slots().stage(slots[2]), pool.slots().stage(slots[3])),
            (None, Some(Stage::Idle))
        );
    }

    #[test]
    fn clients_are_remembered_by_slot() {
        let pool = test_pool(2, 1);
        let slot = SlotId(1);
        assert!(pool.slots().client(slot).is_none());
        for ip in ["192.0.2.7", "2001:db8::7"] {
            let ip: IpAddr = ip.parse().unwrap();
            pool.slots().set_client(slot, ip);
            assert_eq!(pool.slots().client(slot).unwrap().0, ip);
        }
        pool.slots().vacate(slot);
        assert!(pool.slots().client(slot).is_none());
    }

    #[test]
    fn a_child_changes_its_own_slot_and_no_other() {
        let pool = test_pool(130, 5);
        let mine = SlotId(64);
        let others = || (0..130).map(SlotId).filter(|slot| *slot != mine);
        for slot in others() {
            words_of(&pool, slot).for_each(|word| word.store(u64::MAX - 7, Ordering::SeqCst));
            pool.board.stages.at(Stage::ALL[slot.0 % 3]).add(slot);
        }
        let long = "x".repeat(300);
        for stage in [Stage::Idle, Stage::Busy, Stage::Prog, Stage::Busy] {
            sys::put_pid(pool.slots().pid_word(mine), 1);
            pool.slots().set_client(mine, "2001:db8::1".parse().unwrap());
            pool.slots().describe(mine, Class::Dynamic, Some(&long));
            pool.slots().note_refusal(mine);
            std::mem::forget(ProgramStart::begin(&pool, mine));
            pool.slots().enter(mine, stage);
            let _ = pool.queue().claim(mine, 3);
            pool.queue().leave(mine);
        }
        pool.slots().vacate(mine);
        for slot in others() {
            let words = words_of(&pool, slot).map(|word| word.load(Ordering::SeqCst));
            assert!(words.into_iter().all(|word| word == u64::MAX - 7));
            assert_eq!(pool.slots().stage(slot), Some(Stage::ALL[slot.0 % 3]));
        }
    }

    #[test]
    fn slots_are_taken_once_and_found_by_their_process() {
        let pool = test_pool(3, 1);
        let slots: Vec<SlotId> = (0..4).filter_map(|_| pool.slots().occupy(None, 0)).collect();
        assert_eq!((slots.len(), pool.slots().taken()), (3, 3));
        for (slot, pid) in slots.iter().zip([70_001, 2, 3]) {
            sys::put_pid(pool.slots().pid_word(*slot), pid);
        }
        assert_eq!([pool.slots().of(70_001), pool.slots().of(9)], [Some(slots[0]), None]);
        pool.slots().vacate(slots[1]);
        assert_eq!((pool.slots().taken(), pool.slots().of(2)), (2, None));
        assert_eq!(pool.slots().occupy(None, 0), Some(slots[1]));
    }

    #[test]
    fn a_program_process_has_the_client_and_the_place() {
        let pool = test_pool(4, 1);
        let [first, second] =
            [pool.slots().occupy(None, 0).unwrap(), pool.slots().occupy(None, 0).unwrap()];
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        for slot in [first, second] {
            pool.slots().set_client(slot, ip);
            pool.slots().enter(slot, Stage::Busy);
            // Their order is that of their microseconds.
            let placed = sys::monotonic_micros();
            while sys::monotonic_micros() == placed {
                std::hint::spin_loop();
            }
        }
        pool.slots().describe(first, Class::Static, Some("mx.example.org"));
        assert!(pool.queue().claim(first, 1));
        let program_slot = pool.slots().occupy(Some(first), 1).unwrap();
        pool.slots().transfer(first, program_slot);
        assert_eq!((pool.count(Stage::Prog), pool.count(Stage::Idle), pool.clients()), (1, 1, 2));
        assert_eq!(pool.slots().client(program_slot).unwrap().0, ip);
        assert_eq!(pool.networks().earlier_from(second, ip), 1, "counted once");
        assert!(!pool.queue().claim(second, 1));
        pool.slots().take_back(first, program_slot);
        pool.slots().vacate(program_slot);
        assert_eq!(
            (pool.count(Stage::Prog), pool.count(Stage::Idle), pool.slots().taken()),
            (1, 0, 2)
        );
        assert_eq!(pool.networks().earlier_from(second, ip), 1);
    }

    #[test]
    fn slots_of_processes_that_never_started_are_freed() {
        let pool = test_pool(5, 1);
        let [child, other] =
            [pool.slots().occupy(None, 0).unwrap(), pool.slots().occupy(None, 0).unwrap()];
        let started = pool.slots().occupy(Some(child), 4).unwrap();
        sys::put_pid(pool.slots().pid_word(started), 4711);
        let unstarted = pool.slots().occupy(Some(child), 4).unwrap();
        let another = pool.slots().occupy(Some(other), 0).unwrap();
        let ip = "192.0.2.7".parse().unwrap();
        pool.slots().set_client(child, ip);
        pool.slots().transfer(child, unstarted);
        pool.slots().vacate(child);
        pool.slots().vacate_unstarted_of(child);
        assert_eq!((pool.slots().taken(), pool.clients()), (3, 0));
        assert_eq!(pool.slots().of(4711), Some(started));
        let free = [
            pool.slots().occupy(None, 0),
            pool.slots().occupy(None, 0),
            pool.slots().occupy(None, 0),
        ];
        assert_eq!(free, [Some(child), Some(unstarted), None]);
        assert_ne!(Some(another), free[1]);
    }
}
