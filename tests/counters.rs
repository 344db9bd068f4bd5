//! Every client is one verdict: in the counters, and in the log.

use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::daemon::Setup;
use lab::{Alone, Daemon, directory, wait_until};

const VERDICTS: [&str; 7] = ["pass", "early", "hangup", "deny", "listed", "limit", "error"];

/// The number behind `key=` in a `stats` line.
fn number(stats: &str, key: &str) -> u64 {
    let value = stats.split(&format!(" {key}=")).nth(1).and_then(|rest| rest.split(' ').next());
    value.and_then(|value| value.parse().ok()).expect(stats)
}

/// Waits until all clients are gone; the verdicts that are not 0.
#[track_caller]
fn verdicts(daemon: &Daemon) -> Vec<(&'static str, u64)> {
    let stats = daemon.wait_for_stats(" busy=0 ");
    let all = VERDICTS.map(|verdict| (verdict, number(&stats, verdict)));
    all.into_iter().filter(|(_, count)| *count > 0).collect()
}

fn setup(options: &str) -> Setup {
    Daemon::setup().option("-H").option(options)
}

#[test]
fn early_talk_that_is_only_noted_is_a_pass() {
    let daemon = setup("--delay 0.3 --early log").run(&["echo", "220"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO x\r\n");
    let _ = client.try_read_all();
    daemon.log("end ");
    assert!(daemon.log("early ").ends_with(" action=log"));
    assert_eq!(verdicts(&daemon), [("pass", 1)]);
}

#[test]
fn an_early_talker_that_leaves_while_it_is_held_is_an_early_talker() {
    for early in ["refuse", "rblsmtpd"] {
        let options = format!("--delay 5 --hold 30 --early {early}");
        let daemon = setup(&options).run(&["echo", "220"]);
        let mut client = daemon.client("127.0.0.1");
        client.say("EHLO x\r\n");
        daemon.log("early ");
        client.reset();
        assert_eq!(verdicts(&daemon), [("early", 1)], "{early}");
        assert_eq!(daemon.lines("hangup "), Vec::<String>::new(), "{early}");
    }
}

/// Whether another process is made for it, or the child would become it (`-v`).
#[test]
fn a_client_whose_program_cannot_be_run_did_not_pass() {
    let folder = directory();
    let script = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.to_str().unwrap().to_string()
    };
    let programs = [
        "/nonexistent/prog".into(),
        folder.to_str().unwrap().into(),
        script("no-interpreter", "echo 220\n"),
        script("missing-interpreter", "#! /nonexistent/sh -e\necho 220\n"),
        script("empty", ""),
    ];
    for options in ["", "-v"] {
        for program in &programs {
            let daemon = setup(format!("--delay 0 {options}").trim_end());
            let daemon = daemon.run(&[program]);
            assert!(daemon.client("127.0.0.1").read_all().starts_with("421 4.3.0 "));
            daemon.log("smtp-delayd: error: unable to run ");
            assert_eq!(verdicts(&daemon), [("error", 1)], "{program} {options}");
            assert_eq!(daemon.lines("pass "), Vec::<String>::new(), "{program} {options}");
            assert_eq!(daemon.lines("end "), Vec::<String>::new(), "{program} {options}");
        }
    }
}

#[test]
fn a_child_that_becomes_the_program_counts_from_then_on() {
    let daemon = setup("--delay 0 -v").run(&["sh", "-c", "echo 220; cat"]);
    let mut client = daemon.client("127.0.0.1");
    assert_eq!(client.read_line().0, "220\n");
    let stats = daemon.wait_for_stats(" busy=1 ");
    assert_eq!(number(&stats, "pass"), 1, "{stats}");
    drop(client);
    daemon.log("end ");
    assert_eq!(verdicts(&daemon), [("pass", 1)]);
}

#[test]
fn every_kind_of_client_is_counted_once() {
    let rules = directory().join("rules");
    std::fs::write(&rules, "127.0.0.2:deny\n127.0.0.3:allow,SMTPDELAY=\"0\"\n:allow\n").unwrap();
    let options = format!("--delay 20 --rules {} --per-ip 1", rules.display());
    let daemon =
        Daemon::setup().without_per_ip().option("-H").option(&options).run(&["echo", "220"]);
    daemon.client("127.0.0.2").read_all();
    assert_eq!(daemon.client("127.0.0.3").read_all(), "220\n");
    let first = daemon.client("127.0.0.4");
    wait_until("it to be held", || daemon.wait_for_stats(" busy=1 ").into());
    assert!(daemon.client("127.0.0.4").read_all().starts_with("421 4.7.0 "));
    drop(first);
    let mut early = daemon.client("127.0.0.5");
    early.say("x");
    early.read_all();
    let counted = [("pass", 1), ("early", 1), ("hangup", 1), ("deny", 1), ("limit", 1)];
    assert_eq!(verdicts(&daemon), counted);
}

/// Whether a child waits in poll(2) or ppoll(2), which it does for a client alone.
fn has_client(pid: Pid) -> bool {
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = call.split(' ').next().and_then(|number| number.parse().ok());
    [libc::SYS_poll, libc::SYS_ppoll].iter().any(|poll| number == Some(*poll))
}

/// Its line is written when it has named its client, and would have been the only
/// one with its address.
#[test]
fn a_client_whose_child_is_killed_while_it_talks_is_an_error_with_its_address() {
    let daemon = setup("--delay 20 --refuse talk").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO x\r\n");
    assert!(client.read_line().0.starts_with("220 "));
    let victim = wait_until("a child that listens to it", || {
        daemon.children().into_iter().find(|pid| has_client(*pid))
    });
    kill(victim, Signal::SIGKILL).unwrap();
    let crash = daemon.log("smtp-delayd: error: child ");
    assert!(crash.contains(" ip=127.0.0.1 "), "{crash}");
    assert_eq!(verdicts(&daemon), [("error", 1)]);
}

#[test]
fn clients_of_killed_children_are_counted() {
    const CLIENTS: u64 = 120;
    let _alone = Alone::on_the_machine();
    let daemon = setup("--delay 0.1 -c 20").run(&["echo", "220"]);
    let (mut killed, mut lost) = (0, 0);
    for round in 0..CLIENTS / 4 {
        let mut clients: Vec<_> = (0..4).map(|_| daemon.client("127.0.0.1")).collect();
        if round % 2 == 0 {
            let victim = daemon.children().into_iter().find(|pid| has_client(*pid));
            killed += u64::from(victim.is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok()));
        }
        let texts = clients.iter_mut().map(|client| client.try_read_all().unwrap_or_default());
        lost += texts.filter(|text| text != "220\n").count() as u64;
    }
    let verdicts = verdicts(&daemon);
    assert_eq!(verdicts.iter().map(|(_, count)| count).sum::<u64>(), CLIENTS, "{verdicts:?}");
    assert_eq!(verdicts.iter().find(|(verdict, _)| *verdict == "error"), Some(&("error", lost)));
    assert!(killed > 0 && lost > 0, "{killed} killed, {lost} lost");
}

