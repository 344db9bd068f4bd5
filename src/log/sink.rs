//! Where lines go: to standard error with one write(2) each, or to the syslog
//! daemon.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::unistd::write;
use syslog::Severity;

use super::line::Line;
use super::syslog::{Syslog, Worth};
use super::{Echo, Log, Speaker};
use crate::error::TROUBLE;
use crate::options::Verbosity;

impl Log {
    /// Writes to the syslog daemon from now on.
    #[must_use]
    pub fn to_syslog(mut self, syslog: Arc<Syslog>) -> Self {
        self.syslog = Some(syslog);
        self
    }

    /// The same, but warnings and errors go to standard error as well, for whoever
    /// watches a start.
    #[must_use]
    pub fn also_on_standard_error(&self) -> Self {
        Self { echo: Echo::All, ..self.clone() }
    }

    /// Does `work`, which ends with an exit code; a panic is logged, and ends with
    /// [`TROUBLE`].
    pub fn contain_panics(&self, work: impl FnOnce() -> u8) -> u8 {
        self.tell_of_panics();
        contain_panics(work)
    }

    /// Logs panics from now on, also those of processes that are forked.
    pub fn tell_of_panics(&self) {
        let log = self.clone();
        set_hook(Box::new(move |panic| log.panic(panic)));
    }

    /// The program in whose name lines are written.
    #[must_use]
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Whether lines tell which process has a client before it is known what
    /// becomes of him, as tcpserver's do.
    #[must_use]
    pub fn announces_processes(&self) -> bool {
        self.verbosity == Verbosity::Verbose && self.speaker != Speaker::Link
    }

    /// The descriptor that lines need, besides standard error.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.syslog.as_ref().map(|syslog| syslog.descriptor())
    }

    /// Counts lines that the syslog daemon does not take in `counter` as well.
    pub fn count_lost_lines(&self, counter: &'static AtomicU64) {
        if let Some(syslog) = &self.syslog {
            syslog.count_in(counter);
        }
    }

    pub(super) fn event(&self, line: Line) {
        let least = match self.speaker {
            Speaker::Daemon => Verbosity::Normal,
            Speaker::Link => Verbosity::Verbose,
            Speaker::Tcpserver => return,
        };
        if self.verbosity < least {
            return;
        }
        match &self.syslog {
            None => put(&line.finish()),
            Some(syslog) => {
                let worth = line.worth();
                syslog.send(
                    Severity::LOG_INFO,
                    &String::from_utf8_lossy(line.finish().trim_ascii_end()),
                    worth,
                );
            }
        }
    }

    pub(super) fn message(&self, severity: &str, message: impl fmt::Display) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let level = match severity {
            "warning" => Severity::LOG_WARNING,
            "error" => Severity::LOG_ERR,
            _ => Severity::LOG_CRIT,
        };
        self.put_message(level, &format!("{severity}: {message}"), Worth::Nothing);
    }

    /// A message in the program's name, which is syslog's tag.
    pub(super) fn put_message(&self, level: Severity, message: &str, worth: Worth) {
        if let Some(syslog) = &self.syslog {
            message.lines().for_each(|line| syslog.send(level, line, worth));
        }
        let is_echoed = self.echo == Echo::All || matches!(level, Severity::LOG_CRIT);
        if self.syslog.is_none() || is_echoed {
            put(format!("{}: {message}\n", self.program).as_bytes());
        }
    }
}

/// Does `work`, which ends with an exit code, or with [`TROUBLE`] for a panic.
pub fn contain_panics(work: impl FnOnce() -> u8) -> u8 {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(TROUBLE)
}

/// A line that cannot be written is lost: there is no place to say so, and
/// mail matters more.
pub(super) fn put(bytes: &[u8]) {
    while write(io::stderr(), bytes) == Err(Errno::EINTR) {}
}
