//! The system calls that one client takes, by strace.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::names::{Names, Patience};
use crate::server::Server;
use lab::Client;
use lab::command::{self, clean_command};
use lab::{directory, wait_until};

/// Without a call for so long, all processes wait.
const REST: Duration = Duration::from_millis(500);

/// A client whose calls are listed.
struct Case {
    title: &'static str,
    options: &'static [&'static str],
    talks: bool,
}

const CASES: [Case; 3] = [
    Case {
        title: "refused, for early talk, without a look-up",
        options: &["-H", "--delay", "9"],
        talks: true,
    },
    Case {
        title: "handed over, without a look-up and a delay",
        options: &["-H", "--delay", "0"],
        talks: false,
    },
    Case {
        title: "looked up, judged, delayed, handed over",
        options: &["--delay-static", "0.2"],
        talks: false,
    },
];
/// How a wait ends after which it looks around, whatever happens.
const TIMEOUT: &str = "(Timeout)";
/// It has a mail server's name.
const SOURCE: &str = "127.10.0.1";

/// Prints the system calls that smtp-delayd makes for a client that talks early, and for two
/// that are handed over to `program`, if there is an strace.  benches/README.md has the
/// reasons for them.
pub fn print(program: &str) {
    let version = Command::new("strace").arg("-V").output();
    if !version.is_ok_and(|told| told.status.success()) {
        return println!("no system calls are listed: there is no strace");
    }
    let names = Names::start(Patience::AtOnce);
    for case in &CASES {
        print_of(case, &names.address.to_string(), program);
    }
}

/// The same of one of them, process by process.
fn print_of(case: &Case, resolver: &str, program: &str) {
    let file = directory().join("calls");
    let mut command = clean_command("strace");
    command.args(["-f", "-q", "-o"]).arg(&file).args([command::daemon(), "-1Rl0", "-c", "9"]);
    command.args(["--resolver", resolver, "--min-idle", "1"]).args(case.options);
    command.args(["127.0.0.1", "0", program]);
    let server = Server::spawn(command);
    let visit = || {
        let mut client = Client::connect(SOURCE, server.address);
        if case.talks {
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
    let lines = without_rounds(&lines, &supervisor);
    let accepted = lines.iter().find(|line| line.contains("accept4 resumed"));
    let child = accepted.and_then(|line| process(line)).unwrap_or_default();
    let print = |who: &str, counts: &dyn Fn(&str) -> bool| {
        let its = lines.iter().filter(|line| process(line).is_some_and(|pid| counts(&pid)));
        let calls: Vec<&str> = its.filter_map(|line| call(line)).collect();
        if !calls.is_empty() {
            println!("  {who}: {}", calls.join(" "));
        }
    };
    println!("{}", case.title);
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

/// Of the supervisor's, leaves out the rounds in which it looks around, whatever happens.
fn without_rounds<'a>(lines: &[&'a str], supervisor: &str) -> Vec<&'a str> {
    let mut in_round = false;
    let counts = |line: &&&str| {
        let its = line.split(' ').next() == Some(supervisor);
        in_round = its && (line.contains(TIMEOUT) || in_round && !line.contains("ppoll"));
        !in_round
    };
    lines.iter().filter(counts).copied().collect()
}

/// What strace has written once the processes only look around.
fn settled(file: &Path) -> String {
    let looks = ["ppoll", "EAGAIN", "WNOHANG, NULL) = 0", "TCP_INFO"];
    let mut seen = 0;
    wait_until("all to wait", || {
        thread::sleep(REST);
        let text = fs::read_to_string(file).unwrap_or_default();
        let done = text.lines().filter(|line| !looks.iter().any(|look| line.contains(look)));
        let before = std::mem::replace(&mut seen, done.count());
        (seen == before && seen > 0).then_some(text)
    })
}
