//! Reaps children that have ended, and logs them.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::daemon::scoreboard::process_state::as_pid;
use crate::daemon::scoreboard::settle::{Unlogged, is_session, settle};
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::starts::UnloggedStart;
use crate::daemon::supervisor::Supervisor;
use crate::daemon::supervisor::ends::End;
use crate::daemon::supervisor::reap_schedule::{Rounds, pause_after};
use crate::sys;

const SECOND: Duration = Duration::from_secs(1);
/// With up to this many children wait(2) for any child takes no noticeable time.
const FEW: usize = 512;
/// How long sessions are not polled after a round over all of them, which costs a
/// system call each.
const PAUSE_PER_SESSION: Duration = Duration::from_micros(20);

impl Supervisor {
    /// With few children, wait(2) for any child.  With many that is slow: sessions,
    /// which end most often, are waited for one by one, and any child only now and
    /// then.
    pub(super) fn reap(&mut self) {
        let ended = sys::take_count(Signal::SIGCHLD) > 0;
        let [idle, busy, sessions] = Stage::ALL.map(|stage| self.pool.count(stage));
        if idle + busy + sessions <= FEW {
            self.rounds = Rounds::default();
            return self.reap_any();
        }
        let now = Instant::now();
        if ended {
            self.rounds.owe();
        }
        if self.rounds.sessions.is_due(now) {
            let sessions = u32::try_from(sessions).unwrap_or(u32::MAX);
            self.rounds.sessions.done(now + PAUSE_PER_SESSION * sessions);
            for (slot, pid) in self.pool.slots().sessions() {
                if let Some((pid, status)) = sys::reap(Some(as_pid(pid))) {
                    self.backoff.process_ended();
                    self.on_exit(slot, pid, ExitStatus::from_raw(status));
                }
            }
        }
        if self.rounds.any.is_due(now) {
            self.reap_any();
            self.rounds.any.done(now + pause_after(now.elapsed()));
        }
    }

    fn reap_any(&mut self) {
        while let Some((pid, status)) = sys::reap(None) {
            self.note_end(pid, status);
        }
    }

    fn note_end(&mut self, pid: Pid, status: i32) {
        self.backoff.process_ended();
        if self.checker.as_ref().is_some_and(|checker| checker.pid == pid) {
            return self.finish_reload(ExitStatus::from_raw(status));
        }
        if self.keeps.relay.as_mut().is_some_and(|relay| relay.has_ended(pid)) {
            return;
        }
        if self.keeps.keeper.as_mut().is_some_and(|keeper| keeper.has_ended(pid)) {
            return;
        }
        if let Some(slot) = self.pool.slots().of(pid.as_raw().unsigned_abs()) {
            self.on_exit(slot, pid, ExitStatus::from_raw(status));
        }
    }

    fn on_exit(&mut self, slot: SlotId, pid: Pid, status: ExitStatus) {
        let (stage, client) = (self.pool.slots().stage(slot), self.pool.slots().client(slot));
        let is_session = is_session(&self.pool.board, slot);
        let start = is_session.then(|| self.pool.starts().unlogged(slot)).flatten();
        let unlogged = settle(&self.pool.board, slot);
        if !status.success() {
            self.pool.slots().vacate_unstarted_of(slot);
        }
        self.pool.slots().vacate(slot);
        // Whatever it was doing: it may have had a place, or have been woken for one.
        if self.pool.queue().wake_next() {
            self.queue_check.note_wake();
        }
        if is_session {
            let (ip, time) = client.unzip();
            self.log_end(End { pid, ip, status, time: time.unwrap_or_default() }, start);
        } else if !status.success() {
            self.crashed(pid, unlogged, status);
        }
        if stage.is_some_and(|stage| stage != Stage::Idle) {
            self.service.log.tcpserver_end(pid, status);
            self.service.log.tcpserver_status(|| self.pool.clients(), self.pool.size());
        }
    }

    /// Logs the end of a session, but not before its `pass` line.
    fn log_end(&mut self, end: End, start: Option<UnloggedStart>) {
        match start {
            Some(start) => self.ends.push((start, Instant::now() + SECOND, end)),
            None => end.log_to(&self.service.log),
        }
    }

    /// Logs the ends that had to wait, and no longer have to.
    pub(super) fn log_ends(&mut self) {
        let now = Instant::now();
        for (start, until, end) in std::mem::take(&mut self.ends) {
            if now < until && self.pool.starts().is_unlogged(start) {
                self.ends.push((start, until, end));
            } else {
                end.log_to(&self.service.log);
            }
        }
    }

    /// Logs the rest when the supervisor ends.
    pub(super) fn log_all_ends(&mut self) {
        for (.., end) in std::mem::take(&mut self.ends) {
            end.log_to(&self.service.log);
        }
    }

    fn crashed(&mut self, pid: Pid, unlogged: Unlogged, status: ExitStatus) {
        let now = Instant::now();
        self.backoff.crashed(now);
        let is_series = self.backoff.is_cautious();
        let Some(more) = self.crashes.may_log(unlogged, is_series, now) else { return };
        let log = &self.service.log;
        match unlogged {
            Unlogged::Nothing => log.crash(pid, None, status, more),
            Unlogged::Client(ip) => log.crash(pid, ip, status, more),
            Unlogged::Pass(ip) => log.crash_before_pass(pid, ip, status, more),
        }
    }
}
