//! Lines as datagrams to the syslog daemon.  It may be slow, dead or restarted: no
//! process waits for it for long, and a line that it does not take is lost and counted.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::UnixAddr;
use socket2::{Domain, SockAddr, Socket, Type};
use syslog::{Facility, Formatter3164, LogFormat, Severity};

use super::losses::{Losses, warning};
use crate::sys;

/// How long a line that should not be lost waits for room.
const PATIENCE: Duration = Duration::from_millis(20);
/// How long no process waits after one has waited in vain.
const IMPATIENCE: Duration = Duration::from_secs(1);
/// What stands between the priority and the tag: `Nov 25 12:00:00 `.
const TIMESTAMP: usize = 16;

/// How long a line may wait for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A short time: the line is about mail that was let in or refused.
    Short,
    /// As long as it takes, within bounds: its writer has nothing else to do.
    Long,
    /// Not at all: an attacker could make us write any number of such lines.
    None,
}

/// The connection to a syslog daemon.
///
/// The socket is not connected, so that every child finds a restarted daemon again by
/// its path.
pub struct Syslog {
    socket: Socket,
    address: UnixAddr,
    facility: Facility,
    tag: String,
    pub(super) losses: Losses,
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
        Ok(Self { socket, address, facility, tag: tag.into(), losses: Losses::new() })
    }

    /// Checks whether a process listens, as the user that this process runs as.
    ///
    /// # Errors
    /// The socket's path, and why it takes no lines.
    pub(super) fn probe(&self) -> Result<(), (PathBuf, Errno)> {
        let path = self.address.path().map(PathBuf::from).unwrap_or_default();
        if fs::metadata(&path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Err((path, Errno::ENOTSOCK));
        }
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None);
        let connected = socket
            .and_then(|socket| SockAddr::unix(&path).and_then(|address| socket.connect(&address)));
        connected.map_err(|why| (path, Errno::from_raw(why.raw_os_error().unwrap_or_default())))
    }

    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends one line.  The first one after lost lines carries their number.
    pub(super) fn send(&self, severity: Severity, line: &str, wait: Wait) {
        let warn = |lost| self.put(Severity::LOG_WARNING, &warning(lost), wait);
        self.losses.write(warn, || self.put(severity, line, wait));
    }

    fn put(&self, severity: Severity, line: &str, wait: Wait) -> bool {
        let message = self.message(severity, line);
        let wait = match wait {
            Wait::Short => self.may_wait(),
            Wait::Long => true,
            Wait::None => false,
        };
        let sent = sys::send_to(self.socket.as_fd(), &message, &self.address, wait);
        if wait && sent == Err(Errno::EAGAIN) {
            self.losses.note_vain_wait();
        }
        sent.is_ok()
    }

    fn may_wait(&self) -> bool {
        self.losses.since_vain_wait().is_none_or(|time| time >= IMPATIENCE)
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
        // The crate writes UTC, which a daemon would take for local time.  A daemon
        // uses the time of arrival if there is none.
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
    use std::time::Instant;

    fn socket(name: &str) -> PathBuf {
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
        syslog.send(Severity::LOG_INFO, "pass ip=192.0.2.7", Wait::Short);
        let expected = format!("<22>smtp-delayd[{}]: pass ip=192.0.2.7", process::id());
        assert_eq!(read(&daemon), expected);
        syslog.send(Severity::LOG_ERR, "x", Wait::None);
        assert!(read(&daemon).starts_with("<19>smtp-delayd["));
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_restarted_daemon_is_found_and_gets_the_number_of_lost_lines() {
        let path = socket("gone");
        let syslog = Syslog::new(&path, Facility::LOG_MAIL, "t").unwrap();
        for _ in 0..3 {
            syslog.send(Severity::LOG_INFO, "lost", Wait::Short);
        }
        for lines in 0..2 {
            let daemon = UnixDatagram::bind(&path).unwrap();
            syslog.send(Severity::LOG_INFO, "found", Wait::None);
            let told = format!("]: warning: {} log lines were lost", 3 - 2 * lines);
            assert!(read(&daemon).ends_with(&told));
            assert!(read(&daemon).ends_with("]: found"));
            fs::remove_file(&path).unwrap();
            drop(daemon);
            syslog.losses.forget_telling();
            syslog.send(Severity::LOG_INFO, "lost", Wait::None);
        }
    }

    #[test]
    fn a_daemon_that_does_not_read_costs_no_time() {
        let path = socket("stuck");
        let daemon = UnixDatagram::bind(&path).unwrap();
        let syslog = Syslog::new(&path, Facility::LOG_MAIL, "t").unwrap();
        let start = Instant::now();
        for number in 0..3000 {
            syslog.send(Severity::LOG_INFO, &number.to_string(), Wait::None);
        }
        syslog.send(Severity::LOG_INFO, "worth a wait", Wait::Short);
        assert!(!syslog.may_wait(), "it has waited in vain, and does not at once again");
        assert!(start.elapsed() < 3000 * PATIENCE, "it would wait for each");
        let lost = syslog.losses.unlogged();
        assert!((1..3000).contains(&lost), "{lost}");
        let mut taken = 0;
        daemon.set_nonblocking(true).unwrap();
        while daemon.recv(&mut [0; 100]).is_ok() {
            taken += 1;
        }
        assert_eq!(taken + lost, 3001);
        fs::remove_file(&path).unwrap();
    }
}
