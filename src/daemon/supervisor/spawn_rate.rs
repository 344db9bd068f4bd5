//! How many children to fork: enough to have idle ones when clients come, and twice as
//! many as in the last round while clients come faster.

use std::time::{Duration, Instant};

/// Rounds closer together than this belong to one burst.
const BURST: Duration = Duration::from_secs(1);

/// The rounds so far.
pub struct SpawnRate {
    min_idle: usize,
    max_idle: usize,
    last: Option<(Instant, usize)>,
}

impl SpawnRate {
    /// Keeps `min_idle` children idle, and never makes more than `max_idle`.
    #[must_use]
    pub fn new(min_idle: usize, max_idle: usize) -> Self {
        Self { min_idle, max_idle, last: None }
    }

    /// How many to fork now, with `idle` of them idle and slots for `room`
    /// more.
    pub fn round(&mut self, idle: usize, room: usize, now: Instant) -> usize {
        if idle >= self.min_idle {
            return 0;
        }
        let missing = self.min_idle - idle;
        let forked = match self.last {
            Some((when, forked)) if idle == 0 && now.duration_since(when) < BURST => 2 * forked,
            _ => missing,
        };
        let forked = forked.max(missing).min(self.max_idle - idle).min(room);
        self.last = Some((now, forked));
        forked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_children_are_topped_up() {
        let now = Instant::now();
        let mut spawn_rate = SpawnRate::new(5, 20);
        assert_eq!(spawn_rate.round(0, 40, now), 5);
        assert_eq!(spawn_rate.round(5, 35, now), 0);
        assert_eq!(spawn_rate.round(3, 35, now), 2);
        assert_eq!(spawn_rate.round(9, 35, now), 0);
    }

    #[test]
    fn a_burst_doubles_each_round_up_to_the_most() {
        let now = Instant::now();
        let mut spawn_rate = SpawnRate::new(5, 30);
        let rounds: Vec<usize> = (0..5).map(|_| spawn_rate.round(0, 1000, now)).collect();
        assert_eq!(rounds, [5, 10, 20, 30, 30]);
        assert_eq!(spawn_rate.round(0, 1000, now + BURST), 5, "the burst is over");
    }

    #[test]
    fn there_is_never_more_than_the_room_allows() {
        let mut spawn_rate = SpawnRate::new(5, 20);
        assert_eq!(spawn_rate.round(0, 3, Instant::now()), 3);
        assert_eq!(spawn_rate.round(0, 0, Instant::now()), 0);
    }
}
