//! Signal handlers, which count or shut the listener down, and blocked signals.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::unistd::Pid;

/// How often each signal was caught since the last [`take_count`].
static CAUGHT: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];
/// The descriptor that [`shut_down_when_orphaned`] shuts down.
static LISTENER: AtomicI32 = AtomicI32::new(-1);
/// The process whose death it waits for.
static PARENT: AtomicI32 = AtomicI32::new(0);

extern "C" fn count_signal(number: libc::c_int) {
    if let Some(counter) = usize::try_from(number).ok().and_then(|index| CAUGHT.get(index)) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn shut_down_if_orphaned(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: getppid(2) is async-signal-safe and cannot fail.
    let parent = unsafe { libc::getppid() };
    if parent != PARENT.load(Ordering::Relaxed) {
        // SAFETY: shutdown(2) is async-signal-safe; it takes any number and
        // says EBADF or ENOTSOCK to one that is no socket.
        unsafe { libc::shutdown(LISTENER.load(Ordering::Relaxed), libc::SHUT_RDWR) };
    }
    Errno::set_raw(errno);
}

fn install(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handlers of this file touch atomics and call only
    // async-signal-safe functions.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Counts `signal` from now on instead of acting on it; system calls are
/// interrupted (no `SA_RESTART`).
///
/// # Errors
/// EINVAL for KILL and STOP.
pub fn count(signal: Signal) -> nix::Result<()> {
    install(signal, SigHandler::Handler(count_signal))
}

/// How often `signal` was caught since the last call.
pub fn take_count(signal: Signal) -> u32 {
    CAUGHT.get(signal as usize).map_or(0, |counter| counter.swap(0, Ordering::Relaxed))
}

/// Ignores `signal`.
///
/// # Errors
/// EINVAL for KILL and STOP.
pub fn ignore(signal: Signal) -> nix::Result<()> {
    install(signal, SigHandler::SigIgn)
}

/// Gives `signal` its default action.
///
/// # Errors
/// EINVAL for KILL and STOP.
pub fn reset(signal: Signal) -> nix::Result<()> {
    install(signal, SigHandler::SigDfl)
}

/// Blocks signals as long as this lives; pending ones are delivered then.
pub struct Blocked {
    before: SigSet,
}

impl Blocked {
    /// Blocks `signals`, in addition to those that are blocked already.
    #[must_use]
    pub fn block(signals: impl Into<SigSet>) -> Self {
        let before = signals.into().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        Self { before: before.unwrap_or_else(|_| SigSet::empty()) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// Gives every signal its default action, and blocks those of `blocked` alone, whatever
/// was inherited.
pub fn reset_all_signals(blocked: &SigSet) {
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    for number in (1..32).chain(real_time) {
        // SAFETY: SIG_DFL installs no code.  KILL and STOP answer EINVAL,
        // which is right.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    let _ = blocked.thread_set_mask();
}

/// Stores what [`shut_down_when_orphaned`] needs, for children that are forked from
/// here on, so that they do not write to (and copy) the page.
pub fn be_parent(listener: BorrowedFd<'_>, parent: Pid) {
    LISTENER.store(listener.as_raw_fd(), Ordering::Relaxed);
    PARENT.store(parent.as_raw(), Ordering::Relaxed);
}

/// Shuts the listener down in this process once SIGURG comes and the parent
/// ([`be_parent`]) is no longer its parent: every process that blocks in accept(2)
/// on it wakes with EINVAL, and its port is free.  SIGURG while the parent lives
/// only interrupts system calls.
///
/// # Errors
/// Errors of sigaction(2).
pub fn shut_down_when_orphaned() -> nix::Result<()> {
    install(Signal::SIGURG, SigHandler::Handler(shut_down_if_orphaned))
}
