//! Where lines go: to standard error with one write(2) each, or to the syslog
//! daemon.

use std::fmt::Display;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook};
use std::sync::Arc;

use syslog::Severity;

use super::line::{LIMIT, Line};
use super::logger::{Echo, Log, Sink, Speaker, Verbosity};
use super::losses::LossCounters;
use super::stderr::{Stderr, put_blocking, put_once};
use super::syslog::{Syslog, Wait};
use crate::error::TROUBLE;
use crate::escape::Message;

impl Log {
    /// Writes to the syslog daemon from now on.
    #[must_use]
    pub fn to_syslog(mut self, syslog: Arc<Syslog>) -> Self {
        self.sink = Sink::Syslog(syslog);
        self
    }

    /// The same, but warnings and errors go to standard error as well, as long as the
    /// start is not complete.
    #[must_use]
    pub fn also_on_standard_error(&self) -> Self {
        Self { echo: Echo::All, ..self.clone() }
    }

    /// Opens what lines need, as the user that this process runs as, for this process
    /// and all that it forks.
    pub fn open(&self) {
        if let Sink::Stderr(stderr) = &self.sink {
            stderr.get_or_init(Stderr::open);
        }
    }

    /// This process never waits for the reader of standard error.
    pub fn never_wait(&self) {
        if let Sink::Stderr(stderr) = &self.sink {
            stderr.get_or_init(Stderr::open).never_wait();
        }
    }

    /// The error if lines go to a syslog daemon, and there is none.
    #[must_use]
    pub fn lack_of_syslog(&self) -> Option<String> {
        let Sink::Syslog(syslog) = &self.sink else { return None };
        let (path, why) = syslog.probe().err()?;
        let (path, why) = (path.display(), std::io::Error::from(why));
        Some(format!(
            "unable to log to {path}: {why}: lines are lost until a syslog daemon listens there"
        ))
    }

    /// A warning for the process that started us, wherever lines go.
    pub fn warn_on_stderr(&self, warning: &str) {
        if self.verbosity > Verbosity::Quiet {
            self.put_on_stderr(&format!("warning: {warning}"));
        }
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

    /// The program under whose name lines are written.
    #[must_use]
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Whether lines name the process that has a client before the verdict is known, as
    /// tcpserver's do.
    #[must_use]
    pub fn announces_processes(&self) -> bool {
        self.verbosity == Verbosity::Verbose && self.speaker != Speaker::Link
    }

    /// The descriptor that lines need, if it is not standard error.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.sink {
            Sink::Syslog(syslog) => Some(syslog.descriptor()),
            Sink::Stderr(stderr) => stderr.get().map(Stderr::descriptor),
            Sink::Blocking => None,
        }
    }

    /// Counts lines that are lost in `counters` as well.
    pub fn count_lost_lines(&self, counters: LossCounters) {
        match &self.sink {
            Sink::Stderr(stderr) => stderr.get_or_init(Stderr::open).losses.count_in(counters),
            Sink::Blocking => (),
            Sink::Syslog(syslog) => syslog.losses.count_in(counters),
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
        let wait = line.wait();
        let bytes = line.finish();
        match &self.sink {
            Sink::Syslog(syslog) => {
                let text = String::from_utf8_lossy(bytes.trim_ascii_end());
                syslog.send(Severity::LOG_INFO, &text, wait);
            }
            Sink::Stderr(_) | Sink::Blocking => self.put(&bytes),
        }
    }

    pub(super) fn message(&self, severity: &str, message: impl Display) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        let level = match severity {
            "warning" => Severity::LOG_WARNING,
            "error" => Severity::LOG_ERR,
            _ => Severity::LOG_CRIT,
        };
        self.put_message(level, &format!("{severity}: {message}"), Wait::None);
    }

    /// A message under the program's name, which is syslog's tag.
    pub(super) fn put_message(&self, level: Severity, message: &str, wait: Wait) {
        let Sink::Syslog(syslog) = &self.sink else {
            return self.put(&self.in_our_name(message));
        };
        self.printable(message).lines().for_each(|line| syslog.send(level, line, wait));
        if self.echo == Echo::All || matches!(level, Severity::LOG_CRIT) {
            self.put_on_stderr(message);
        }
    }

    /// If lines go elsewhere, standard error is not kept open: the process that started
    /// a daemon waits for its end of file.
    fn put_on_stderr(&self, message: &str) {
        put_once(&self.in_our_name(message));
    }

    /// Writes to standard error.
    pub(super) fn put(&self, line: &[u8]) {
        match &self.sink {
            Sink::Stderr(stderr) => stderr.get_or_init(Stderr::open).write(self.program, line),
            Sink::Blocking => put_blocking(line),
            Sink::Syslog(_) => drop(put_once(line)),
        }
    }

    /// tcpserver's own bytes stay what they are.
    fn printable(&self, message: &str) -> String {
        let mut text = match self.speaker {
            Speaker::Tcpserver => return message.to_owned(),
            Speaker::Daemon | Speaker::Link => Message(message).to_string(),
        };
        cut(&mut text, LONGEST_MESSAGE);
        text
    }

    fn in_our_name(&self, message: &str) -> Vec<u8> {
        format!("{}: {}\n", self.program, self.printable(message)).into_bytes()
    }
}

/// Together with the program's name it is written in one piece.
pub(super) const LONGEST_MESSAGE: usize = LIMIT - 100;

/// Leaves no more than `most` bytes of a text, and no part of a letter.
pub(super) fn cut(text: &mut String, most: usize) {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or_default());
}

/// Does `work`, which ends with an exit code, or with [`TROUBLE`] for a panic.
pub fn contain_panics(work: impl FnOnce() -> u8) -> u8 {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(TROUBLE)
}
