//! The scoreboard: what each child is doing, in memory that the supervisor and
//! all children share.  A child changes only its own slot's bits and words,
//! each with one atomic operation, so that whoever is killed at any point
//! leaves nothing that the supervisor cannot put right when it reaps.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::board::{
    ACCEPTED, ADDRESS, ALIVE, ANSWERED, Board, CLASS, COUNTERS, GENERATION, HOST, LAST_COMPLAINT,
    LINE, LOST, NAMES, PID, REFUSED, STOPPING, WAKE, address_words, now,
};
use super::local_names::{self, LocalNames};
use crate::connection::acceptor::Counter;
use crate::connection::class::Class;
use crate::log::Stats;

pub use super::board::{Slot, Stage};

/// What is complained of once a second at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// accept(2) fails.
    Accept,
    /// fork(2) fails.
    Fork,
    /// A DNS list fails.
    List,
}

/// The scoreboard, as those who share it use it.
pub struct Pool {
    board: Board<'static>,
    min_idle: usize,
    wake: EventFd,
    epoch: Instant,
}

impl Pool {
    /// A scoreboard for `slots` children, of which `min_idle` are to be idle, in
    /// zeroed memory that all of them share, [`super::board::size`] words of it.
    ///
    /// # Errors
    /// No descriptor.
    pub fn new(
        memory: &'static [AtomicU64],
        slots: usize,
        min_idle: usize,
        port: u16,
    ) -> nix::Result<Self> {
        Ok(Self {
            board: Board::lay_out(memory, slots, port),
            min_idle,
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            epoch: Instant::now(),
        })
    }

