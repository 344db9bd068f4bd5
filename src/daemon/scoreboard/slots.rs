//! The slots of the scoreboard: which process has one, what it is doing, and for which
//! client.
//!
//! A slot is taken by the supervisor for a child that it forks, or by a child for
//! the process that execs the program in its place.  The taker of a slot marks it as
//! taken by itself with one atomic operation, so that the slot of a program that never started can
//! be found; only the supervisor frees a slot that a process has had.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::class::Class;
use crate::daemon::scoreboard::address::address_words;
use crate::daemon::scoreboard::layout::{
    ACCEPTED, ADDRESS, CLASS, Column, FILES, HOST, IN_PLACE, NUMBER, REFUSED, Slot, Stage, TALLY,
    UNPLACED, mark, now,
};
use crate::daemon::scoreboard::pool::Pool;
use crate::sys;

/// The supervisor as the taker of slots.
const SUPERVISOR: u64 = u64::MAX;

fn owner(child: Option<Slot>) -> u64 {
    child.map_or(SUPERVISOR, |slot| slot.0 as u64 + 1)
}

impl Pool {
    /// Takes a free slot, the first after `from` if there is one, for the supervisor or
    /// for the program process of a child.
    #[must_use]
    pub fn claim(&self, child: Option<Slot>, from: usize) -> Option<Slot> {
        let owners = self.column(Column::Owner);
        let take = |word: &AtomicU64| {
            let (free, mine) = (0, owner(child));
            word.load(Ordering::Relaxed) == free
                && word.compare_exchange(free, mine, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        };
        let (before, behind) = owners.split_at(from.min(owners.len()));
        let found = behind.iter().position(take).map(|number| before.len() + number);
        found.or_else(|| before.iter().position(take)).map(Slot)
    }

    /// The child that took `slot` for its program process, if one did.
    pub(in crate::daemon) fn owner(&self, slot: Slot) -> Option<Slot> {
        let owner = self.column(Column::Owner)[slot.0].load(Ordering::SeqCst);
        let child = owner.checked_sub(1).filter(|_| owner != SUPERVISOR)?;
        usize::try_from(child).ok().map(Slot)
    }

    /// How many slots are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        let owners = self.column(Column::Owner).iter();
        owners.filter(|word| word.load(Ordering::Relaxed) != 0).count()
    }

    /// Frees a slot.
    pub fn vacate(&self, slot: Slot) {
        for stage in Stage::ALL {
            self.mark(slot, stage, false);
        }
        self.mark_mover(slot, false);
        self.words_about_client(slot).for_each(|word| word.store(0, Ordering::Relaxed));
        self.count_out(slot);
        self.leave_line(slot);
        for column in [Column::Pid, Column::Start, Column::Owner] {
            self.column(column)[slot.0].store(0, Ordering::SeqCst);
        }
    }

    /// Frees the slots that the child of `slot`, which has ended, had taken for
    /// processes that never started.
    pub fn vacate_unstarted_of(&self, slot: Slot) {
        let programs = (0..self.slots())
            .map(Slot)
            .filter(|program_slot| self.owner(*program_slot) == Some(slot));
        programs
            .filter(|program_slot| self.pid(*program_slot).is_none())
            .for_each(|program_slot| self.vacate(program_slot));
    }

    /// The process that has `slot`, if there is one.
    #[must_use]
    pub fn pid(&self, slot: Slot) -> Option<u32> {
        self.board.pid(slot)
    }

    /// The word for the process id of `slot`.
    #[must_use]
    pub fn pid_word(&self, slot: Slot) -> &AtomicU64 {
        &self.column(Column::Pid)[slot.0]
    }

    /// The slot of a process.
    #[must_use]
    pub fn slot_of(&self, pid: u32) -> Option<Slot> {
        let mut pids = self.column(Column::Pid).iter();
        pids.position(|word| sys::pid_in(word) == pid).map(Slot)
    }

    /// Writes which set of files the child of `slot` is started with.
    pub fn set_files(&self, slot: Slot, generation: u64) {
        self.slot_words(slot)[FILES].store(generation, Ordering::Relaxed);
    }

