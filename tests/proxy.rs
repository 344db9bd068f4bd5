//! Clients behind a proxy, which names them by PROXY headers.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use lab::chain::Chain;
use lab::daemon::Setup;
use lab::dns::{FakeDns, Fault};
use lab::proxies::{PROXY, Proxy};
use lab::report::{Report, program};
use lab::smtp::SmtpServer;
use lab::{Client, Daemon, needs, wait_until};

const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.25 40112 25\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const WARNING: &str =
    "smtp-delayd: warning: dropping connection, unable to read its PROXY header: ";
const EARLY: &str = "421 4.7.0 mx.test.example you talked before the greeting\r\n";

fn setup() -> Setup {
    Daemon::setup().option_with("--proxy-nets", PROXY).option("-H --delay 0.2")
}

fn reporting(setup: Setup) -> Daemon {
    setup.run(&[program().to_str().unwrap()])
}

fn reporting_client(daemon: &Daemon, header: &[u8]) -> Report {
    let mut client = daemon.client(PROXY);
    client.stream.write_all(header).unwrap();
    Report::read(&client.read_all())
}

/// A header of version 2 of a TCP connection, with an additional field.
fn block(addresses: &[u8], family: u8) -> Vec<u8> {
    let field = [0xea, 0, 3, b'v', b'p', b'c'];
    let length = u16::try_from(addresses.len() + field.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[0x21, family], &length, addresses, &field].concat()
}

#[test]
fn the_program_and_the_log_are_told_of_the_client_that_the_header_names() {
    let daemon = reporting(setup());
    let mapped = "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.25 40112 25\r\n";
    let ipv4 = [192, 0, 2, 7, 198, 51, 100, 25, 0x9c, 0xb0, 0, 25];
    for header in [LINE.as_bytes(), mapped.as_bytes(), &block(&ipv4, 0x11)] {
        let report = reporting_client(&daemon, header);
        let told = ["PROTO", "TCPREMOTEIP", "TCPREMOTEPORT", "TCPLOCALIP", "TCPLOCALPORT"];
        let told = told.map(|name| report.env(name).unwrap());
        assert_eq!(told, ["TCP", "192.0.2.7", "40112", "198.51.100.25", "25"]);
    }
    for line in daemon.log_lines("pass ", 3) {
        let start = format!("pass ip=192.0.2.7 port=40112 via={PROXY} host=");
        assert!(line.starts_with(&start), "{line}");
    }
    for line in daemon.log_lines("end ", 3) {
        assert!(line.contains(" ip=192.0.2.7 "), "{line}");
    }
}

#[test]
fn a_header_may_come_a_byte_at_a_time_and_nothing_behind_it_is_taken() {
    let daemon = setup().option("--early log").run(&["cat"]);
    let mut addresses = [0; 36];
    addresses[..2].copy_from_slice(&[0x20, 0x01]);
    addresses[16..18].copy_from_slice(&[0x20, 0x01]);
    let mut client = daemon.client(PROXY);
    client.stream.set_nodelay(true).unwrap();
    for byte in block(&addresses, 0x21) {
        client.stream.write_all(&[byte]).unwrap();
    }
    client.say("EHLO client.example\r\n");
    client.finish();
    assert_eq!(client.read_all(), "EHLO client.example\r\n");
    let line = daemon.log("early ");
    assert!(line.contains(" ip=2001:: ") && line.contains(" bytes=21 "), "{line}");
}

