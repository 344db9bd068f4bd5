//! Standard error as the log.  Its reader may stop reading: a line waits a second for
//! room at most, and is lost then.
//!
//! Programs have descriptor 2 as well, and must not find `O_NONBLOCK` on it.  So a pipe
//! or a terminal is opened again, for us alone.

use std::cell::OnceCell;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::fstat;
use nix::unistd::{Pid, getpid, isatty, write};

use super::losses::{Losses, warning};
use crate::sys;

/// How long a line waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How to write to standard error without blocking.
#[derive(Debug)]
enum Way {
    /// A pipe or a terminal, through an open file description of our own.
    Own(File),
    /// A pipe or a terminal that cannot be opened again: written to if there is room.
    /// Another writer may fill it first, and then we block.
    Polled,
    /// A socket, for which a flag makes each write non-blocking.
    Socket,
    /// A file, which never blocks.
    File,
}

impl Way {
    fn find() -> Self {
        let kind = fstat(sys::standard_error()).map_or(0, |stat| stat.st_mode & libc::S_IFMT);
        match kind {
            libc::S_IFSOCK => Self::Socket,
            libc::S_IFIFO => open_again().map_or(Self::Polled, Self::Own),
            libc::S_IFCHR if isatty(sys::standard_error()) == Ok(true) => {
                open_again().map_or(Self::Polled, Self::Own)
            }
            _ => Self::File,
        }
    }

    /// Writes all of `bytes`, and waits for room no longer than `until`, which is called
    /// only if there is none.
    ///
    /// # Errors
    /// EAGAIN if there is still none then.
    fn put(&self, bytes: &[u8], until: impl Fn() -> Instant) -> nix::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.put_some(rest) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::EINTR) => (),
                Err(Errno::EAGAIN) => self.wait(until())?,
                Err(why) => return Err(why),
            }
        }
        Ok(())
    }

    fn put_some(&self, bytes: &[u8]) -> nix::Result<usize> {
        match self {
            Self::Own(own) => write(own, bytes),
            Self::Socket => sys::put(sys::standard_error(), bytes),
            Self::File => write(sys::standard_error(), bytes),
            Self::Polled if self.has_room(PollTimeout::ZERO)? => {
                write(sys::standard_error(), bytes)
            }
            Self::Polled => Err(Errno::EAGAIN),
        }
    }

    /// Waits until there may be room.
    ///
    /// # Errors
    /// EAGAIN if it is too late.
    fn wait(&self, until: Instant) -> nix::Result<()> {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        if timeout == PollTimeout::ZERO {
            return Err(Errno::EAGAIN);
        }
        self.has_room(timeout).map(drop)
    }

    /// A pipe without readers counts as room: the write reports the error.
    fn has_room(&self, timeout: PollTimeout) -> nix::Result<bool> {
        let mut fds = [PollFd::new(self.descriptor(), PollFlags::POLLOUT)];
        match poll(&mut fds, timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(why) => Err(why),
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        match self {
            Self::Own(own) => own.as_fd(),
            _ => sys::standard_error(),
        }
    }
}

/// An open file description of our own, and not the terminal of our session.
fn open_again() -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    File::options().write(true).custom_flags(flags).open("/proc/self/fd/2")
}

/// Whether the last [`put_once`] of this process waited in vain.
static WAITED_IN_VAIN: AtomicBool = AtomicBool::new(false);

/// Writes a rare line, and keeps nothing open; returns whether it was taken.  If no process
/// reads, only the first of several lines waits.
pub(super) fn put_once(bytes: &[u8]) -> bool {
    let patience = if WAITED_IN_VAIN.load(Ordering::Relaxed) { Duration::ZERO } else { PATIENCE };
    let deadline = Deadline::default();
    let put = Way::find().put(bytes, || deadline.get(patience));
    WAITED_IN_VAIN.store(put == Err(Errno::EAGAIN), Ordering::Relaxed);
    put.is_ok()
}

/// Until when a line waits, with the warning before it: it counts from the moment that
/// there is no room.
#[derive(Default)]
struct Deadline(OnceCell<Instant>);

impl Deadline {
    fn get(&self, patience: Duration) -> Instant {
        *self.0.get_or_init(|| Instant::now() + patience)
    }
}

