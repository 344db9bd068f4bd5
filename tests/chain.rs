//! The link in real chains: under tcpserver, tcpsvd, xinetd and the daemon,
//! before rblsmtpd and after it, behind recordio.

use std::fs;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use lab::chain::Chain;
use lab::command;
use lab::dns::{LINE, NAMELESS, Nsd, ORDINARY};
use lab::rbl::{LISTED, Rbldnsd, WHY, ZONE};
use lab::report::{Report, program};
use lab::smtp::SmtpServer;
use lab::{Client, Daemon, assert_waited, directory, is_root, needs, wait_until, waited};

const DIALOGUE: &str =
    "EHLO spam.example\r\nMAIL FROM:<a@spam.example>\r\nRCPT TO:<b@example.org>\r\nQUIT\r\n";
/// rblsmtpd that asks no list.
const NO_LIST: [&str; 3] = ["rblsmtpd", "-r", "127.0.0.1"];
const EARLY: &str = "4.7.0 mx.test.example you talked before the greeting";

/// Quick delays, and no trust in loopback addresses.
const QUICK: [&str; 9] = ["-v", "-d", "0.3", "-D", "1", "-N", "2", "--local-nets", "none"];

fn chain<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    parts.concat()
}

fn names_in(nsd: &Nsd) -> [String; 2] {
    ["--resolver".into(), nsd.address.to_string()]
}

fn codes(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.get(..3).unwrap_or(line)).collect()
}

fn deliver(client: &mut Client) -> (Duration, String) {
    let (greeting, waited) = client.read_line();
    assert!(greeting.starts_with("220 "), "{greeting}");
    client.say("HELO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n");
    client.say("Subject: hello\r\n\r\nhello\r\n.\r\nQUIT\r\n");
    (waited, client.read_all())
}

#[test]
fn before_rblsmtpd_early_talkers_are_refused_by_it_and_others_served() {
    needs!("nsd", "tcpserver", "rblsmtpd", "msmtpd");
    let smtp = SmtpServer::msmtpd();
    let nsd = Nsd::start();
    let [resolver, address] = names_in(&nsd);
    let link =
        chain(&[&[command::link()], &QUICK, &[&resolver, &address], &NO_LIST, &smtp.program()]);
    let server = Chain::tcpserver("-RHl mx.test.example", &[], &link);
    let mut early = server.client(NAMELESS);
    early.say(DIALOGUE);
    let text = early.read_all();
    assert_eq!(codes(&text), ["220", "250", "250", "451", "221"], "{text}");
    assert!(text.contains(&format!("451 {EARLY}\r\n")), "{text}");
    assert!(server.log("early ").ends_with(" action=rblsmtpd"));
    for (source, class, delay) in
        [(ORDINARY, "static", 0.3), (LINE, "dynamic", 1.0), (NAMELESS, "none", 2.0)]
    {
        let (waited, text) = deliver(&mut server.client(source));
        assert_waited(waited, delay..);
        assert_eq!(codes(&text), ["250", "250", "250", "354", "250", "221"], "{text}");
        let line = server.log(&format!("pass ip={source} "));
        assert!(line.contains(&format!(" class={class} delay={delay} waited=")), "{line}");
    }
}

#[test]
fn after_rblsmtpd_a_listed_client_never_comes_to_the_link() {
    needs!("nsd", "rbldnsd", "tcpserver", "rblsmtpd", "msmtpd");
    if !is_root("after_rblsmtpd_a_listed_client_never_comes_to_the_link") {
        return;
    }
    let smtp = SmtpServer::msmtpd();
    let _list = Rbldnsd::start_at("127.53.1.1");
    let nsd = Nsd::start();
    let [resolver, address] = names_in(&nsd);
    let marks = directory().join("marks");
    let script = format!("echo >> {}; exec \"$@\"", marks.display());
    let link = chain(&[
        &["rblsmtpd", "-r", ZONE, "sh", "-c", &script, "sh", command::link()],
        &QUICK,
        &[&resolver, &address],
        &smtp.program(),
    ]);
    let server = Chain::tcpserver("-RHl mx.test.example", &[("DNSCACHEIP", "127.53.1.1")], &link);
    let mut listed = server.client(LISTED);
    listed.say(DIALOGUE);
    let text = listed.read_all();
    assert!(text.contains(&format!("451 {WHY}\r\n")), "{text}");
    assert!(!marks.exists(), "{}", server.text());
    for (source, delay) in [(ORDINARY, 0.3), (LINE, 1.0), (NAMELESS, 2.0)] {
        assert_waited(deliver(&mut server.client(source)).0, delay..);
    }
    assert_eq!(fs::read_to_string(&marks).unwrap(), "\n\n\n");
}

