//! How a connection ends: with the program, or with a verdict.

use std::time::Duration;

/// The verdict on a client that does not get the program, or not to be served by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is refused, unless `--dry-run` is set.
    Refused(Judgement),
    /// It talked before the greeting; the program is run to refuse it.
    EarlyToProgram,
    /// The same, and it left while it was held.
    LeftWhileHeld,
    /// It left.
    HangUp,
    /// No place for its session became free in time.
    NoPlace,
    /// A rule denies it.
    Denied,
    /// The rules cannot be read.
    Dropped,
}

/// Why a client is refused that could be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It talked before the greeting.
    Early,
    /// DNS lists have it.
    Listed,
    /// It has as many connections as an address may have.
    TooMany {
        /// That many came before it.
        held: usize,
    },
    /// Only the reserve is left, which is not for its class.
    NoRoom,
}

/// Why a client gets the program.
#[derive(Clone, Copy)]
pub(in crate::connection) enum Passed {
    /// It has waited out its delay; its name took so long, if it was asked for.
    Waited { dns_time: Option<Duration> },
    /// It talked early, and the program is going to refuse it.
    Talked,
}
