//! Rules: which clients are denied, which variables a client's program gets, and what
//! they exempt from.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use lab::dns::{FakeDns, Fault, LINE, NAMELESS, Nsd, ORDINARY};
use lab::report::{Report, program};
use lab::{Daemon, SMALL_MEMORY, assert_waited, directory, needs, wait_until};

/// Compiles rules with the real tcprules; the cdb.
fn cdb(rules: &str) -> PathBuf {
    let file = directory().join("rules.cdb");
    compile(&file, rules);
    file
}

fn compile(file: &std::path::Path, rules: &str) {
    let mut tcprules = Command::new("tcprules");
    tcprules.arg(file).arg(file.with_extension("tmp")).stdin(Stdio::piped());
    let mut tcprules = tcprules.spawn().expect("the test begins with needs!");
    tcprules.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(tcprules.wait().unwrap().success());
}

fn text(rules: &str) -> PathBuf {
    let file = directory().join("rules");
    fs::write(&file, rules).unwrap();
    file
}

const SHOW: [&str; 3] = ["sh", "-c", "echo \"220 ${WHICH-unset}\""];

#[test]
fn rules_set_variables_and_deny() {
    needs!("nsd", "tcprules");
    let rules = "127.0.0.2:allow,WHICH=/address/\n127.0.0.3:deny\n127.0.0.:allow,WHICH=+prefix+\n\
                 127.0.1.:deny\n=:allow,WHICH=\"named\"\n:allow,WHICH=.default.\n";
    let nsd = Nsd::start();
    for option in ["-x", "--rules"] {
        let file = if option == "-x" { cdb(rules) } else { text(rules) };
        let daemon = Daemon::setup()
            .option(&nsd.option())
            .option("--delay 0.1")
            .option_with(option, file.display())
            .run(&SHOW);
        let answers = [
            ("127.0.0.2", "220 address\n"),
            ("127.0.0.3", ""),
            ("127.0.0.4", "220 prefix\n"),
            (LINE, "220 named\n"),
            (NAMELESS, "220 default\n"),
        ];
        for (source, answer) in answers {
            assert_eq!(daemon.client(source).read_all(), answer, "{source} {option}");
        }
        assert_eq!(daemon.client(ORDINARY).read_all(), "");
        assert!(daemon.log("deny ip=127.0.0.3 ").ends_with(" rule=\"127.0.0.3:\""));
        let line = daemon.log(&format!("deny ip={ORDINARY} "));
        assert!(line.contains(" host=mx1.example.org ") && line.ends_with(" rule=\"127.0.1.:\""));
    }
}

#[test]
fn the_order_of_names_changes_nothing() {
    let dns = FakeDns::start(Fault::Turning(&[
        "zeta.other.example",
        "Mx.Partner.example",
        "dsl-127-0-0-2.isp.example",
        "alpha.example",
    ]));
    let rules = "=.partner.example:allow,WHICH=/partner/\n=.example:allow,WHICH=/suffix/\n\
                 127.0.0.3:allow,WHICH=/address/\n";
    for (check, file) in [("-P", ("-x", cdb(rules))), ("-p", ("--rules", text(rules)))] {
        let daemon = Daemon::setup()
            .option(&dns.option())
            .option("--delay 0")
            .option(check)
            .option_with(file.0, file.1.display())
            .run(&["sh", "-c", "echo \"220 $WHICH $TCPREMOTEHOST\""]);
        for client in 1..=4 {
            let answer = daemon.client("127.0.0.2").read_all();
            assert_eq!(answer, "220 partner mx.partner.example\n", "{check}");
            let line = daemon.log_lines("pass ip=127.0.0.2 ", client).pop().unwrap();
            assert!(line.contains(" host=mx.partner.example class=static "), "{line}");
        }
        if check == "-P" {
            // A rule that goes by no name leaves the first.
            let answer = daemon.client("127.0.0.3").read_all();
            assert_eq!(answer, "220 address alpha.example\n");
        }
    }
}

