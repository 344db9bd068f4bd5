//! The administrator's tools.

pub mod classify;
pub mod completions;
pub mod failure;
pub mod keep;
pub mod known;
pub mod metrics;
pub mod pid;
pub mod report;
mod scoreboard;
pub mod status;
pub mod tcprules;
pub mod tcprulescheck;
pub mod ucspi_errors;

use std::ffi::OsString;
use std::io::{self, Write};

use failure::Failure;
use ucspi_errors::{Called, ToolError};

/// Ends a command of smtp-delayctl, whose messages are for a terminal; returns the exit
/// code.
fn end(result: Result<(), Failure>) -> u8 {
    let Err(failure) = result else { return 0 };
    if let Some(message) = failure.message() {
        let _ = writeln!(io::stderr(), "{message}");
    }
    failure.exit_code()
}

/// Ends one of ucspi-tcp's tools as that ends; returns the exit code.
fn end_tool(result: Result<(), ToolError>) -> u8 {
    let Err(error) = result else { return 0 };
    let message = error.message(Called::Tool);
    let _ = io::stderr().write_all(&[message.as_slice(), b"\n"].concat());
    error.exit_code()
}

/// The names of smtp-delayctl's commands.
pub const COMMANDS: [&str; 10] = [
    "status",
    "metrics",
    "pid",
    "classify",
    "report",
    "known",
    "keep",
    "completions",
    "tcprules",
    "tcprulescheck",
];

/// smtp-delayctl's command of this name.
#[must_use]
pub fn command(name: &str) -> Option<fn(&[OsString]) -> u8> {
    match name {
        "classify" => Some(|arguments| end(classify::run(arguments))),
        "completions" => Some(|arguments| end(completions::run(arguments, &COMMANDS))),
        "keep" => Some(|arguments| end(keep::run(arguments))),
        "known" => Some(|arguments| end(known::run(arguments))),
        "metrics" => Some(|arguments| end(metrics::run(arguments))),
        "pid" => Some(|arguments| end(pid::run(arguments))),
        "report" => Some(|arguments| end(report::run(arguments))),
        "status" => Some(|arguments| end(status::run(arguments))),
        "tcprules" => Some(|arguments| {
            let done = tcprules::run_with_warnings(arguments, &mut io::stdin().lock());
            end(done.map_err(Failure::from))
        }),
        "tcprulescheck" => Some(|arguments| end(tcprulescheck::run_printably(arguments))),
        _ => None,
    }
}

/// ucspi-tcp's program of this name.
#[must_use]
pub fn tool(name: &str) -> Option<fn(&[OsString]) -> u8> {
    match name {
        "tcprules" => Some(|arguments| end_tool(tcprules::run(arguments, &mut io::stdin().lock()))),
        "tcprulescheck" => Some(|arguments| end_tool(tcprulescheck::run(arguments))),
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
}
