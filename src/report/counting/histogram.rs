//! How often each number of seconds occurred, to the hundredth, in bounded memory.

/// Tenths of a second up to which each hundredth has a count of its own: two minutes.
const LONGEST: usize = 120 * HUNDRED;
const HUNDRED: usize = 100;

/// Counts by hundredths of a second.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    sum: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; LONGEST + 1], total: 0, sum: 0.0 }
    }
}

impl Histogram {
    /// Counts `seconds` `times` times; more than two minutes count as two minutes, except
    /// in the sum.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    #[allow(clippy::cast_precision_loss)]
    pub fn add(&mut self, seconds: f64, times: u64) {
        let at = (seconds.max(0.0) * HUNDRED as f64).round() as usize;
        self.counts[at.min(LONGEST)] += times;
        self.total += times;
        self.sum += seconds * times as f64;
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Their sum, in seconds.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The least number of seconds that at least `part` (0 to 1) of them do not exceed;
    /// `None` if there are none.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn quantile(&self, part: f64) -> Option<f64> {
        let wanted = (self.total as f64 * part).max(1.0);
        let mut seen = 0;
        let at = self.counts.iter().position(|count| {
            seen += count;
            seen as f64 >= wanted
        })?;
        Some(at as f64 / HUNDRED as f64)
    }

    /// How many are below `seconds`.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn below(&self, seconds: f64) -> u64 {
        let end = (seconds.max(0.0) * 100.0).round() as usize;
        self.counts[..end.min(self.counts.len())].iter().sum()
    }

    /// The sum of all, each taken as `most` seconds where it is longer.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn sum_capped(&self, most: f64) -> f64 {
        let seconds = |(at, count): (usize, &u64)| (at as f64 / 100.0).min(most) * *count as f64;
        self.counts.iter().enumerate().map(seconds).sum()
    }

    /// Counts in `bars` bars of `width` seconds each; the last one includes all that is
    /// longer.
    #[must_use]
    pub fn bars(&self, width: f64, bars: usize) -> Vec<u64> {
        #[allow(clippy::cast_precision_loss)]
        let end = |bar: usize| bar as f64 * width;
        let below: Vec<u64> =
            (0..bars).map(|bar| self.below(end(bar))).chain([self.total]).collect();
        below.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(seconds: &[f64]) -> Histogram {
        let mut histogram = Histogram::default();
        for seconds in seconds {
            histogram.add(*seconds, 1);
        }
        histogram
    }

    #[test]
    fn quantiles_are_values_that_came() {
        let histogram = of(&[0.31, 2.0, 2.01, 9.87]);
        assert_eq!(histogram.quantile(0.5), Some(2.0));
        assert_eq!(histogram.quantile(0.0), Some(0.31));
        assert_eq!(histogram.quantile(1.0), Some(9.87));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_too_long_is_in_the_last_bar() {
        let histogram = of(&[0.0, 0.99, 1.0, 500.0]);
        assert_eq!(histogram.bars(1.0, 3), [2, 1, 1]);
        assert_eq!(histogram.below(1.0), 2);
        assert!((histogram.sum() - 501.99).abs() < 1e-9);
        assert!((histogram.sum_capped(1.0) - 2.99).abs() < 1e-9);
    }
}
