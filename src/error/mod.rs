//! Fatal errors, and their exit codes.

mod advice;
mod cause;
mod usage;

use std::path::PathBuf;
use std::{fmt, io};

use crate::djb::{self, TCPSERVER_USAGE};

pub use advice::{Advice, Reader};
pub use cause::{Cause, NotAnAddress, NotForked, Reason};
pub use usage::{Conflict, Hint, Operands, Usage};

/// Exit code for wrong usage or configuration, as in ucspi-tcp.
pub const USAGE: u8 = 100;
/// Exit code for system trouble that may pass, as in ucspi-tcp.
pub const TROUBLE: u8 = 111;
/// Exit code of `smtp-delayctl pid`: the daemon has died, and left its file behind, as
/// LSB has it for a service.
pub const DIED: u8 = 1;
/// Exit code of `smtp-delayctl known show`: the client is not known.
pub const NOT_KNOWN: u8 = 1;
/// Exit code of `smtp-delayctl pid`, `status` and `metrics`: the daemon is not running, as
/// in LSB.
pub const NOT_RUNNING: u8 = 3;

/// Why the program cannot go on.
#[derive(Debug)]
pub enum Fatal {
    /// A command line that is wrong.
    Usage(Usage),
    /// An operand, or the value of a setting, that cannot be used.
    Unusable {
        /// What it is, with its value.
        what: String,
        /// What would have been right.
        why: Cause,
    },
    /// A line of a file that cannot be used.
    At {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        why: Cause,
    },
    /// A file that a setting names, and that cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says, or [`Refused`](crate::file::Refused).
        why: io::Error,
        /// Which setting that is, and what to do.
        advice: Advice,
    },
    /// A user or a group that does not exist.
    NoAccount {
        /// The option: `-u` or `-g`.
        option: &'static str,
        /// The name or the number.
        name: String,
        /// What is missing, and what to do.
        why: &'static str,
    },
    /// A variable that `-U` needs, and that is not a number.
    NoId(&'static str),
    /// A program that cannot be run.
    Program {
        /// Its name.
        name: String,
        /// What keeps it from being run.
        why: Cause,
    },
    /// What the system refuses.
    Unable {
        /// A verb and its object, such as `bind 0.0.0.0:25`.
        what: String,
        /// What the system says.
        why: io::Error,
        /// What to do, with a colon before it; or nothing.
        hint: &'static str,
        /// tcpserver's verb and object, if it reports the same.
        tcpserver: Option<&'static str>,
    },
    /// What cannot be done: a verb and its object, without a reason of the system's.
    Impossible(&'static str),
    /// A port that is neither a number nor a service's name.
    NoPort(String),
    /// A host without an IP address.
    NoAddress(String),
    /// A host whose IP address cannot be looked up at the moment.
    AddressLookup {
        /// The host.
        name: String,
        /// What went wrong.
        why: io::Error,
    },
    /// A directory that was there before.
    Gone(PathBuf),
    /// Another, in what a setting says.
    Of {
        /// What messages call the setting.
        origin: String,
        /// What is wrong.
        error: Box<Fatal>,
    },
    /// Another, on a command line of tcpserver's own: its usage follows.
    AsTcpserver(Box<Fatal>),
    /// What another process of ours has reported.
    Reported {
        /// Its exit code.
        code: u8,
        /// Its message.
        message: String,
    },
}

impl Fatal {
    /// The system refuses to do `what`, a verb and its object.
    #[must_use]
    pub fn unable(what: impl fmt::Display, why: impl Into<io::Error>) -> Self {
        let (what, why) = (what.to_string(), why.into());
        Self::Unable { what, why, hint: "", tcpserver: None }
    }

    /// The same for a reason that is not the system's.
    #[must_use]
    pub fn because(what: impl fmt::Display, why: impl Into<Cause>) -> Self {
        Self::unable(what, io::Error::other(why))
    }

    /// The exit code: [`USAGE`], [`TROUBLE`], or what another process has reported.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Unusable { .. }
            | Self::At { .. }
            | Self::Unreadable { .. }
            | Self::NoAccount { .. }
            | Self::NoId(_)
            | Self::Program { .. } => USAGE,
            Self::Unable { .. }
            | Self::Impossible(_)
            | Self::NoPort(_)
            | Self::NoAddress(_)
            | Self::AddressLookup { .. }
            | Self::Gone(_) => TROUBLE,
            Self::Of { error, .. } | Self::AsTcpserver(error) => error.exit_code(),
            Self::Reported { code, .. } => *code,
        }
    }

    /// What tcpserver says of the same, if that differs; with [`TCPSERVER_USAGE`] it is
    /// all that is printed.
    #[must_use]
    pub fn tcpserver_message(&self) -> Option<String> {
        match self {
            Self::Usage(usage) => usage.tcpserver_message(),
            Self::Unable { why, tcpserver: Some(what), .. } => {
                Some(format!("unable to {what}: {}", djb::words(why)))
            }
            Self::AddressLookup { name, why } => {
                Some(format!("{NO_ADDRESS_NOW} {name}: {}", djb::words(why)))
            }
            Self::Of { error, .. } => error.tcpserver_message(),
            Self::AsTcpserver(error) => {
                let about = error.tcpserver_message().map(|what| format!("tcpserver: {what}\n"));
                Some(format!("{}tcpserver: {TCPSERVER_USAGE}", about.unwrap_or_default()))
            }
            _ => None,
        }
    }
}

