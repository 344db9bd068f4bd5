//! `--dry-run`: refusals that are told and not carried out, and those that hold.

use std::fs;
use std::process::Command;

use lab::chain::Link;
use lab::daemon::Setup;
use lab::dns::{FakeDns, Fault, NAMELESS, Nsd};
use lab::smtp::SmtpServer;
use lab::{Daemon, assert_waited, directory, needs, waited};
use serde_json::Value;

use crate::background::{Background, ctl};

const GREET: [&str; 3] = ["sh", "-c", "echo 220; exec cat"];

/// Without look-ups, each client waits for half a second.
fn dry(options: &str) -> Setup {
    Daemon::setup().option("-H --dry-run --delay 0.5").option(options)
}

/// The `stats` line, once all clients are gone.
#[track_caller]
fn assert_counted(daemon: &Daemon, counts: &str) {
    let stats = daemon.wait_for_stats(" busy=0 ");
    assert!(stats.contains(counts), "{stats}");
}

#[test]
fn a_message_of_an_early_talker_is_delivered() {
    needs!("msmtpd");
    for early in ["refuse", "rblsmtpd"] {
        let server = SmtpServer::msmtpd();
        let options = format!("--early {early} --refuse talk --hold 60");
        let daemon = dry(&options).run(&server.program());
        let mut client = daemon.client("127.0.0.1");
        client.say(
            "EHLO me.example\r\nMAIL FROM:<a@me.example>\r\nRCPT TO:<b@mx.test.example>\r\n\
             DATA\r\nSubject: dry\r\n\r\nIt comes early.\r\n.\r\nQUIT\r\n",
        );
        let replies = client.read_all();
        assert_waited(client.connected.elapsed(), 0.5..);
        assert!(server.messages().contains("It comes early."), "{replies}");
        let line = daemon.log("early ");
        assert!(line.ends_with(" action=log would=refuse"), "{line}");
        assert_waited(waited(&daemon.log("pass ")), 0.5..);
        daemon.log("end ");
        assert_counted(&daemon, "stats pass=1 early=0 hangup=0 ");
        assert_counted(&daemon, " would_refuse=1 ");
    }
}

#[test]
fn an_early_talker_that_leaves_has_hung_up() {
    let daemon = dry("--delay 20").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO\r\n");
    daemon.log("early ");
    client.reset();
    daemon.log("hangup ");
    assert_counted(&daemon, "stats pass=0 early=0 hangup=1 ");
    assert_counted(&daemon, " would_refuse=1 ");
}

#[test]
fn a_connection_too_many_is_served() {
    let daemon = dry("--per-ip 1").run(&GREET);
    let mut first = daemon.client("127.0.0.1");
    assert_eq!(first.read_line().0, "220\n");
    let (line, time) = daemon.client("127.0.0.1").read_line();
    assert_eq!(line, "220\n");
    assert_waited(time, 0.5..);
    let line = daemon.log("limit ");
    assert!(line.ends_with(" kind=per-ip held=1 would=refuse"), "{line}");
    drop(first);
    assert_counted(&daemon, "stats pass=2 early=0 hangup=0 deny=0 listed=0 limit=0 ");
    assert_counted(&daemon, " would_refuse=1 ");
}

#[test]
fn the_reserve_is_open_to_all() {
    needs!("nsd");
    let nsd = Nsd::start();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("-c 10 --reserve 30 --delay-none 60 --dry-run")
        .run(&GREET);
    let held: Vec<_> = (0..7).map(|_| daemon.client(NAMELESS)).collect();
    daemon.wait_for_stats(" none=7 ");
    for count in [1, 2] {
        let (line, _) = daemon.client(NAMELESS).read_line();
        assert_eq!(line, "220\n");
        let told = daemon.log_lines("limit ", count).pop().unwrap();
        assert!(told.contains(" class=none ") && told.contains(" kind=reserve held="), "{told}");
        assert!(told.ends_with(" would=refuse"), "{told}");
        let passed = daemon.log_lines("pass ", count).pop().unwrap();
        assert!(passed.contains(" class=none delay=0 shrunk=0.00 "), "{passed}");
    }
    drop(held);
    assert_counted(&daemon, " limit=0 check=0 error=0 would_refuse=2 ");
}

