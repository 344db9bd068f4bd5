//! The supervisor: one poll loop that forks, reaps, reloads and stops.  It
//! never touches a client.

pub mod backoff;
mod ends;
pub mod keeper;
mod reap;
mod reap_schedule;
mod reload;
mod spawn;
pub mod spawn_rate;

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::time::TimeSpec;
use nix::unistd::getpid;

use crate::connection::serve::Service;
use crate::daemon::child::processors::Processors;
use crate::daemon::files::checker::Checker;
use crate::daemon::listener::{Listener, Owner};
use crate::daemon::process::oom::Scores;
use crate::daemon::process::pidfile::Pidfile;
use crate::daemon::process::signals::told_to_stop;
use crate::daemon::relay::Relay;
use crate::daemon::scoreboard::pool::Pool;
use crate::daemon::scoreboard::process_state::wake_child;
use crate::daemon::scoreboard::queue::QueueCheck;
use crate::daemon::scoreboard::stage::Stage;
use crate::daemon::scoreboard::starts::UnloggedStart;
use crate::daemon::scoreboard::stuck::StuckCheck;
use crate::daemon::service_manager::Notifier;
use crate::daemon::supervisor::backoff::Backoff;
use crate::daemon::supervisor::ends::{Crashes, End};
use crate::daemon::supervisor::keeper::KeeperProcess;
use crate::daemon::supervisor::reap_schedule::Rounds;
use crate::daemon::supervisor::spawn_rate::SpawnRate;
use crate::error::Fatal;
use crate::sys;

/// How often idle children of an older generation are woken, and how often a supervisor
/// that stops checks whether it may end.
const INTERVAL: Duration = Duration::from_millis(50);
/// What the service manager hears that a daemon does.
const ACCEPTING: &str = "accepting clients";

/// The supervisor of a pool.
pub struct Supervisor {
    service: Service,
    listener: Listener,
    /// The address that it listens at, if that is one.
    local: Option<SocketAddr>,
    pool: Pool,
    spawn_rate: SpawnRate,
    backoff: Backoff,
    stopping: bool,
    stuck_check: StuckCheck,
    queue_check: QueueCheck,
    /// When a fork that failed is tried again.
    retry_at: Option<Instant>,
    crashes: Crashes,
    rounds: Rounds,
    /// Sessions that have ended before their `pass` line was written, and how long it
    /// is awaited.
    ends: Vec<(UnloggedStart, Instant, End)>,
    /// The process that reads the files before they are used.
    checker: Option<Checker>,
    /// When they are to be read again, if that was requested.
    reload_due: Option<Instant>,
    /// Whether there may be idle children with files of an older set.
    may_have_outdated: bool,
    processors: Processors,
    /// The OOM scores of supervisor and children.
    scores: Option<Scores>,
    /// What only some supervisors have.
    keeps: Keeps,
}

/// What only some supervisors have: most of it those in the background.
#[derive(Default)]
pub struct Keeps {
    /// The pidfile.
    pub pidfile: Option<Pidfile>,
    /// The relay of what programs write on standard error.
    pub relay: Option<Relay>,
    /// The keeper of known clients.
    pub keeper: Option<KeeperProcess>,
    /// The file of the scoreboard, locked.
    pub scoreboard: Option<File>,
    /// The way to the service manager, if one started the daemon.
    pub(in crate::daemon) manager: Notifier,
}

impl Keeps {
    /// Closes, in a process of the pool that was just forked, what only the supervisor
    /// needs, and what only root may open.
    fn close_in_child(&self) {
        self.relay.iter().for_each(Relay::close_in_child);
        self.pidfile.iter().flat_map(Pidfile::descriptors).for_each(sys::close_this);
        self.scoreboard.iter().map(File::as_fd).for_each(sys::close_this);
    }
}

impl Supervisor {
    /// Forks the first children.  The supervisor is on the heap: a page that it writes
    /// between two forks is copied for every child, and the end of the heap already is.
    /// The signals have to be taken over first.
    #[must_use]
    pub fn new(service: Service, listener: Listener, pool: Pool, keeps: Keeps) -> Box<Self> {
        let spawn_rate = SpawnRate::new(service.options.min_idle(), service.options.max_idle());
        let backoff = Backoff::default();
        let local = listener.local();
        let mut supervisor = Box::new(Self {
            local: local.filter(|local| !local.ip().is_unspecified()),
            service,
            listener,
            pool,
            spawn_rate,
            backoff,
            stopping: false,
            stuck_check: StuckCheck::start(),
            queue_check: QueueCheck::start(),
            retry_at: None,
            crashes: Crashes::none(Instant::now()),
            rounds: Rounds::default(),
            ends: Vec::new(),
            checker: None,
            reload_due: None,
            may_have_outdated: false,
            processors: Processors::find(),
            scores: Scores::of_this_process(),
            keeps,
        });
        supervisor.listener.end_with(getpid());
        supervisor.top_up();
        supervisor
    }

