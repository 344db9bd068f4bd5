//! Whoever accepted the connection, as far as its stages need to know: a child
//! of the pool, or a UCSPI server that knows nothing of us.

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::load::Load;
use super::lookup::LocalName;
use crate::class::Class;

/// The verdicts that are counted, in the order of the `stats` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The program was run.
    Pass,
    /// It talked before the greeting, which was not overlooked.
    Early,
    /// It left before the greeting.
    HangUp,
    /// A rule denied it.
    Deny,
    /// DNS lists have it.
    Listed,
    /// A limit, or no room.
    Limit,
    /// Something failed on our side.
    Error,
}

/// What became of a process that was spawned to become the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnOutcome {
    /// It did.
    Started,
    /// It could not, and is gone.
    Failed(Errno),
}

/// Whoever accepted the connection.
pub trait Acceptor {
    /// Counts the client's verdict: the first that is told of it, and no other.
    fn count_verdict(&self, counter: Counter);

    /// Counts its class.
    fn count_class(&self, class: Class);

    /// The name of our own address `ip`: `None` where it has to be looked up,
    /// `Some(None)` where it has none.
    fn local_name(&self, ip: IpAddr) -> Option<Option<String>>;

    /// Remembers what was found out about it.
    fn learn_local_name(&self, ip: IpAddr, name: &LocalName);

    /// Notes what is known of the client by now.
    fn describe(&self, class: Class, host: Option<&str>);

    /// How many clients from the same address (IPv4) or network (IPv6 /64) were
    /// there before this one, and are.
    fn earlier_from(&self, ip: IpAddr) -> usize;

    /// The client is being refused.
    fn note_refusal(&self);

    /// How many slots are taken.
    fn load(&self) -> Load;

    /// As which class a client of this address was refused for the reserve a
    /// moment ago.
    fn recently_refused(&self, ip: IpAddr) -> Option<Class>;

    /// A client of this address is refused for the reserve, as one of `class`.
    fn remember_refusal(&self, ip: IpAddr, class: Class);

    /// Whether a list that fails may be complained of: not every client's share
    /// of the log.
    fn may_log_lists(&self) -> bool;

    /// Whether a shortage of this host's own may be logged, once a minute among all
    /// clients.
    fn may_log_shortage(&self) -> bool;

    /// A name server has answered.
    fn note_answer(&self);

    /// For how long none has.
    fn silence_of_name_servers(&self) -> Duration;

    /// Whether so many clients are there that each has to be made short work
    /// of.
    fn is_under_pressure(&self) -> bool;

    /// Takes a place for the client's session, where one is free and no client has
    /// been waiting for one for longer; else the client waits in line from now on.
    fn claim_session(&self) -> bool;

    /// The client does not wait in line any more, if it did.
    fn leave_line(&self);

    /// The client's place is free: its session does not come about.
    fn release_session(&self);

    /// Sessions that there are.
    fn sessions(&self) -> usize;

    /// The client waits from now on: where memory runs out it costs least to end this.
    fn begin_wait(&self);

    /// Spawns a process that has the client and the place for its session, and does
    /// `work`, which ends in an exec; once it is the program `announce` is called
    /// with its process id.  `None` where this process has to do it itself.
    fn spawn_program(
        &self,
        work: &mut dyn FnMut() -> Errno,
        announce: &dyn Fn(Pid),
    ) -> Option<SpawnOutcome>;

    /// Gives the process that is at work back what a program is to find at its
    /// default, just before it becomes one.
    ///
    /// # Errors
    /// ENOMEM: rather no session than one that is not what it should be.
    fn prepare_exec(&self) -> nix::Result<()>;

    /// The program could not be run, and this process lives on.
    fn exec_failed(&self);
}
