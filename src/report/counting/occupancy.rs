//! How many connections there were at once: each line marks the end of one, and says how
//! long it lasted.

use crate::report::reading::moment::Moment;

/// Seconds that may still change: lines of merged files may be out of order by that much,
/// and of the longest connection its last hours count.
const WINDOW: i64 = 6 * 3600;

/// Counts connections at each full second.
#[derive(Debug)]
pub struct Occupancy {
    /// Differences from one second to the next, from `first` on, in a ring.
    changes: Vec<i64>,
    first: Option<i64>,
    /// At the second before `first`.
    held: i64,
    most: (i64, i64),
    seconds: f64,
}

impl Default for Occupancy {
    fn default() -> Self {
        Self {
            changes: vec![0; place(WINDOW - 1) + 1],
            first: None,
            held: 0,
            most: (0, 0),
            seconds: 0.0,
        }
    }
}

impl Occupancy {
    /// Counts a connection that ended at `end` after `seconds`.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub fn add(&mut self, end: Moment, seconds: f64, times: u64) {
        self.seconds += seconds * times as f64;
        let start = end.0 - (seconds * 1000.0) as i64;
        // Only connections that exist when a full second begins are seen.
        let (from, to) = ((start + 999).div_euclid(1000), end.0.div_euclid(1000) + 1);
        let first = *self.first.get_or_insert(from - WINDOW / 2);
        if to - first >= WINDOW {
            self.settle(to - WINDOW + 1);
        }
        let first = self.first.unwrap_or(first);
        let (from, to) = (from.max(first), to.max(first));
        let times = i64::try_from(times).unwrap_or(i64::MAX);
        self.changes[place(from)] += times;
        self.changes[place(to)] -= times;
    }

    /// Nothing before `until` changes any more.
    fn settle(&mut self, until: i64) {
        let first = self.first.unwrap_or(until);
        for second in first..until.min(first + WINDOW) {
            self.held += std::mem::take(&mut self.changes[place(second)]);
            if self.held > self.most.0 {
                self.most = (self.held, second);
            }
        }
        self.first = Some(until);
    }

    /// The most connections at once, and when that was; nothing if there were none.
    #[must_use]
    pub fn most(&mut self) -> Option<(u64, Moment)> {
        let end = self.first? + WINDOW;
        self.settle(end);
        let (most, second) = self.most;
        Some((u64::try_from(most).ok()?, Moment(second * 1000)))
    }

    /// The seconds of all connections together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.seconds
    }
}

#[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
fn place(second: i64) -> usize {
    second.rem_euclid(WINDOW) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_at_once() {
        let mut occupancy = Occupancy::default();
        occupancy.add(Moment(10_500), 5.0, 1);
        occupancy.add(Moment(12_500), 5.0, 1);
        occupancy.add(Moment(12_600), 0.2, 1);
        occupancy.add(Moment(20_500), 2.0, 1);
        assert_eq!(occupancy.most(), Some((2, Moment(8_000))));
        assert!((occupancy.seconds() - 12.2).abs() < 1e-9);
    }

    #[test]
    fn days_go_by_in_the_same_memory() {
        let mut occupancy = Occupancy::default();
        for day in 0..30 {
            let end = Moment(day * 86_400_000 + 3_600_500);
            (0..=day).for_each(|_| occupancy.add(end, 10.0, 1));
        }
        assert_eq!(occupancy.most(), Some((30, Moment(29 * 86_400_000 + 3_591_000))));
    }

    #[test]
    fn nothing_was_held_where_there_is_nothing() {
        assert_eq!(Occupancy::default().most(), None);
    }
}