    /// How many children there may be.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.board.slots()
    }

    /// Where lines that the syslog daemon does not take are counted.
    #[must_use]
    pub fn lost(&self) -> &'static AtomicU64 {
        &self.board.words[LOST]
    }

    /// Keeps `min_idle` children idle from now on.
    pub fn set_min_idle(&mut self, min_idle: usize) {
        self.min_idle = min_idle;
    }

    /// The slot with this number.
    #[must_use]
    pub fn slot(&self, number: usize) -> Option<Slot> {
        (number < self.slots()).then_some(Slot(number))
    }

    fn mark(&self, slot: Slot, stage: Stage, on: bool) {
        let word = &self.board.set(stage)[slot.0 / 64];
        let bit = 1 << (slot.0 % 64);
        if on {
            word.fetch_or(bit, Ordering::SeqCst);
        } else {
            word.fetch_and(!bit, Ordering::SeqCst);
        }
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

    /// What the child of `slot` was last doing, if there is one.
    #[must_use]
    pub fn stage(&self, slot: Slot) -> Option<Stage> {
        self.board.stage(slot)
    }

    /// Empties the slot of a child that is gone.
    pub fn vacate(&self, slot: Slot) {
        for stage in Stage::ALL {
            self.mark(slot, stage, false);
        }
        self.slot_words(slot).iter().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// How many children are at `stage`.
    #[must_use]
    pub fn count(&self, stage: Stage) -> usize {
        self.board.count(stage)
    }

    /// Clients that are held: waiting, or handed over.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.board.clients()
    }

    /// Takes one of `most` places for programs, if one is free and nobody has
    /// been waiting for longer.  Two that reach for the last one at the same
    /// time may both miss it.
    #[must_use]
    pub fn claim_prog(&self, slot: Slot, most: usize) -> bool {
        if most < self.slots() && !self.is_first_in_line(slot) {
            return false;
        }
        let won = self.reach_for_place(slot, most);
        if won {
            self.leave_line(slot);
        }
        won
    }

    /// Puts the child of `slot` at the end of the line, if it is not in it.
    fn is_first_in_line(&self, slot: Slot) -> bool {
        let line = |slot: Slot| &self.slot_words(slot)[LINE];
        let now = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mine = line(slot).compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        let mine = mine.map_or_else(|since| since, |_| now);
        let before = |other: Slot| {
            let since = line(other).load(Ordering::SeqCst);
            since > 0 && (since, other.0) < (mine, slot.0)
        };
        !(0..self.slots()).map(Slot).any(before)
    }

    /// The child of `slot` does not wait for a place any more.
    pub fn leave_line(&self, slot: Slot) {
        self.slot_words(slot)[LINE].store(0, Ordering::SeqCst);
    }

    fn reach_for_place(&self, slot: Slot, most: usize) -> bool {
        self.mark(slot, Stage::Prog, true);
        let won = most >= self.slots() || self.count(Stage::Prog) <= most;
        self.mark(slot, if won { Stage::Busy } else { Stage::Prog }, false);
        won
    }

    fn slot_words(&self, slot: Slot) -> &[AtomicU64] {
        self.board.slot_words(slot)
    }

    /// Notes which process has the slot.
    pub fn set_pid(&self, slot: Slot, pid: u32) {
        self.slot_words(slot)[PID].store(pid.into(), Ordering::Relaxed);
    }

    /// Notes whom the child of `slot` has accepted just now.
    pub fn set_client(&self, slot: Slot, ip: IpAddr) {
        let [high, low] = address_words(ip);
        let words = self.slot_words(slot);
        words[CLASS].store(0, Ordering::Relaxed);
        words[HOST].store(0, Ordering::Relaxed);
        words[REFUSED].store(0, Ordering::Relaxed);
        words[ADDRESS].store(high, Ordering::Relaxed);
        words[ADDRESS + 1].store(low, Ordering::Relaxed);
        words[ACCEPTED].store(now(), Ordering::Release);
    }

    /// How many clients from its address came before it and are still there.
    #[must_use]
    pub fn earlier_from(&self, slot: Slot, ip: IpAddr) -> usize {
        self.board.earlier_from(slot, ip)
    }

    /// A name server has answered one of us.
    pub fn note_answer(&self) {
        self.board.words[ANSWERED].store(now(), Ordering::Relaxed);
    }

    /// Since one has.
    #[must_use]
    pub fn since_answer(&self) -> Duration {
        let last = self.board.words[ANSWERED].load(Ordering::Relaxed);
        Duration::from_micros(now().saturating_sub(last))
    }

    /// Notes that it is being refused.
    pub fn note_refusal(&self, slot: Slot) {
        self.slot_words(slot)[REFUSED].store(1, Ordering::Relaxed);
    }

    /// Notes what is known of it.
    pub fn describe(&self, slot: Slot, class: Class, host: Option<&str>) {
        self.board.describe(slot, class, host);
    }

    /// Whom it has accepted, and for how long it has had him.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<(IpAddr, Duration)> {
        self.board.client(slot)
    }

    /// Wakes the supervisor if idle children run short and it may fork more.
    pub fn wake_if_short(&self) {
        let alive = self.board.words[ALIVE].load(Ordering::SeqCst);
        if alive < self.slots() as u64 && self.count(Stage::Idle) < self.min_idle {
            self.wake();
        }
    }

    /// Wakes the supervisor, unless somebody has already.
    pub fn wake(&self) {
        if self.board.words[WAKE].swap(1, Ordering::SeqCst) == 0 {
            let _ = self.wake.write(1);
        }
    }

    /// What the supervisor polls for being woken.
    #[must_use]
    pub fn waker(&self) -> &EventFd {
        &self.wake
    }

    /// Takes note of having been woken, or of a child that was killed when it
    /// was about to.
    pub fn awake(&self) {
        let _ = self.wake.read();
        self.board.words[WAKE].store(0, Ordering::SeqCst);
    }

    /// The supervisor's word on how many children there are.
    pub fn set_alive(&self, alive: usize) {
        self.board.words[ALIVE].store(alive as u64, Ordering::SeqCst);
    }

    /// Which set of files new children have; idle ones of an older set end.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.board.words[GENERATION].load(Ordering::SeqCst)
    }

    /// The listener is shut down, and rightly.
    pub fn set_stopping(&self) {
        self.board.words[STOPPING].store(1, Ordering::SeqCst);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.board.words[STOPPING].load(Ordering::SeqCst) != 0
    }

    /// Starts a new generation.
    pub fn next_generation(&self) {
        self.board.words[GENERATION].fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a complaint may be logged: once a second among all children.
    #[must_use]
    pub fn may_complain(&self, complaint: Complaint) -> bool {
        let now = self.epoch.elapsed().as_secs() + 1;
        self.board.words[LAST_COMPLAINT + complaint as usize].swap(now, Ordering::Relaxed) != now
    }

    /// Counts one.
    pub fn add(&self, counter: Counter) {
        self.board.words[COUNTERS + counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All counters, and the children.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.board.stats()
    }

    /// The names of our own addresses.
    #[must_use]
    pub fn local_names(&self) -> LocalNames<'_> {
        LocalNames::new(&self.board.words[NAMES..][..local_names::WORDS], self.epoch)
    }
}