#[test]
fn a_listed_client_waits_as_all_do_and_is_told_once() {
    let dns = FakeDns::start(Fault::Lists([127, 0, 0, 2], &[b"every client is listed"]));
    for delay in ["--delay-none 0.5", "--delay 0"] {
        let daemon = Daemon::setup()
            .option(&dns.option())
            .option("--dry-run --dnsbl bl.example --dnswl good.example=127.0.0.9")
            .option(delay)
            .run(&GREET);
        assert_eq!(daemon.client("127.0.0.1").read_line().0, "220\n");
        let passed = daemon.log("pass ");
        assert!(passed.contains(" class=none "), "{passed}");
        assert_waited(waited(&passed), if delay == "--delay 0" { 0.0 } else { 0.5 }..);
        let told = daemon.log_lines("listed ", 1);
        assert!(told[0].ends_with(" zones=\"bl.example:127.0.0.2\" score=1 would=refuse"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert_counted(&daemon, " listed=0 limit=0 check=0 error=0 would_refuse=1 ");
    }
    assert_eq!(dns.queries_for(domain::base::Rtype::TXT), 0, "no client is told why");
}

#[test]
fn what_protects_the_host_holds() {
    let rules = directory().join("rules");
    fs::write(&rules, "127.0.0.9:deny\n:allow\n").unwrap();
    let options = format!("--max-prog 1 --rules {}", rules.display());
    let daemon = dry(&options).run(&GREET);
    assert_eq!(daemon.client("127.0.0.9").read_all(), "");
    daemon.log("deny ip=127.0.0.9 ");
    let mut session = daemon.client("127.0.0.1");
    assert_eq!(session.read_line().0, "220\n");
    let text = daemon.client("127.0.0.1").read_all();
    assert!(text.starts_with("421 4.3.2 "), "{text}");
    let line = daemon.log("limit ");
    assert!(line.ends_with(" kind=max-prog held=1"), "{line}");
    drop(session);
    assert_counted(&daemon, "stats pass=1 early=0 hangup=0 deny=1 listed=0 limit=1 ");
    assert_counted(&daemon, " would_refuse=0 ");
}

#[test]
fn without_a_delay_a_start_and_a_check_warn() {
    let warning = "smtp-delayd: warning: --dry-run without a delay: ";
    let daemon = dry("--delay 0").run(&["false"]);
    daemon.log(warning);
    let mut command = Command::new(lab::command::daemon());
    let arguments = ["--check", "--dry-run", "--delay", "0", "127.0.0.1", "0", "true"];
    let output = command.args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && text.contains(warning), "{text}");
}

#[test]
fn status_metrics_and_report_show_what_would_have_been_refused() {
    let daemon = Background::new();
    daemon.start_well("--delay 0.5 --dry-run", &["sh", "-c", "echo 220; cat"]);
    let mut client = daemon.client();
    client.say("EHLO\r\n");
    client.finish();
    client.read_all();
    for line in ["early ", "pass ", "end "] {
        daemon.syslog.wait_for(line);
    }
    let board = daemon.path("board");
    let (_, text) = ctl(&["status", "--scoreboard", &board]);
    assert!(text.contains("\npass 1  early 0  ") && text.contains("  would_refuse 1\n"), "{text}");
    let (_, text) = ctl(&["status", "--json", "--scoreboard", &board]);
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(status["counters"]["would_refuse"], 1, "{text}");
    let (_, text) = ctl(&["metrics", "--scoreboard", &board]);
    assert!(text.contains("\nsmtp_delayd_would_refuse_total 1\n"), "{text}");
    let messages = daemon.syslog.messages();
    let lines: String =
        messages.iter().map(|line| format!("Nov 27 12:00:00 host {line}\n")).collect();
    fs::write(daemon.path("mail.log"), &lines).unwrap();
    let (_, text) = ctl(&["report", "--json", &daemon.path("mail.log")]);
    let report: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&report["clients"]["pass"], &report["clients"]["early"]), (&1.into(), &0.into()));
    assert_eq!(report["told_only"]["early"], 1, "{text}");
}

#[test]
fn the_link_tells_early_talk_and_runs_the_program() {
    let variables = [("TCPREMOTEIP", "192.0.2.7"), ("TCPREMOTEHOST", "mx.example.org")];
    for refuses in ["", "-S"] {
        let options = format!("-v --dry-run --delay 0.3 {refuses}");
        let tell = ["sh", "-c", "read line; echo \"$line ${RBLSMTPD-unset}\""];
        let mut link = Link::run(&variables, &options, &tell);
        link.client.say("EHLO\n");
        assert_eq!(link.client.read_all(), "EHLO unset\n", "{options}");
        let line = link.log("early ");
        assert!(line.ends_with(" action=log would=refuse"), "{line}");
        assert_waited(waited(&link.log("pass ")), 0.3..);
    }
    let rejected = [variables.as_slice(), &[("RBLSMTPD", "listed")]].concat();
    let show = ["sh", "-c", "echo $RBLSMTPD"];
    let mut link = Link::run(&rejected, "--dry-run --delay 60", &show);
    assert_eq!(link.client.read_all(), "listed\n", "that is the server's refusal");
}
