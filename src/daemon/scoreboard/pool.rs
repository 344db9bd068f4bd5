//! The scoreboard: what each child is doing, in memory that the supervisor and
//! all children share.  A child changes only the bits and words of its own slot and
//! of one that it has claimed for a program process, each with one atomic operation, so that
//! a child that is killed at any point leaves nothing that the supervisor cannot repair
//! when it reaps.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::class::Class;
use crate::daemon::scoreboard::board::{Scoreboard, since};
use crate::daemon::scoreboard::local_names::LocalNames;
use crate::daemon::scoreboard::per_network::Networks;
use crate::daemon::scoreboard::queue::Queue;
use crate::daemon::scoreboard::slots::Slots;
use crate::daemon::scoreboard::stage::Stage;
use crate::daemon::scoreboard::starts::Starts;
use crate::daemon::scoreboard::status;
use crate::log::{LossCounters, Stats};
use crate::sys::monotonic_micros as now;

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
    /// Seconds between two.
    fn interval(self) -> u64 {
        match self {
            Self::Accept | Self::Fork | Self::List => 1,
            // It lasts until the administrator acts.
            Self::Shortage | Self::Keeper => 60,
        }
    }
}

/// Seconds between two lines about checks of one proxy.
const CHECK_INTERVAL: u64 = 60;

/// Whether `interval` seconds have passed since the time in `word`; it is `now` then.
fn is_due(word: &AtomicU64, now: u64, interval: u64) -> bool {
    let last = word.load(Ordering::Relaxed);
    let is_due = last == 0 || now.saturating_sub(last) >= interval;
    let swap = || word.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
    is_due && swap().is_ok()
}

/// The scoreboard as the supervisor and its children use it.
pub struct Pool {
    pub(in crate::daemon) board: Scoreboard<'static>,
    min_idle: usize,
    wake: EventFd,
    epoch: Instant,
    /// The secret key of hashes of addresses: a client cannot choose an address with
    /// another's hash.
    hashes: RandomState,
}

impl Pool {
    /// A pool on `board`, of whose children `min_idle` are to be idle.
    ///
    /// # Errors
    /// No descriptor.
    pub(in crate::daemon) fn new(board: Scoreboard<'static>, min_idle: usize) -> nix::Result<Self> {
        Ok(Self {
            board,
            min_idle,
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?,
            epoch: Instant::now(),
            hashes: RandomState::new(),
        })
    }