/// tcpserver's words for a name server that does not answer.
const NO_ADDRESS_NOW: &str = "temporarily unable to figure out IP address for";
/// Behind a message about the command line.
const TRY_HELP: &str = "(try --help)";

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(what) => write!(f, "{what} {TRY_HELP}"),
            Self::Unusable { what, why } => write!(f, "unable to use {what}: {why}"),
            Self::At { file, line, why } => write!(f, "unable to use {file} line {line}: {why}"),
            Self::Reported { message, .. } => f.write_str(message),
            Self::Unreadable { path, why, advice } => {
                write!(f, "unable to read {}: {}{advice}", path.display(), Reason(why))
            }
            Self::NoAccount { option, name, why } => write!(f, "{option} {name}: {why}"),
            Self::NoId(variable) => {
                write!(f, "-U takes numbers from $UID and $GID: check ${variable}")
            }
            Self::Program { name, why } => write!(f, "unable to run {name}: {why}"),
            Self::Unable { what, why, hint, .. } => {
                write!(f, "unable to {what}: {}{hint}", Reason(why))
            }
            Self::Impossible(what) => write!(f, "unable to {what}"),
            Self::NoPort(text) => write!(f, "unable to figure out port number for {text}"),
            Self::NoAddress(name) => write!(f, "no IP address for {name}"),
            Self::AddressLookup { name, why } => write!(f, "{NO_ADDRESS_NOW} {name}: {why}"),
            Self::Gone(path) => write!(f, "the directory {} is gone", path.display()),
            Self::Of { origin, error } => write!(f, "{error} ({origin})"),
            Self::AsTcpserver(error) => error.fmt(f),
        }
    }
}

/// For a caller that stops at the first mistake.
impl From<Usage> for Fatal {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn every_error_has_its_code_and_its_message() {
        use Fatal::*;
        let denied = || io::Error::from(Errno::EACCES);
        let why = || Cause::from("no");
        let account = NoAccount { option: "-u", name: "x".into(), why: "no such user" };
        let advice = Advice::Setting("-x".into());
        let unreadable = Unreadable { path: "/f".into(), why: denied(), advice };
        let lookup = AddressLookup { name: "mx".into(), why: denied() };
        let of = Of { origin: "--pidfile".into(), error: Box::new(Fatal::unable("act", denied())) };
        for (fatal, code, message) in [
            (Usage(super::Usage::Missing(Operands::Program)), 100, "prog is missing (try --help)"),
            (Unusable { what: "host x".into(), why: why() }, 100, "unable to use host x: no"),
            (At { file: "/f".into(), line: 2, why: why() }, 100, "unable to use /f line 2: no"),
            (unreadable, 100, "unable to read /f: Permission denied (os error 13) (-x)"),
            (account, 100, "-u x: no such user"),
            (NoId("UID"), 100, "-U takes numbers from $UID and $GID: check $UID"),
            (Program { name: "prog".into(), why: why() }, 100, "unable to run prog: no"),
            (Fatal::unable("act", denied()), 111, "unable to act: Permission denied (os error 13)"),
            (Fatal::because("act", "no"), 111, "unable to act: no"),
            (Impossible("act"), 111, "unable to act"),
            (NoPort("x".into()), 111, "unable to figure out port number for x"),
            (NoAddress("mx".into()), 111, "no IP address for mx"),
            (
                lookup,
                111,
                "temporarily unable to figure out IP address for mx: \
                 Permission denied (os error 13)",
            ),
            (Gone("/d".into()), 111, "the directory /d is gone"),
            (of, 111, "unable to act: Permission denied (os error 13) (--pidfile)"),
            (AsTcpserver(Box::new(Gone("/d".into()))), 111, "the directory /d is gone"),
            (Reported { code: 7, message: "no".into() }, 7, "no"),
        ] {
            assert_eq!((fatal.exit_code(), fatal.to_string().as_str()), (code, message));
        }
    }

    #[test]
    fn tcpserver_has_words_for_some() {
        let words = |fatal: &Fatal| fatal.tcpserver_message();
        let missing =
            |option: &str| Fatal::Usage(Usage::MissingValue { option: option.into(), takes: "N" });
        assert_eq!(words(&missing("-c")).unwrap(), "option requires an argument -- c");
        assert_eq!(words(&missing("--delay")), None);
        let unknown = Usage::UnknownOption { option: "-Z".into(), hint: Hint::default() };
        assert_eq!(unknown.tcpserver_message().unwrap(), "illegal option -- Z");
        let usage = format!("tcpserver: illegal option -- Z\ntcpserver: {TCPSERVER_USAGE}");
        assert_eq!(words(&Fatal::AsTcpserver(Box::new(unknown.into()))).unwrap(), usage);
        let other = Fatal::AsTcpserver(Box::new(missing("--delay")));
        assert_eq!(words(&other).unwrap(), format!("tcpserver: {TCPSERVER_USAGE}"));
        let why = || io::Error::from(Errno::EACCES);
        let bind = Fatal::Unable {
            what: "bind 0.0.0.0:25".into(),
            why: why(),
            hint: ": start as root",
            tcpserver: Some("bind"),
        };
        assert_eq!(words(&bind).unwrap(), "unable to bind: access denied");
        let of = Fatal::Of { origin: "--x".into(), error: Box::new(bind) };
        assert_eq!(words(&of).unwrap(), "unable to bind: access denied");
        let lookup = Fatal::AddressLookup { name: "mx".into(), why: why() };
        let expected = "temporarily unable to figure out IP address for mx: access denied";
        assert_eq!(words(&lookup).unwrap(), expected);
        assert_eq!(words(&Fatal::unable("fork", why())), None);
    }
}
