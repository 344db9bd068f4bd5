//! Whoever accepted the connection, as far as its stages need to know: a child
//! of the pool, or a UCSPI server that knows nothing of us.

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;

use super::class::Class;
use super::crowd::Crowd;
use super::lookup::LocalName;

/// What is counted, in the order of the `stats` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Counter {
    Pass,
    Early,
    HangUp,
    Deny,
    Listed,
    Limit,
    Error,
    Static,
    Dynamic,
    None,
    Unknown,
}

/// What became of a process that was made to become the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begotten {
    /// It did.
    Program,
    /// It could not, and is gone.
    Failure(Errno),
}

/// Whoever accepted the connection.
pub trait Acceptor {
    /// Counts one.
    fn count(&self, counter: Counter);

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

    /// How crowded it is.
    fn crowd(&self) -> Crowd;

    /// As which class a client of this address was refused for the reserve a
    /// moment ago.
    fn recently_refused(&self, ip: IpAddr) -> Option<Class>;

    /// A client of this address is refused for the reserve, as one of `class`.
    fn remember_refusal(&self, ip: IpAddr, class: Class);

    /// Whether a list that fails may be complained of: not every client's share
    /// of the log.
    fn may_complain_of_lists(&self) -> bool;

    /// A name server has answered.
    fn note_answer(&self);

    /// For how long none has.
    fn silence_of_name_servers(&self) -> Duration;

    /// Whether so many clients are there that each has to be made short work
    /// of.
    fn is_crowded(&self) -> bool;

    /// Takes a place for the client's session, where one is free.
    fn claim_session(&self) -> bool;

    /// Sessions that there are.
    fn sessions(&self) -> usize;

    /// Has another process, which has the client and the place for his session, do
    /// `work`, which ends in an exec; `None` where this process has to do it
    /// itself.
    fn beget(&self, work: &mut dyn FnMut() -> Errno) -> Option<Begotten>;

    /// Gives the process that is at work back what a program is to find at its
    /// default, just before it becomes one.
    ///
    /// # Errors
    /// ENOMEM: rather no session than one that is not what it should be.
    fn let_go(&self) -> nix::Result<()>;

    /// The program could not be run, and this process lives on.
    fn take_back(&self);
}
