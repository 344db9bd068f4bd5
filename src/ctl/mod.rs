//! The administrator's tools.

pub mod classify;
pub mod keep;
pub mod known;
pub mod pid;
pub mod report;
pub mod status;
pub mod tcprules;
pub mod tcprulescheck;

use std::ffi::OsString;
use std::io::{self, Write};

use crate::error::Fatal;
use crate::escape::{Message, Printable};

/// How a tool ended: what goes to standard error, and the exit code.
#[derive(Debug)]
pub struct Failure {
    /// The message, as bytes: it may quote a file.
    pub message: Vec<u8>,
    /// The exit code.
    pub code: u8,
}

impl Failure {
    fn new(code: u8, message: impl Into<Vec<u8>>) -> Self {
        Self { message: message.into(), code }
    }
}

/// Told as smtp-delayctl tells it.
impl From<Fatal> for Failure {
    fn from(fatal: Fatal) -> Self {
        Self::new(fatal.exit_code(), format!("smtp-delayctl: fatal: {fatal}"))
    }
}

/// An error of standard output.
fn unprintable(why: io::Error) -> Failure {
    Fatal::unable("print", why).into()
}

/// Runs a tool that ends like those of ucspi-tcp: a message and an exit code.
#[must_use]
pub fn end(result: Result<(), Failure>) -> u8 {
    let Err(failure) = result else { return 0 };
    if !failure.message.is_empty() {
        let _ = io::stderr().write_all(&[failure.message.as_slice(), b"\n"].concat());
    }
    failure.code
}

/// The same for a command of smtp-delayctl, whose messages are for a terminal.
fn end_printably(result: Result<(), Failure>) -> u8 {
    end(result.map_err(|Failure { message, code }| match std::str::from_utf8(&message) {
        Ok(text) => Failure::new(code, Message(text).to_string()),
        Err(_) => Failure::new(code, Printable(&message).to_string()),
    }))
}

/// The messages of ucspi-tcp's program `tool` where it is a command of smtp-delayctl:
/// they begin as all its messages do.
fn as_command(tool: &str, failure: Failure) -> Failure {
    let usage = format!("{tool}: usage: ");
    let begins = [
        (usage.as_bytes(), "smtp-delayctl: usage: smtp-delayctl "),
        (&usage.as_bytes()[..tool.len() + 2], "smtp-delayctl: "),
    ];
    let renamed = begins.into_iter().find_map(|(begin, own)| {
        Some([own.as_bytes(), failure.message.strip_prefix(begin)?].concat())
    });
    Failure { message: renamed.unwrap_or(failure.message), code: failure.code }
}

/// The names of smtp-delayctl's commands.
pub const COMMANDS: [&str; 8] =
    ["status", "pid", "classify", "report", "known", "keep", "tcprules", "tcprulescheck"];

/// smtp-delayctl's command of this name.
#[must_use]
pub fn command(name: &str) -> Option<fn(&[OsString]) -> u8> {
    match name {
        "classify" => Some(|arguments| end_printably(classify::run(arguments))),
        "keep" => Some(|arguments| end_printably(keep::run(arguments))),
        "known" => Some(|arguments| end_printably(known::run(arguments))),
        "pid" => Some(|arguments| end_printably(pid::run(arguments))),
        "report" => Some(|arguments| end_printably(report::run(arguments))),
        "status" => Some(|arguments| end_printably(status::run(arguments))),
        "tcprules" => Some(|arguments| {
            let done = tcprules::run_with_warnings(arguments, &mut io::stdin().lock());
            end_printably(done.map_err(|failure| as_command("tcprules", failure)))
        }),
        "tcprulescheck" => Some(|arguments| {
            let done = tcprulescheck::run_printably(arguments);
            end_printably(done.map_err(|failure| as_command("tcprulescheck", failure)))
        }),
        _ => None,
    }
}

/// ucspi-tcp's program of this name.
#[must_use]
pub fn tool(name: &str) -> Option<fn(&[OsString]) -> u8> {
    match name {
        "tcprules" => Some(|arguments| end(tcprules::run(arguments, &mut io::stdin().lock()))),
        "tcprulescheck" => Some(|arguments| end(tcprulescheck::run(arguments))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_command_has_one() {
        assert!(COMMANDS.iter().all(|name| command(name).is_some()));
    }

    #[test]
    fn messages_of_a_command_begin_with_our_name() {
        let renamed = |message: &str| {
            let failure = as_command("tcprules", Failure::new(111, message));
            String::from_utf8(failure.message).unwrap()
        };
        assert_eq!(renamed("tcprules: fatal: x: y"), "smtp-delayctl: fatal: x: y");
        assert_eq!(
            renamed("tcprules: usage: tcprules a b"),
            "smtp-delayctl: usage: smtp-delayctl tcprules a b"
        );
        assert_eq!(renamed("smtp-delayctl: fatal: x"), "smtp-delayctl: fatal: x");
    }
}