    /// Writes the process id into the pidfile: the start has succeeded.
    ///
    /// # Errors
    /// As [`Pidfile::fill`].
    pub fn fill_pidfile(&mut self) -> Result<(), Fatal> {
        self.keeps.pidfile.as_mut().map_or(Ok(()), Pidfile::fill)
    }

    /// Whether clients can be served.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.pool.slots().taken() > 0
    }

    /// Runs the pool until the daemon is told to stop, and no client waits any more.
    pub fn run(mut self: Box<Self>) {
        self.keeps.manager.ready(ACCEPTING);
        loop {
            self.answer_signals();
            self.pool.awake();
            self.reap();
            self.log_ends();
            // Once the listener is shut down no client queues.
            let has_unaccepted = || self.stopping || sys::accept_queue(self.listener.as_fd()) > 0;
            self.stuck_check.run_if_due(&self.pool, has_unaccepted);
            self.queue_check.run_if_due(self.pool.queue(), self.service.options.max_prog());
            if self.stopping && self.may_end() {
                break;
            }
            self.top_up();
            self.wake_outdated();
            self.checker.iter().filter(|checker| checker.left().is_zero()).for_each(Checker::kill);
            if let Some(relay) = &mut self.keeps.relay {
                relay.tend(&self.service.log);
            }
            if let Some(keeper) = &mut self.keeps.keeper {
                keeper.replace(&self.service.log, self.pool.board.keeper_record());
            }
            self.sleep();
        }
        self.log_all_ends();
        if let Some(keeper) = &mut self.keeps.keeper {
            keeper.end();
        }
        self.service.log.stats(&self.pool.stats());
        self.service.log.stop(self.pool.count(Stage::Prog));
    }

    fn answer_signals(&mut self) {
        if sys::take_count(Signal::SIGHUP) > 0 {
            self.reload_due = Some(Instant::now());
        }
        self.start_reload_if_due();
        if sys::take_count(Signal::SIGUSR1) > 0 {
            self.service.log.stats(&self.pool.stats());
        }
        if !self.stopping && told_to_stop() > 0 {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        self.pool.set_stopping();
        match self.listener.owner() {
            // Wakes every accept(2), now and later, and frees the port.
            Owner::Daemon => self.listener.shut_down(),
            Owner::ServiceManager => self.replace_idle_children(),
        }
        // The next daemon need not wait for our last clients.
        self.keeps.pidfile = None;
        self.keeps.scoreboard = None;
        let waiting = self.pool.count(Stage::Busy);
        self.keeps.manager.stopping(&format!("{waiting} clients wait for the end of their delay"));
        if waiting > 0 && !self.may_end() {
            self.service.log.stopping(waiting, self.pool.count(Stage::Prog));
        }
    }

    /// tcpserver ends at once; waiting clients are served by their children.
    fn may_end(&self) -> bool {
        self.service.options.as_tcpserver || told_to_stop() > 0 || !self.has_waiting_clients()
    }

    fn has_waiting_clients(&self) -> bool {
        self.pool.starts().ready() + self.pool.count(Stage::Busy) > 0
    }

    /// Idle children end, and are replaced unless the daemon stops.
    fn replace_idle_children(&mut self) {
        self.pool.next_generation();
        self.may_have_outdated = true;
    }

    /// Wakes idle children with old files, so that they end.  The signal is one that a
    /// program ignores, in case the child is about to become one.
    fn wake_outdated(&mut self) {
        if !self.may_have_outdated {
            return;
        }
        self.may_have_outdated = false;
        for pid in self.pool.slots().outdated() {
            self.may_have_outdated = true;
            wake_child(pid);
        }
    }

    fn sleep(&self) {
        let now = Instant::now();
        let relay = self.keeps.relay.as_ref().and_then(Relay::due);
        let keeper = self.keeps.keeper.as_ref().and_then(KeeperProcess::due);
        let look = Some(self.stuck_check.due().min(self.queue_check.due()));
        let reload = self.reload_due.filter(|_| self.checker.is_none());
        let at = [self.retry_at, self.rounds.due(now), relay, keeper, look, reload]
            .into_iter()
            .flatten();
        let due = at.map(|due| due.saturating_duration_since(now));
        let checked = self.checker.as_ref().map(|checker| checker.left().max(INTERVAL));
        let due = due.chain(checked).min();
        let time = if self.stopping || self.may_have_outdated {
            Some(due.map_or(INTERVAL, |due| due.min(INTERVAL)))
        } else {
            due
        };
        let mut fds = [PollFd::new(self.pool.waker().as_fd(), PollFlags::POLLIN)];
        let _ = ppoll(&mut fds, time.map(TimeSpec::from), Some(SigSet::empty()));
    }
}