    /// Idle children with an older set of files than new ones get.
    pub fn outdated(&self) -> impl Iterator<Item = u32> {
        let current = self.generation();
        let idle = (0..self.slots()).map(Slot).filter(|slot| self.board.is(*slot, Stage::Idle));
        let old = idle
            .filter(move |slot| self.slot_words(*slot)[FILES].load(Ordering::Relaxed) != current);
        old.filter_map(|slot| self.pid(slot))
    }

    /// The processes that run programs, or are about to.
    #[must_use]
    pub fn sessions(&self) -> Vec<(Slot, u32)> {
        let mut sessions = Vec::new();
        for (index, word) in self.board.set(Stage::Prog).iter().enumerate() {
            let mut bits = word.load(Ordering::SeqCst);
            while bits != 0 {
                let slot = Slot(64 * index + bits.trailing_zeros() as usize);
                sessions.extend(self.pid(slot).map(|pid| (slot, pid)));
                bits &= bits - 1;
            }
        }
        sessions
    }

    pub(in crate::daemon) fn mark(&self, slot: Slot, stage: Stage, on: bool) {
        mark(self.board.set(stage), slot, on);
    }

    /// Moves the child of `slot` to `stage`.
    pub fn enter(&self, slot: Slot, stage: Stage) {
        self.mark(slot, stage, true);
        for other in Stage::ALL {
            if other != stage && self.board.is(slot, other) {
                self.mark(slot, other, false);
            }
        }
    }

    /// The child of `slot`, which is idle, ends.  It does not count as idle from now
    /// on, and not only once it is reaped: otherwise children that are ending would
    /// hide that too few are idle.
    pub fn retire(&self, slot: Slot) {
        self.mark(slot, Stage::Idle, false);
    }

    /// The same if more than `most` children that can accept are idle, including it;
    /// returns whether there were.
    #[must_use]
    pub fn retire_beyond(&self, slot: Slot, most: usize) -> bool {
        if self.ready() <= most {
            return false;
        }
        self.retire(slot);
        // Other children may do the same at the same time.
        let enough = self.ready() >= most;
        if !enough {
            self.mark(slot, Stage::Idle, true);
        }
        enough
    }

    /// What the child of `slot` was last doing, if there is one.
    #[must_use]
    pub fn stage(&self, slot: Slot) -> Option<Stage> {
        self.board.stage(slot)
    }

