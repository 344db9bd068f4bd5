//! How long to wait before the next fork after forks that failed and children that died
//! before they handed over.  A few of these cost no wait; a series must not become a
//! busy loop.

use std::time::{Duration, Instant};

/// Failures in a row that cost no wait.
const FREE: u32 = 5;
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// The time without failures after which they are forgotten.
const CALM: Duration = Duration::from_secs(10);

/// The failures so far.
#[derive(Default)]
pub struct Backoff {
    crashes: FailureStreak,
    forks: FailureStreak,
}

/// Consecutive failures of one kind.
#[derive(Default)]
struct FailureStreak {
    failures: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl FailureStreak {
    /// Counts one; the first `free` cost no wait.
    fn fail(&mut self, now: Instant, free: u32) {
        if self.last.is_some_and(|last| now.duration_since(last) >= CALM) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        if self.failures > free {
            let wait = FIRST * 2_u32.saturating_pow((self.failures - free - 1).min(10));
            self.until = Some(now + wait.min(LONGEST));
        }
    }

    fn is_long(&self) -> bool {
        self.failures > FREE && self.last.is_some_and(|last| last.elapsed() < CALM)
    }
}

impl Backoff {
    /// A child died before its hand-over.
    pub fn crashed(&mut self, now: Instant) {
        self.crashes.fail(now, FREE);
    }

    /// A fork failed.
    pub fn fork_failed(&mut self, now: Instant) {
        self.forks.fail(now, 0);
    }

    /// A fork succeeded: the limit that made others fail leaves room.
    pub fn fork_succeeded(&mut self) {
        self.forks = FailureStreak::default();
    }

    /// A process has ended, which may leave room for another.
    pub fn process_ended(&mut self) {
        self.forks.until = None;
    }

    /// Whether there were so many that only one fork at a time is tried.
    #[must_use]
    pub fn is_cautious(&self) -> bool {
        self.crashes.is_long() || self.forks.is_long()
    }

    /// The rest of the wait; zero if a fork may be tried.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        let until = self.crashes.until.max(self.forks.until);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_crashes_are_replaced_at_once() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..FREE {
            backoff.crashed(now);
            assert_eq!(backoff.left(now), Duration::ZERO);
        }
        let mut waits = Vec::new();
        for _ in 0..7 {
            backoff.crashed(now);
            waits.push(backoff.left(now).as_millis());
        }
        assert_eq!(waits, [50, 100, 200, 400, 800, 1000, 1000]);
        assert_eq!(backoff.left(now + LONGEST), Duration::ZERO);
    }

    #[test]
    fn calm_forgets() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        (0..20).for_each(|_| backoff.crashed(now));
        backoff.crashed(now + CALM);
        assert_eq!(backoff.left(now + CALM), Duration::ZERO);
    }

    #[test]
    fn a_fork_that_fails_is_not_tried_again_at_once() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        backoff.fork_failed(now);
        assert_eq!(backoff.left(now), FIRST);
    }

    #[test]
    fn a_limit_that_leaves_room_for_some_is_tried_again_soon() {
        let now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..10 {
            backoff.fork_succeeded();
            backoff.fork_failed(now);
            assert_eq!(backoff.left(now), FIRST);
        }
        (0..10).for_each(|_| backoff.fork_failed(now));
        assert_eq!(backoff.left(now), LONGEST);
        backoff.process_ended();
        assert_eq!(backoff.left(now), Duration::ZERO, "there is room for another");
        (0..10).for_each(|_| backoff.crashed(now));
        backoff.process_ended();
        assert_ne!(backoff.left(now), Duration::ZERO, "those that crash end as well");
    }
}
