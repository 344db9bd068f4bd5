//! What programs write on standard error, and whose it is said to be, whatever
//! becomes of the relay and of the supervisor.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::background::{Background, is_there};
use lab::command::clean_command;
use lab::daemon::children_of;
use lab::{Client, wait_until};

/// Repeats on standard error what it reads, and then answers.
const REPEATS: &str = "echo 220; while read line; do echo \"$line\" >&2; echo 250; done";

fn repeating(options: &str) -> Background {
    let daemon = Background::new();
    daemon.start_well(options, &["sh", "-c", REPEATS]);
    daemon
}

/// A client with the program.
fn session(daemon: &Background, source: &str) -> Client {
    let mut client = daemon.client_from(source);
    assert_eq!(client.read_line().0, "220\n");
    client
}

#[track_caller]
fn say(client: &mut Client, text: &str) {
    client.say(&format!("{text}\n"));
    assert_eq!(client.read_line().0, "250\n", "{text}");
}

/// The end of a line of the program of `client`, from its `pass` line.
#[track_caller]
fn whose(daemon: &Background, client: &Client) -> String {
    let local = client.stream.local_addr().unwrap();
    let peer = format!("ip={} port={}", local.ip(), local.port());
    let passed = daemon.syslog.wait_for(&format!("pass {peer} "));
    format!(" {peer} pid={}", passed.rsplit_once(" pid=").unwrap().1)
}

/// Waits for a line of a program that is all that `text` and `end` say.
#[track_caller]
fn wait_for_line(daemon: &Background, text: &str, end: &str) {
    let line = format!("prog: {text}{end}");
    wait_until(&line, || daemon.syslog.lines(&line).contains(&line).then_some(()));
}

fn descriptors(pid: Pid) -> Vec<PathBuf> {
    let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    links.filter_map(|link| fs::read_link(link.path()).ok()).collect()
}

fn pipes(pid: Pid) -> usize {
    descriptors(pid).iter().filter(|link| link.to_string_lossy().starts_with("pipe:")).count()
}

/// Ends the relay, which may have read what it has not logged.
fn kill_relay(daemon: &Background) {
    let relay = daemon.relay();
    kill(relay, Signal::SIGKILL).unwrap();
    wait_until("its end", || (!is_there(relay)).then_some(()));
}

#[test]
fn lines_of_sessions_tell_whose_they_are() {
    let daemon = repeating("--delay 0");
    let mut clients = ["127.0.0.7", "127.0.0.8"].map(|source| session(&daemon, source));
    for text in ["first", "ip=192.0.2.1 pid=1"] {
        for client in &mut clients {
            say(client, text);
        }
    }
    for client in &clients {
        let end = whose(&daemon, client);
        wait_for_line(&daemon, "first", &end);
        wait_for_line(&daemon, r"ip\x3d192.0.2.1 pid\x3d1", &end);
    }
}

#[test]
fn a_child_that_becomes_the_program_itself_does_so_too() {
    let daemon = repeating("--delay 0 -v");
    let mut client = session(&daemon, "127.0.0.7");
    say(&mut client, "words");
    wait_for_line(&daemon, "words", &whose(&daemon, &client));
}

#[test]
fn a_program_that_cannot_be_run_leaves_its_child_as_it_was() {
    for options in ["--delay 0", "--delay 0 -v"] {
        let daemon = Background::new();
        daemon.start_well(options, &["/nonexistent/prog"]);
        let mut client = daemon.client_from("127.0.0.7");
        assert!(client.read_all().starts_with("421 "), "{options}");
        let port = client.stream.local_addr().unwrap().port();
        let error = daemon.syslog.wait_for("error: unable to run /nonexistent/prog: ");
        assert!(error.ends_with(&format!(" ip=127.0.0.7 port={port}")), "{error}");
        let standard_error = |pid| fs::read_link(format!("/proc/{pid}/fd/2")).ok();
        let (supervisor, relay) = (daemon.pid(), daemon.relay());
        let shared = standard_error(supervisor);
        wait_until("the children to have the one that all share", || {
            let children = children_of(supervisor).into_iter().filter(|child| *child != relay);
            let theirs: Vec<_> = children.filter_map(standard_error).map(Some).collect();
            (!theirs.is_empty() && theirs.iter().all(|pipe| *pipe == shared)).then_some(())
        });
        wait_until("the pipe to be let go", || (pipes(supervisor) <= 2).then_some(()));
    }
}

