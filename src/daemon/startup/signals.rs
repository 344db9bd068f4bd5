//! Signals of the supervisor, from the first moment of the start on.

use nix::sys::signal::{SigSet, Signal};

use crate::sys;

/// What the supervisor acts on; blocked but for the time that it polls.
const SIGNALS: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGCHLD, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];
/// The first of these are all that tcpserver handles; the others end it.
const TCPSERVERS: usize = 2;
/// What a supervisor that is not up yet acts on once it is: whoever sends them
/// does not want to end it.
const DEFERRED: [Signal; 2] = [Signal::SIGHUP, Signal::SIGUSR1];
/// What tells a daemon to stop.
const STOPPING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Keeps HUP and USR1 back from now on, until the supervisor polls.
pub fn defer() {
    let _ = deferred().thread_block();
}

/// All that are kept back.
pub(in crate::daemon) fn deferred() -> SigSet {
    DEFERRED.into_iter().collect()
}

/// Gives every signal its default action, whatever was inherited, but keeps those
/// back that are deferred.
///
/// # Errors
/// Where signals cannot be caught.
pub(in crate::daemon) fn settle(as_tcpserver: bool) -> nix::Result<()> {
    let kept_back = if as_tcpserver { SigSet::empty() } else { deferred() };
    sys::reset_all_signals(&kept_back);
    // Children that unblock them are not ended either.
    kept_back.iter().try_for_each(sys::count)?;
    sys::ignore(Signal::SIGPIPE)
}

/// Blocks TERM and INT, and counts them.
///
/// # Errors
/// Where signals cannot be caught.
pub(in crate::daemon) fn take_stopping() -> nix::Result<()> {
    let stopping: SigSet = STOPPING.into_iter().collect();
    stopping.iter().try_for_each(sys::count)?;
    stopping.thread_block()
}

/// How often the process was told to stop since the last call.
pub(in crate::daemon) fn told_to_stop() -> u32 {
    STOPPING.into_iter().map(sys::take_count).sum()
}

/// Takes the signals over, so that from now on they are acted on in order.
///
/// # Errors
/// Where signals cannot be caught.
pub(in crate::daemon) fn take(as_tcpserver: bool) -> nix::Result<()> {
    let signals = if as_tcpserver { TCPSERVERS } else { SIGNALS.len() };
    let blocked: SigSet = SIGNALS.into_iter().take(signals).collect();
    blocked.iter().try_for_each(sys::count)?;
    blocked.thread_block()
}
