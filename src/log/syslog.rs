//! Lines as datagrams to the syslog daemon.  It may be slow, gone or
//! restarted: whoever logs never waits for it for long, and what it does not
//! take is lost and counted.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::UnixAddr;
use socket2::{Domain, Socket, Type};
use syslog::{Facility, Formatter3164, LogFormat, Severity};

use crate::sys;

/// How long a line that has to be kept waits for room.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long nobody waits once one has waited in vain, and nobody tells of lost
/// lines once it was told.
const IMPATIENCE: Duration = Duration::from_secs(1);
/// What stands between the priority and the tag: `Nov 25 12:00:00 `.
const TIMESTAMP: usize = 16;

/// How much a line is worth a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// A short one: it tells of mail that was let in, or kept out for good.
    AWait,
    /// As long as it takes, within bounds: whoever writes it has nothing else to
    /// do.
    Patience,
    /// None: there is nothing in it that an attacker could not make us write.
    Nothing,
}

/// The way to a syslog daemon.
///
/// The socket is not connected, so that a daemon that was restarted is found
/// again by its path, by every child.
pub struct Syslog {
    socket: Socket,
    address: UnixAddr,
    facility: Facility,
    tag: String,
    /// Lines that were lost and have not been told of, in memory that all
    /// processes share.
    lost: &'static AtomicU64,
    /// Milliseconds after `made` when somebody last waited in vain; shared as
    /// well.
    in_vain: &'static AtomicU64,
    /// The same for when it was last told how many lines were lost.
    told: &'static AtomicU64,
    made: Instant,
    /// All that were lost since the start.
    all: OnceLock<&'static AtomicU64>,
}

impl fmt::Debug for Syslog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Syslog").field("tag", &self.tag).finish_non_exhaustive()
    }
}

impl Syslog {
    /// Sends to the socket at `path`, which need not be there.
    ///
    /// # Errors
    /// No descriptor or no memory, or a path that is too long for a socket.
    pub fn new(path: &Path, facility: Facility, tag: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let address = UnixAddr::new(path)?;
        let words = sys::shared_words(3)?;
        Ok(Self {
            socket,
            address,
            facility,
            tag: tag.into(),
            lost: &words[0],
            in_vain: &words[1],
            told: &words[2],
            made: Instant::now(),
            all: OnceLock::new(),
        })
    }

    /// Counts lines that are lost in `counter` as well.
    pub(super) fn count_in(&self, counter: &'static AtomicU64) {
        let _ = self.all.set(counter);
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        if let Some(all) = self.all.get() {
            all.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends one line.  The first that gets through tells how many did not.
    pub(super) fn send(&self, severity: Severity, line: &str, worth: Worth) {
        let lost = if self.may_tell() { self.lost.swap(0, Ordering::Relaxed) } else { 0 };
        if lost > 0 {
            let told = format!("warning: {lost} log lines were lost");
            if !self.put(Severity::LOG_WARNING, &told, worth) {
                self.lost.fetch_add(lost, Ordering::Relaxed);
                self.lose();
                return;
            }
            self.told.store(self.age(), Ordering::Relaxed);
        }
        if !self.put(severity, line, worth) {
            self.lose();
        }
    }

    fn put(&self, severity: Severity, line: &str, worth: Worth) -> bool {
        let message = self.message(severity, line);
        let wait = match worth {
            Worth::AWait => self.may_wait(),
            Worth::Patience => true,
            Worth::Nothing => false,
        };
        let sent = sys::send_to(self.socket.as_fd(), &message, &self.address, wait);
        if wait && sent == Err(Errno::EAGAIN) {
            self.in_vain.store(self.age(), Ordering::Relaxed);
        }
        sent.is_ok()
    }

    fn age(&self) -> u64 {
        u64::try_from(self.made.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn may_wait(&self) -> bool {
        self.is_over(self.in_vain)
    }

    /// A daemon that loses one line in ten is not helped by as many warnings.
    fn may_tell(&self) -> bool {
        self.is_over(self.told)
    }

    fn is_over(&self, since: &AtomicU64) -> bool {
        let last = since.load(Ordering::Relaxed);
        last == 0 || Duration::from_millis(self.age().saturating_sub(last)) >= IMPATIENCE
    }

    fn message(&self, severity: Severity, line: &str) -> Vec<u8> {
        let formatter = Formatter3164 {
            facility: self.facility,
            hostname: None,
            process: self.tag.clone(),
            pid: process::id(),
        };
        let mut bytes = Vec::with_capacity(line.len() + 64);
        let _ = formatter.format(&mut bytes, severity, line);
        // The crate writes UTC, which a daemon would take for local time.  One
        // that finds no time takes that of the arrival.
        let priority = bytes.iter().position(|byte| *byte == b'>').map_or(0, |end| end + 1);
        if bytes.len() >= priority + TIMESTAMP {
            bytes.drain(priority..priority + TIMESTAMP);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    fn socket(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("syslog.{name}.{}", process::id()))
    }

    fn read(daemon: &UnixDatagram) -> String {
        let mut buffer = [0; 5000];
        daemon.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = daemon.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_line_has_priority_tag_and_process() {
        let path = socket("form");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::new(&path, Facility::LOG_MAIL, "smtp-delayd").unwrap();
        syslog.send(Severity::LOG_INFO, "pass ip=192.0.2.7", Worth::AWait);
        let expected = format!("<22>smtp-delayd[{}]: pass ip=192.0.2.7", process::id());
        assert_eq!(read(&daemon), expected);
        syslog.send(Severity::LOG_ERR, "x", Worth::Nothing);
        assert!(read(&daemon).starts_with("<19>smtp-delayd["));
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_daemon_that_was_gone_is_found_again_and_told_what_is_missing() {
        let path = socket("gone");
        let syslog = Syslog::new(&path, Facility::LOG_MAIL, "t").unwrap();
        for _ in 0..3 {
            syslog.send(Severity::LOG_INFO, "lost", Worth::AWait);
        }
        for lines in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            syslog.send(Severity::LOG_INFO, "found", Worth::Nothing);
            let told = format!("]: warning: {} log lines were lost", 3 - 2 * lines);
            assert!(read(&daemon).ends_with(&told));
            assert!(read(&daemon).ends_with("]: found"));
            std::fs::remove_file(&path).unwrap();
            drop(daemon);
            syslog.told.store(0, Ordering::Relaxed);
            syslog.send(Severity::LOG_INFO, "lost", Worth::Nothing);
        }
    }

    #[test]
    fn a_daemon_that_does_not_read_costs_no_time() {
        let path = socket("stuck");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::new(&path, Facility::LOG_MAIL, "t").unwrap();
        let start = Instant::now();
        for number in 0..3000 {
            syslog.send(Severity::LOG_INFO, &number.to_string(), Worth::Nothing);
        }
        syslog.send(Severity::LOG_INFO, "worth a wait", Worth::AWait);
        assert!(syslog.in_vain.load(Ordering::Relaxed) >= 20, "it has waited");
        assert!(!syslog.may_wait(), "and does not at once again");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
        let lost = syslog.lost.load(Ordering::Relaxed);
        assert!((1..3000).contains(&lost), "{lost}");
        let mut taken = 0;
        daemon.set_nonblocking(true).unwrap();
        while daemon.recv(&mut [0; 100]).is_ok() {
            taken += 1;
        }
        assert_eq!(taken + lost, 3001);
        std::fs::remove_file(&path).unwrap();
    }
}