#[test]
fn a_listed_client_is_refused_by_the_rblsmtpd_behind_the_link_too() {
    needs!("rbldnsd", "tcpserver", "rblsmtpd", "msmtpd");
    if !is_root("a_listed_client_is_refused_by_the_rblsmtpd_behind_the_link_too") {
        return;
    }
    let smtp = SmtpServer::msmtpd();
    let _list = Rbldnsd::start_at("127.53.1.2");
    let options = ["--no-lookup", "--delay", "0.3"];
    let link = chain(&[&[command::link()], &options, &["rblsmtpd", "-r", ZONE], &smtp.program()]);
    let server = Chain::tcpserver("-RHl mx.test.example", &[("DNSCACHEIP", "127.53.1.2")], &link);
    let mut listed = server.client(LISTED);
    let (greeting, waited) = listed.read_line();
    assert_eq!(greeting, "220 rblsmtpd.local\r\n");
    assert_waited(waited, 0.3..);
    listed.say(DIALOGUE);
    assert!(listed.read_all().contains(&format!("451 {WHY}\r\n")));
}

#[test]
fn the_name_that_tcpserver_has_looked_up_is_used() {
    needs!("nsd", "tcpserver");
    if !is_root("the_name_that_tcpserver_has_looked_up_is_used") {
        return;
    }
    let _nsd = Nsd::start_at("127.53.1.3", 53);
    // A second question gets no answer before the deadline.
    let options = ["--resolver", "127.53.1.9", "--dns-timeout", "4", "--delay-unknown", "5"];
    let link = chain(&[&[command::link()], &QUICK, &options, &["echo", "220"]]);
    let server = Chain::tcpserver("-Rl mx.test.example", &[("DNSCACHEIP", "127.53.1.3")], &link);
    for (source, class, delay) in [(ORDINARY, "static", 0.3), (LINE, "dynamic", 1.0)] {
        assert_waited(server.client(source).read_line().1, delay..);
        let line = server.log(&format!("pass ip={source} "));
        assert!(line.contains(&format!(" class={class} ")) && line.contains(" dns=- "), "{line}");
    }
}

#[test]
fn under_the_daemon_the_time_waited_there_counts() {
    let link = chain(&[&[command::link()], &QUICK, &["--no-lookup", "-N", "6"], &["echo", "220"]]);
    let daemon = Daemon::setup().option("-H --delay 5").run(&link);
    assert_waited(daemon.client("127.0.0.1").read_line().1, 6.0..11.0);
    let lines = daemon.log_lines("pass ", 2);
    assert!(lines[1].contains(" class=none delay=6 "), "{lines:?}");
    assert_waited(waited(&lines[1]), 6.0..11.0);
    let link = chain(&[&[command::link()], &QUICK, &["--no-lookup", "-N", "25"], &["echo", "220"]]);
    let daemon = Daemon::setup().option("-H --delay 0.7").run(&link);
    let mut early = daemon.client("127.0.0.1");
    daemon.log("pass ");
    early.say("EHLO\r\n");
    assert_waited(waited(&daemon.log("early ")), 0.7..30.0);
}

#[test]
fn under_tcpsvd() {
    needs!("tcpsvd", "msmtpd");
    let smtp = SmtpServer::msmtpd();
    let link =
        chain(&[&[command::link(), "-S"], &QUICK, &["--no-lookup", "-N", "0.5"], &smtp.program()]);
    let server = Chain::tcpsvd("-l mx.test.example", &link);
    let mut early = server.client("127.0.0.1");
    early.say(DIALOGUE);
    assert_eq!(early.read_all(), format!("421 {EARLY}\r\n"));
    let (waited, text) = deliver(&mut server.client("127.0.0.1"));
    assert_waited(waited, 0.5..);
    assert_eq!(codes(&text), ["250", "250", "250", "354", "250", "221"], "{text}");
}

