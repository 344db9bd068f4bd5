//! How a command of smtp-delayctl fails: its message and its exit code.

use std::path::PathBuf;
use std::{fmt, io};

use super::ucspi_errors::{Called, ToolError};
use crate::error::{DIED, Fatal, NOT_KNOWN, NOT_RUNNING, TROUBLE, USAGE, Usage};
use crate::escape::{Message, Printable};
use crate::known::key::Key;
use crate::report::reading::merge::Unread;

/// How a command of smtp-delayctl fails.
#[derive(Debug)]
pub enum Failure {
    /// As any of our programs may.
    Fatal(Fatal),
    /// As one of ucspi-tcp's tools.
    Tool(ToolError),
    /// `pid`: the daemon has died.
    Died,
    /// `pid`: the daemon is not running.
    NotRunning,
    /// `status`, `metrics`: there is no scoreboard in this directory.
    NoScoreboard(PathBuf),
    /// `status`, `metrics`: there are several, of which one would have to be named.
    Scoreboards {
        /// The directory.
        directory: PathBuf,
        /// How many.
        number: usize,
        /// One of them.
        one: PathBuf,
    },
    /// `status`, `metrics`: the daemon of this scoreboard is gone.
    Gone(PathBuf),
    /// `classify --stdin`: this line, from 1, is the first that begins with no address.
    NoAddress(u64),
    /// `known show`: this client is not known.
    NotKnown(Key),
    /// `report`: none of the lines is ours.
    NoLines,
    /// `report`: these files could not be read to their ends.
    Unread(Vec<Unread>),
}

impl Failure {
    /// Standard output cannot be written to.
    pub(super) fn of_output(why: io::Error) -> Self {
        Fatal::unable("print", why).into()
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fatal(fatal) => fatal.exit_code(),
            Self::Tool(error) => error.exit_code(),
            Self::Died => DIED,
            Self::NotRunning | Self::NoScoreboard(_) | Self::Gone(_) => NOT_RUNNING,
            Self::NotKnown(_) => NOT_KNOWN,
            Self::NoAddress(_) => USAGE,
            Self::Scoreboards { .. } | Self::NoLines | Self::Unread(_) => TROUBLE,
        }
    }

    /// The message, fit for a terminal; `None` where the exit code says all.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Died | Self::NotRunning => None,
            told => Some(Message(&told.to_string()).to_string()),
        }
    }
}

impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        Self::Fatal(fatal)
    }
}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Self {
        Self::Fatal(usage.into())
    }
}

impl From<ToolError> for Failure {
    fn from(error: ToolError) -> Self {
        Self::Tool(error)
    }
}

/// What is put in front of a message.
const FATAL: &str = "smtp-delayctl: fatal:";

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fatal(fatal) => write!(f, "{FATAL} {fatal}"),
            Self::Tool(error) => Printable(&error.message(Called::Command)).fmt(f),
            Self::Died => f.write_str("smtp-delayctl: the daemon has died"),
            Self::NotRunning => f.write_str("smtp-delayctl: the daemon is not running"),
            Self::NoScoreboard(directory) => {
                let directory = directory.display();
                let what = "there is no scoreboard in";
                write!(f, "smtp-delayctl: {what} {directory}: use --scoreboard FILE")
            }
            Self::Scoreboards { directory, number, one } => {
                let (directory, one) = (directory.display(), one.display());
                write!(f, "{FATAL} there are {number} scoreboards in {directory}: ")?;
                write!(f, "use --scoreboard {one}, or another")
            }
            Self::Gone(file) => {
                write!(f, "smtp-delayctl: the daemon of {} is gone", file.display())
            }
            Self::NoAddress(line) => {
                write!(f, "{FATAL} unable to use line {line}: it begins with no address")
            }
            Self::NotKnown(key) => write!(f, "{key} is not known"),
            Self::NoLines => {
                let what = "there is no line of smtp-delay in the log";
                write!(f, "{FATAL} {what} (another tag is named by --tag)")
            }
            Self::Unread(files) => {
                for (number, Unread { name, why }) in files.iter().enumerate() {
                    let before = if number == 0 { "" } else { "\n    " };
                    write!(f, "{before}{FATAL} unable to read {name}: {why}")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::ucspi_errors::Tool;
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn every_failure_has_its_code_and_its_message() {
        let denied = || io::Error::from(Errno::EACCES);
        let key = Key::of("192.0.2.7".parse().unwrap());
        let unread = |name: &str| Unread { name: name.into(), why: denied() };
        let scoreboards =
            Failure::Scoreboards { directory: "/run".into(), number: 2, one: "/run/a".into() };
        for (failure, code, message) in [
            (
                Fatal::unable("act", denied()).into(),
                111,
                Some("smtp-delayctl: fatal: unable to act: Permission denied (os error 13)"),
            ),
            (
                ToolError::Usage(Tool::Tcprulescheck).into(),
                100,
                Some("smtp-delayctl: usage: smtp-delayctl tcprulescheck rules.cdb"),
            ),
            (Failure::Died, 1, None),
            (Failure::NotRunning, 3, None),
            (
                Failure::NoScoreboard("/run".into()),
                3,
                Some("smtp-delayctl: there is no scoreboard in /run: use --scoreboard FILE"),
            ),
            (
                scoreboards,
                111,
                Some(
                    "smtp-delayctl: fatal: there are 2 scoreboards in /run: \
                     use --scoreboard /run/a, or another",
                ),
            ),
            (Failure::Gone("/f".into()), 3, Some("smtp-delayctl: the daemon of /f is gone")),
            (
                Failure::NoAddress(7),
                100,
                Some("smtp-delayctl: fatal: unable to use line 7: it begins with no address"),
            ),
            (Failure::NotKnown(key), 1, Some("192.0.2.7 is not known")),
            (
                Failure::NoLines,
                111,
                Some(
                    "smtp-delayctl: fatal: there is no line of smtp-delay in the log \
                     (another tag is named by --tag)",
                ),
            ),
            (
                Failure::Unread(vec![unread("a"), unread("b\n")]),
                111,
                Some(
                    "smtp-delayctl: fatal: unable to read a: Permission denied (os error 13)\n    \
                     smtp-delayctl: fatal: unable to read b\\n: Permission denied (os error 13)",
                ),
            ),
        ] {
            assert_eq!((failure.exit_code(), failure.message().as_deref()), (code, message));
        }
    }
}
