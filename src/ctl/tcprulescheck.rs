//! `tcprulescheck rules.cdb`: which rule of a cdb applies to the client that
//! `$TCPREMOTEIP`, `$TCPREMOTEHOST` and `$TCPREMOTEINFO` describe.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;

use super::failure::Failure;
use super::ucspi_errors::{Action, Tool, ToolError};
use crate::escape::Printable;
use crate::rules::cdb::Cdb;
use crate::rules::keys::{RuleSubject, search_keys};
use crate::rules::record::parts;
use crate::rules::{Match, search_cdb};

/// Prints the rule, and its effect, byte for byte as ucspi-tcp's does.
///
/// # Errors
/// 100 for wrong usage, 111 for a file that cannot be read.
pub fn run(arguments: &[OsString]) -> Result<(), ToolError> {
    let lines = decide(arguments, |file| Cdb::open_as_djb(file.as_ref()))?;
    let _ = io::stdout().write_all(&lines.join(&b"\n"[..]));
    Ok(())
}

/// The same for a terminal, with a file that is checked as the daemon checks it.
///
/// # Errors
/// As [`run`], and 111 if it cannot be printed.
pub fn run_printably(arguments: &[OsString]) -> Result<(), Failure> {
    let lines = decide(arguments, |file| Cdb::open(file.as_ref()))?;
    let lines: Vec<String> = lines.iter().map(|line| Printable(line).to_string()).collect();
    io::stdout().write_all(lines.join("\n").as_bytes()).map_err(Failure::of_output)
}

/// What there is to print, by line.
fn decide(
    arguments: &[OsString],
    open: impl FnOnce(&OsString) -> io::Result<Cdb>,
) -> Result<Vec<Vec<u8>>, ToolError> {
    let file = arguments.first().ok_or(ToolError::Usage(Tool::Tcprulescheck))?;
    let found = open(file).and_then(|cdb| search(&cdb));
    let found = found.map_err(|why| ToolError::Unable(Action::Search(file.clone()), why))?;
    let mut lines = found.map_or_else(
        || vec![b"default:".to_vec(), b"allow connection".to_vec()],
        |found| describe(&found),
    );
    // The last line ends as well.
    lines.push(Vec::new());
    Ok(lines)
}

fn search(cdb: &Cdb) -> io::Result<Option<Match>> {
    let [ip, host, info] = ["TCPREMOTEIP", "TCPREMOTEHOST", "TCPREMOTEINFO"]
        .map(|name| env::var_os(name).map(OsString::into_vec));
    let ip = ip.unwrap_or_else(|| b"0.0.0.0".to_vec());
    let hosts = host.as_deref().into_iter().collect();
    let subject = RuleSubject { ip: &ip, hosts, info: info.as_deref() };
    search_cdb(cdb, search_keys(&subject))
}

fn describe(found: &Match) -> Vec<Vec<u8>> {
    let mut lines = vec![[b"rule ", found.key.as_slice(), b":"].concat()];
    for part in parts(&found.record) {
        match part.split_first() {
            Some((b'D', _)) => {
                lines.push(b"deny connection".to_vec());
                return lines;
            }
            Some((b'+', variable)) => {
                lines.push([b"set environment variable ", variable].concat());
            }
            _ => (),
        }
    }
    lines.push(b"allow connection".to_vec());
    lines
}