#[test]
fn under_xinetd_addresses_come_from_the_socket() {
    needs!("xinetd");
    if !is_root("under_xinetd_addresses_come_from_the_socket") {
        return;
    }
    let options = ["-S", "-v", "--no-lookup", "--local-nets", "none", "-N", "0.5"];
    let report = program().to_str().unwrap();
    let server = Chain::xinetd(&chain(&[&[command::link()], &options, &[report]]));
    let mut client = server.client("127.0.0.7");
    let port = client.stream.local_addr().unwrap().port().to_string();
    let report = Report::read(&client.read_all());
    assert_waited(client.connected.elapsed(), 0.5..);
    assert_eq!(report.env("PROTO"), Some("TCP"));
    assert_eq!(report.env("TCPREMOTEIP"), Some("127.0.0.7"));
    assert_eq!(report.env("TCPREMOTEPORT"), Some(port.as_str()));
    assert_eq!(report.env("TCPREMOTEHOST"), None);
    assert_eq!(report.env("TCPLOCALIP"), Some("127.0.0.1"));
    assert_eq!(report.env("SMTPDELAY_CLASS"), Some("none"));
    let mut early = server.client("127.0.0.1");
    early.say(DIALOGUE);
    let text = early.read_all();
    assert!(text.starts_with("421 4.7.0 "), "the log line goes nowhere: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn under_xinetd_rblsmtpd_gets_the_clients_address() {
    needs!("rbldnsd", "xinetd", "rblsmtpd", "msmtpd");
    if !is_root("under_xinetd_rblsmtpd_gets_the_clients_address") {
        return;
    }
    let smtp = SmtpServer::msmtpd();
    let _list = Rbldnsd::start_at("127.53.1.4");
    let options = ["--delay", "0.3", "env", "DNSCACHEIP=127.53.1.4", "rblsmtpd", "-r", ZONE];
    let server = Chain::xinetd(&chain(&[&[command::link()], &options, &smtp.program()]));
    let mut listed = server.client(LISTED);
    listed.read_line();
    listed.say(DIALOGUE);
    let text = listed.read_all();
    assert!(text.contains(&format!("451 {WHY}\r\n")), "{text}");
}

/// 50 kB in which every place can be told from every other.
fn fifty_kilobytes() -> String {
    (0..5000).map(|number| format!("{number:08}\r\n")).collect()
}

#[test]
fn not_one_early_byte_is_lost_through_sockets_or_pipes() {
    needs!("tcpserver");
    let said = fifty_kilobytes();
    for before in [&[][..], &["recordio"]] {
        for (action, delay) in [("rblsmtpd", 0.0), ("log", 0.5)] {
            let options = ["--early", action, "--delay", "0.5"];
            let link = chain(&[before, &[command::link()], &QUICK, &options, &["cat"]]);
            let server = Chain::tcpserver("-RHl0", &[], &link);
            let mut client = server.client("127.0.0.1");
            client.say(&said);
            client.finish();
            let text = client.read_all();
            assert!(text == said, "{} bytes came through {before:?}", text.len());
            assert_waited(client.connected.elapsed(), delay..);
            let line = server.log("early ");
            assert!(line.ends_with(&format!(" action={action}")), "{line}");
            assert_eq!(line.contains(" text=-"), !before.is_empty(), "{line}");
            assert_eq!(server.lines("hangup "), Vec::<String>::new());
        }
    }
}

fn behind_recordio(options: &[&str], program: &[&str]) -> Chain {
    Chain::tcpserver(
        "-RHl0",
        &[],
        &chain(&[&["recordio", command::link()], &QUICK, options, program]),
    )
}

#[test]
fn behind_recordio_a_refusal_is_read_and_a_hang_up_is_seen() {
    needs!("recordio");
    let server = behind_recordio(&["-S", "--delay", "3"], &["echo", "220"]);
    let mut early = server.client("127.0.0.1");
    assert!(early.is_silent_for(Duration::from_millis(300)));
    early.say(DIALOGUE);
    assert!(early.read_all().starts_with("421 4.7.0 "));
    let line = server.log("early ");
    assert!(line.ends_with(&format!(" bytes={} text=- action=refuse", DIALOGUE.len())), "{line}");
    drop(server.client("127.0.0.1"));
    assert!(server.log("hangup ").contains(" delay=3 "));
    assert_eq!(server.lines("early ").len(), 1);
}

#[test]
fn behind_recordio_a_client_that_pipelines_can_read_why_it_is_refused() {
    needs!("recordio");
    let server = behind_recordio(&["-S", "--delay", "3"], &["echo", "220"]);
    for size in [20_000, 200_000, 900_000] {
        let said = DIALOGUE.repeat(size / DIALOGUE.len() + 1);
        // The link reads for a second, in which recordio may not pass all of it on where
        // the machine is busy: its end resets the connection then.
        wait_until("a refusal that can be read", || {
            let mut early = server.client("127.0.0.1");
            early.stream.write_all(said.as_bytes()).ok()?;
            early.stream.shutdown(Shutdown::Write).ok()?;
            early.try_read_all().is_ok_and(|text| text.starts_with("421 4.7.0 ")).then_some(())
        });
    }
}

#[test]
fn behind_recordio_a_conversation_can_be_held() {
    needs!("recordio");
    let server = behind_recordio(&["-S", "--refuse", "talk"], &["echo", "220"]);
    let mut early = server.client("127.0.0.1");
    early.say(DIALOGUE);
    let text = early.read_all();
    assert_eq!(codes(&text), ["220", "250", "250", "451", "221"], "{text}");
    let line = server.log("early ");
    assert!(line.contains(" action=talk helo=spam.example "), "{line}");
}

#[test]
fn behind_recordio_a_client_that_talked_and_left_does_not_make_the_link_spin() {
    needs!("recordio");
    // The program is the same process: its times are the link's.
    let times = ["sh", "-c", "cut -d ' ' -f 14,15 /proc/$$/stat"];
    let server = behind_recordio(&["--early", "log", "--delay", "2"], &times);
    let mut client = server.client("127.0.0.1");
    client.say("EHLO\r\n");
    client.finish();
    let text = client.read_all();
    assert_waited(client.connected.elapsed(), 2.0..);
    let hundredths: u64 = text.split_whitespace().map(|time| time.parse::<u64>().unwrap()).sum();
    assert!(hundredths < 20, "{text}");
}
