//! How long an engine is left alone that cannot be used.

use std::time::Duration;

/// The shortest pause.
const LEAST: Duration = Duration::from_secs(1);
/// The longest pause.
const MOST: Duration = Duration::from_secs(10);
/// How long an engine has to be of use before a failure counts as the first one.
pub(in crate::known::share) const STEADY: Duration = Duration::from_secs(10);

/// The pauses between attempts: from 1 s to 10 s.
#[derive(Debug, Default)]
pub(in crate::known::share) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// The pause after a failure.  `random` spreads it over half of its length: hosts that
    /// have lost one engine together do not come back together.
    pub(in crate::known::share) fn pause(&mut self, random: u16) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let longest = LEAST.saturating_mul(1 << self.failures.min(5)).min(MOST);
        let part = f64::from(random) / f64::from(u16::MAX);
        (longest / 2).max(LEAST) + (longest / 2).mul_f64(part)
    }

    /// The engine was of use for so long.
    pub(in crate::known::share) fn note_use(&mut self, time: Duration) {
        if time >= STEADY {
            self.failures = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_from_one_second_to_ten() {
        for random in [0, 1 << 15, u16::MAX] {
            let mut back_off = BackOff::default();
            let pauses: Vec<Duration> = (0..40).map(|_| back_off.pause(random)).collect();
            assert!(pauses.iter().all(|pause| (LEAST..=MOST).contains(pause)), "{pauses:?}");
            assert!(pauses.is_sorted(), "{pauses:?}");
            assert!(pauses[0] <= 2 * LEAST && pauses[39] >= MOST / 2);
        }
        let pause = |random| BackOff::default().pause(random);
        assert!(pause(0) < pause(1 << 15) && pause(1 << 15) < pause(u16::MAX));
    }

    #[test]
    fn pauses_begin_anew_after_a_time_of_use() {
        let mut back_off = BackOff::default();
        let pauses = [(); 9].map(|()| back_off.pause(0));
        assert_eq!(pauses[8], MOST / 2);
        back_off.note_use(STEADY / 2);
        assert_eq!(back_off.pause(0), MOST / 2);
        back_off.note_use(STEADY);
        assert_eq!(back_off.pause(0), LEAST);
    }
}
