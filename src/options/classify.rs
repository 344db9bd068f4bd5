//! The options of `smtp-delayctl classify`: those of the daemon that affect classification.

use std::ffi::OsString;

use super::Options;
use super::command_line::CommandLine;
use super::delaying::{DELAYS, KNOWN};
use super::table::{ANSWERS, Opt, flag};
use crate::error::{Fatal, Operands, Usage};

/// What is read, and the form of the answer.
static FORMS: &[Opt] = &[
    flag("stdin", "read IP NAME from each line of standard input", |o| o.stdin = true).typed(),
    flag("json", "print a JSON object for each client", |o| o.json = true).typed(),
];

/// `smtp-delayctl classify [options] IP [NAME]`.
pub static CLASSIFY: CommandLine = CommandLine {
    program: "smtp-delayctl classify",
    page: "smtp-delayctl(8)",
    usage: "smtp-delayctl classify [options] IP [NAME]\n       smtp-delayctl classify --stdin [options]",
    about: "Prints the class that a client would have, and what decides it.",
    options: &[DELAYS, KNOWN, FORMS, ANSWERS],
    letters: &[],
    place,
    check: |_| Vec::new(),
};

/// The address is stored as the host, the name as the port.
fn place(options: &mut Options, operands: Vec<OsString>) -> Result<(), Fatal> {
    let mut words = operands.into_iter();
    let mut word = |name| {
        let next = words.next().map(OsString::into_string).transpose();
        next.map_err(|_| Usage::NotUtf8(name))
    };
    let last = if options.stdin {
        "--stdin"
    } else {
        options.host = word("IP")?.ok_or(Usage::Missing(Operands::Address))?;
        options.port = word("NAME")?.unwrap_or_default();
        "NAME"
    };
    if words.next().is_some() {
        return Err(Usage::Behind(last.into()).into());
    }
    Ok(())
}
