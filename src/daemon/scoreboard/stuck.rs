//! The stuck-spawn check: finds children that wait for a program to start.  The file
//! system that it is started from may be slow or hang, and the child itself is blocked.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::daemon::scoreboard::layout::{Column, STUCK, Slot, Stage, now};
use crate::daemon::scoreboard::pool::Pool;

/// How long a child may wait before it no longer counts as idle.
const PATIENCE: Duration = Duration::from_millis(100);
/// The interval of the check: short enough that rounds of forks belong together.
const INTERVAL: Duration = Duration::from_millis(500);

/// The schedule of the check.
pub(in crate::daemon) struct StuckCheck {
    next: Instant,
}

impl StuckCheck {
    /// The first check is due at once.
    pub(in crate::daemon) fn start() -> Self {
        Self { next: Instant::now() }
    }

    /// If a check is due, writes to the scoreboard how many children are stuck;
    /// `is_queue` tells whether clients wait to be accepted.
    pub(in crate::daemon) fn look(&mut self, pool: &Pool, is_queue: impl FnOnce() -> bool) {
        let now = Instant::now();
        if now >= self.next {
            self.next = now + INTERVAL;
            pool.beat();
            if is_queue() {
                pool.note_stopped(INTERVAL);
            }
            pool.note_stuck(PATIENCE);
        }
    }

    /// When the next check is due.
    pub(in crate::daemon) fn due(&self) -> Instant {
        self.next
    }
}

/// The supervisor waits to be woken at the end of it.
const AWAITED: u64 = 1 << 63;

/// The time in which a child waits for a program to start, and logs it.  Until it is
/// over the supervisor does not log that the program has ended.
pub(in crate::daemon) struct Start<'a> {
    pool: &'a Pool,
    slot: Slot,
}

impl<'a> Start<'a> {
    /// The child of `slot`, which is idle, waits for a program to start: usually that
    /// takes no noticeable time.
    pub(in crate::daemon) fn begin(pool: &'a Pool, slot: Slot) -> Self {
        pool.board.column(Column::Start)[slot.0].store(now(), Ordering::SeqCst);
        Self { pool, slot }
    }
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        let word = &self.pool.board.column(Column::Start)[self.slot.0];
        if word.swap(0, Ordering::SeqCst) & AWAITED != 0 {
            self.pool.wake();
        }
    }
}

/// A start that has not been logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct UntoldStart {
    child: Slot,
    since: u64,
}

impl Pool {
    /// Whether the child that started the program of `slot` has still to log it; then
    /// it wakes the supervisor.
    pub(in crate::daemon) fn untold_start(&self, slot: Slot) -> Option<UntoldStart> {
        let child = self.owner(slot)?;
        let word = &self.board.column(Column::Start)[child.0];
        let since = word.load(Ordering::SeqCst) & !AWAITED;
        if since == 0 || !self.is_about_client_of(slot, child) {
            return None;
        }
        let marked = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| {
            (now & !AWAITED == since).then_some(now | AWAITED)
        });
        marked.is_ok().then_some(UntoldStart { child, since })
    }

    /// Whether the client of `slot`, whose child is gone, had a session that has ended.
    pub(in crate::daemon) fn had_session(&self, slot: Slot) -> bool {
        self.board.column(Column::Start)[slot.0].load(Ordering::SeqCst) & AWAITED != 0
    }

    /// Whether that is still so.
    pub(in crate::daemon) fn is_untold(&self, start: UntoldStart) -> bool {
        let word = &self.board.column(Column::Start)[start.child.0];
        word.load(Ordering::SeqCst) & !AWAITED == start.since
    }

    /// Idle children that can accept, according to the last check.
    #[must_use]
    pub fn ready(&self) -> usize {
        let stuck = usize::try_from(self.board.words[STUCK].load(Ordering::Relaxed));
        self.count(Stage::Idle).saturating_sub(stuck.unwrap_or_default())
    }

    fn note_stuck(&self, patience: Duration) {
        let now = now();
        let since = self
            .board
            .column(Column::Start)
            .iter()
            .map(|word| word.load(Ordering::Relaxed) & !AWAITED);
        let is_old = |since| Duration::from_micros(now.saturating_sub(since)) > patience;
        let old = since.enumerate().filter(|(_, since)| *since > 0 && is_old(*since));
        let stuck = old.filter(|(number, _)| self.board.is(Slot(*number), Stage::Idle)).count();
        self.board.words[STUCK].store(stuck as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;

    #[test]
    fn who_waits_for_a_program_for_long_is_not_counted_on() {
        let pool = test_pool(3, 1);
        for slot in (0..3).map(Slot) {
            pool.enter(slot, Stage::Idle);
        }
        let _stuck = Start::begin(&pool, Slot(0));
        drop(Start::begin(&pool, Slot(1)));
        pool.board.column(Column::Start)[0].fetch_sub(2_000_000, Ordering::Relaxed);
        assert_eq!(pool.ready(), 3, "nobody has looked");
        let ready = |seconds| {
            pool.note_stuck(Duration::from_secs(seconds));
            pool.ready()
        };
        assert_eq!([ready(1), ready(3), ready(1)], [2, 3, 2]);
        assert!(!pool.retire_beyond(Slot(2), 2), "the one that is stuck does not make up for it");
        assert!(pool.retire_beyond(Slot(2), 1));
        pool.vacate(Slot(0));
        assert_eq!(ready(1), 1);
    }

    #[test]
    fn looks_are_rare() {
        let pool = test_pool(1, 1);
        pool.enter(Slot(0), Stage::Idle);
        pool.board.column(Column::Start)[0].store(1, Ordering::Relaxed);
        let mut stuck_check = StuckCheck { next: Instant::now() + INTERVAL };
        stuck_check.look(&pool, || false);
        assert_eq!(pool.ready(), 1);
        stuck_check.next = Instant::now();
        stuck_check.look(&pool, || false);
        assert_eq!(pool.ready(), 0);
        assert!(stuck_check.due() > Instant::now());
    }
}
