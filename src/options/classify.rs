//! The options of `smtp-delayctl classify`: those of the daemon that say what a
//! name means.

use std::ffi::OsString;

use super::Options;
use super::command_line::CommandLine;
use super::delaying::DELAYS;
use super::table::{ANSWERS, Opt, flag};
use crate::error::Fatal;

/// What is read, and in what form the answer is.
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
    options: &[DELAYS, FORMS, ANSWERS],
    letters: &[],
    place,
    check: |_| Vec::new(),
};

/// The address as the host, the name as the port.
fn place(options: &mut Options, operands: Vec<OsString>) -> Result<(), Fatal> {
    if options.stdin {
        let message = "there is something behind --stdin";
        return if operands.is_empty() { Ok(()) } else { Err(Fatal::Usage(message.into())) };
    }
    let mut words = operands.into_iter().map(|word| {
        word.into_string().map_err(|_| Fatal::Usage("unable to use what is not UTF-8".into()))
    });
    options.host = words.next().ok_or_else(|| Fatal::Usage("IP is missing".into()))??;
    options.port = words.next().transpose()?.unwrap_or_default();
    if words.next().is_some() {
        return Err(Fatal::Usage("there is something behind NAME".into()));
    }
    Ok(())
}
