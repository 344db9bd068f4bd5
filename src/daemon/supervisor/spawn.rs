//! Forks the children of the pool.

use std::cell::{Cell, OnceCell};
use std::time::Instant;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::daemon::child::Child;
use crate::daemon::child::processors::Binding;
use crate::daemon::process::oom::ChildScore;
use crate::daemon::relay::Relay;
use crate::daemon::scoreboard::pool::Throttled;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::supervisor::Supervisor;
use crate::error::NotForked;
use crate::sys;

impl Supervisor {
    /// Forks as many children as the spawn rate asks for.  Forks that fail are tried
    /// again at `retry_at`.
    pub(super) fn top_up(&mut self) {
        let now = Instant::now();
        self.retry_at = None;
        if self.stopping {
            return;
        }
        let left = self.backoff.left(now);
        let idle = self.pool.starts().ready();
        if idle >= self.service.options.min_idle() {
            return;
        }
        let room = self.pool.size() - self.pool.slots().taken();
        if !left.is_zero() {
            self.retry_at = (room > 0).then(|| now + left);
            return;
        }
        let wanted = self.spawn_rate.round(idle, room, now);
        let wanted = if self.backoff.is_cautious() { wanted.min(1) } else { wanted };
        if wanted > 0 {
            // What cannot be read now was told at the start, or is kept.
            let _ = self.service.resolvers.borrow_mut().refresh();
        }
        if !(0..wanted).all(|_| self.fork_one()) {
            self.retry_at = Some(now + self.backoff.left(now));
        }
    }

    /// In a stack frame of its own: the pages that a child writes begin here.
    #[inline(never)]
    fn fork_one(&mut self) -> bool {
        let Some(claim) = self.pool.slots().claim(None, 0) else { return true };
        let slot = claim.slot();
        let generation = self.pool.generation();
        let supervisor = getpid();
        self.pool.slots().set_files(slot, generation);
        self.pool.slots().enter(slot, Stage::Idle);
        let child = || {
            self.keeps.close_in_child();
            self.child(slot, supervisor, generation).run()
        };
        match sys::spawn(child) {
            Ok(pid) => {
                self.backoff.fork_succeeded();
                let pid_word = self.pool.slots().pid_word(claim.started());
                sys::put_pid(pid_word, pid.as_raw().unsigned_abs());
                true
            }
            Err(why) => {
                drop(claim);
                self.backoff.fork_failed(Instant::now());
                self.log_fork_failure(why);
                false
            }
        }
    }

    pub(super) fn log_fork_failure(&self, why: Errno) {
        if !self.pool.may_log(Throttled::Fork) {
            return;
        }
        if self.service.options.as_tcpserver {
            self.service.log.dropping(None, "fork", &why.into());
        } else {
            self.service
                .log
                .error(format_args!("unable to fork: {}: trying again", NotForked::from(why)));
        }
    }

    fn child(&self, slot: SlotId, supervisor: Pid, generation: u64) -> Child<'_> {
        Child {
            service: &self.service,
            pool: &self.pool,
            slot,
            supervisor,
            listener: &self.listener,
            local: self.local,
            generation,
            standard_error: self.keeps.relay.as_ref().map(Relay::standard_error),
            score: ChildScore::inherited(self.scores.as_ref()),
            stack: OnceCell::new(),
            last_program_slot: Cell::new(0),
            binding: Binding::none(&self.processors),
        }
    }
}
