//! The scoreboard: what each child is doing, in memory that the supervisor and
//! all children share.  A child changes only its own slot's bits and words,
//! each with one atomic operation, so that whoever is killed at any point
//! leaves nothing that the supervisor cannot put right when it reaps.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::local_names::{self, LocalNames};
use crate::connection::acceptor::Counter;
use crate::log::Stats;
use crate::sys;

const WAKE: usize = 0;
const ALIVE: usize = 1;
const GENERATION: usize = 2;
const LAST_COMPLAINT: usize = 3;
const STOPPING: usize = 5;
const COUNTERS: usize = 8;
const COUNTED: usize = 10;
const NAMES: usize = 32;
const SETS: usize = NAMES + local_names::WORDS;
/// Words of a slot: the client's address in two, when it was accepted, and
/// since when it has been waiting for a place.
const SLOT_WORDS: usize = 4;

/// The number of a child's place on the scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Blocked in accept(2), or on its way there.
    Idle,
    /// It has a client that has not been handed over.
    Busy,
    /// It is about to become the program, or has become it.
    Prog,
}

impl Stage {
    const ALL: [Self; 3] = [Self::Idle, Self::Busy, Self::Prog];
}

/// What is complained of once a second at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Complaint {
    /// accept(2) fails.
    Accept,
    /// fork(2) fails.
    Fork,
}

/// The scoreboard.
pub struct Pool {
    words: &'static [AtomicU64],
    slots: usize,
    min_idle: usize,
    wake: EventFd,
    epoch: Instant,
}

impl Pool {
    /// A scoreboard for `slots` children, of which `min_idle` are to be idle.
    ///
    /// # Errors
    /// No memory, or no descriptor.
    pub fn new(slots: usize, min_idle: usize) -> nix::Result<Self> {
        let words = SETS + 3 * slots.div_ceil(64) + SLOT_WORDS * slots;
        Ok(Self {
            words: sys::shared_words(words)?,
            slots,
            min_idle,
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            epoch: Instant::now(),
        })
    }

    /// How many children there may be.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// Keeps `min_idle` children idle from now on.
    pub fn set_min_idle(&mut self, min_idle: usize) {
        self.min_idle = min_idle;
    }

    /// The slot with this number.
    #[must_use]
    pub fn slot(&self, number: usize) -> Option<Slot> {
        (number < self.slots).then_some(Slot(number))
    }

    fn set(&self, stage: Stage) -> &[AtomicU64] {
        let words = self.slots.div_ceil(64);
        &self.words[SETS + stage as usize * words..][..words]
    }

    fn mark(&self, slot: Slot, stage: Stage, on: bool) {
        let word = &self.set(stage)[slot.0 / 64];
        let bit = 1 << (slot.0 % 64);
        if on {
            word.fetch_or(bit, Ordering::SeqCst);
        } else {
            word.fetch_and(!bit, Ordering::SeqCst);
        }
    }

    fn is(&self, slot: Slot, stage: Stage) -> bool {
        self.set(stage)[slot.0 / 64].load(Ordering::SeqCst) & (1 << (slot.0 % 64)) != 0
    }

    /// Moves the child of `slot` to `stage`.
    pub fn enter(&self, slot: Slot, stage: Stage) {
        self.mark(slot, stage, true);
        for other in Stage::ALL {
            if other != stage && self.is(slot, other) {
                self.mark(slot, other, false);
            }
        }
    }

    /// What the child of `slot` was last doing, if there is one.
    #[must_use]
    pub fn stage(&self, slot: Slot) -> Option<Stage> {
        Stage::ALL.into_iter().rev().find(|stage| self.is(slot, *stage))
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
        let ones = |word: &AtomicU64| word.load(Ordering::SeqCst).count_ones() as usize;
        self.set(stage).iter().map(ones).sum()
    }

