//! `smtp-delayctl classify [IP [NAME]]`: the class that a client would have, and what
//! decides it; with `--stdin` for many clients, one a line.

mod answer;
mod judge;
mod remembered;
mod stream;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::IpAddr;

use super::failure::Failure;
use crate::connection::lookup::host_name::HostName;
use crate::error::{Fatal, NotAnAddress};
use crate::options::Options;
use crate::options::classify::CLASSIFY;
use crate::options::command_line::help;
use crate::options::parse::{Request, parse};
use judge::Judge;

/// Prints `CLASS`, and above it each name and what decides about it; with `--json` an
/// object, and with `--stdin` a line for each line that is read.
///
/// # Errors
/// 100 for wrong usage, a file that cannot be used or a line that is no client; 111 for
/// system trouble.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let request = parse(&CLASSIFY, arguments, Options::default()).request;
    let text = match request.map_err(Fatal::from)? {
        Request::Run(options) if options.stdin => return classify_stdin(&options),
        Request::Run(options) => describe(&options)?,
        Request::Help => help(&CLASSIFY),
        Request::Version => format!("smtp-delayctl {}\n", env!("CARGO_PKG_VERSION")),
    };
    io::stdout().write_all(text.as_bytes()).map_err(Failure::of_output)
}

fn classify_stdin(options: &Options) -> Result<(), Failure> {
    let judge = Judge::new(options)?;
    stream::answer_each(&judge, io::stdin().lock(), io::stdout().lock())
}

fn describe(options: &Options) -> Result<String, Failure> {
    let ip: IpAddr = options.host.parse().map_err(|_| Fatal::Unusable {
        what: format!("IP `{}'", options.host.escape_debug()),
        why: NotAnAddress.into(),
    })?;
    let judge = Judge::new(options)?;
    let host = match options.port.as_str() {
        "" => judge.look_up(ip.to_canonical()),
        name => HostName::told(name.as_bytes()),
    };
    let answer = judge.answer(ip, &host);
    Ok(if options.json { format!("{}\n", answer.json()) } else { answer.text() })
}
