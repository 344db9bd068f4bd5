//! Signals of the supervisor, from the beginning of the start.

use nix::sys::signal::{SigSet, Signal};

use crate::sys;

/// The signals that the supervisor acts on; blocked except while it polls.
const SIGNALS: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];
/// The first of these are the ones that tcpserver handles; the others end it.
const TCPSERVERS: usize = 2;
/// Signals that a supervisor acts on once it is up; they must not end a start.
const DEFERRED: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR1];
/// Signals that stop a daemon.
const STOPPING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Blocks HUP and USR1 from now on, until the supervisor polls.
pub fn defer() {
    let _ = deferred().thread_block();
}

/// All blocked signals.
pub(in crate::daemon) fn deferred() -> SigSet {
    DEFERRED.into_iter().collect()
}

/// Gives every signal its default action, whatever was inherited, but keeps those
/// back that are deferred, and counts those that tell us to stop.
///
/// # Errors
/// Errors of sigaction(2).
pub(in crate::daemon) fn settle(as_tcpserver: bool) -> nix::Result<()> {
    let kept_back = if as_tcpserver { SigSet::empty() } else { deferred() };
    sys::reset_all_signals(&kept_back);
    // If a child unblocks them they do not end it either.
    kept_back.iter().try_for_each(sys::count)?;
    if !as_tcpserver {
        STOPPING.into_iter().try_for_each(sys::count)?;
    }
    sys::ignore(Signal::SIGPIPE)
}

/// Blocks TERM and INT, and counts them.
///
/// # Errors
/// Errors of sigaction(2).
pub(in crate::daemon) fn take_stopping() -> nix::Result<()> {
    let stopping: SigSet = STOPPING.into_iter().collect();
    stopping.iter().try_for_each(sys::count)?;
    stopping.thread_block()
}

/// How often the process was told to stop since the last call.
pub(in crate::daemon) fn told_to_stop() -> u32 {
    STOPPING.into_iter().map(sys::take_count).sum()
}

/// Takes over the signals, so that they are acted on from now on.
///
/// # Errors
/// Errors of sigaction(2).
pub(in crate::daemon) fn take(as_tcpserver: bool) -> nix::Result<()> {
    let signals = if as_tcpserver { TCPSERVERS } else { SIGNALS.len() };
    let blocked: SigSet = SIGNALS.into_iter().take(signals).collect();
    blocked.iter().try_for_each(sys::count)?;
    blocked.thread_block()
}
