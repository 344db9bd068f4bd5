//! Whether the system clock can be trusted.

use std::time::{Duration, Instant};

use crate::known::record::Time;

/// The largest difference between both clocks that is not a jump: time servers adjust it
/// slowly.
const JUMP: Duration = Duration::from_secs(60);
/// How long a clock must not have jumped before clients are removed for their age.  A
/// machine without a battery starts in the wrong year until a time server corrects it.
const STEADY: Duration = Duration::from_secs(3600);

/// Whether a batch may remove clients that were remembered for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge {
    /// It may.
    Due,
    /// It may not: the clock has jumped recently, and may jump back.
    Held,
}

/// Both clocks, at the last check.
pub(super) struct Clock {
    wall: Time,
    monotonic: Instant,
    steady_since: Instant,
}

impl Clock {
    pub(super) fn new(wall: Time, monotonic: Instant) -> Self {
        Self { wall, monotonic, steady_since: monotonic }
    }

    /// Checks both, and returns whether clients may be removed for their age.
    pub(super) fn look(&mut self, wall: Time, monotonic: Instant) -> Purge {
        let went_by = monotonic.saturating_duration_since(self.monotonic);
        let wall_went_by = i64::from(wall.0) - i64::from(self.wall.0);
        let expected = i64::try_from(went_by.as_secs()).unwrap_or(i64::MAX);
        if wall_went_by.abs_diff(expected) > JUMP.as_secs() {
            self.steady_since = monotonic;
        }
        (self.wall, self.monotonic) = (wall, monotonic);
        let steady = monotonic.saturating_duration_since(self.steady_since);
        if steady >= STEADY { Purge::Due } else { Purge::Held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_client_is_removed_within_an_hour_of_a_jump() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut clock = Clock::new(Time(1_000_000), start);
        assert_eq!(clock.look(Time(1_003_500), at(3500)), Purge::Held);
        assert_eq!(clock.look(Time(1_003_610), at(3600)), Purge::Due);
        let year = 365 * 86_400;
        assert_eq!(clock.look(Time(1_003_610 + year), at(3601)), Purge::Held);
        assert_eq!(clock.look(Time(1_003_620), at(3611)), Purge::Held);
        assert_eq!(clock.look(Time(1_007_200), at(7200)), Purge::Held);
        assert_eq!(clock.look(Time(1_007_220), at(7211)), Purge::Due);
        assert_eq!(clock.look(Time(1_003_620), at(7212)), Purge::Held);
    }
}
