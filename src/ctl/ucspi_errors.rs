//! How ucspi-tcp's tools fail, in its words: under their own names byte by byte, and as
//! commands of smtp-delayctl.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::djb::words;
use crate::error::{TROUBLE, USAGE};

/// One of ucspi-tcp's tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// It compiles rules.
    Tcprules,
    /// It says which rule decides.
    Tcprulescheck,
}

/// What it is called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// Itself.
    Tool,
    /// A command of smtp-delayctl.
    Command,
}

/// How a tool fails.
#[derive(Debug)]
pub enum ToolError {
    /// An operand is missing.
    Usage(Tool),
    /// `tcprules` cannot parse this line.
    Line(Vec<u8>),
    /// The system refuses to do this.
    Unable(Action, io::Error),
}

/// What a tool does with files.
#[derive(Debug)]
pub enum Action {
    /// Make the temporary file.
    Create(OsString),
    /// Read standard input.
    ReadInput,
    /// Write to the temporary file.
    Write(OsString),
    /// Rename it.
    Move {
        /// The temporary file.
        from: OsString,
        /// The file that it becomes.
        to: OsString,
    },
    /// Read the rules that `tcprulescheck` searches.
    Search(OsString),
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Tcprules => "tcprules",
            Self::Tcprulescheck => "tcprulescheck",
        }
    }

    fn operands(self) -> &'static str {
        match self {
            Self::Tcprules => "rules.cdb rules.tmp",
            Self::Tcprulescheck => "rules.cdb",
        }
    }
}

impl ToolError {
    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Line(_) => USAGE,
            Self::Unable(..) => TROUBLE,
        }
    }

    /// The message, in bytes: it may quote a file.
    #[must_use]
    pub fn message(&self, called: Called) -> Vec<u8> {
        let tool = self.tool().name();
        let (name, command) = match called {
            Called::Tool => (tool, ""),
            Called::Command => ("smtp-delayctl", "smtp-delayctl "),
        };
        match self {
            Self::Usage(tool) => {
                let (tool, operands) = (tool.name(), tool.operands());
                format!("{name}: usage: {command}{tool} {operands}").into_bytes()
            }
            Self::Line(line) => {
                let start = format!("{name}: fatal: unable to parse this line: ");
                [start.as_bytes(), line].concat()
            }
            Self::Unable(action, why) => {
                let start = format!("{name}: fatal: unable to ");
                [start.as_bytes(), &action.words(), b": ", action.reason(why).as_bytes()].concat()
            }
        }
    }

    fn tool(&self) -> Tool {
        match self {
            Self::Usage(tool) => *tool,
            Self::Unable(Action::Search(_), _) => Tool::Tcprulescheck,
            Self::Line(_) | Self::Unable(..) => Tool::Tcprules,
        }
    }
}

impl Action {
    /// A verb and its object.
    fn words(&self) -> Vec<u8> {
        match self {
            Self::Create(file) => [b"create ", file.as_bytes()].concat(),
            Self::ReadInput => b"read input".to_vec(),
            Self::Write(file) => [b"write to ", file.as_bytes()].concat(),
            Self::Move { from, to } => [b"move ", from.as_bytes(), b" to ", to.as_bytes()].concat(),
            Self::Search(file) => [b"read ", file.as_bytes()].concat(),
        }
    }

    /// A file that grows over 4 GB is "out of memory", as in djb's cdb library.
    fn reason(&self, why: &io::Error) -> &'static str {
        match self {
            Self::Search(_) => words(why),
            _ if why.raw_os_error().is_some() => words(why),
            _ => "out of memory",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn messages_begin_with_the_name_that_was_called() {
        let denied = || io::Error::from(Errno::EACCES);
        let moved = Action::Move { from: "a".into(), to: "b".into() };
        for (error, code, own, command) in [
            (
                ToolError::Usage(Tool::Tcprules),
                100,
                "tcprules: usage: tcprules rules.cdb rules.tmp",
                "smtp-delayctl: usage: smtp-delayctl tcprules rules.cdb rules.tmp",
            ),
            (
                ToolError::Usage(Tool::Tcprulescheck),
                100,
                "tcprulescheck: usage: tcprulescheck rules.cdb",
                "smtp-delayctl: usage: smtp-delayctl tcprulescheck rules.cdb",
            ),
            (
                ToolError::Line(b"x".to_vec()),
                100,
                "tcprules: fatal: unable to parse this line: x",
                "smtp-delayctl: fatal: unable to parse this line: x",
            ),
            (
                ToolError::Unable(moved, denied()),
                111,
                "tcprules: fatal: unable to move a to b: access denied",
                "smtp-delayctl: fatal: unable to move a to b: access denied",
            ),
            (
                ToolError::Unable(Action::Search("a".into()), denied()),
                111,
                "tcprulescheck: fatal: unable to read a: access denied",
                "smtp-delayctl: fatal: unable to read a: access denied",
            ),
        ] {
            let text = |called| String::from_utf8(error.message(called)).unwrap();
            assert_eq!((error.exit_code(), text(Called::Tool).as_str()), (code, own));
            assert_eq!(text(Called::Command), command);
        }
    }

    #[test]
    fn what_the_system_has_no_error_for_is_out_of_memory() {
        let too_big = ToolError::Unable(Action::Write("a".into()), io::Error::other("too big"));
        let expected = b"tcprules: fatal: unable to write to a: out of memory";
        assert_eq!(too_big.message(Called::Tool), expected);
    }
}
