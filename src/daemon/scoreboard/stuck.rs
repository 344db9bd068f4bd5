//! The stuck-spawn check: finds children that wait for a program to start.  The file
//! system that it is started from may be slow or hang, and the child itself is blocked.

use std::time::{Duration, Instant};

use crate::daemon::scoreboard::pool::Pool;
use crate::daemon::scoreboard::stage::SlotId;

/// How long a child may wait before it no longer counts as idle.
const PATIENCE: Duration = Duration::from_millis(100);
/// The interval of the check while programs start or clients wait to be accepted: short
/// enough that rounds of forks belong together.
const INTERVAL: Duration = Duration::from_millis(500);
/// Its interval otherwise, which is that of the supervisor's heartbeat.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

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
    /// `has_unaccepted` tells whether clients wait to be accepted.
    pub(in crate::daemon) fn run_if_due(
        &mut self,
        pool: &Pool,
        has_unaccepted: impl FnOnce() -> bool,
    ) {
        let now = Instant::now();
        if now >= self.next {
            pool.heartbeat();
            let has_unaccepted = has_unaccepted();
            if has_unaccepted {
                pool.starts().note_stopped(INTERVAL);
            }
            pool.starts().note_stuck(PATIENCE);
            let may_be_stuck = has_unaccepted || pool.starts().are_under_way();
            self.next = now + if may_be_stuck { INTERVAL } else { IDLE_INTERVAL };
        }
    }

    /// When the next check is due.
    pub(in crate::daemon) fn due(&self) -> Instant {
        self.next
    }
}

/// The time in which a child waits for a program to start, and logs it.  Until it is
/// over the supervisor does not log that the program has ended.
pub(in crate::daemon) struct ProgramStart<'a> {
    pool: &'a Pool,
    slot: SlotId,
}

impl<'a> ProgramStart<'a> {
    /// The child of `slot`, which is idle, waits for a program to start: usually that
    /// takes no noticeable time.
    pub(in crate::daemon) fn begin(pool: &'a Pool, slot: SlotId) -> Self {
        pool.starts().begin(slot);
        Self { pool, slot }
    }
}

impl Drop for ProgramStart<'_> {
    fn drop(&mut self) {
        if self.pool.starts().end(self.slot) {
            self.pool.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;
    use crate::daemon::scoreboard::stage::Stage;
    use crate::daemon::scoreboard::words::StartState;

    #[test]
    fn a_child_that_waits_for_a_program_for_long_is_not_ready() {
        let pool = test_pool(3, 1);
        for slot in (0..3).map(SlotId) {
            pool.slots().enter(slot, Stage::Idle);
        }
        let _stuck = ProgramStart::begin(&pool, SlotId(0));
        drop(ProgramStart::begin(&pool, SlotId(1)));
        pool.board.columns.starts[0]
            .update(|state| state.since().map(|since| StartState::Since(since - 2_000_000)));
        assert_eq!(pool.starts().ready(), 3, "no check yet");
        let ready = |seconds| {
            pool.starts().note_stuck(Duration::from_secs(seconds));
            pool.starts().ready()
        };
        assert_eq!([ready(1), ready(3), ready(1)], [2, 3, 2]);
        assert!(
            !pool.slots().retire_beyond(SlotId(2), 2),
            "the one that is stuck does not make up for it"
        );
        assert!(pool.slots().retire_beyond(SlotId(2), 1));
        pool.slots().vacate(SlotId(0));
        assert_eq!(ready(1), 1);
    }

    #[test]
    fn checks_are_made_at_intervals() {
        let pool = test_pool(1, 1);
        pool.slots().enter(SlotId(0), Stage::Idle);
        pool.board.columns.starts[0].store(StartState::Stopped, Ordering::Relaxed);
        let mut stuck_check = StuckCheck { next: Instant::now() + INTERVAL };
        stuck_check.run_if_due(&pool, || false);
        assert_eq!(pool.starts().ready(), 1);
        stuck_check.next = Instant::now();
        stuck_check.run_if_due(&pool, || false);
        assert_eq!(pool.starts().ready(), 0);
        assert!(stuck_check.due() > Instant::now());
    }

    #[test]
    fn an_idle_pool_is_checked_once_a_second() {
        let pool = test_pool(1, 1);
        pool.slots().enter(SlotId(0), Stage::Idle);
        let interval = |has_unaccepted| {
            let start = Instant::now();
            let mut check = StuckCheck { next: start };
            check.run_if_due(&pool, || has_unaccepted);
            let late = start.elapsed();
            let interval = check.due() - start;
            [IDLE_INTERVAL, INTERVAL]
                .into_iter()
                .find(|due| (*due..=*due + late).contains(&interval))
        };
        assert_eq!(interval(false), Some(IDLE_INTERVAL));
        assert_eq!(interval(true), Some(INTERVAL), "a client waits to be accepted");
        let _start = ProgramStart::begin(&pool, SlotId(0));
        assert_eq!(interval(false), Some(INTERVAL), "a program starts");
    }
}
