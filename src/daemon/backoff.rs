//! How long to wait before the next fork after forks that failed and children
//! that died before they handed over.  A few of these are nothing; a row of
//! them must not turn into a busy loop.

use std::time::{Duration, Instant};

/// Failures in a row that cost no wait.
const FREE: u32 = 5;
const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(1);
/// A time without failures after which they are forgotten.
const CALM: Duration = Duration::from_secs(10);

/// The failures so far.
#[derive(Default)]
pub struct Backoff {
    failures: u32,
    last: Option<Instant>,
    until: Option<Instant>,
}

impl Backoff {
    /// A child died before its hand-over.
    pub fn crashed(&mut self, now: Instant) {
        self.count(now);
        if self.failures > FREE {
            let wait = FIRST * 2_u32.saturating_pow((self.failures - FREE - 1).min(10));
            self.until = Some(now + wait.min(LONGEST));
        }
    }

    /// A fork failed.
    pub fn fork_failed(&mut self, now: Instant) {
        self.count(now);
        let wait = FIRST * 2_u32.saturating_pow((self.failures - 1).min(10));
        self.until = Some(now + wait.min(LONGEST));
    }

    fn count(&mut self, now: Instant) {
        if self.last.is_some_and(|last| now.duration_since(last) >= CALM) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
    }

    /// Whether there were so many that one fork at a time is enough.
    #[must_use]
    pub fn is_cautious(&self) -> bool {
        self.failures > FREE && self.last.is_some_and(|last| last.elapsed() < CALM)
    }

    /// What is left of the wait; zero where a fork may be tried.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
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
}
