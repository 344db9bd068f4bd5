//! The system calls that one client takes, by strace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::load::Manner;
use super::server::{DAEMON, Server};
use crate::lab::Client;
use crate::lab::chain::clean_command;
use crate::lab::directory;

/// Without a call for so long, all processes wait.
const REST: Duration = Duration::from_millis(500);

/// Prints the calls of a client that talks early, and of one that is handed over to
/// `program`, if there is an strace.  CONTRIBUTING.md has the reasons.
pub(crate) fn print(program: &str) {
    let version = Command::new("strace").arg("-V").output();
    if !version.is_ok_and(|told| told.status.success()) {
        return println!("no system calls are listed: there is no strace");
    }
    print_of(Manner::Early, program);
    print_of(Manner::Polite, program);
}

/// The same of one of them, process by process; there is no delay for one that is handed
/// over.
fn print_of(others: Manner, program: &str) {
    let file = directory().join("calls");
    let delay = if others == Manner::Early { "9" } else { "0" };
    let mut command = clean_command("strace");
    command.args(["-f", "-q", "-o"]).arg(&file).args([DAEMON, "-1RHl0", "-c", "9"]);
    command.args(["--min-idle", "1", "--delay", delay, "127.0.0.1", "0", program]);
    let server = Server::spawn(command);
    let visit = || {
        let mut client = Client::connect("127.0.0.1", server.address);
        if others == Manner::Early {
            client.say("EHLO me.example\r\n");
        }
        client.read_all()
    };
    // For the first one another child is forked.
    visit();
    let before = settled(&file).len();
    visit();
    let text = settled(&file);
    let process = |line: &str| line.split(' ').next().map(String::from);
    let supervisor = process(&text).unwrap_or_default();
    let lines: Vec<&str> = text[before..].lines().collect();
    let accepted = lines.iter().find(|line| line.contains("accept4 resumed"));
    let child = accepted.and_then(|line| process(line)).unwrap_or_default();
    let print = |who: &str, counts: &dyn Fn(&str) -> bool| {
        let its = lines.iter().filter(|line| process(line).is_some_and(|pid| counts(&pid)));
        let calls: Vec<&str> = its.filter_map(|line| call(line)).collect();
        if !calls.is_empty() {
            println!("  {who}: {}", calls.join(" "));
        }
    };
    println!("{}", if others == Manner::Early { "refused" } else { "handed over" });
    print("child", &|pid| pid == child);
    print("program's process", &|pid| pid != child && pid != supervisor);
    print("supervisor", &|pid| pid == supervisor);
}

/// The call that a line of strace's begins, or that one which began before ends with.
fn call(line: &str) -> Option<&str> {
    let rest = line.split_once(' ')?.1.trim_start();
    let resumed = rest.strip_prefix("<... ").and_then(|rest| rest.split(' ').next());
    let waited = resumed.filter(|name| ["accept4", "ppoll"].contains(name));
    let begun = rest.split_once('(').map(|(name, _)| name);
    waited
        .or(begun
            .filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')))
}

/// What strace has written once nobody does anything any more.
fn settled(file: &Path) -> String {
    let mut text = String::new();
    loop {
        thread::sleep(REST);
        let more = fs::read_to_string(file).unwrap_or_default();
        if more.len() == text.len() && !more.is_empty() {
            return text;
        }
        text = more;
    }
}
