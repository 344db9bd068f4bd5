//! Children that have ended: which they were, and what is said about it.

use std::net::IpAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::pool::{Slot, Stage};
use super::supervisor::Supervisor;
use crate::sys;

const SECOND: Duration = Duration::from_secs(1);

/// Crash lines that were kept back: a loop of them is told once a second.
#[derive(Default)]
pub(super) struct Crashes {
    told: Option<Instant>,
    untold: usize,
}

impl Supervisor {
    pub(super) fn reap(&mut self) {
        while let Some((pid, status)) = sys::reap() {
            if self.checker.as_ref().is_some_and(|checker| checker.pid == pid) {
                self.finish_reload(ExitStatus::from_raw(status));
                continue;
            }
            if self.keeps.relay.as_mut().is_some_and(|relay| relay.has_ended(pid)) {
                continue;
            }
            if let Some(slot) = self.pool.slot_of(pid.as_raw().unsigned_abs()) {
                self.bury(slot, pid, ExitStatus::from_raw(status));
            }
        }
    }

    fn bury(&mut self, slot: Slot, pid: Pid, status: ExitStatus) {
        let stage = self.pool.stage(slot);
        let client = self.pool.client(slot);
        if status.signal().is_some() {
            self.pool.vacate_for_heirs_of(slot);
        }
        self.pool.vacate(slot);
        if stage == Some(Stage::Prog) {
            let (ip, time) = client.unzip();
            self.service.log.end(pid, ip, status, time.unwrap_or_default());
        } else if !status.success() {
            let ip = client.filter(|_| stage == Some(Stage::Busy)).map(|client| client.0);
            self.crashed(pid, ip, status);
        }
        if stage.is_some_and(|stage| stage != Stage::Idle) {
            self.service.log.tcpserver_end(pid, status);
            self.service.log.tcpserver_status(self.pool.clients(), self.pool.slots());
        }
    }

    fn crashed(&mut self, pid: Pid, ip: Option<IpAddr>, status: ExitStatus) {
        let now = Instant::now();
        self.backoff.crashed(now);
        let recent = self.crashes.told.is_some_and(|told| now.duration_since(told) < SECOND);
        if recent && self.backoff.is_cautious() {
            self.crashes.untold += 1;
            return;
        }
        let Crashes { untold, .. } = std::mem::take(&mut self.crashes);
        self.crashes.told = Some(now);
        self.service.log.crash(pid, ip, status, untold);
    }
}