/// All that is logged about a client whose child is killed is the line about the child.
#[test]
fn each_client_of_a_killed_child_is_logged() {
    const CLIENTS: usize = 25;
    let daemon = setup("--delay 20 -c 40").run(&["echo", "220"]);
    let _clients: Vec<_> = (0..CLIENTS).map(|_| daemon.client("127.0.0.1")).collect();
    let held = wait_until("all to be held", || {
        let children: Vec<Pid> =
            daemon.children().into_iter().filter(|pid| has_client(*pid)).collect();
        (children.len() == CLIENTS).then_some(children)
    });
    for child in held {
        kill(child, Signal::SIGKILL).unwrap();
    }
    let lines = daemon.log_lines("smtp-delayd: error: child ", CLIENTS);
    assert!(lines.iter().all(|line| line.ends_with(" ip=127.0.0.1 port=-")), "{lines:?}");
    assert_eq!(verdicts(&daemon), [("error", CLIENTS as u64)]);
}

/// A child that is killed as accept(2) returns has counted nothing.
#[test]
fn a_kill_costs_one_count_at_most_whenever_it_comes() {
    const CLIENTS: u64 = 200;
    let _alone = Alone::on_the_machine();
    let daemon = setup("--delay 0 -c 20").run(&["echo", "220"]);
    let mut killed = 0;
    for number in 0..CLIENTS {
        let mut client = daemon.client("127.0.0.1");
        if number % 4 == 0 {
            let victim = daemon.children().into_iter().next();
            killed += u64::from(victim.is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok()));
        }
        let _ = client.try_read_all();
    }
    let counted = verdicts(&daemon).iter().map(|(_, count)| count).sum::<u64>();
    assert!((CLIENTS - killed..=CLIENTS).contains(&counted), "{counted}, {killed} killed");
}