/// As in tcpserver: the line waits for as long as the reader does not read.
pub(super) fn put_blocking(bytes: &[u8]) {
    while write(sys::standard_error(), bytes) == Err(Errno::EINTR) {}
}

/// Standard error, for all processes that are forked once it is open.
#[derive(Debug)]
pub(super) struct Stderr {
    way: Way,
    pub(super) losses: Losses,
    never_waits: OnceLock<Pid>,
}

impl Stderr {
    /// What is written to.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.way.descriptor()
    }

    pub(super) fn open() -> Self {
        Self { way: Way::find(), losses: Losses::new(), never_waits: OnceLock::new() }
    }

    /// This process does not wait at all from now on.
    pub(super) fn never_wait(&self) {
        let _ = self.never_waits.set(getpid());
    }

    /// Writes one line, with its newline.  The first one after lost lines is preceded
    /// by a warning, under the name of `program`.
    pub(super) fn write(&self, program: &str, line: &[u8]) {
        let deadline = Deadline::default();
        let warn = |lost| self.put(format!("{program}: {}\n", warning(lost)).as_bytes(), &deadline);
        self.losses.write(warn, || self.put(line, &deadline));
    }

    fn put(&self, line: &[u8], deadline: &Deadline) -> bool {
        let may_wait = OnceCell::new();
        let may_wait = || *may_wait.get_or_init(|| self.may_wait());
        let patience = || if may_wait() { PATIENCE } else { Duration::ZERO };
        let put = self.way.put(line, || deadline.get(patience()));
        match put {
            Ok(()) => self.losses.forget_vain_wait(),
            Err(Errno::EAGAIN) if may_wait() => self.losses.note_vain_wait(),
            Err(_) => (),
        }
        put.is_ok()
    }

    /// No wait if a process has just waited in vain.
    fn may_wait(&self) -> bool {
        self.losses.since_vain_wait().is_none() && self.never_waits.get() != Some(&getpid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::unistd::pipe2;
    use std::io::Read;

    /// With a pipe that has no reader and no room for a line.
    fn stalled() -> (File, Stderr) {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        fcntl(&reading, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let way = Way::Own(writing.into());
        while way.put(&[b'x'; 64], Instant::now).is_ok() {}
        let stderr = Stderr { way, losses: Losses::new(), never_waits: OnceLock::new() };
        (reading.into(), stderr)
    }

    #[test]
    fn one_line_waits_for_a_second_and_the_others_do_not() {
        let (mut reading, stderr) = stalled();
        let start = Instant::now();
        stderr.write("test", b"first\n");
        assert!(start.elapsed() > PATIENCE / 2, "{:?}", start.elapsed());
        let start = Instant::now();
        (0..100).for_each(|_| stderr.write("test", b"another\n"));
        assert!(start.elapsed() < 50 * PATIENCE, "{:?}", start.elapsed());
        assert_eq!(stderr.losses.unlogged(), 101);
        let _ = reading.read(&mut [0; 4096]).unwrap();
        stderr.write("test", b"last\n");
        let mut text = String::new();
        let _ = reading.read_to_string(&mut text);
        assert_eq!(text, "test: warning: 101 log lines were lost\nlast\n");
        assert!(stderr.may_wait(), "there was room");
    }

    #[test]
    fn a_line_does_not_wait_again_for_what_the_warning_before_it_has_waited() {
        let (mut reading, stderr) = stalled();
        let deadline = Deadline::default();
        let start = deadline.get(PATIENCE);
        let _ = reading.read(&mut [0; 64]).unwrap();
        while stderr.way.put(&[b'x'; 64], Instant::now).is_ok() {}
        assert!(!stderr.put(b"line\n", &deadline));
        assert_eq!(deadline.get(Duration::from_secs(60)), start);
    }

    #[test]
    fn the_supervisor_never_waits() {
        let (_reading, stderr) = stalled();
        stderr.never_wait();
        stderr.write("test", b"line\n");
        assert_eq!(stderr.losses.unlogged(), 1);
        assert_eq!(stderr.losses.since_vain_wait(), None, "and others may");
    }
}