    /// Who has which slot, and for which client.
    #[must_use]
    pub fn slots(&self) -> Slots<'_> {
        Slots(&self.board)
    }

    /// The queue of clients that wait for a place.
    #[must_use]
    pub fn queue(&self) -> Queue<'_> {
        Queue(&self.board)
    }

    /// The clients by their networks.
    #[must_use]
    pub fn networks(&self) -> Networks<'_> {
        Networks(&self.board)
    }

    /// The children that wait for programs to start.
    pub(in crate::daemon) fn starts(&self) -> Starts<'_> {
        Starts(&self.board)
    }

    /// How many children there may be.
    #[must_use]
    pub fn size(&self) -> usize {
        self.board.size()
    }

    /// Where log lines that are lost are counted.
    #[must_use]
    pub fn losses(&self) -> LossCounters {
        let header = self.board.header;
        LossCounters { lost: &header.lost_lines, since: &header.losing_since }
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
        self.board.header.answered_at.store(now(), Ordering::Relaxed);
    }

    /// Time since the last one.
    #[must_use]
    pub fn since_answer(&self) -> Duration {
        since(&self.board.header.answered_at)
    }

    /// The supervisor runs.
    pub(in crate::daemon) fn heartbeat(&self) {
        self.board.header.heartbeat_at.store(now(), Ordering::Relaxed);
    }

    /// Time since it last did.
    #[must_use]
    pub fn since_heartbeat(&self) -> Duration {
        since(&self.board.header.heartbeat_at)
    }

    /// Time since a client was last handed over; one is now.
    #[must_use]
    pub fn note_hand_over(&self) -> Duration {
        let now = now();
        let last = self.board.header.handed_over_at.swap(now, Ordering::Relaxed);
        Duration::from_micros(now.saturating_sub(last))
    }

    /// Wakes the supervisor if too few children are idle and it may fork more.
    pub fn wake_if_short(&self) {
        if self.starts().ready() < self.min_idle && self.slots().taken() < self.size() {
            self.wake();
        }
    }

    /// Wakes the supervisor, unless it has been woken already.
    pub fn wake(&self) {
        if !self.board.header.is_woken.swap(true, Ordering::SeqCst) {
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
        self.board.header.is_woken.store(false, Ordering::SeqCst);
    }

    /// The set of files of new children; idle ones with an older set end.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.board.header.generation.load(Ordering::SeqCst)
    }

    /// The supervisor has shut the listener down.
    pub fn set_stopping(&self) {
        self.board.header.is_stopping.store(true, Ordering::SeqCst);
    }

    /// Whether it is.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.board.header.is_stopping.load(Ordering::SeqCst)
    }

    /// Starts a new generation.
    pub fn next_generation(&self) {
        self.board.header.generation.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a message may be logged: once a second among all children, or once a
    /// minute.
    #[must_use]
    pub fn may_log(&self, throttled: Throttled) -> bool {
        self.may_log_at(throttled, self.epoch.elapsed().as_secs() + 1)
    }

    fn may_log_at(&self, throttled: Throttled, now: u64) -> bool {
        is_due(&self.board.header.last_logged[throttled as usize], now, throttled.interval())
    }

    /// Whether the check of the proxy of this address may be logged: once a minute, unless
    /// it shares its place with another.
    #[must_use]
    pub fn may_log_check(&self, proxy: IpAddr) -> bool {
        let mut hasher = DefaultHasher::new();
        proxy.hash(&mut hasher);
        let words = &self.board.header.checks_logged;
        let place = hasher.finish() % words.len() as u64;
        let word = &words[usize::try_from(place).unwrap_or_default()];
        is_due(word, self.epoch.elapsed().as_secs() + 1, CHECK_INTERVAL)
    }

    /// Counts a client's class.
    pub fn count_class(&self, class: Class) {
        // The last is the one of `-H`, which the stats line does not have.
        if let Some(count) = self.board.header.classes.get(class.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a client that would be refused, but for `--dry-run`.
    pub fn count_would_refuse(&self) {
        self.board.header.would_refuse.fetch_add(1, Ordering::Relaxed);
    }

    /// All counters, and the children.
    #[must_use]
    pub fn stats(&self) -> Stats {
        status::stats(&self.board)
    }

    /// The class as which a client was refused for the reserve a moment ago, with the
    /// same set of files.
    #[must_use]
    pub fn recently_refused(&self, ip: IpAddr) -> Option<Class> {
        self.board.header.refusals.get(self.hash(ip), self.epoch.elapsed().as_secs())
    }

    /// Stores that it was refused.
    pub fn remember_refusal(&self, ip: IpAddr, class: Class) {
        self.board.header.refusals.put(self.hash(ip), class, self.epoch.elapsed().as_secs());
    }

    fn hash(&self, ip: IpAddr) -> u64 {
        self.hashes.hash_one((ip, self.generation()))
    }

    /// The names of our own addresses.
    #[must_use]
    pub fn local_names(&self) -> LocalNames<'_> {
        LocalNames::new(&self.board.header.local_names, self.epoch)
    }
}

/// A pool in memory of its own.
#[cfg(test)]
pub(crate) fn test_pool(slots: usize, min_idle: usize) -> Pool {
    let memory = crate::sys::shared_memory(crate::daemon::scoreboard::layout::size(slots)).unwrap();
    Pool::new(Scoreboard::initialise(memory, slots, 25).unwrap(), min_idle).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::stage::SlotId;
    use nix::errno::Errno;

    #[test]
    fn the_supervisor_is_woken_once_a_burst() {
        let pool = test_pool(8, 2);
        let slots: Vec<SlotId> = (0..8).filter_map(|_| pool.slots().occupy(None, 0)).collect();
        pool.wake_if_short();
        assert_eq!(pool.waker().read(), Err(Errno::EAGAIN), "no more may be forked");
        pool.slots().vacate(slots[3]);
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
            assert!(pool.may_log_at(throttled, 1), "{throttled:?}");
            for second in 1..again {
                assert!(!pool.may_log_at(throttled, second), "{throttled:?} {second}");
            }
            assert!(pool.may_log_at(throttled, again), "{throttled:?}");
        }
    }

    #[test]
    fn every_class_is_counted_but_the_one_that_stands_for_none() {
        let pool = test_pool(1, 1);
        for (times, class) in (1..).zip(Class::ALL) {
            (0..times).for_each(|_| pool.count_class(class));
        }
        assert_eq!(pool.stats().classes, [1, 2, 3, 4]);
        assert_eq!(Class::ALL.last(), Some(&Class::NotLookedUp));
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
