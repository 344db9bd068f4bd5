//! The progress of the report, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The interval at which the bar is drawn.
const INTERVAL: Duration = Duration::from_millis(200);
/// Characters of a full bar.
const WIDTH: usize = 40;

/// A progress bar on standard error, if that is a terminal.
pub(super) struct Progress {
    done: Arc<AtomicU64>,
    total: Option<u64>,
    drawn: Option<Instant>,
    start: Instant,
    terminal: bool,
}

impl Progress {
    /// Shows that of `total` bytes `done` have been read; without a total only these.
    #[must_use]
    pub(super) fn new(done: Arc<AtomicU64>, total: Option<u64>) -> Self {
        let terminal = io::stderr().is_terminal();
        Self { done, total, drawn: None, start: Instant::now(), terminal }
    }

    /// Draws the bar, if it is due.
    pub(super) fn show(&mut self) {
        if !self.terminal || self.drawn.unwrap_or(self.start).elapsed() < INTERVAL {
            return;
        }
        self.drawn = Some(Instant::now());
        let text = drawn(self.done.load(Ordering::Relaxed), self.total);
        let _ = write!(io::stderr(), "\r{text}\x1b[K");
    }

    /// Clears the bar.
    pub(super) fn end(self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

fn drawn(done: u64, total: Option<u64>) -> String {
    let millions = done / 1_000_000;
    match total {
        Some(total) if total > 0 => {
            let percent = done.min(total) * 100 / total;
            let bar = "#".repeat(usize::try_from(percent).unwrap_or(0) * WIDTH / 100);
            format!("[{bar:<WIDTH$}] {percent:>3} %")
        }
        _ => format!("{millions} MB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_never_grows_beyond_its_end() {
        assert_eq!(drawn(0, Some(10)), format!("[{}]   0 %", " ".repeat(40)));
        assert_eq!(drawn(99, Some(10)), format!("[{}] 100 %", "#".repeat(40)));
        assert_eq!(drawn(12_345_678, None), "12 MB");
    }
}
