//! Pipes of sessions that the supervisor holds, so that a relay that replaces another can
//! go on reading them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};

use super::session::{PipeId, Received, SessionPipe, pipe_id, receive};

/// The interval of the search for pipes that have ended.
const INTERVAL: Duration = Duration::from_millis(500);
/// The most pipes that may be added before it.
const FEW: usize = 64;
/// The most pipes that are held: each fork copies them.
const MOST: usize = 4096;

/// The pipes.
pub(super) struct HeldPipes {
    /// Where new pipes are received.
    socket: OwnedFd,
    pipes: BTreeMap<PipeId, SessionPipe>,
    most: usize,
    /// When, and at how many pipes, the next search is due.
    prune_at: (Instant, usize),
}

impl HeldPipes {
    /// No pipes.  They take half of the descriptors that this process may have, at most.
    pub(super) fn new(socket: OwnedFd) -> Self {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(limit, _)| limit / 2);
        let most = usize::try_from(limit).unwrap_or(MOST).min(MOST);
        Self { socket, pipes: BTreeMap::new(), most, prune_at: (Instant::now(), FEW) }
    }

    /// Receives the pipes that were passed on, and closes those that have ended.
    pub(super) fn tend(&mut self) {
        while let Received::Pipe(passed) = receive(&self.socket) {
            if self.pipes.len() >= self.prune_at.1 {
                self.prune();
            }
            if let Some(id) = pipe_id(&passed.pipe).ok().filter(|_| self.pipes.len() < self.most) {
                self.pipes.insert(id, passed);
            }
        }
        if !self.pipes.is_empty() && self.prune_at.0 <= Instant::now() {
            self.prune();
        }
    }

    /// Keeps those that a process may still write to, and those that have not been read to
    /// the end.  The next search is due when there may be twice as many, so that its cost
    /// for each of them is the same however many there are.
    fn prune(&mut self) {
        let fds = self.pipes.values().map(|held| PollFd::new(held.pipe.as_fd(), PollFlags::POLLIN));
        let mut fds: Vec<_> = fds.collect();
        let _ = poll(&mut fds, PollTimeout::ZERO);
        let is_at_its_end = |fd: &PollFd<'_>| fd.revents() == Some(PollFlags::POLLHUP);
        let ends = self.pipes.keys().zip(&fds).filter(|(_, fd)| is_at_its_end(fd));
        let ends: Vec<PipeId> = ends.map(|(id, _)| *id).collect();
        for id in ends {
            self.pipes.remove(&id);
        }
        self.prune_at = (Instant::now() + INTERVAL, (2 * self.pipes.len()).max(FEW));
    }

    /// All of them, for a process that reads them.
    pub(super) fn take_all(&mut self) -> BTreeMap<PipeId, SessionPipe> {
        std::mem::take(&mut self.pipes)
    }

    /// Descriptors of the pipes.
    pub(super) fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.values().map(|held| held.pipe.as_fd())
    }

    /// Where new pipes are received.
    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};

    use nix::fcntl::OFlag;
    use nix::unistd::{getpid, pipe2};

    use crate::daemon::relay::pair;
    use crate::daemon::relay::session::Session;

    /// Passes one end of a new pipe on, and returns the other.
    fn pass(socket: &OwnedFd) -> File {
        let session = Session { client: "192.0.2.7:25".parse().unwrap(), pid: getpid() };
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        session.pass(socket.as_fd(), reading.as_fd()).unwrap();
        writing.into()
    }

    /// Searches until only so many are left: processes that other tests fork have a copy of
    /// each writing end for a moment.
    fn prune_to(held: &mut HeldPipes, count: usize) {
        let start = Instant::now();
        while held.pipes.len() != count && start.elapsed() < Duration::from_secs(20) {
            held.prune();
        }
        assert_eq!(held.pipes.len(), count);
    }

    #[test]
    fn a_pipe_is_held_until_it_is_read_to_the_end() {
        let (theirs, ours) = pair().unwrap();
        let mut held = HeldPipes::new(ours);
        let mut writing = pass(&theirs);
        held.tend();
        held.prune();
        assert_eq!(held.pipes.len(), 1, "a process may write");
        writing.write_all(b"last words").unwrap();
        drop(writing);
        held.prune();
        assert_eq!(held.pipes.len(), 1, "it has not been read");
        let pipe = &mut held.pipes.values_mut().next().unwrap().pipe;
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        assert_eq!(text, "last words");
        prune_to(&mut held, 0);
    }

    #[test]
    fn no_more_are_held_than_there_is_room_for() {
        let (theirs, ours) = pair().unwrap();
        let mut held = HeldPipes { most: 3, ..HeldPipes::new(ours) };
        let writing: Vec<File> = (0..5).map(|_| pass(&theirs)).collect();
        held.tend();
        assert_eq!(held.pipes.len(), 3);
        drop(writing);
        prune_to(&mut held, 0);
        let _writing: Vec<File> = (0..2).map(|_| pass(&theirs)).collect();
        held.tend();
        assert_eq!(held.pipes.len(), 2);
    }

    #[test]
    fn short_sessions_do_not_pile_up_between_two_looks() {
        let (theirs, ours) = pair().unwrap();
        let mut held = HeldPipes::new(ours);
        held.prune_at.0 += Duration::from_secs(60);
        let living: Vec<File> = (0..FEW).map(|_| pass(&theirs)).collect();
        held.tend();
        for _ in 0..20 * FEW {
            drop(pass(&theirs));
            held.tend();
            assert!(held.pipes.len() <= 4 * FEW, "{}", held.pipes.len());
        }
        prune_to(&mut held, living.len());
    }
}
