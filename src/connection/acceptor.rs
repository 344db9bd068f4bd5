//! What a connection's stages need from the process that accepted it: a child of the
//! pool, or a UCSPI server that shares nothing with us.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::decided::load::Load;
use super::decided::verdict::{Judgement, Verdict};
use super::lookup::LocalName;
use crate::class::Class;
use crate::log::VERDICTS;

/// What a connection is counted as, in the order of the `stats` line.  Of one that gets no
/// program it follows from its [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The program was run.
    Pass,
    /// It talked before the greeting, and `--early log` did not let it pass.
    Early,
    /// It left before the greeting.
    HangUp,
    /// A rule denied it.
    Deny,
    /// DNS lists have it.
    Listed,
    /// A limit was reached.
    Limit,
    /// A proxy checked whether we are there.
    Check,
    /// The program could not be run, the rules could not be read, or the child died.
    Error,
}

impl Counter {
    /// All of them, by their numbers.
    pub const ALL: [Self; VERDICTS] = [
        Self::Pass,
        Self::Early,
        Self::HangUp,
        Self::Deny,
        Self::Listed,
        Self::Limit,
        Self::Check,
        Self::Error,
    ];
}

impl From<Verdict> for Counter {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Refused(Judgement::Early)
            | Verdict::EarlyToProgram
            | Verdict::LeftWhileHeld => Self::Early,
            Verdict::Refused(Judgement::Listed) => Self::Listed,
            Verdict::Refused(Judgement::TooMany { .. } | Judgement::NoRoom) | Verdict::NoPlace => {
                Self::Limit
            }
            Verdict::HangUp => Self::HangUp,
            Verdict::Denied => Self::Deny,
            Verdict::Dropped => Self::Error,
        }
    }
}

/// The outcome of spawning a process for the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnOutcome {
    /// It execed the program.
    Started,
    /// The program could not be run, and the process has ended.
    Failed(Errno),
}

/// The process that accepted the connection, by what it is asked.  The default methods
/// are right for one that shares nothing between clients.
#[derive(Clone, Copy)]
pub struct Acceptor<'a> {
    /// The counters.
    pub counts: &'a dyn Counts,
    /// The load.
    pub limits: &'a dyn Limits,
    /// The places for sessions.
    pub places: &'a dyn Places,
    /// What look-ups have found out.
    pub findings: &'a dyn SharedFindings,
    /// The process itself.
    pub process: &'a dyn Process,
}

impl<'a> Acceptor<'a> {
    /// An acceptor that is one value.
    pub fn of<T: Counts + Limits + Places + SharedFindings + Process>(all: &'a T) -> Self {
        Self { counts: all, limits: all, places: all, findings: all, process: all }
    }
}

/// What is counted of clients, and shown of them in the scoreboard.
pub trait Counts {
    /// Counts the client's verdict: only the first call for a client counts.
    fn count_verdict(&self, _counter: Counter) {}

    /// Counts a client that would be refused, but for `--dry-run`.
    fn count_would_refuse(&self) {}

    /// Counts its class.
    fn count_class(&self, _class: Class) {}

    /// Shows what is known about the client in the scoreboard.
    fn describe(&self, _class: Class, _host: Option<&str>) {}

    /// The client is being refused.
    fn note_refusal(&self) {}
}

/// What limits go by: the other clients, and those refused a moment ago.
pub trait Limits {
    /// How many clients from the same address (IPv4) or network (IPv6 /64) came before
    /// this one, and are still there.
    fn earlier_from(&self, _ip: IpAddr) -> usize {
        0
    }

    /// A proxy has named its client, which is of this address: limits are for that.
    fn name_client(&self, _ip: IpAddr) {}

    /// How many slots are taken.
    fn load(&self) -> Load {
        Load::NONE
    }

    /// Whether more than half of the slots are taken, so that refusals are kept short.
    fn is_under_pressure(&self) -> bool {
        false
    }

    /// The class as which a client of this address was refused for the reserve a moment
    /// ago.
    fn recently_refused(&self, _ip: IpAddr) -> Option<Class> {
        None
    }

    /// A client of this address is refused for the reserve, as one of `class`.
    fn remember_refusal(&self, _ip: IpAddr, _class: Class) {}
}

/// The places for sessions (`--max-prog`), and the queue for one.
pub trait Places {
    /// Takes a place for the client's session, if one is free and no client has been
    /// waiting for longer; otherwise the client joins the queue.
    fn claim_session(&self) -> bool {
        true
    }

    /// Removes the client from the queue, if it is in it.
    fn leave_queue(&self) {}

    /// Gives the client's place back: it gets no session.
    fn release_session(&self) {}

    /// The number of sessions.
    fn sessions(&self) -> usize {
        0
    }
}

/// Results of look-ups that matter to other clients.
pub trait SharedFindings {
    /// The name of our own address `ip`: `None` if it has to be looked up, `Some(None)`
    /// if it has none.
    fn local_name(&self, ip: IpAddr) -> Option<Option<String>>;

    /// Stores the result of that look-up.
    fn learn_local_name(&self, _ip: IpAddr, _name: &LocalName) {}

    /// A name server has answered.
    fn note_answer(&self) {}

    /// Time since a name server last answered.
    fn silence_of_name_servers(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether a warning about a list that failed may be logged: once a second among
    /// all clients.
    fn may_log_lists(&self) -> bool {
        true
    }

    /// Whether it may be logged that the keeper of known clients does not answer: once a
    /// minute among all clients.
    fn may_log_keeper(&self) -> bool {
        true
    }

    /// Whether the check of a proxy of this address may be logged: about once a minute.
    fn may_log_check(&self, _ip: IpAddr) -> bool {
        true
    }

    /// Whether a shortage of this host's own may be logged: once a minute among all
    /// clients.
    fn may_log_shortage(&self) -> bool {
        true
    }
}

/// The process that serves the client.
pub trait Process {
    /// The client waits from now on: this process is what costs least to kill if memory
    /// runs out.
    fn begin_wait(&self) {}

    /// Spawns a process that has the client and the place for its session, and does
    /// `work`, which ends in an exec; after the exec `announce` is called with its
    /// process id.  `None` if this process has to exec the program itself.
    fn spawn_program(
        &self,
        _work: &mut dyn FnMut() -> Errno,
        _announce: &dyn Fn(Pid),
    ) -> Option<SpawnOutcome> {
        None
    }

    /// Gives processes that are made from now on the `oom_score_adj` (proc(5)) that this
    /// one inherited.
    fn restore_oom_score(&self) {}

    /// Sets descriptor 2 of this process, which becomes the program of `client`.
    fn set_standard_error(&self, _client: SocketAddr) {}

    /// Lets this process run on all processors that the administrator gave it.
    ///
    /// # Errors
    /// ENOMEM: no session is better than one with wrong settings.
    fn reset_affinity(&self) -> nix::Result<()> {
        Ok(())
    }

    /// Gives signals that would stay ignored after execve(2) their default action, and
    /// blocks none.
    ///
    /// # Errors
    /// Errors of sigaction(2).
    fn reset_signals(&self) -> nix::Result<()>;

    /// Asks for no signal at the parent's death (prctl(2)): a session outlives the
    /// supervisor.
    ///
    /// # Errors
    /// Errors of prctl(2).
    fn clear_death_signal(&self) -> nix::Result<()> {
        Ok(())
    }

    /// The program could not be run, and this process goes on: undoes what was done for
    /// it.
    fn exec_failed(&self);
}
