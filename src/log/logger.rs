//! Where lines go, and which program's they are.

use std::sync::{Arc, OnceLock};

use super::stderr::Stderr;
use super::syslog::Syslog;

/// Which lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing at all (`-q`).
    Quiet,
    /// A line for every decision, warnings and errors (`-Q`).
    Normal,
    /// tcpserver's own lines as well (`-v`).
    Verbose,
}

/// The place for lines.
#[derive(Clone, Debug)]
pub(super) enum Sink {
    /// Standard error, opened once there is a line for it, or it has to survive a
    /// change of user.
    Stderr(Arc<OnceLock<Stderr>>),
    /// Standard error, waiting for room as long as it takes.
    Blocking,
    /// The syslog daemon.
    Syslog(Arc<Syslog>),
}

/// Which program's lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    /// The daemon's, and with `-v` tcpserver's as well.
    Daemon,
    /// Only those that tcpserver would write.
    Tcpserver,
    /// The chain link's: a line for each decision only with `-v`.
    Link,
}

/// Where lines go, and which of them.
#[derive(Clone, Debug)]
pub struct Log {
    pub(super) program: &'static str,
    pub(super) verbosity: Verbosity,
    pub(super) speaker: Speaker,
    pub(super) sink: Sink,
    pub(super) echo: Echo,
}

/// Which messages go to standard error in addition to syslog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Echo {
    /// Those about fatal errors.
    Fatal,
    /// All.
    All,
}

impl Log {
    /// Writes to standard error, under the name of the daemon `program`.
    #[must_use]
    pub fn new(program: &'static str, verbosity: Verbosity) -> Self {
        Self { program, verbosity, speaker: Speaker::Daemon, sink: stderr(), echo: Echo::Fatal }
    }

    /// Writes only tcpserver's lines, under its name.
    #[must_use]
    pub fn as_tcpserver(verbosity: Verbosity) -> Self {
        let (program, speaker) = ("tcpserver", Speaker::Tcpserver);
        Self { program, verbosity, speaker, sink: Sink::Blocking, echo: Echo::Fatal }
    }

    /// Writes under the name of the chain link `program`; decisions only with
    /// [`Verbosity::Verbose`].
    #[must_use]
    pub fn as_link(program: &'static str, verbosity: Verbosity) -> Self {
        Self { program, verbosity, speaker: Speaker::Link, sink: stderr(), echo: Echo::Fatal }
    }
}

fn stderr() -> Sink {
    Sink::Stderr(Arc::default())
}
