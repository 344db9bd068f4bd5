//! When the supervisor asks for children that have ended.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// How long any child is not asked for, where there are many: at least this, and so long
/// that it takes a hundredth of a processor, but never longer than a second.
const INTERVAL: Duration = Duration::from_millis(250);
const RARITY: u32 = 100;

/// When to ask for children that have ended.
#[derive(Default)]
pub(super) struct Rounds {
    pub(super) sessions: Round,
    pub(super) any: Round,
}

/// Whether a round is owed, and when it may come.
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

    /// It is over; the next may come then.
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

/// From one round for any child to the next, if one takes so long.
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
