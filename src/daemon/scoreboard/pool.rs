//! The scoreboard: what each child is doing, in memory that the supervisor and
//! all children share.  A child changes only the bits and words of its own slot and
//! of one that it has taken for a program process, each with one atomic operation, so that
//! a child that is killed at any point leaves nothing that the supervisor cannot repair
//! when it reaps.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::class::Class;
use crate::daemon::scoreboard::layout::{
    ANSWERED, BEAT, Board, COUNTERS, GENERATION, HANDED_OVER, LAST_COMPLAINT, LAST_KEEPER,
    LAST_SHORTAGE, LOSING, LOST, NAMES, RECENT, STOPPING, WAKE, now,
};
use crate::daemon::scoreboard::local_names::{self, LocalNames};
use crate::daemon::scoreboard::refusals::{self, Refused};
use crate::log::{LossCounters, Stats};

pub use crate::daemon::scoreboard::layout::{Slot, Stage};

/// Messages that are logged once a second at most, or once a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throttled {
    /// accept(2) fails.
    Accept,
    /// fork(2) fails.
    Fork,
    /// A DNS list fails.
    List,
    /// There is no socket for a look-up.
    Shortage,
    /// The keeper of known clients does not answer.
    Keeper,
}

impl Throttled {
    /// The word with the time of the last one.
    fn last(self) -> usize {
        match self {
            Self::Accept | Self::Fork | Self::List => LAST_COMPLAINT + self as usize,
            Self::Shortage => LAST_SHORTAGE,
            Self::Keeper => LAST_KEEPER,
        }
    }

    /// Seconds between two.
    fn interval(self) -> u64 {
        match self {
            Self::Accept | Self::Fork | Self::List => 1,
            // It lasts until the administrator acts.
            Self::Shortage | Self::Keeper => 60,
        }
    }
}

/// The scoreboard as the supervisor and its children use it.
pub struct Pool {
    pub(in crate::daemon) board: Board<'static>,
    min_idle: usize,
    wake: EventFd,
    pub(in crate::daemon) epoch: Instant,
    /// The secret key of hashes of addresses: a client cannot choose an address with
    /// another's hash.
    hashes: RandomState,
}

