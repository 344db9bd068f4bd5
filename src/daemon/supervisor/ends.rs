//! Log lines about children that have ended, and when they are written.

use std::net::IpAddr;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::log::Log;

/// Crash lines that were held back: a series is reported once a second.
#[derive(Default)]
pub(super) struct Crashes {
    pub(super) told: Option<Instant>,
    pub(super) untold: usize,
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
    pub(super) fn tell(&self, log: &Log) {
        log.end(self.pid, self.ip, self.status, self.time);
    }
}
