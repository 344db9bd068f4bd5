//! One child of the pool: it waits in accept(2), serves the client that it gets, and
//! returns to accept(2), unless it execed the program.

mod acceptor;
pub mod processors;
mod spawn;

use std::cell::{Cell, OnceCell};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getppid};

use socket2::{SockAddr, Socket};

use crate::connection::acceptor::{Acceptor, Counter};
use crate::connection::client::Client;
use crate::connection::serve::{Service, serve};
use crate::daemon::child::processors::Binding;
use crate::daemon::listener::Listener;
use crate::daemon::process::oom::ChildScore;
use crate::daemon::relay::StandardError;
use crate::daemon::scoreboard::pool::{Pool, Throttled};
use crate::daemon::scoreboard::process_state::is_stopped;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::error::TROUBLE;
use crate::log::contain_panics;
use crate::sys::{self, Stack};

/// How long a child waits after a shortage of descriptors or memory.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// How old the supervisor's last heartbeat may be before a child checks whether the
/// supervisor is stopped.
const HEARTBEAT_PATIENCE: Duration = Duration::from_millis(2500);
/// How often a child checks whether it still is.
const PAUSE_INTERVAL: Duration = Duration::from_millis(100);

/// A child: it accepts a client, serves it, has the program spawned, and accepts the next
/// one.
pub struct Child<'a> {
    /// What it serves clients with.
    pub service: &'a Service,
    /// The pool that it belongs to.
    pub pool: &'a Pool,
    /// Its slot in it.
    pub slot: SlotId,
    /// Its parent.
    pub supervisor: Pid,
    /// The socket that it accepts from.
    pub(in crate::daemon) listener: &'a Listener,
    /// The address of all its clients' connections, if it listens at one alone.
    pub local: Option<SocketAddr>,
    /// The set of files that it has.
    pub generation: u64,
    /// How programs get a standard error that a relay reads, if there is one.
    pub standard_error: Option<&'a StandardError>,
    /// Whether the kernel kills it first if memory runs out.
    pub score: ChildScore<'a>,
    /// Where program processes run until they exec.
    pub stack: OnceCell<Option<Stack>>,
    /// The number of the slot that the last program process had.
    pub last_program_slot: Cell<usize>,
    /// Where program processes start.
    pub binding: Binding<'a>,
}

/// The result of one accept(2).
enum AcceptOutcome {
    Again,
    Finished,
    Failed,
}

impl Child<'_> {
    /// Serves clients until the child is no longer needed; returns the exit code.
    #[must_use]
    pub fn run(&self) -> u8 {
        contain_panics(|| self.work())
    }

    fn work(&self) -> u8 {
        if let Err(why) = self.settle_signals() {
            self.service.log.error(format_args!("unable to set up signals: {why}"));
            return TROUBLE;
        }
        self.score.raise();
        while self.is_wanted() {
            match self.accept() {
                AcceptOutcome::Again => (),
                AcceptOutcome::Finished => break,
                AcceptOutcome::Failed => return TROUBLE,
            }
        }
        0
    }

    /// False if its files are old, or enough children are idle.
    fn is_wanted(&self) -> bool {
        let (pool, slot) = (self.pool, self.slot);
        if pool.generation() != self.generation {
            pool.slots().retire(slot);
            return false;
        }
        !pool.slots().retire_beyond(slot, self.service.options.max_idle())
    }

    /// Until the hand-over, signals to the process group are only counted; SIGURG is
    /// how the supervisor, or its death, wakes accept(2).
    fn settle_signals(&self) -> nix::Result<()> {
        sys::reset(Signal::SIGCHLD)?;
        sys::shut_down_when_orphaned()?;
        set_pdeathsig(Signal::SIGURG)?;
        if self.is_orphaned() {
            self.listener.shut_down();
        }
        SigSet::empty().thread_set_mask()
    }

    fn accept(&self) -> AcceptOutcome {
        match self.listener.accept(|| self.is_over()) {
            Ok((socket, peer)) => {
                // First of all, so that every client that was accepted is counted.
                self.pool.slots().note_accepted(self.slot);
                let code = self.serve_peer(socket, &peer);
                self.become_idle(code);
                AcceptOutcome::Again
            }
            Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => self.shut_out(),
            Err(error) if sys::is_shortage(&error) => {
                self.log_accept_error(&error);
                thread::sleep(SHORTAGE_PAUSE);
                if self.is_over() { AcceptOutcome::Finished } else { AcceptOutcome::Again }
            }
            Err(_) => AcceptOutcome::Again,
        }
    }

    fn log_accept_error(&self, why: &std::io::Error) {
        if self.pool.may_log(Throttled::Accept) {
            self.service.log.error(format_args!("unable to accept: {why}"));
        }
    }

    /// Whether the supervisor has died.
    fn is_orphaned(&self) -> bool {
        getppid() != self.supervisor
    }

    /// Whether the daemon stops, or its supervisor has died.
    fn is_over(&self) -> bool {
        self.pool.is_stopping() || self.is_orphaned()
    }

    /// The listener was shut down: by the supervisor, because of its death, or by
    /// another process that shares the socket.
    fn shut_out(&self) -> AcceptOutcome {
        if self.is_over() {
            return AcceptOutcome::Finished;
        }
        self.log_accept_error(&Errno::EINVAL.into());
        AcceptOutcome::Failed
    }

    /// The exit code that tcpserver's child would have had.
    fn serve_peer(&self, socket: Socket, peer: &SockAddr) -> u8 {
        let accepted = Instant::now();
        let Some(peer) = peer.as_socket() else { return TROUBLE };
        let (pool, slot) = (self.pool, self.slot);
        pool.slots().set_client(slot, peer.ip());
        pool.wake_if_short();
        self.wait_while_paused();
        let log = &self.service.log;
        match Client::accepted(socket, peer, self.local, accepted) {
            Ok(client) => {
                log.tcpserver_status(|| pool.clients(), pool.size());
                serve(self.service, Acceptor::of(self), client)
            }
            Err(why) => {
                log.dropping(Some(peer), "get local address", &why);
                TROUBLE
            }
        }
    }

    /// While the supervisor is stopped (`svc -p`) no client is served, as in tcpserver,
    /// where clients would queue: here they are accepted and kept in silence.
    fn wait_while_paused(&self) {
        let supervisor = self.supervisor.as_raw().unsigned_abs();
        while self.pool.since_heartbeat() > HEARTBEAT_PATIENCE
            && !self.is_orphaned()
            && is_stopped(supervisor)
        {
            thread::sleep(PAUSE_INTERVAL);
        }
    }

    /// The client was refused, or left.
    fn become_idle(&self, code: u8) {
        let pool = self.pool;
        // Without a client no verdict is due.
        pool.slots().count_verdict(self.slot, Counter::Error);
        pool.slots().leave(self.slot);
        pool.slots().enter(self.slot, Stage::Idle);
        self.service.log.tcpserver_goes_on(code);
        self.service.log.tcpserver_status(|| pool.clients(), pool.size());
    }
}
