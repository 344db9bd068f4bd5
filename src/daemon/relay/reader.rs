//! The process that passes on what programs write on standard error, line by line, until no
//! process is left that could write.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::lines::LineSplitter;
use super::session::{PipeId, Received, Session, SessionPipe, pipe_id, receive};
use super::standard_error::Room;
use crate::log::Log;

/// How long the end of a line is waited for: not long, since in the pipe that all share a
/// line of another program could be appended to it.
const UNENDED: Duration = Duration::from_secs(1);
/// Bytes that are read from one pipe before the others are read.
const TURN: usize = 512;
/// Pipes that are received before the others are read.
const NEW_ONES: usize = 64;
/// More than there can be in flight at once, which [`super::QUEUE`] bounds.
pub(super) const ON_THEIR_WAY: usize = 512;
/// Descriptors that are left for other uses.
const SPARE: usize = 16;
/// The number of the socket among events, where others have a pipe's: no inode has it.
const SOCKET: PipeId = 0;

/// One pipe.
struct Source {
    pipe: File,
    /// The session that it belongs to; `None` for the one that all share.
    session: Option<Session>,
    lines: LineSplitter,
    /// When a line that has begun is no longer waited for.
    due: Option<Instant>,
}

/// All that is read.
pub(super) struct PipeReader<'a> {
    log: &'a Log,
    epoll: Epoll,
    /// Where pipes are received, as long as a process may pass one on.
    socket: Option<BorrowedFd<'a>>,
    room: Room,
    /// The number of pipes at which no more are requested.
    most: usize,
    sources: BTreeMap<PipeId, Source>,
    unended: BTreeSet<(Instant, PipeId)>,
}

impl<'a> PipeReader<'a> {
    /// With the pipe that all share, to begin with, and those that are received by
    /// `socket`.
    ///
    /// # Errors
    /// As `epoll_create(2)` and `epoll_ctl(2)`.
    pub(super) fn new(
        shared: File,
        socket: BorrowedFd<'a>,
        room: Room,
        log: &'a Log,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, SOCKET))?;
        let most = raise_limit().saturating_sub(ON_THEIR_WAY + SPARE);
        let (sources, unended) = (BTreeMap::new(), BTreeSet::new());
        let mut reader = Self { log, epoll, socket: Some(socket), room, most, sources, unended };
        reader.add(shared, None)?;
        reader.tell_room();
        Ok(reader)
    }

    /// Reads a session's pipe as well, unless it is read already.
    pub(super) fn adopt(&mut self, SessionPipe { session, pipe }: SessionPipe) {
        // A pipe that cannot be watched reports nothing.
        let _ = self.add(pipe, Some(session));
    }

    fn add(&mut self, pipe: File, session: Option<Session>) -> nix::Result<()> {
        let id = pipe_id(&pipe)?;
        if !self.sources.contains_key(&id) {
            self.epoll.add(&pipe, EpollEvent::new(EpollFlags::EPOLLIN, id))?;
            let lines = LineSplitter::default();
            self.sources.insert(id, Source { pipe, session, lines, due: None });
        }
        Ok(())
    }

    /// Until the last writer has ended, and the last process that could pass a pipe on.
    pub(super) fn run(&mut self) {
        while self.socket.is_some() || !self.sources.is_empty() {
            if self.turn().is_err() {
                break;
            }
        }
    }

