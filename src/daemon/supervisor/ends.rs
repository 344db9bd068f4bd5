//! Log lines about children that have ended, and when they are written.

use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::daemon::scoreboard::settle::Unlogged;
use crate::log::Log;

/// Lines about clients of children that died: so many at once, and then so many a second
/// that a loop of them does not fill a disk.
const BURST: u32 = 1000;
const INTERVAL: Duration = Duration::from_millis(100);
/// Those about children without a client, if many die.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Crash lines that may be written, and those that were suppressed.
pub(super) struct Crashes {
    /// Lines about clients that may be written at once, and since when.
    left: u32,
    since: Instant,
    /// When the last line about a child without a client was written.
    idle: Option<Instant>,
    held_back: usize,
}

impl Crashes {
    pub(super) fn none(now: Instant) -> Self {
        Self { left: BURST, since: now, idle: None, held_back: 0 }
    }

    /// Whether a line may be written, and how many were suppressed since the last one.  A
    /// line with a client is all that is logged about that client; of the others only the
    /// first few are written.
    pub(super) fn may_log(
        &mut self,
        unlogged: Unlogged,
        is_series: bool,
        now: Instant,
    ) -> Option<usize> {
        let may = match unlogged {
            Unlogged::Nothing => self.may_log_of_idle(is_series, now),
            Unlogged::Client(_) | Unlogged::Pass(_) => self.may_log_of_client(now),
        };
        if may {
            return Some(std::mem::take(&mut self.held_back));
        }
        self.held_back += 1;
        None
    }

    fn may_log_of_idle(&mut self, is_series: bool, now: Instant) -> bool {
        let is_recent = self.idle.is_some_and(|logged| now.duration_since(logged) < IDLE_INTERVAL);
        let may = !(is_recent && is_series);
        if may {
            self.idle = Some(now);
        }
        may
    }

    fn may_log_of_client(&mut self, now: Instant) -> bool {
        let more = now.duration_since(self.since).as_millis() / INTERVAL.as_millis();
        let more = u32::try_from(more).unwrap_or(u32::MAX).min(BURST);
        if more > 0 {
            self.left = (self.left + more).min(BURST);
            self.since = now;
        }
        let may = self.left > 0;
        self.left -= u32::from(may);
        may
    }
}

/// A session that has ended.
pub(super) struct End {
    pub(super) pid: Pid,
    pub(super) ip: Option<IpAddr>,
    pub(super) status: ExitStatus,
    pub(super) time: Duration,
}

impl End {
    /// Writes its line.
    pub(super) fn log_to(&self, log: &Log) {
        log.end(self.pid, self.ip, self.status, self.time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Unlogged = Unlogged::Client(None);

    #[test]
    fn children_without_a_client_are_logged_once_a_second_if_many_die() {
        let now = Instant::now();
        let mut crashes = Crashes::none(now);
        let mut tell = |is_series, millis| {
            crashes.may_log(Unlogged::Nothing, is_series, now + Duration::from_millis(millis))
        };
        assert_eq!([tell(false, 0), tell(false, 1), tell(true, 2)], [Some(0), Some(0), None]);
        assert_eq!([tell(true, 999), tell(true, 1001)], [None, Some(2)]);
    }

    #[test]
    fn each_client_of_a_child_that_died_has_its_line() {
        let now = Instant::now();
        let mut crashes = Crashes::none(now);
        assert_eq!(crashes.may_log(Unlogged::Nothing, true, now), Some(0));
        assert_eq!(crashes.may_log(Unlogged::Nothing, true, now), None);
        assert_eq!(crashes.may_log(CLIENT, true, now), Some(1));
        assert!((1..BURST).all(|_| crashes.may_log(Unlogged::Pass(None), true, now) == Some(0)));
    }

    #[test]
    fn a_loop_of_crashes_does_not_fill_the_disk() {
        let now = Instant::now();
        let mut crashes = Crashes::none(now);
        let mut told = |millis| {
            let at = now + Duration::from_millis(millis);
            let lines = (0..2 * BURST).filter_map(|_| crashes.may_log(CLIENT, true, at));
            lines.collect::<Vec<_>>()
        };
        let all = BURST as usize;
        assert_eq!(told(0).len(), all);
        assert_eq!(told(99).len(), 0);
        assert_eq!(told(1000), [3 * all, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(told(10_000_000).len(), all, "no more after a long time");
    }
}
