//! When the supervisor waits for any child that has ended.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// The interval between rounds with many children: at least this, and so long that
/// rounds take a hundredth of a processor, but never longer than a second.
const INTERVAL: Duration = Duration::from_millis(250);
const RARITY: u32 = 100;

/// The schedule of rounds.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) sessions: Round,
    pub(super) any: Round,
}

/// Whether a round is due, and from when on.
#[derive(Default)]
pub(super) struct Round {
    owed: bool,
    next: Option<Instant>,
}

impl Round {
    /// Whether it is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.owed && self.next.is_none_or(|next| next <= now)
    }

    /// The round is over; schedules the next one.
    pub(super) fn done(&mut self, next: Instant) {
        *self = Self { owed: false, next: Some(next) };
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        self.owed.then(|| self.next.unwrap_or(now))
    }
}

impl Rounds {
    /// A child has ended.
    pub(super) fn owe(&mut self) {
        self.sessions.owed = true;
        self.any.owed = true;
    }

    /// When the next round is.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.sessions.due(now).into_iter().chain(self.any.due(now)).min()
    }
}

/// The interval between rounds that take this long.
pub(super) fn pause_after(round: Duration) -> Duration {
    (round * RARITY).clamp(INTERVAL, SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_take_a_hundredth_of_a_processor_at_most_if_they_can() {
        let pauses = [(0, 250), (2, 250), (4, 400), (10, 1000), (60, 1000)];
        for (round, pause) in
            pauses.map(|(a, b)| (Duration::from_millis(a), Duration::from_millis(b)))
        {
            assert_eq!(pause_after(round), pause);
        }
    }
}
