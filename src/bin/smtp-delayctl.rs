//! `smtp-delayctl`: arguments, run, exit code.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use smtp_delay::ctl::tool;
use smtp_delay::error::{TROUBLE, USAGE};

const HELP: &str = "\
usage: smtp-delayctl tcprules rules.cdb rules.tmp < rules
       smtp-delayctl tcprulescheck rules.cdb

tcprules       compile rules for -x
tcprulescheck  say which rule decides about $TCPREMOTEIP, $TCPREMOTEHOST and
               $TCPREMOTEINFO

Called as tcprules or tcprulescheck, it is that program.
";

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let own = arguments.next().unwrap_or_default();
    let rest: Vec<OsString> = arguments.collect();
    let name = Path::new(&own).file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if let Some(tool) = tool(name) {
        return ExitCode::from(tool(&rest));
    }
    ExitCode::from(command(&rest))
}

fn command(arguments: &[OsString]) -> u8 {
    let Some((name, rest)) = arguments.split_first() else {
        return mistake("a command is missing");
    };
    match name.to_str().unwrap_or_default() {
        "--help" => print(HELP),
        "--version" => print(&format!("smtp-delayctl {}\n", env!("CARGO_PKG_VERSION"))),
        name => match tool(name) {
            Some(tool) => tool(rest),
            None => mistake(&format!("unknown command {}", name.escape_debug())),
        },
    }
}

fn mistake(what: &str) -> u8 {
    eprintln!("smtp-delayctl: fatal: {what} (try --help)");
    USAGE
}

fn print(text: &str) -> u8 {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).map_or(TROUBLE, |()| 0)
}
