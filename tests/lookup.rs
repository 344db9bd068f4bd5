//! The look-up: driven beside the client, bounded, and never a reason to hold
//! a client for having no name when no name server could tell.

use std::fs;
use std::process::Command;
use std::time::Duration;

use domain::base::iana::{OptRcode, Rcode};
use nix::unistd::Pid;

use lab::dns::{FakeDns, Fault, Nsd, ORDINARY};
use lab::report::{Report, program};
use lab::{Daemon, assert_waited, needs, seconds, waited};

#[test]
fn a_dead_name_server_makes_clients_unknown() {
    let dns = FakeDns::start(Fault::Silence);
    let setup = || Daemon::setup().option(&dns.option());
    let daemon = setup().option("--delay-unknown 6 --dns-timeout 1").run(&["echo", "220"]);
    assert_waited(daemon.client("127.0.0.1").read_line().1, 6.0..);
    let line = daemon.log("pass ");
    assert!(line.contains(" class=unknown delay=6 waited="), "{line}");
    assert_waited(seconds(&line, "dns"), 1.0..6.0);
    let daemon = setup().option("--delay-unknown 1 --dns-timeout 2.5").run(&["echo", "220"]);
    assert_waited(daemon.client("127.0.0.1").read_line().1, 2.5..);
    let line = daemon.log("pass ");
    assert!(line.contains(" class=unknown delay=1 waited="), "{line}");
}

#[test]
fn a_name_server_that_fails_is_not_taken_for_an_answer() {
    let codes = [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP, Rcode::FORMERR].map(Fault::Code);
    let extended = [OptRcode::BADVERS, OptRcode::BADCOOKIE].map(Fault::ExtendedCode);
    let lame = [Rcode::NOERROR, Rcode::NXDOMAIN].map(Fault::Lame);
    let codes = codes.into_iter().chain(extended).chain(lame);
    for fault in codes.chain([Fault::DanglingAlias]) {
        let dns = FakeDns::start(fault.clone());
        let daemon = Daemon::setup()
            .option(&dns.option())
            .option("--delay-unknown 0.2 --delay-none 20")
            .run(&["echo", "220"]);
        assert_waited(daemon.client("127.0.0.1").read_line().1, 0.2..8.0);
        assert!(daemon.log("pass ").contains(" class=unknown "), "{fault:?}");
    }
}

#[test]
fn a_closed_port_of_a_resolver_is_noticed_at_once() {
    let daemon =
        Daemon::setup().option("--resolver 127.0.0.1:9 --delay-unknown 0.2").run(&["echo", "220"]);
    assert_waited(daemon.client("127.0.0.1").read_line().1, 0.2..8.0);
    assert!(daemon.log("pass ").contains(" class=unknown "));
}

#[test]
fn the_next_resolver_is_asked() {
    needs!("nsd");
    let nsd = Nsd::start();
    let failing = FakeDns::start(Fault::Code(Rcode::SERVFAIL));
    let daemon = Daemon::setup()
        .option(&failing.option())
        .option(&nsd.option())
        .option("--delay 0.1")
        .run(&["echo", "220"]);
    assert_waited(daemon.client(ORDINARY).read_line().1, 0.1..8.0);
    assert!(daemon.log("pass ").contains(" host=mx1.example.org class=static "));
    assert_eq!(failing.queries(), 1);
}

#[test]
fn the_time_of_the_look_up_counts() {
    let dns = FakeDns::start(Fault::Late(Duration::from_secs(5), "mx.example.org"));
    let setup = || Daemon::setup().option(&dns.option());
    for (delay, bounds) in [("6", 6.0..11.0), ("4", 5.0..9.0)] {
        let daemon = setup().option_with("--delay-static", delay).run(&["echo", "220"]);
        daemon.client("127.0.0.1").read_line();
        let line = daemon.log("pass ");
        assert_waited(waited(&line), bounds);
    }
}

#[test]
fn an_answer_that_takes_five_seconds_is_waited_for() {
    let dns = FakeDns::start(Fault::Late(Duration::from_secs(5), "mx.example.org"));
    let daemon = Daemon::setup().option(&dns.option()).run(&["echo", "220"]);
    assert_waited(daemon.client("127.0.0.1").read_line().1, 5.0..);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=mx.example.org class=static delay=2 "), "{line}");
    assert!(dns.queries() > 1, "it was asked again meanwhile");
}

#[test]
fn answers_from_other_addresses_are_ignored() {
    let dns = FakeDns::start(Fault::AmongSpoofed("true.example.org"));
    let daemon = Daemon::setup()
        .option(&dns.option())
        .option("--delay 0.1")
        .run(&[program().to_str().unwrap()]);
    let report = Report::read(&daemon.client("127.0.0.1").read_all());
    assert_eq!(report.env("TCPREMOTEHOST"), Some("true.example.org"));
}