impl Pool {
    /// A scoreboard for `slots` children, of which `min_idle` are to be idle, in
    /// zeroed memory that all of them share, [`crate::daemon::scoreboard::layout::size`] words of it.
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
            hashes: RandomState::new(),
        })
    }

    /// How many children there may be.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.board.slots()
    }

    /// Where log lines that are lost are counted.
    #[must_use]
    pub fn losses(&self) -> LossCounters {
        LossCounters { lost: &self.board.words[LOST], since: &self.board.words[LOSING] }
    }

    /// Keeps `min_idle` children idle from now on.
    pub fn set_min_idle(&mut self, min_idle: usize) {
        self.min_idle = min_idle;
    }

    /// How many children are at `stage`.
    #[must_use]
    pub fn count(&self, stage: Stage) -> usize {
        self.board.count(stage)
    }

    /// Clients that are present: waiting, or handed over.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.board.clients()
    }

    /// One of our processes got an answer from a name server.
    pub fn note_answer(&self) {
        self.board.words[ANSWERED].store(now(), Ordering::Relaxed);
    }

    /// Time since the last one.
    #[must_use]
    pub fn since_answer(&self) -> Duration {
        let last = self.board.words[ANSWERED].load(Ordering::Relaxed);
        Duration::from_micros(now().saturating_sub(last))
    }

    /// The supervisor runs.
    pub(in crate::daemon) fn beat(&self) {
        self.board.words[BEAT].store(now(), Ordering::Relaxed);
    }

    /// Time since it last did.
    #[must_use]
    pub fn since_beat(&self) -> Duration {
        let last = self.board.words[BEAT].load(Ordering::Relaxed);
        Duration::from_micros(now().saturating_sub(last))
    }

    /// Time since a client was last handed over; one is now.
    #[must_use]
    pub fn note_hand_over(&self) -> Duration {
        let now = now();
        let last = self.board.words[HANDED_OVER].swap(now, Ordering::Relaxed);
        Duration::from_micros(now.saturating_sub(last))
    }

    /// Wakes the supervisor if too few children are idle and it may fork more.
    pub fn wake_if_short(&self) {
        if self.ready() < self.min_idle && self.taken() < self.slots() {
            self.wake();
        }
    }

    /// Wakes the supervisor, unless it has been woken already.
    pub fn wake(&self) {
        if self.board.words[WAKE].swap(1, Ordering::SeqCst) == 0 {
            let _ = self.wake.write(1);
        }
    }

    /// The descriptor that the supervisor polls.
    #[must_use]
    pub fn waker(&self) -> &EventFd {
        &self.wake
    }

    /// Clears the wake-up, even if the child that was about to wake it was killed.
    pub fn awake(&self) {
        let _ = self.wake.read();
        self.board.words[WAKE].store(0, Ordering::SeqCst);
    }

    /// The set of files of new children; idle ones with an older set end.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.board.words[GENERATION].load(Ordering::SeqCst)
    }

    /// The supervisor has shut the listener down.
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

    /// Whether a message may be logged: once a second among all children, or once a
    /// minute.
    #[must_use]
    pub fn may_log(&self, throttled: Throttled) -> bool {
        self.may_complain_at(throttled, self.epoch.elapsed().as_secs() + 1)
    }

    fn may_complain_at(&self, throttled: Throttled, now: u64) -> bool {
        let word = &self.board.words[throttled.last()];
        let last = word.load(Ordering::Relaxed);
        let is_due = last == 0 || now.saturating_sub(last) >= throttled.interval();
        let swap = || word.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
        is_due && swap().is_ok()
    }

    /// Counts a client's class.
    pub fn count_class(&self, class: Class) {
        // The stats line has them in this order, without the one of `-H`.
        let counted = [Class::Static, Class::Dynamic, Class::None, Class::Unknown];
        if let Some(index) = counted.iter().position(|known| *known == class) {
            self.board.words[COUNTERS + index].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All counters, and the children.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.board.stats()
    }

    /// The class as which a client was refused for the reserve a moment ago, with the
    /// same set of files.
    #[must_use]
    pub fn recently_refused(&self, ip: IpAddr) -> Option<Class> {
        self.refused().get(self.hash(ip), self.epoch.elapsed().as_secs())
    }

    /// Stores that it was refused.
    pub fn remember_refusal(&self, ip: IpAddr, class: Class) {
        self.refused().put(self.hash(ip), class, self.epoch.elapsed().as_secs());
    }

    fn refused(&self) -> Refused<'_> {
        Refused::new(&self.board.words[RECENT..][..refusals::WORDS])
    }

    fn hash(&self, ip: IpAddr) -> u64 {
        self.hashes.hash_one((ip, self.generation()))
    }

    /// The names of our own addresses.
    #[must_use]
    pub fn local_names(&self) -> LocalNames<'_> {
        LocalNames::new(&self.board.words[NAMES..][..local_names::WORDS], self.epoch)
    }
}

/// Wakes the child `pid` from any blocking call.  The signal is one that a program
/// ignores, in case the child is about to become one.
pub(in crate::daemon) fn wake_child(pid: u32) {
    let _ = kill(as_pid(pid), Signal::SIGURG);
}

/// As the scoreboard has it.
pub(in crate::daemon) fn as_pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap_or_default())
}

/// A pool in memory of its own.
#[cfg(test)]
pub(crate) fn test_pool(slots: usize, min_idle: usize) -> Pool {
    let memory = crate::sys::shared_words(crate::daemon::scoreboard::layout::size(slots)).unwrap();
    Pool::new(memory, slots, min_idle, 25).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn the_supervisor_is_woken_once_a_burst() {
        let pool = test_pool(8, 2);
        let slots: Vec<Slot> = (0..8).filter_map(|_| pool.claim(None, 0)).collect();
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Err(Errno::EAGAIN), "no more may be forked");
        pool.vacate(slots[3]);
        pool.wake_if_short();
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Ok(1));
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Err(Errno::EAGAIN), "still noted");
    }

    #[test]
    fn throttled_messages_come_once_a_second_or_once_a_minute() {
        let pool = test_pool(8, 2);
        for (throttled, again) in [(Throttled::List, 2), (Throttled::Shortage, 61)] {
            assert!(pool.may_complain_at(throttled, 1), "{throttled:?}");
            for now in 1..again {
                assert!(!pool.may_complain_at(throttled, now), "{throttled:?} {now}");
            }
            assert!(pool.may_complain_at(throttled, again), "{throttled:?}");
        }
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