#[test]
fn a_program_has_three_descriptors() {
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["sh", "-c", "exec ls /proc/self/fd >&2"]);
    let mut client = daemon.client();
    client.read_all();
    let end = whose(&daemon, &client);
    wait_for_line(&daemon, "3", &end);
    // The last is the directory.
    let expected = ["0", "1", "2", "3"].map(|text| format!("prog: {text}{end}"));
    assert_eq!(daemon.syslog.lines("prog: "), expected);
}

#[test]
fn children_have_no_pipe_of_a_session() {
    let daemon = repeating("--delay 0 --min-idle 3");
    let supervisor = daemon.pid();
    let is_child = |pid: &Pid| {
        descriptors(*pid).iter().any(|link| link.to_string_lossy() == "anon_inode:[eventfd]")
    };
    let children = || children_of(supervisor).into_iter().filter(is_child).collect();
    let first: Vec<Pid> = children();
    let clients: Vec<Client> = (0..20).map(|_| session(&daemon, "127.0.0.7")).collect();
    for child in &first {
        kill(*child, Signal::SIGKILL).unwrap();
    }
    wait_until("children that were forked beside sessions", || {
        let mut children: Vec<Pid> = children();
        children.retain(|child| !first.contains(child));
        let alike = children.iter().all(|child| pipes(*child) == 2);
        (children.len() >= 3 && alike && pipes(supervisor) == 2 + clients.len()).then_some(())
    });
}

#[test]
fn a_relay_that_replaces_another_reads_on() {
    let daemon = repeating("--delay 0");
    let mut old = session(&daemon, "127.0.0.7");
    say(&mut old, "before");
    let end = whose(&daemon, &old);
    wait_for_line(&daemon, "before", &end);
    for round in 0..2 {
        kill_relay(&daemon);
        let mut new = session(&daemon, "127.0.0.8");
        say(&mut old, &format!("without {round}"));
        say(&mut new, &format!("new {round}"));
        wait_for_line(&daemon, &format!("without {round}"), &end);
        wait_for_line(&daemon, &format!("new {round}"), &whose(&daemon, &new));
        say(&mut old, &format!("after {round}"));
        wait_for_line(&daemon, &format!("after {round}"), &end);
    }
}

#[test]
fn a_relay_that_is_stopped_blocks_no_program() {
    const SESSIONS: usize = 400;
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["sh", "-c", "echo words >&2; echo 220"]);
    daemon.client().read_all();
    daemon.syslog.wait_for("prog: words ip=");
    let relay = daemon.relay();
    kill(relay, Signal::SIGSTOP).unwrap();
    for _ in 0..SESSIONS {
        assert_eq!(daemon.client().read_all(), "220\n");
    }
    assert_eq!(daemon.syslog.lines("prog: ").len(), 1);
    kill(relay, Signal::SIGCONT).unwrap();
    wait_until("the lines of those who were passed on", || {
        (daemon.syslog.lines("prog: words ip=").len() > SESSIONS / 4).then_some(())
    });
    wait_for_line(&daemon, "words", "");
}

#[test]
fn lines_arrive_when_the_supervisor_is_gone() {
    let daemon = repeating("--delay 0");
    let mut client = session(&daemon, "127.0.0.7");
    say(&mut client, "before");
    let end = whose(&daemon, &client);
    wait_for_line(&daemon, "before", &end);
    let (relay, supervisor) = (daemon.relay(), daemon.pid());
    kill(supervisor, Signal::SIGKILL).unwrap();
    wait_until("its end", || (!is_there(supervisor)).then_some(()));
    say(&mut client, "after");
    wait_for_line(&daemon, "after", &end);
    client.finish();
    client.read_all();
    wait_until("the relay's end", || (!is_there(relay)).then_some(()));
}

#[test]
fn a_supervisor_that_is_stopped_keeps_no_line() {
    let daemon = repeating("--delay 0");
    let mut first = session(&daemon, "127.0.0.7");
    let supervisor = daemon.pid();
    let mut client = wait_until("a child that has not found out", || {
        kill(supervisor, Signal::SIGSTOP).unwrap();
        let mut client = daemon.client_from("127.0.0.8");
        if !client.is_silent_for(Duration::from_secs(2)) {
            return Some(client);
        }
        kill(supervisor, Signal::SIGCONT).unwrap();
        None
    });
    assert_eq!(client.read_line().0, "220\n");
    say(&mut client, "words");
    wait_for_line(&daemon, "words", &whose(&daemon, &client));
    say(&mut first, "others");
    wait_for_line(&daemon, "others", &whose(&daemon, &first));
    kill(supervisor, Signal::SIGCONT).unwrap();
}