    /// Reads each pipe that is ready.
    fn turn(&mut self) -> nix::Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        let ready = match self.epoll.wait(&mut events, self.timeout()) {
            Err(Errno::EINTR) => 0,
            ready => ready?,
        };
        for event in &events[..ready] {
            match event.data() {
                SOCKET => self.take_new_ones(),
                id => self.read(id),
            }
        }
        self.tell_unended();
        self.tell_room();
        Ok(())
    }

    fn tell_room(&self) {
        self.room.set(self.sources.len() < self.most);
    }

    fn timeout(&self) -> EpollTimeout {
        let Some((due, _)) = self.unended.first() else { return EpollTimeout::NONE };
        // Not before it is due: it would be waited for again.
        let left = due.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        EpollTimeout::try_from(left).unwrap_or(EpollTimeout::ZERO)
    }

    fn take_new_ones(&mut self) {
        for _ in 0..NEW_ONES {
            let Some(socket) = self.socket else { return };
            match receive(socket) {
                Received::Pipe(passed) => self.adopt(passed),
                Received::Nothing => return,
                Received::End => {
                    let _ = self.epoll.delete(socket);
                    self.socket = None;
                }
            }
        }
    }

    fn read(&mut self, id: PipeId) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let mut buffer = [0; TURN];
        match source.pipe.read(&mut buffer) {
            Ok(0) => self.finish(id),
            Ok(length) => {
                let (log, session) = (self.log, source.session);
                source.lines.take(&buffer[..length], |line| say(log, line, session));
                self.note_due(id);
            }
            Err(why) if matches!(why.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => (),
            Err(_) => self.finish(id),
        }
    }

    /// The end of a line that has begun is waited for from now on.
    fn note_due(&mut self, id: PipeId) {
        let Some(source) = self.sources.get_mut(&id) else { return };
        let due = source.lines.have_begun().then(|| Instant::now() + UNENDED);
        let before = std::mem::replace(&mut source.due, due);
        before.map(|due| self.unended.remove(&(due, id)));
        self.unended.extend(due.map(|due| (due, id)));
    }

    fn tell_unended(&mut self) {
        while let Some((due, id)) = self.unended.first().copied() {
            if due > Instant::now() {
                return;
            }
            self.end_line(id);
        }
    }

    fn end_line(&mut self, id: PipeId) {
        if let Some(source) = self.sources.get_mut(&id) {
            let (log, session) = (self.log, source.session);
            source.lines.end(|line| say(log, line, session));
        }
        self.note_due(id);
    }

    /// The supervisor may hold the same end: closing it here does not remove it from the
    /// epoll.
    fn finish(&mut self, id: PipeId) {
        self.end_line(id);
        if let Some(source) = self.sources.remove(&id) {
            let _ = self.epoll.delete(&source.pipe);
        }
    }
}

fn say(log: &Log, line: &[u8], session: Option<Session>) {
    log.program_said(line, session.map(|session| (session.client, session.pid)));
}

