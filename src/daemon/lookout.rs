//! Looks for children that wait for a program to start: what it is started from
//! may be slow, or hang, and whoever could tell is stuck, or asleep.

use std::time::{Duration, Instant};

use super::pool::Pool;

/// How long a child may wait until others are forked in its stead.
const PATIENCE: Duration = Duration::from_millis(100);
/// How often that is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// When children are looked at.
pub(super) struct Lookout {
    next: Instant,
}

impl Lookout {
    /// From now on.
    #[must_use]
    pub(super) fn start() -> Self {
        Self { next: Instant::now() + INTERVAL }
    }

    /// How many of the idle children accept nobody, where it is time to look.
    pub(super) fn look(&mut self, pool: &Pool, now: Instant) -> usize {
        if now < self.next {
            return 0;
        }
        self.next = now + INTERVAL;
        pool.stuck(PATIENCE)
    }

    /// When it is.
    #[must_use]
    pub(super) fn due(&self) -> Instant {
        self.next
    }
}