#[test]
fn a_rule_for_the_address_costs_no_look_up() {
    needs!("tcprules");
    let dns = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup()
        .option(&dns.option())
        .option_with("-x", cdb("127.0.0.3:deny\n127.0.0.4:allow,RBLSMTPD=/no/\n").display())
        .run(&SHOW);
    let mut denied = daemon.client("127.0.0.3");
    assert_eq!(denied.read_all(), "");
    assert_waited(denied.connected.elapsed(), ..8.0);
    let mut condemned = daemon.client("127.0.0.4");
    assert_eq!(condemned.read_all(), "220 unset\n");
    assert_waited(condemned.connected.elapsed(), ..8.0);
    assert_eq!(dns.queries(), 0);
}

#[test]
fn a_new_cdb_takes_effect_at_once() {
    needs!("tcprules");
    let file = cdb(":allow,WHICH=/old/\n");
    let daemon =
        Daemon::setup().option("-H --delay 0").option_with("-x", file.display()).run(&SHOW);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220 old\n");
    compile(&file, ":allow,WHICH=/new/\n");
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220 new\n");
}

#[test]
fn a_cdb_that_cannot_be_read_drops_the_client() {
    let file = directory().join("missing.cdb");
    let setup = || Daemon::setup().option("-vH --delay 0").option_with("-x", file.display());
    let dropping = |why: &str| {
        format!(
            "smtp-delayd: warning: dropping connection, unable to read {}: {why}",
            file.display()
        )
    };
    let daemon = setup().run(&SHOW);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "");
    daemon.log(&dropping("file does not exist"));
    assert!(daemon.log("smtp-delayd: end ").ends_with(" status 28416"));
    let forgiving = setup().option("-X").run(&SHOW);
    assert_eq!(forgiving.client("127.0.0.1").read_all(), "220 unset\n");
    fs::write(&file, "no cdb").unwrap();
    for daemon in [&daemon, &forgiving] {
        assert_eq!(daemon.client("127.0.0.1").read_all(), "");
        daemon.log(&dropping("protocol error"));
    }
}

#[test]
fn a_cdb_cut_anywhere_does_no_harm() {
    needs!("tcprules");
    let file = cdb("127.0.0.1:allow,WHICH=/whole/\n:deny\n");
    let whole = fs::read(&file).unwrap();
    let daemon =
        Daemon::setup().option("-H --delay 0").option_with("-x", file.display()).run(&SHOW);
    let cuts = (0..whole.len()).step_by(97).chain(whole.len() - 60..whole.len());
    for cut in cuts {
        fs::write(&file, &whole[..cut]).unwrap();
        let answer = daemon.client("127.0.0.1").read_all();
        assert!(["", "220 whole\n"].contains(&answer.as_str()), "cut at {cut}: {answer}");
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220 whole\n");
    assert!(daemon.lines("smtp-delayd: error").is_empty(), "no child crashed");
}

#[test]
fn a_cdb_with_lost_blocks_denies_all_clients() {
    needs!("tcprules");
    let file = cdb("127.0.0.1:deny\n:allow,WHICH=/whole/\n");
    let whole = fs::read(&file).unwrap();
    let daemon =
        Daemon::setup().option("-H --delay 0").option_with("-x", file.display()).run(&SHOW);
    for lost in [0..whole.len(), 0..512, 0..2048, 2048..whole.len(), whole.len() - 32..whole.len()]
    {
        for fill in [0, 0xff] {
            let mut bytes = whole.clone();
            bytes[lost.clone()].fill(fill);
            fs::write(&file, bytes).unwrap();
            assert_eq!(daemon.client("127.0.0.1").read_all(), "", "{lost:?} {fill}");
        }
    }
    for size in [2048, 4096] {
        fs::write(&file, vec![0; size]).unwrap();
        assert_eq!(daemon.client("127.0.0.1").read_all(), "");
    }
    let line = daemon.log("smtp-delayd: warning: dropping connection, ");
    assert!(line.contains("rules.cdb: protocol error ip=127.0.0.1 port="), "{line}");
}

#[test]
fn a_cdb_that_lies_about_a_length_drops_its_clients_alone() {
    needs!("tcprules", "softlimit");
    let file = cdb("127.0.0.1:allow,WHICH=/whole/\n127.0.0.2:allow\n");
    let mut bytes = fs::read(&file).unwrap();
    let key = bytes.windows(9).position(|window| window == b"127.0.0.1").unwrap();
    bytes[key - 4..key].copy_from_slice(&0xf000_0000_u32.to_le_bytes());
    fs::write(&file, bytes).unwrap();
    let daemon = Daemon::setup_under(&["softlimit", "-m", &SMALL_MEMORY.to_string()])
        .option("-H --delay 0")
        .option_with("-x", file.display())
        .run(&SHOW);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "");
    let line = daemon.log("smtp-delayd: warning: dropping connection, ");
    assert!(line.contains("rules.cdb: protocol error ip=127.0.0.1 port="), "{line}");
    assert_eq!(daemon.client("127.0.0.2").read_all(), "220 unset\n");
    assert!(daemon.lines("smtp-delayd: error").is_empty(), "no child crashed");
}

