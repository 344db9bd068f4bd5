//! poll(2) with a limit of time.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

/// How a poll(2) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) enum PollEnd {
    /// A descriptor is ready.
    Ready,
    /// The time is over.
    Elapsed,
    /// A signal came.
    Signal,
}

/// Polls until one of `fds` is ready, the time is over, or a signal comes.
pub(in crate::connection) fn poll_for(fds: &mut [PollFd<'_>], time: Duration) -> PollEnd {
    end_of(poll(fds, timeout(time)), time)
}

/// The same with no signal blocked meanwhile.
pub(in crate::connection) fn poll_with_signals(fds: &mut [PollFd<'_>], time: Duration) -> PollEnd {
    end_of(ppoll(fds, Some(TimeSpec::from(time)), Some(SigSet::empty())), time)
}

fn end_of(polled: nix::Result<libc::c_int>, time: Duration) -> PollEnd {
    match polled {
        Ok(0) => PollEnd::Elapsed,
        Ok(_) => PollEnd::Ready,
        Err(Errno::EINTR) => PollEnd::Signal,
        // ENOMEM and the like: no busy loop, and the deadline still applies.
        Err(_) => {
            std::thread::sleep(time.min(Duration::from_millis(50)));
            PollEnd::Elapsed
        }
    }
}

/// Rounded up to the millisecond, so that a wait does not end early and spin.
fn timeout(time: Duration) -> PollTimeout {
    let millis = time.as_micros().div_ceil(1000);
    PollTimeout::try_from(i32::try_from(millis).unwrap_or(i32::MAX)).unwrap_or(PollTimeout::MAX)
}

/// Waits until `fd` is readable (or has failed), or until `until`.
#[must_use]
pub(in crate::connection) fn wait_readable(fd: BorrowedFd<'_>, deadline: Instant) -> bool {
    loop {
        let time = deadline.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return false;
        }
        if poll_for(&mut [PollFd::new(fd, PollFlags::POLLIN)], time) == PollEnd::Ready {
            return true;
        }
    }
}
