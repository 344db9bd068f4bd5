//! `tcprulescheck rules.cdb`: which rule of a cdb decides about the client that
//! `$TCPREMOTEIP`, `$TCPREMOTEHOST` and `$TCPREMOTEINFO` describe.

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::Failure;
use crate::djb::words;
use crate::error::{TROUBLE, USAGE};
use crate::rules::cdb::Cdb;
use crate::rules::keys::{Subject, places};
use crate::rules::record::parts;
use crate::rules::{Match, search_cdb};

/// Prints the rule, and what it does.
///
/// # Errors
/// 100 for wrong usage, 111 for a file that cannot be read.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let usage = || Failure::new(USAGE, "tcprulescheck: usage: tcprulescheck rules.cdb");
    let file = arguments.first().ok_or_else(usage)?;
    let found = search(file).map_err(|why| {
        let start = b"tcprulescheck: fatal: unable to read ";
        let message = [start, file.as_bytes(), b": ", words(&why).as_bytes()].concat();
        Failure::new(TROUBLE, message)
    })?;
    let text = found.map_or_else(|| b"default:\nallow connection\n".to_vec(), |m| describe(&m));
    let _ = io::stdout().write_all(&text);
    Ok(())
}

fn search(file: &OsString) -> io::Result<Option<Match>> {
    let [ip, host, info] = ["TCPREMOTEIP", "TCPREMOTEHOST", "TCPREMOTEINFO"]
        .map(|name| env::var_os(name).map(OsString::into_vec));
    let ip = ip.unwrap_or_else(|| b"0.0.0.0".to_vec());
    let hosts = host.as_deref().into_iter().collect();
    let subject = Subject { ip: &ip, hosts, info: info.as_deref() };
    search_cdb(&Cdb::open(file.as_ref())?, places(&subject))
}

fn describe(found: &Match) -> Vec<u8> {
    let mut text = [b"rule ", found.key.as_slice(), b":\n"].concat();
    for part in parts(&found.record) {
        match part.split_first() {
            Some((b'D', _)) => {
                text.extend_from_slice(b"deny connection\n");
                return text;
            }
            Some((b'+', variable)) => {
                text.extend_from_slice(&[b"set environment variable ", variable, b"\n"].concat());
            }
            _ => (),
        }
    }
    text.extend_from_slice(b"allow connection\n");
    text
}