#[test]
fn what_follows_the_header_is_early_talk() {
    let daemon = setup().option("--delay 25").run(&["false"]);
    let mut client = daemon.client(PROXY);
    client.say(&format!("{LINE}EHLO client.example\r\n"));
    assert_eq!(client.read_all(), EARLY);
    let line = daemon.log("early ");
    assert!(line.contains(&format!(" ip=192.0.2.7 port=40112 via={PROXY} ")), "{line}");
    assert!(line.contains(r#" text="EHLO client.example\r\n" "#), "{line}");
}

#[test]
fn a_header_of_somebody_else_is_early_talk() {
    let daemon = setup().option("--delay 25").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say(LINE);
    assert_eq!(client.read_all(), EARLY);
    assert!(daemon.log("early ").contains(" ip=127.0.0.1 "));
}

#[test]
fn a_header_that_is_wrong_late_or_cut_off_ends_the_connection_without_a_word() {
    let daemon = setup().option("--proxy-timeout 0.5").run(&["echo", "served"]);
    let unspecified = [SIGNATURE, &[0x21, 0, 0, 0]].concat();
    let cases: [(&[u8], &str); 6] = [
        (b"EHLO client.example\r\n", r#"there is none: "EHLO client.exa""#),
        (b"PROXY TCP4 192.0.2.7\r\n", r#"its line is malformed: "PROXY TCP4 192.0.2.7\r\n""#),
        (b"PROXY UNKNOWN\r\n", r#"it names no TCP client: "PROXY UNKNOWN\r\n""#),
        (&unspecified, "it names no TCP client: "),
        (b"PROXY TCP4 192", r#"it is not complete in time: "PROXY TCP4 192""#),
        (b"", r#"there is none in time: """#),
    ];
    for (header, why) in cases {
        let mut client = daemon.client(PROXY);
        client.stream.write_all(header).unwrap();
        assert_eq!(client.try_read_all().unwrap_or_default(), "", "{why}");
        let start = format!("{WARNING}{why}");
        let line = daemon.log(&start);
        assert!(line.contains(&format!(" ip={PROXY} port=")), "{line}");
    }
    let mut client = daemon.client(PROXY);
    client.say("PROXY TCP4 ");
    client.finish();
    assert_eq!(client.read_all(), "");
    daemon.log(&format!("{WARNING}it ends in the middle: "));
    daemon.wait_for_stats(" error=7 ");
}

/// With `-v` a child becomes the program itself, and the supervisor counts what became
/// of its client.
#[test]
fn a_check_is_counted_as_one_where_the_child_becomes_the_program() {
    let daemon = reporting(setup().option("-v"));
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    reporting_client(&daemon, &local);
    daemon.log("end ");
    daemon.wait_for_stats("stats pass=0 early=0 hangup=0 deny=0 listed=0 limit=0 check=1 error=0 ");
    reporting_client(&daemon, LINE.as_bytes());
    daemon.log_lines("end ", 2);
    daemon.wait_for_stats("stats pass=1 early=0 hangup=0 deny=0 listed=0 limit=0 check=1 error=0 ");
    let lines = daemon.log_lines("smtp-delayd: pid ", 2);
    assert!(lines[0].ends_with(&format!(" from {PROXY}")), "{lines:?}");
    assert!(lines[1].ends_with(" from 192.0.2.7"), "{lines:?}");
}

#[test]
fn a_proxy_that_resets_the_connection_ends_it_alone() {
    let daemon = setup().run(&["echo", "served"]);
    let mut client = daemon.client(PROXY);
    client.say("PROXY TCP4 ");
    client.reset();
    // Whether the bytes or the reset were seen first.
    wait_until("the connection's verdict", || {
        let stats = daemon.wait_for_stats("stats ");
        (stats.contains(" check=1 error=0 ") || stats.contains(" check=0 error=1 ")).then_some(())
    });
    daemon.wait_for_stats(" busy=0 ");
    let mut next = daemon.client(PROXY);
    next.say(LINE);
    assert_eq!(next.read_all(), "served\n");
}

#[test]
fn the_class_is_that_of_the_client_that_the_header_names() {
    let dns = FakeDns::start(Fault::Turning(&["mx.good.example"]));
    let delays = "--delay-static 0.3 --delay-none 25 --delay-unknown 25";
    let daemon = Daemon::setup()
        .option_with("--proxy-nets", PROXY)
        .option(delays)
        .option(&dns.option())
        .run(&["echo", "served"]);
    let mut client = daemon.client(PROXY);
    client.say(LINE);
    assert_eq!(client.read_all(), "served\n");
    let line = daemon.log("pass ip=192.0.2.7 ");
    assert!(line.contains(" host=mx.good.example class=static "), "{line}");
}

#[test]
fn limits_and_rules_are_about_the_client_that_the_header_names() {
    let daemon = setup().option("--delay 25 --per-ip 1 --rules /dev/null").run(&["false"]);
    let mut first = daemon.client(PROXY);
    first.say(LINE);
    let mut other = daemon.client(PROXY);
    other.say(&LINE.replace("192.0.2.7", "192.0.2.8"));
    assert!(other.is_silent_for(Duration::from_millis(300)), "another address");
    let mut second = daemon.client(PROXY);
    second.say(LINE);
    let refusal = second.read_all();
    assert!(refusal.starts_with("421 4.7.0 mx.test.example too many connections"), "{refusal}");
    assert!(daemon.log("limit ").contains(" ip=192.0.2.7 "));
}

#[test]
fn a_check_is_served_at_once_and_logged_once_a_minute() {
    let daemon = reporting(setup().option("--delay 25 --per-ip 1"));
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    for _ in 0..2 {
        let report = reporting_client(&daemon, &local);
        assert_eq!(report.env("TCPREMOTEIP"), Some(PROXY));
        drop(daemon.client(PROXY));
        let mut client = daemon.client(PROXY);
        let (port, to) = (client.stream.local_addr().unwrap().port(), daemon.port);
        client.say(&format!("PROXY TCP4 {PROXY} 127.0.0.1 {port} {to}\r\n"));
        assert_eq!(Report::read(&client.read_all()).env("TCPREMOTEIP"), Some(PROXY));
    }
    daemon.wait_for_stats(" check=6 ");
    assert_eq!(daemon.lines("check ").len(), 1);
    assert_eq!(daemon.lines("pass ").len() + daemon.lines("hangup ").len(), 0);
}

#[test]
fn the_link_reads_the_header_that_its_server_left() {
    needs!("tcpserver");
    let link = [env!("CARGO_BIN_EXE_smtp-delay"), "-v", "-S", "--proxy-nets", PROXY];
    let limits = ["-d", "0.1", "-N", "0.1", "-D", "0.1", "--delay-unknown", "0.1"];
    let chain: Vec<&str> = link
        .into_iter()
        .chain(limits)
        .chain(["--no-lookup", program().to_str().unwrap()])
        .collect();
    let server = Chain::tcpserver("-RHl0", &[("TCPREMOTEHOST", "proxy.example")], &chain);
    let mut client = server.client(PROXY);
    client.say(LINE);
    let report = Report::read(&client.read_all());
    assert_eq!(report.env("TCPREMOTEIP"), Some("192.0.2.7"));
    assert_eq!(report.env("TCPREMOTEHOST"), None, "that is the proxy's");
    let line = server.log("pass ");
    assert!(line.contains(&format!("ip=192.0.2.7 port=40112 via={PROXY} ")), "{line}");
    let mut talker = server.client(PROXY);
    talker.say(&format!("{LINE}EHLO x\r\n"));
    let refusal = talker.read_all();
    assert!(refusal.starts_with("421 ") && refusal.contains("talked before"), "{refusal}");
}

/// Delivers a message through `proxy`.
fn deliver(proxy: &Proxy, source: &str) {
    let swaks = Command::new("swaks")
        .args(["--server", &proxy.address.to_string(), "--local-interface", source])
        .args(["--from", "a@client.example", "--to", "b@example.org", "--body", "through a proxy"])
        .output()
        .unwrap();
    assert!(swaks.status.success(), "{}", String::from_utf8_lossy(&swaks.stdout));
}

/// A message and an early talker, each through a real proxy that names them.
#[track_caller]
fn assert_serves_through(start: impl FnOnce(std::net::SocketAddr) -> Proxy) {
    let server = SmtpServer::msmtpd();
    let daemon = setup().option("--delay 1").run(&server.program());
    let proxy = start(daemon.address());
    deliver(&proxy, "127.0.7.1");
    assert!(server.messages().contains("through a proxy"));
    let line = daemon.log("pass ip=127.0.7.1 ");
    assert!(line.contains(&format!(" via={PROXY} ")), "{line}");
    let mut talker = Client::connect("127.0.7.2", proxy.address);
    talker.say("EHLO client.example\r\n");
    assert_eq!(talker.read_all(), EARLY);
    daemon.log("early ip=127.0.7.2 ");
}

#[test]
fn haproxy_names_its_clients_in_version_1() {
    needs!("haproxy", "msmtpd", "swaks");
    assert_serves_through(|server| Proxy::haproxy(server, "send-proxy", ""));
}

#[test]
fn haproxy_names_its_clients_in_version_2() {
    needs!("haproxy", "msmtpd", "swaks");
    assert_serves_through(|server| Proxy::haproxy(server, "send-proxy-v2", ""));
}

#[test]
fn nginx_names_its_clients() {
    needs!("nginx", "msmtpd", "swaks");
    assert_serves_through(Proxy::nginx);
}

#[test]
fn checks_of_haproxy_are_told_from_clients() {
    needs!("haproxy", "msmtpd");
    let smtp = " option smtpchk HELO proxy.example";
    for (words, lines) in [
        ("send-proxy check inter 50ms", ""),
        ("send-proxy-v2 check check-send-proxy inter 50ms", ""),
        ("send-proxy check check-send-proxy inter 50ms", smtp),
        ("send-proxy-v2 check check-send-proxy inter 50ms", smtp),
    ] {
        let server = SmtpServer::msmtpd();
        let daemon = setup().option("--delay 25").run(&server.program());
        let _proxy = Proxy::haproxy(daemon.address(), words, lines);
        let checks = || {
            let line = daemon.wait_for_stats(" check=");
            let count = line.split(" check=").nth(1).unwrap().split(' ').next().unwrap();
            count.parse::<u32>().unwrap() >= 3
        };
        wait_until("checks", || checks().then_some(()));
        assert_eq!(daemon.lines(WARNING).len(), 0, "{words}");
        assert_eq!(daemon.lines("check ").len(), 1, "{words}");
    }
}

#[test]
fn networks_of_all_addresses_are_refused() {
    for net in ["0.0.0.0/0", "127.0.0.1,::/0"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.args(["--proxy-nets", net, "127.0.0.1", "0", "true"]);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(100), "{text}");
        assert!(text.contains("could name any client"), "{text}");
    }
}