#[test]
fn talk_and_leaving_are_seen_during_the_look_up() {
    let dns = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup().option(&dns.option()).run(&["false"]);
    let mut talker = daemon.client("127.0.0.1");
    let mut leaver = daemon.client("127.0.0.2");
    assert!(talker.is_silent_for(Duration::from_millis(300)));
    talker.say("EHLO\r\n");
    assert!(talker.read_all().starts_with("421 4.7.0 "));
    assert_waited(talker.connected.elapsed(), 0.3..8.0);
    assert!(leaver.is_silent_for(Duration::from_millis(300)));
    drop(leaver);
    let line = daemon.log("hangup ip=127.0.0.2 ");
    assert!(line.contains(" class=- delay=- "), "{line}");
}

#[test]
fn a_client_that_is_gone_already_costs_no_query() {
    let dns = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup().option("-c 1").option(&dns.option()).run(&["false"]);
    let first = daemon.client("127.0.0.1");
    lab::wait_until("the first query", || (dns.queries() > 0).then_some(()));
    (0..5).for_each(|_| drop(daemon.client("127.0.0.2")));
    let asked = dns.queries();
    drop(first);
    daemon.log_lines("hangup ip=127.0.0.2 ", 5);
    assert_eq!(dns.queries(), asked);
}

#[test]
fn our_own_name_is_looked_up_once_for_all_children() {
    let dns = FakeDns::start(Fault::Late(Duration::ZERO, "mx.example.org"));
    let daemon = Daemon::setup()
        .option(&dns.option())
        .option("--delay 0.1")
        .without_local_name()
        .run(&[program().to_str().unwrap()]);
    for clients in 1..=4 {
        let report = Report::read(&daemon.client("127.0.0.1").read_all());
        assert_eq!(report.env("TCPLOCALHOST"), Some("mx.example.org"));
        assert_eq!(dns.queries(), clients + 1, "one a client, and one for us");
    }
}

/// How many descriptors a process has, but for files of /proc, which it is just about
/// to close.
fn lasting_descriptors(pid: Pid) -> usize {
    let all = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let files = all.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    files.filter(|file| !file.starts_with("/proc")).count()
}

#[test]
fn a_shortage_of_descriptors_is_logged_once_a_minute() {
    let dns = FakeDns::start(Fault::Late(Duration::ZERO, "mx.example.org"));
    let run = |sockets: usize| {
        let setup = Daemon::setup().option("--delay-unknown 0.1 --delay-static 0.1");
        let daemon = setup.option(&dns.option()).without_local_name().run(&["echo", "220"]);
        let open = lasting_descriptors(daemon.children()[0]);
        let limit = |pid: Pid| {
            // One is for the client.
            let files = format!("--nofile={}:", open + 1 + sockets);
            let set = Command::new("prlimit").args([format!("--pid={pid}"), files]).status();
            assert!(set.unwrap().success());
        };
        // First the process that they are forked from.
        limit(daemon.pid());
        daemon.children().into_iter().for_each(limit);
        daemon
    };
    let daemon = run(0);
    for _ in 0..2 {
        assert_eq!(daemon.client("127.0.0.1").read_line().0, "220\n");
    }
    let lines = daemon.log_lines("pass ", 2);
    assert!(lines.iter().all(|line| line.contains(" class=unknown ")), "{lines:?}");
    let told = "smtp-delayd: error: unable to make a socket for look-ups: Too many open files (os \
                error 24): raise the limit of open files (ulimit -n, softlimit -o)";
    assert_eq!(daemon.lines("smtp-delayd: error: "), [told]);
    assert_eq!(dns.queries(), 0);
    // With one socket the client's name and ours take turns.
    let daemon = run(1);
    assert_eq!(daemon.client("127.0.0.1").read_line().0, "220\n");
    let line = daemon.log("pass ");
    assert!(line.contains(" host=mx.example.org class=static "), "{line}");
    assert_eq!(daemon.lines("smtp-delayd: error: "), [told]);
}

#[test]
fn too_few_descriptors_draw_a_warning_at_the_start() {
    let told = |files: u64, options: &str| {
        let setup = Daemon::setup_under(&["prlimit", &format!("--nofile={files}:")]);
        let setup = setup.option("--resolver 127.0.0.1:9 --dns-timeout 8");
        let setup = if options.is_empty() { setup } else { setup.option(options) };
        let daemon = setup.run(&["false"]);
        daemon.lines("smtp-delayd: warning: ")
    };
    let warning = "smtp-delayd: warning: the limit of open files is 15, and 16 may be needed, most \
                   of them for look-ups: raise it (ulimit -n, softlimit -o)";
    assert_eq!(told(15, ""), [warning]);
    assert!(told(16, "").is_empty());
    assert_eq!(told(16, "-p").len(), 1, "more questions");
}