/// Lets this process have as many descriptors as it may; returns how many these are.
fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    usize::try_from(if raised.is_ok() { hard } else { soft }).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::net::UnixDatagram;
    use std::path::PathBuf;
    use std::sync::Arc;

    use nix::fcntl::OFlag;
    use nix::unistd::{Pid, pipe2};
    use syslog::Facility;

    use crate::daemon::relay::pair;
    use crate::log::{Syslog, Verbosity};
    use crate::sys;

    /// A syslog daemon, and a log that writes to it.
    struct Lab {
        path: PathBuf,
        daemon: UnixDatagram,
        log: Log,
        room: Room,
    }

    impl Lab {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("relay.{name}.{}", std::process::id()));
            let daemon = UnixDatagram::bind(&path).unwrap();
            daemon.set_nonblocking(true).unwrap();
            let syslog = Syslog::new(&path, Facility::LOG_MAIL, "t").unwrap();
            let log = Log::new("t", Verbosity::Normal).to_syslog(Arc::new(syslog));
            Self { path, daemon, log, room: Room(&sys::shared_words(1).unwrap()[0]) }
        }

        /// What was logged since the last call, after `prog: `.
        fn lines(&self) -> Vec<String> {
            let mut buffer = [0; 5000];
            let next =
                || self.daemon.recv(&mut buffer).ok().map(|length| buffer[..length].to_vec());
            let lines = std::iter::from_fn(next).map(|line| String::from_utf8(line).unwrap());
            lines.map(|line| line.split_once("]: prog: ").unwrap().1.to_string()).collect()
        }
    }

    impl Drop for Lab {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn pipe() -> (File, File) {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        (reading.into(), writing.into())
    }

    /// Passes a new pipe on for a client with this port, and returns the writing end.
    fn pass(socket: &OwnedFd, port: u16) -> File {
        let client = ([192, 0, 2, 7], port).into();
        let (reading, writing) = pipe();
        Session { client, pid: Pid::from_raw(9) }.pass(socket.as_fd(), reading.as_fd()).unwrap();
        writing
    }

    fn turn_until(reader: &mut PipeReader<'_>, is_done: impl Fn(&PipeReader<'_>) -> bool) {
        while !is_done(reader) {
            reader.turn().unwrap();
        }
    }

    fn whose(port: u16) -> String {
        format!(" ip=192.0.2.7 port={port} pid=9")
    }

    #[test]
    fn a_program_that_writes_without_end_does_not_delay_others() {
        let (lab, (theirs, ours), (shared, _writing)) = (Lab::new("fair"), pair().unwrap(), pipe());
        let mut reader = PipeReader::new(shared, ours.as_fd(), lab.room, &lab.log).unwrap();
        let (mut endless, mut brief) = (pass(&theirs, 1), pass(&theirs, 2));
        reader.turn().unwrap();
        let line = [b"x".repeat(TURN - 1), b"\n".to_vec()].concat();
        while endless.write(&line).is_ok() {}
        brief.write_all(b"words\n").unwrap();
        reader.turn().unwrap();
        let lines = lab.lines();
        assert!(lines.contains(&("words".to_owned() + &whose(2))), "{lines:?}");
        assert!(lines.len() <= 2, "{lines:?}");
    }

    #[test]
    fn it_ends_with_the_last_writer() {
        let (lab, (theirs, ours), (shared, mut writing)) =
            (Lab::new("end"), pair().unwrap(), pipe());
        let mut reader = PipeReader::new(shared, ours.as_fd(), lab.room, &lab.log).unwrap();
        let (mut first, mut second) = (pass(&theirs, 1), pass(&theirs, 2));
        writing.write_all(b"shared").unwrap();
        first.write_all(b"one\nhalf").unwrap();
        second.write_all(b"two\n").unwrap();
        drop((theirs, writing, first));
        turn_until(&mut reader, |reader| reader.sources.len() == 1 && reader.socket.is_none());
        let mut lines = lab.lines();
        lines.sort();
        let all = [("half", 1), ("one", 1), ("two", 2)];
        let mut expected: Vec<_> =
            all.iter().map(|(text, port)| text.to_string() + &whose(*port)).collect();
        expected.insert(2, "shared".into());
        assert_eq!(lines, expected);
        second.write_all(b"last").unwrap();
        drop(second);
        reader.run();
        assert_eq!(lab.lines(), ["last".to_owned() + &whose(2)]);
    }

    #[test]
    fn a_pipe_that_arrives_twice_is_read_once() {
        let (lab, (theirs, ours), (shared, _writing)) =
            (Lab::new("twice"), pair().unwrap(), pipe());
        let mut reader = PipeReader::new(shared, ours.as_fd(), lab.room, &lab.log).unwrap();
        let session = Session { client: ([192, 0, 2, 7], 1).into(), pid: Pid::from_raw(9) };
        let (reading, _writing) = pipe();
        session.pass(theirs.as_fd(), reading.as_fd()).unwrap();
        reader.adopt(SessionPipe { session, pipe: reading });
        reader.turn().unwrap();
        assert_eq!(reader.sources.len(), 2, "the shared one, and this");
    }

    #[test]
    fn no_more_are_asked_for_than_can_be_taken() {
        let (lab, (theirs, ours), (shared, _writing)) = (Lab::new("room"), pair().unwrap(), pipe());
        let reader = PipeReader::new(shared, ours.as_fd(), lab.room, &lab.log).unwrap();
        let mut reader = PipeReader { most: 3, ..reader };
        let writing = [1, 2].map(|port| pass(&theirs, port));
        turn_until(&mut reader, |reader| reader.sources.len() == 3);
        assert!(!lab.room.is_there());
        drop(writing);
        turn_until(&mut reader, |reader| reader.sources.len() == 1);
        assert!(lab.room.is_there());
    }
}