/// A pool in memory of its own.
#[cfg(test)]
pub(crate) fn test_pool(slots: usize, min_idle: usize) -> Pool {
    let memory = crate::sys::shared_words(super::board::size(slots)).unwrap();
    Pool::new(memory, slots, min_idle, 25).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn a_child_is_at_one_stage_at_a_time() {
        let pool = test_pool(70, 5);
        let slot = pool.slot(69).unwrap();
        assert_eq!(pool.stage(slot), None);
        for stage in [Stage::Idle, Stage::Busy, Stage::Idle, Stage::Prog, Stage::Busy] {
            pool.enter(slot, stage);
            assert_eq!(pool.stage(slot), Some(stage));
            assert_eq!(Stage::ALL.map(|other| pool.count(other)).iter().sum::<usize>(), 1);
        }
        pool.vacate(slot);
        assert_eq!(pool.stage(slot), None);
        assert!(pool.slot(70).is_none());
    }

    #[test]
    fn places_for_programs_are_bounded() {
        let pool = test_pool(130, 5);
        let claimed = (0..130).filter(|n| {
            let slot = Slot(*n);
            pool.enter(slot, Stage::Busy);
            pool.claim_prog(slot, 128)
        });
        assert_eq!(claimed.count(), 128);
        assert_eq!((pool.count(Stage::Prog), pool.count(Stage::Busy)), (128, 2));
        pool.vacate(Slot(0));
        assert!(!pool.claim_prog(Slot(129), 128), "another has waited for longer");
        assert!(pool.claim_prog(Slot(128), 128));
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
    fn clients_of_one_address_are_counted_in_their_order() {
        let pool = test_pool(200, 5);
        let arrive = |number: usize, ip: &str| {
            let (slot, ip) = (Slot(number), ip.parse().unwrap());
            pool.set_client(slot, ip);
            pool.enter(slot, Stage::Busy);
            pool.earlier_from(slot, ip)
        };
        assert_eq!(arrive(150, "192.0.2.7"), 0);
        assert_eq!(arrive(3, "192.0.2.7"), 1);
        assert_eq!(arrive(4, "192.0.2.8"), 0);
        pool.enter(Slot(150), Stage::Prog);
        assert_eq!(arrive(5, "192.0.2.7"), 2, "handed over or not");
        assert_eq!(arrive(6, "2001:db8::1"), 0);
        assert_eq!(arrive(7, "2001:db8::ffff:1"), 1, "of the same /64");
        assert_eq!(arrive(8, "2001:db8:0:1::1"), 0);
        pool.vacate(Slot(150));
        pool.enter(Slot(3), Stage::Idle);
        assert_eq!(arrive(9, "192.0.2.7"), 1, "who is gone does not count");
        pool.note_refusal(Slot(9));
        assert_eq!(arrive(10, "192.0.2.7"), 1, "nor does who is on his way out");
    }

    #[test]
    fn a_child_changes_its_own_slot_and_no_other() {
        let pool = test_pool(130, 5);
        let mine = Slot(64);
        let others = || (0..130).map(Slot).filter(|slot| *slot != mine);
        for slot in others() {
            for word in pool.slot_words(slot) {
                word.store(u64::MAX - 7, Ordering::SeqCst);
            }
            pool.mark(slot, Stage::ALL[slot.0 % 3], true);
        }
        let long = "x".repeat(300);
        for stage in [Stage::Idle, Stage::Busy, Stage::Prog, Stage::Busy] {
            pool.set_pid(mine, 1);
            pool.set_client(mine, "2001:db8::1".parse().unwrap());
            pool.describe(mine, Class::Dynamic, Some(&long));
            pool.note_refusal(mine);
            pool.enter(mine, stage);
            let _ = pool.claim_prog(mine, 3);
            pool.leave_line(mine);
        }
        pool.vacate(mine);
        for slot in others() {
            let words = pool.slot_words(slot).iter();
            assert!(words.map(|word| word.load(Ordering::SeqCst)).all(|word| word == u64::MAX - 7));
            assert_eq!(pool.stage(slot), Some(Stage::ALL[slot.0 % 3]));
        }
    }

    #[test]
    fn the_supervisor_is_woken_once_a_burst() {
        let pool = test_pool(8, 2);
        pool.set_alive(8);
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Err(Errno::EAGAIN), "no more may be forked");
        pool.set_alive(3);
        pool.wake_if_short();
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Ok(1));
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Err(Errno::EAGAIN), "still noted");
    }

    #[test]
    fn being_woken_is_forgotten_once_it_is_noted() {
        let pool = test_pool(8, 2);
        for _ in 0..2 {
            pool.wake();
            pool.awake();
        }
        pool.wake();
        assert_eq!(pool.waker().read(), Ok(1));
    }
}