#[test]
fn what_a_program_has_left_behind_is_read_on() {
    let daemon = Background::new();
    let (go, end) = (daemon.path("go"), daemon.path("end"));
    let wait = |file: &str| format!("while [ ! -e {file} ]; do sleep 0.05; done");
    let behind = format!("{}; echo late >&2; {}", wait(&go), wait(&end));
    let script = format!("({behind}) <&- >&- & echo 220");
    daemon.start_well("--delay 0", &["sh", "-c", &script]);
    let (supervisor, relay) = (daemon.pid(), daemon.relay());
    let before = [supervisor, relay].map(|pid| descriptors(pid).len());
    let mut client = daemon.client_from("127.0.0.7");
    client.read_all();
    let whose = whose(&daemon, &client);
    daemon.syslog.wait_for("end ");
    // The supervisor has the pipe alone.
    kill_relay(&daemon);
    fs::write(go, "").unwrap();
    wait_for_line(&daemon, "late", &whose);
    fs::write(end, "").unwrap();
    wait_until("the pipe to be let go", || {
        let after = [supervisor, daemon.relay()].map(|pid| descriptors(pid).len());
        (after == before).then_some(())
    });
}

#[test]
fn no_session_leaves_a_descriptor_behind() {
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["sh", "-c", "echo words >&2; echo 220"]);
    daemon.client().read_all();
    daemon.syslog.wait_for("prog: words ip=");
    let (supervisor, relay) = (daemon.pid(), daemon.relay());
    let count = || [supervisor, relay].map(|pid| descriptors(pid).len());
    wait_until("the first one to be let go", || {
        ([supervisor, relay].map(pipes) == [2, 2]).then_some(())
    });
    let before = count();
    for _ in 0..300 {
        daemon.client().read_all();
        wait_until("the pile to be bounded", || (count()[0] < before[0] + 150).then_some(()));
    }
    // Fewer, if a file was open for a moment when they were counted.
    wait_until("all to be let go", || {
        count().iter().zip(before).all(|(now, before)| *now <= before).then_some(())
    });
}

#[test]
fn reload_and_stop_leave_sessions_their_relay() {
    let daemon = repeating("--delay 0");
    let mut client = session(&daemon, "127.0.0.7");
    let end = whose(&daemon, &client);
    daemon.signal(Signal::SIGHUP);
    daemon.syslog.wait_for("reload ");
    say(&mut client, "reloaded");
    wait_for_line(&daemon, "reloaded", &end);
    let mut next = session(&daemon, "127.0.0.8");
    say(&mut next, "next");
    wait_for_line(&daemon, "next", &whose(&daemon, &next));
    let (relay, supervisor) = (daemon.relay(), daemon.pid());
    daemon.signal(Signal::SIGTERM);
    wait_until("its end", || (!is_there(supervisor)).then_some(()));
    say(&mut client, "stopped");
    wait_for_line(&daemon, "stopped", &end);
    drop((client, next));
    wait_until("the relay's end", || (!is_there(relay)).then_some(()));
}

/// A daemon that may have so many open files, as prlimit(1) takes it.
fn limited(files: &str, options: &str, script: &str) -> Background {
    let daemon = Background::new();
    let of_daemon = daemon.command(options, &["sh", "-c", script]);
    let mut command = clean_command("prlimit");
    command.arg(format!("--nofile={files}")).arg(of_daemon.get_program());
    let output = command.args(of_daemon.get_args()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    daemon
}

#[test]
fn with_few_descriptors_lines_name_no_client() {
    let daemon = limited("40:40", "--delay 0 -c 60", REPEATS);
    let clients: Vec<Client> = (0..50).map(|_| session(&daemon, "127.0.0.7")).collect();
    for (number, mut client) in clients.into_iter().enumerate() {
        say(&mut client, &format!("words {number}."));
        wait_for_line(&daemon, &format!("words {number}."), "");
    }
}

#[test]
fn the_limit_of_programs_stays_what_it_is() {
    let script = format!("ulimit -n >&2; {REPEATS}");
    let daemon = limited("60:", "--delay 0 -c 90", &script);
    let mut clients: Vec<Client> = (0..80).map(|_| session(&daemon, "127.0.0.7")).collect();
    let supervisor = daemon.pid();
    for client in &mut clients {
        say(client, "words");
        let end = whose(&daemon, client);
        wait_for_line(&daemon, "60", &end);
        wait_for_line(&daemon, "words", &end);
    }
    assert!(descriptors(supervisor).len() < 50, "room is left for other things");
    drop(clients);
    wait_until("all to be let go", || (pipes(supervisor) == 2).then_some(()));
}