    /// Clients that are held: waiting, or handed over.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.count(Stage::Busy) + self.count(Stage::Prog)
    }

    /// Takes one of `most` places for programs, if one is free and nobody has
    /// been waiting for longer.  Two that reach for the last one at the same
    /// time may both miss it.
    #[must_use]
    pub fn claim_prog(&self, slot: Slot, most: usize) -> bool {
        if most < self.slots && !self.is_first_in_line(slot) {
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
        let line = |slot: Slot| &self.slot_words(slot)[3];
        let now = u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX);
        let mine = line(slot).compare_exchange(0, now, Ordering::SeqCst, Ordering::SeqCst);
        let mine = mine.map_or_else(|since| since, |_| now);
        let before = |other: Slot| {
            let since = line(other).load(Ordering::SeqCst);
            since > 0 && (since, other.0) < (mine, slot.0)
        };
        !(0..self.slots).map(Slot).any(before)
    }

    /// The child of `slot` does not wait for a place any more.
    pub fn leave_line(&self, slot: Slot) {
        self.slot_words(slot)[3].store(0, Ordering::SeqCst);
    }

    fn reach_for_place(&self, slot: Slot, most: usize) -> bool {
        self.mark(slot, Stage::Prog, true);
        let won = most >= self.slots || self.count(Stage::Prog) <= most;
        self.mark(slot, if won { Stage::Busy } else { Stage::Prog }, false);
        won
    }

    fn slot_words(&self, slot: Slot) -> &[AtomicU64] {
        let start = SETS + 3 * self.slots.div_ceil(64) + SLOT_WORDS * slot.0;
        &self.words[start..][..SLOT_WORDS]
    }

    /// Notes whom the child of `slot` has accepted, and when.
    pub fn set_client(&self, slot: Slot, ip: IpAddr, accepted: Instant) {
        let [high, low] = address_words(ip);
        let since = u64::try_from(accepted.duration_since(self.epoch).as_micros());
        let words = self.slot_words(slot);
        words[0].store(high, Ordering::Relaxed);
        words[1].store(low, Ordering::Relaxed);
        words[2].store(since.unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Whom it has accepted, and for how long it has had him.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<(IpAddr, Duration)> {
        let words = self.slot_words(slot);
        let since = Duration::from_micros(words[2].load(Ordering::Acquire));
        let address = [words[0].load(Ordering::Relaxed), words[1].load(Ordering::Relaxed)];
        let ip = ip_of(address);
        (since > Duration::ZERO).then(|| (ip, self.epoch.elapsed().saturating_sub(since)))
    }

    /// Wakes the supervisor if idle children run short and it may fork more.
    pub fn wake_if_short(&self) {
        let alive = self.words[ALIVE].load(Ordering::SeqCst);
        if alive < self.slots as u64 && self.count(Stage::Idle) < self.min_idle {
            self.wake();
        }
    }

    /// Wakes the supervisor, unless somebody has already.
    pub fn wake(&self) {
        if self.words[WAKE].swap(1, Ordering::SeqCst) == 0 {
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
        self.words[WAKE].store(0, Ordering::SeqCst);
    }

    /// The supervisor's word on how many children there are.
    pub fn set_alive(&self, alive: usize) {
        self.words[ALIVE].store(alive as u64, Ordering::SeqCst);
    }

    /// Which set of files new children have; idle ones of an older set end.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.words[GENERATION].load(Ordering::SeqCst)
    }

    /// The listener is shut down, and rightly.
    pub fn set_stopping(&self) {
        self.words[STOPPING].store(1, Ordering::SeqCst);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.words[STOPPING].load(Ordering::SeqCst) != 0
    }

    /// Starts a new generation.
    pub fn next_generation(&self) {
        self.words[GENERATION].fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a complaint may be logged: once a second among all children.
    #[must_use]
    pub fn may_complain(&self, complaint: Complaint) -> bool {
        let now = self.epoch.elapsed().as_secs() + 1;
        self.words[LAST_COMPLAINT + complaint as usize].swap(now, Ordering::Relaxed) != now
    }

    /// Counts one.
    pub fn add(&self, counter: Counter) {
        self.words[COUNTERS + counter as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// All counters, and the children.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.words[COUNTERS..][..COUNTED];
        let count = |index: usize| counters[index].load(Ordering::Relaxed);
        Stats {
            verdicts: std::array::from_fn(count),
            classes: std::array::from_fn(|index| count(index + 6)),
            idle: self.count(Stage::Idle),
            busy: self.clients(),
            max: self.slots,
        }
    }

    /// The names of our own addresses.
    #[must_use]
    pub fn local_names(&self) -> LocalNames<'_> {
        LocalNames::new(&self.words[NAMES..][..local_names::WORDS], self.epoch)
    }
}

/// An address as the scoreboard has it; IPv4 in its mapped form.
pub(super) fn address_words(ip: IpAddr) -> [u64; 2] {
    let bits = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)];
    [high, low].map(|word| u64::try_from(word).unwrap_or_default())
}

fn ip_of(words: [u64; 2]) -> IpAddr {
    let bits = u128::from(words[0]) << 64 | u128::from(words[1]);
    IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn a_child_is_at_one_stage_at_a_time() {
        let pool = Pool::new(70, 5).unwrap();
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
        let pool = Pool::new(130, 5).unwrap();
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
        let pool = Pool::new(2, 1).unwrap();
        let slot = Slot(1);
        assert!(pool.client(slot).is_none());
        for ip in ["192.0.2.7", "2001:db8::7"] {
            let ip: IpAddr = ip.parse().unwrap();
            pool.set_client(slot, ip, Instant::now() + Duration::from_millis(1));
            assert_eq!(pool.client(slot).unwrap().0, ip);
        }
        pool.vacate(slot);
        assert!(pool.client(slot).is_none());
    }

    #[test]
    fn the_supervisor_is_woken_once_a_burst() {
        let pool = Pool::new(8, 2).unwrap();
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
        let pool = Pool::new(8, 2).unwrap();
        for _ in 0..2 {
            pool.wake();
            pool.awake();
        }
        pool.wake();
        assert_eq!(pool.waker().read(), Ok(1));
    }
}