#[test]
fn a_named_pipe_instead_of_a_cdb_does_not_block() {
    needs!("tcprules");
    let file = cdb(":allow\n");
    let mut daemon =
        Daemon::setup().option("-H --delay 0 -c 3").option_with("-x", file.display()).run(&SHOW);
    fs::remove_file(&file).unwrap();
    mkfifo(&file, Mode::S_IRWXU).unwrap();
    for _ in 0..5 {
        assert_eq!(daemon.client("127.0.0.1").read_all(), "");
    }
    daemon.log("smtp-delayd: warning: dropping connection, unable to read ");
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
}

#[test]
fn rules_exempt() {
    needs!("nsd", "tcprules");
    let rules = "127.0.0.2:allow,RELAYCLIENT=//\n127.0.0.3:allow,SMTPDELAY=/0.5/\n\
                 127.0.0.4:allow,GREETDELAY=/0.5/\n127.0.0.5:allow,RBLSMTPD=//\n\
                 127.0.0.6:allow,RBLSMTPD=/listed/\n127.0.0.7:allow,SMTPDELAY=/soon/\n\
                 127.0.0.9:allow,SMTPD_GREETDELAY=/0.5/\n";
    let nsd = Nsd::start();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay-static 1 --delay-none 1.5")
        .option_with("-x", cdb(rules).display())
        .run(&["echo", "220"]);
    let delays = [(2, 0.0), (3, 0.5), (4, 0.5), (5, 1.0), (6, 0.0), (7, 1.5), (8, 1.5), (9, 0.5)];
    for (last, delay) in delays {
        assert_waited(daemon.client(&format!("127.0.0.{last}")).read_line().1, delay..);
        let line = daemon.log(&format!("pass ip=127.0.0.{last} "));
        assert!(line.contains(&format!(" delay={delay} ")), "{line}");
    }
    assert!(daemon.text().contains("unable to use SMTPDELAY=\"soon\": it takes seconds"));
}

#[test]
fn early_talk_is_judged_after_the_rules() {
    needs!("nsd", "tcprules");
    let nsd = Nsd::start();
    let rules = "=.isp.example:allow,RELAYCLIENT=//\n=.example.org:deny\n";
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay 2")
        .option_with("-x", cdb(rules).display())
        .run(&["cat"]);
    let answer = |source: &str| {
        let mut client = daemon.client(source);
        client.say("EHLO me\r\n");
        client.finish();
        client.read_all()
    };
    assert_eq!(answer(LINE), "EHLO me\r\n", "it is exempt");
    assert!(answer(NAMELESS).starts_with("421 4.7.0 "));
    let mut denied = daemon.client(ORDINARY);
    assert_eq!(denied.read_all(), "");
    assert_eq!(daemon.log_lines("early ", 1).len(), 1);
}