    /// Hands the client of `slot`, which has a place for its session, to a new process;
    /// the child of `slot` is idle then.  The session keeps its place meanwhile.  Its
    /// verdict stays owed in `slot`, whose child counts it.
    pub fn transfer(&self, slot: Slot, program_slot: Slot) {
        let words = self.words_about_client(program_slot).zip(self.words_about_client(slot));
        for (to, from) in words {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.move_count(slot, slot, program_slot, || {
            self.enter(program_slot, Stage::Prog);
            self.enter(slot, Stage::Idle);
        });
    }

    /// Takes the client back from a process that never started.
    pub fn take_back(&self, slot: Slot, program_slot: Slot) {
        self.move_count(slot, program_slot, slot, || self.enter(slot, Stage::Prog));
        self.vacate(program_slot);
    }

    /// The process of `slot` could not exec a program, and ends.
    pub fn release(&self, program_slot: Slot) {
        self.mark(program_slot, Stage::Prog, false);
    }

    fn column(&self, column: Column) -> &[AtomicU64] {
        self.board.column(column)
    }

    fn slot_words(&self, slot: Slot) -> &[AtomicU64] {
        self.board.slot_words(slot)
    }

    /// All words of `slot` but its counts.
    fn words_about_client(&self, slot: Slot) -> impl Iterator<Item = &AtomicU64> {
        let words = self.slot_words(slot);
        words[..TALLY].iter().chain(&words[NUMBER..])
    }

    /// Writes the client that the child of `slot` has accepted just now; the child is
    /// busy from now on.
    pub fn set_client(&self, slot: Slot, ip: IpAddr) {
        let [high, low] = address_words(ip);
        let words = self.slot_words(slot);
        let cleared = [(CLASS, 0), (HOST, 0), (REFUSED, 0), (IN_PLACE, 0), (ADDRESS, high)];
        for (place, value) in cleared.into_iter().chain([(ACCEPTED, UNPLACED)]) {
            words[place].store(value, Ordering::Relaxed);
        }
        words[ADDRESS + 1].store(low, Ordering::Relaxed);
        self.note_described(slot);
        self.column(Column::Start)[slot.0].store(0, Ordering::Relaxed);
        self.count_out(slot);
        self.count_in(slot, ip);
        self.enter(slot, Stage::Busy);
        // Its place in the order is assigned after it has become visible without one:
        // otherwise two that come at the same time would miss each other.
        words[ACCEPTED].store(now(), Ordering::SeqCst);
    }

    /// It has left.
    pub fn leave(&self, slot: Slot) {
        self.count_out(slot);
    }

    /// Writes that it is being refused.
    pub fn note_refusal(&self, slot: Slot) {
        self.slot_words(slot)[REFUSED].store(1, Ordering::Relaxed);
    }

    /// Writes what is known about it.
    pub fn describe(&self, slot: Slot, class: Class, host: Option<&str>) {
        self.board.describe(slot, class, host);
    }

    /// The client that it has accepted, and how long ago.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<(IpAddr, Duration)> {
        self.board.client(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;
    use crate::daemon::scoreboard::stuck::Start;

    fn words_of(pool: &Pool, slot: Slot) -> impl Iterator<Item = &AtomicU64> {
        let columns = [Column::Owner, Column::Pid, Column::Network, Column::Line, Column::Start];
        let columns = columns.map(|column| &pool.column(column)[slot.0]);
        pool.slot_words(slot).iter().chain(columns)
    }

    #[test]
    fn a_child_is_at_one_stage_at_a_time() {
        let pool = test_pool(70, 5);
        let slot = Slot(69);
        assert_eq!(pool.stage(slot), None);
        for stage in [Stage::Idle, Stage::Busy, Stage::Idle, Stage::Prog, Stage::Busy] {
            pool.enter(slot, stage);
            assert_eq!(pool.stage(slot), Some(stage));
            assert_eq!(Stage::ALL.map(|other| pool.count(other)).iter().sum::<usize>(), 1);
        }
        pool.vacate(slot);
        assert_eq!(pool.stage(slot), None);
    }

    #[test]
    fn a_child_that_ends_is_not_idle_any_more() {
        let pool = test_pool(5, 1);
        let slots: Vec<Slot> = (0..5).filter_map(|_| pool.claim(None, 0)).collect();
        for slot in &slots {
            pool.enter(*slot, Stage::Idle);
        }
        let ended: Vec<&Slot> = slots.iter().filter(|slot| pool.retire_beyond(**slot, 3)).collect();
        assert_eq!(ended, [&slots[0], &slots[1]]);
        assert_eq!((pool.count(Stage::Idle), pool.taken()), (3, 5));
        pool.retire(slots[2]);
        assert_eq!((pool.stage(slots[2]), pool.stage(slots[3])), (None, Some(Stage::Idle)));
    }

    #[test]
    fn clients_are_remembered_by_slot() {
        let pool = test_pool(2, 1);
        let slot = Slot(1);
        assert!(pool.client(slot).is_none());
        for ip in ["192.0.2.7", "2001:db8::7"] {
            let ip: IpAddr = ip.parse().unwrap();
            pool.set_client(slot, ip);
            assert_eq!(pool.client(slot).unwrap().0, ip);
        }
        pool.vacate(slot);
        assert!(pool.client(slot).is_none());
    }

    #[test]
    fn a_child_changes_its_own_slot_and_no_other() {
        let pool = test_pool(130, 5);
        let mine = Slot(64);
        let others = || (0..130).map(Slot).filter(|slot| *slot != mine);
        for slot in others() {
            words_of(&pool, slot).for_each(|word| word.store(u64::MAX - 7, Ordering::SeqCst));
            pool.mark(slot, Stage::ALL[slot.0 % 3], true);
        }
        let long = "x".repeat(300);
        for stage in [Stage::Idle, Stage::Busy, Stage::Prog, Stage::Busy] {
            sys::put_pid(pool.pid_word(mine), 1);
            pool.set_client(mine, "2001:db8::1".parse().unwrap());
            pool.describe(mine, Class::Dynamic, Some(&long));
            pool.note_refusal(mine);
            std::mem::forget(Start::begin(&pool, mine));
            pool.enter(mine, stage);
            let _ = pool.claim_prog(mine, 3);
            pool.leave_line(mine);
        }
        pool.vacate(mine);
        for slot in others() {
            let words = words_of(&pool, slot).map(|word| word.load(Ordering::SeqCst));
            assert!(words.into_iter().all(|word| word == u64::MAX - 7));
            assert_eq!(pool.stage(slot), Some(Stage::ALL[slot.0 % 3]));
        }
    }

    #[test]
    fn slots_are_taken_once_and_found_by_their_process() {
        let pool = test_pool(3, 1);
        let slots: Vec<Slot> = (0..4).filter_map(|_| pool.claim(None, 0)).collect();
        assert_eq!((slots.len(), pool.taken()), (3, 3));
        for (slot, pid) in slots.iter().zip([70_001, 2, 3]) {
            sys::put_pid(pool.pid_word(*slot), pid);
        }
        assert_eq!([pool.slot_of(70_001), pool.slot_of(9)], [Some(slots[0]), None]);
        pool.vacate(slots[1]);
        assert_eq!((pool.taken(), pool.slot_of(2)), (2, None));
        assert_eq!(pool.claim(None, 0), Some(slots[1]));
    }

    #[test]
    fn a_program_process_has_the_client_and_the_place() {
        let pool = test_pool(4, 1);
        let [first, second] = [pool.claim(None, 0).unwrap(), pool.claim(None, 0).unwrap()];
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        for slot in [first, second] {
            pool.set_client(slot, ip);
            pool.enter(slot, Stage::Busy);
        }
        pool.describe(first, Class::Static, Some("mx.example.org"));
        assert!(pool.claim_prog(first, 1));
        let program_slot = pool.claim(Some(first), 1).unwrap();
        pool.transfer(first, program_slot);
        assert_eq!((pool.count(Stage::Prog), pool.count(Stage::Idle), pool.clients()), (1, 1, 2));
        assert_eq!(pool.client(program_slot).unwrap().0, ip);
        assert_eq!(pool.earlier_from(second, ip), 1, "counted once");
        assert!(!pool.claim_prog(second, 1));
        pool.take_back(first, program_slot);
        assert_eq!((pool.count(Stage::Prog), pool.count(Stage::Idle), pool.taken()), (1, 0, 2));
        assert_eq!(pool.earlier_from(second, ip), 1);
    }

    #[test]
    fn slots_of_processes_that_never_started_are_freed() {
        let pool = test_pool(5, 1);
        let [child, other] = [pool.claim(None, 0).unwrap(), pool.claim(None, 0).unwrap()];
        let started = pool.claim(Some(child), 4).unwrap();
        sys::put_pid(pool.pid_word(started), 4711);
        let unstarted = pool.claim(Some(child), 4).unwrap();
        let another = pool.claim(Some(other), 0).unwrap();
        let ip = "192.0.2.7".parse().unwrap();
        pool.set_client(child, ip);
        pool.transfer(child, unstarted);
        pool.vacate(child);
        pool.vacate_unstarted_of(child);
        assert_eq!((pool.taken(), pool.clients()), (3, 0));
        assert_eq!(pool.slot_of(4711), Some(started));
        let free = [pool.claim(None, 0), pool.claim(None, 0), pool.claim(None, 0)];
        assert_eq!(free, [Some(child), Some(unstarted), None]);
        assert_ne!(Some(another), free[1]);
    }
}
