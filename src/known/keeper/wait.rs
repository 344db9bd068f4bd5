//! The only place where a keeper waits.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::SigSet;
use nix::sys::time::TimeSpec;

/// Waits until one of the descriptors is ready, at most for this time, or for a signal that
/// is blocked otherwise.
pub(super) fn wait<'a>(
    interests: impl Iterator<Item = (BorrowedFd<'a>, PollFlags)>,
    most: Duration,
) {
    let mut fds: Vec<PollFd<'_>> = interests.map(|(fd, events)| PollFd::new(fd, events)).collect();
    let _ = ppoll(&mut fds, Some(TimeSpec::from(most)), Some(SigSet::empty()));
}