#[test]
fn a_delay_set_by_a_rule_is_watched_without_other_delays() {
    needs!("tcprules");
    let daemon = Daemon::setup()
        .option("-H --delay 0")
        .option_with("-x", cdb("127.0.0.2:allow,SMTPDELAY=/5/\n").display())
        .run(&["cat"]);
    let mut client = daemon.client("127.0.0.2");
    client.say("EHLO me\r\n");
    assert!(client.read_all().starts_with("421 4.7.0 "));
    let mut client = daemon.client("127.0.0.3");
    client.say("EHLO me\r\n");
    client.finish();
    assert_eq!(client.read_all(), "EHLO me\r\n");
}

#[test]
fn text_rules_are_read_again_on_hup_and_mistakes_keep_the_old() {
    let file = text(":allow,WHICH=/old/\n");
    let daemon =
        Daemon::setup().option("-H --delay 0").option_with("--rules", file.display()).run(&SHOW);
    let which = || daemon.client("127.0.0.1").read_all();
    assert_eq!(which(), "220 old\n");
    fs::write(&file, "127.0.0.0/8:allow,WHICH=/new/\n").unwrap();
    assert_eq!(which(), "220 old\n");
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
    wait_until("the new rules", || (which() == "220 new\n").then_some(()));
    fs::write(&file, "127.0.0.1 deny\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    let line = daemon.log("smtp-delayd: error: unable to use ");
    assert!(line.contains(" line 1: there is no colon: 127.0.0.1 deny"), "{line}");
    assert_eq!(which(), "220 new\n");
}

#[test]
fn rules_that_match_no_client_draw_a_warning() {
    let rules = "127.0.0.2:deny\n192.0.2:deny\n:allow, SMTPDELAY=/1/\njoe@127.0.0.2:deny\n";
    let file = text(rules);
    let warnings = [
        "line 2: `192.0.2' matches no client: the beginning of an address ends in a dot: `192.0.2.'",
        "line 3: ` SMTPDELAY': not the name of a variable",
    ];
    let expected: Vec<String> = warnings
        .iter()
        .map(|warning| format!("smtp-delayd: warning: {} {warning}", file.display()))
        .chain([format!("smtp-delayd: warning: {}: keys with `@' need -r", file.display())])
        .collect();
    let mut check = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
    check.args(["--check", "-u", "root", "--rules"]).arg(&file).args(["127.0.0.1", "0", "true"]);
    let output = check.output().unwrap();
    assert_eq!(output.stdout, b"ok\n", "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let told: Vec<&str> = told.lines().filter(|line| line.contains("rules")).collect();
    assert_eq!(told, expected);
    let daemon =
        Daemon::setup().option("-H --delay 0").option_with("--rules", file.display()).run(&SHOW);
    for start in [1, 2] {
        for warning in &expected {
            assert_eq!(daemon.log_lines(warning, start).len(), start, "{}", daemon.text());
        }
        daemon.signal(Signal::SIGHUP);
        daemon.log_lines("reload ", start);
    }
}

#[test]
fn one_line_with_a_large_value_does_not_take_its_range_times_the_memory() {
    let file = text(&format!("0-255:allow,A=\"{}\"\n:deny\n", "x".repeat(120_000)));
    let daemon = Daemon::setup_under(&["softlimit", "-m", &SMALL_MEMORY.to_string()])
        .option("-H --delay 0")
        .option_with("--rules", file.display())
        .run(&SHOW);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "");
    let ranges: Vec<String> = (0..170_000).map(|n| format!("{n}.0-255:deny\n")).collect();
    fs::write(&file, ranges.concat()).unwrap();
    daemon.signal(Signal::SIGHUP);
    let line = daemon.log("smtp-delayd: error: unable to use ");
    assert!(line.contains(" line 977: over 250000 keys: use networks "), "{line}");
    assert_eq!(daemon.client("127.0.0.1").read_all(), "");
}

#[test]
fn ipv6_clients_have_rules_too() {
    let rules = "::1:allow,WHICH=/address/\n";
    let daemon = Daemon::setup()
        .host("::1")
        .option("-H --delay 0")
        .option_with("--rules", text(rules).display())
        .run(&SHOW);
    assert_eq!(daemon.client("::1").read_all(), "220 address\n");
    let daemon = Daemon::setup()
        .host("::1")
        .option("-H --delay 0")
        .option_with("--rules", text("::/64:deny\n").display())
        .run(&SHOW);
    assert_eq!(daemon.client("::1").read_all(), "");
}

/// An ident server at the port that there is only one of: root's.
fn ident_server(address: &str, answer: &'static [u8]) -> Option<thread::JoinHandle<String>> {
    let listener = TcpListener::bind((address, 113)).ok()?;
    Some(thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 100];
        let length = stream.read(&mut asked).unwrap();
        for part in answer.chunks(5) {
            stream.write_all(part).unwrap();
        }
        String::from_utf8_lossy(&asked[..length]).into_owned()
    }))
}

#[test]
fn the_ident_server_is_asked_and_rules_may_depend_on_it() {
    needs!("tcprules");
    let Some(server) = ident_server("127.0.0.21", b"1,2 : USERID : UNIX : jo\te :x\r\n") else {
        assert!(!lab::is_root("the_ident_server_is_asked"), "port 113 is taken");
        return;
    };
    let rules = "joe:x@127.0.0.21:allow,WHICH=/joe/\n127.0.0.21:deny\n";
    let daemon = Daemon::setup()
        .option("-rH --delay 0")
        .option_with("-x", cdb(rules.replace("joe:x", "joe").as_str()).display())
        .run(&[program().to_str().unwrap()]);
    assert_eq!(daemon.client("127.0.0.21").read_all(), "", "joe:x is not joe");
    let asked = server.join().unwrap();
    assert!(asked.ends_with(&format!(" , {}\r\n", daemon.port)), "{asked:?}");
    let server = ident_server("127.0.0.21", b"1,2:USERID:UNIX:j o e\r\n").unwrap();
    let report = Report::read(&daemon.client("127.0.0.21").read_all());
    server.join().unwrap();
    assert_eq!(report.env("TCPREMOTEINFO"), Some("joe"));
    assert_eq!(report.env("WHICH"), Some("joe"));
    assert!(daemon.client("127.0.0.22").read_all().contains("env PROTO=TCP"), "no ident server");
}

#[test]
fn an_ident_server_that_keeps_silent_has_its_own_deadline() {
    let Ok(_silent) = TcpListener::bind(("127.0.0.23", 113)) else {
        assert!(!lab::is_root("an_ident_server_that_keeps_silent"), "port 113 is taken");
        return;
    };
    let daemon = Daemon::setup().option("-rH -t 1 --delay 0.1").run(&[program().to_str().unwrap()]);
    let mut client = daemon.client("127.0.0.23");
    let report = Report::read(&client.read_all());
    assert_waited(client.connected.elapsed(), 1.0..20.0);
    assert_eq!(report.env("TCPREMOTEINFO"), None);
    let daemon = Daemon::setup().option("-rH -t 25 --delay 0.1").run(&["false"]);
    let mut talker = daemon.client("127.0.0.23");
    assert!(talker.is_silent_for(Duration::from_millis(300)));
    talker.say("EHLO\r\n");
    assert!(talker.read_all().starts_with("421 4.7.0 "), "it is watched meanwhile");
    assert_waited(talker.connected.elapsed(), 0.3..20.0);
}
