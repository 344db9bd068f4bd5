//! Mail through the daemon into a real SMTP server, once for each class.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::lab::dns::{
    CROWDED, DELEGATED, FakeDns, Fault, HOSTILE, LIAR, LINE, NAMELESS, Nsd, ORDINARY, REFUSED,
    UNCHECKABLE,
};
use crate::lab::report::{Report, program};
use crate::lab::{Daemon, assert_about, directory};

const MAILFRONT: [&str; 4] = ["mailfront", "smtp", "echo", "accept"];

/// Delivers a message with swaks; what it printed.
fn swaks(daemon: &Daemon, source: &str) -> String {
    let port = daemon.port.to_string();
    let swaks = Command::new("swaks")
        .args(["--server", "127.0.0.1", "--port", &port, "--local-interface", source])
        .args(["--from", "from@example.org", "--to", "to@example.net", "--timeout", "40"])
        .output()
        .expect("swaks is installed by tests/run");
    let text = String::from_utf8_lossy(&swaks.stdout).into_owned();
    assert!(
        swaks.status.success(),
        "{text}{}\n{}",
        String::from_utf8_lossy(&swaks.stderr),
        daemon.text()
    );
    text
}

#[test]
fn a_message_is_delivered_after_the_delay_of_its_class() {
    let nsd = Nsd::start();
    let daemon = Daemon::setup().option(&nsd.option()).run(&MAILFRONT);
    let cases = [
        (ORDINARY, "static", "mx1.example.org", 2.0),
        (LINE, "dynamic", "dsl-127-0-2-1.isp.example", 12.0),
        (NAMELESS, "none", "-", 20.0),
        (REFUSED, "unknown", "-", 12.0),
    ];
    std::thread::scope(|scope| {
        for (source, class, host, delay) in cases {
            let daemon = &daemon;
            scope.spawn(move || {
                let connected = Instant::now();
                let mut client = daemon.client(source);
                let (greeting, waited) = client.read_line();
                assert!(greeting.starts_with("220 "), "{greeting}");
                assert_about(waited, delay);
                assert_about(connected.elapsed(), delay);
                drop(client);
                let line = daemon.log(&format!("pass ip={source} "));
                let delay = format!(" host={host} class={class} delay={delay} waited={delay}.0");
                assert!(line.contains(&delay), "{line}");
            });
            scope.spawn(move || {
                let start = Instant::now();
                let text = swaks(daemon, source);
                assert!(text.contains("<-  250 Received "), "{text}");
                assert!(start.elapsed() >= Duration::from_secs_f64(delay - 0.3));
            });
        }
    });
    daemon.log_lines("end pid=", 8);
    assert_eq!(daemon.lines("pass ").len(), 8);
}

/// Runs a client through to the report program.
fn report(daemon: &Daemon, source: &str) -> Report {
    Report::read(&daemon.client(source).read_all())
}

#[test]
fn the_program_is_told_the_name_and_the_class() {
    let nsd = Nsd::start();
    let report_program = program().to_str().unwrap();
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 0.3").run(&[report_program]);
    let cases = [
        (ORDINARY, Some("mx1.example.org"), "static"),
        (LINE, Some("dsl-127-0-2-1.isp.example"), "dynamic"),
        (NAMELESS, None, "none"),
        (REFUSED, None, "unknown"),
        (DELEGATED, Some("cname.example.org"), "static"),
        (HOSTILE, None, "none"),
        (CROWDED, Some("host-number-0.of.many.example.org"), "static"),
    ];
    for (source, host, class) in cases {
        let report = report(&daemon, source);
        if source == CROWDED {
            let name = report.env("TCPREMOTEHOST").unwrap();
            assert!(name.ends_with(".of.many.example.org"), "{name}");
        } else {
            assert_eq!(report.env("TCPREMOTEHOST"), host, "{source}");
        }
        assert_eq!(report.env("SMTPDELAY_CLASS"), Some(class), "{source}");
        assert_eq!(report.env("TCPREMOTEIP"), Some(source));
    }
}

#[test]
fn a_name_that_does_not_lead_back_is_dropped_where_that_is_asked_for() {
    let nsd = Nsd::start();
    let report_program = program().to_str().unwrap();
    let setup = || Daemon::setup().option(&nsd.option()).option("--delay 0.1");
    let trusting = setup().run(&[report_program]);
    assert_eq!(report(&trusting, LIAR).env("TCPREMOTEHOST"), Some("liar.example.org"));
    let paranoid = setup().option("-p").run(&[report_program]);
    let cases = [
        (ORDINARY, Some("mx1.example.org"), "static"),
        (LIAR, None, "none"),
        (UNCHECKABLE, None, "unknown"),
    ];
    for (source, host, class) in cases {
        let report = report(&paranoid, source);
        assert_eq!(report.env("TCPREMOTEHOST"), host, "{source}");
        assert_eq!(report.env("SMTPDELAY_CLASS"), Some(class), "{source}");
    }
}

#[test]
fn ipv6_clients_are_looked_up_too() {
    let nsd = Nsd::start();
    let setup = || Daemon::setup().host("::1").option(&nsd.option()).option("--delay 0.1 -p");
    let daemon = setup().run(&[program().to_str().unwrap()]);
    let report = report(&daemon, "::1");
    assert_eq!(report.env("PROTO"), Some("TCP6"));
    assert_eq!(report.env("TCPREMOTEIP"), Some("::1"));
    assert_eq!(report.env("TCPREMOTEHOST"), Some("mx6.example.org"));
    assert_eq!(report.env("TCP6REMOTEHOST"), Some("mx6.example.org"));
    assert_eq!(report.env("SMTPDELAY_CLASS"), Some("static"));
}

#[test]
fn nameless_neighbours_wait_as_little_as_mail_servers() {
    let nsd = Nsd::start();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay-static 0.2")
        .option("--local-nets 127.0.3.0/24")
        .run(&[program().to_str().unwrap()]);
    assert_eq!(report(&daemon, NAMELESS).env("SMTPDELAY_CLASS"), Some("static"));
}

#[test]
fn expressions_of_the_administrator_decide() {
    let nsd = Nsd::start();
    let files = directory();
    let (dynamic, exceptions) = (files.join("dynamic"), files.join("static"));
    std::fs::write(&dynamic, "# ours\n^MX\\d+\\.example\\.org$\n").unwrap();
    std::fs::write(&exceptions, "^dsl-127-0-2-1\\.\n").unwrap();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay-static 0.1 --delay-dynamic 0.2")
        .option_with("--dynamic-file", dynamic.display())
        .option_with("--static-file", exceptions.display())
        .run(&[program().to_str().unwrap()]);
    assert_eq!(report(&daemon, ORDINARY).env("SMTPDELAY_CLASS"), Some("dynamic"));
    assert_eq!(report(&daemon, LINE).env("SMTPDELAY_CLASS"), Some("static"));
}

#[test]
fn one_delay_for_all_and_none_for_anybody() {
    let nsd = Nsd::start();
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 1").run(&MAILFRONT);
    for source in [ORDINARY, LINE, NAMELESS] {
        assert_about(daemon.client(source).read_line().1, 1.0);
    }
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 0").run(&MAILFRONT);
    for source in [ORDINARY, LINE, NAMELESS] {
        assert_about(daemon.client(source).read_line().1, 0.0);
    }
}

#[test]
fn without_look_ups_there_are_no_classes() {
    let dns = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup()
        .option("-H")
        .option(&dns.option())
        .option("--delay-static 0.5")
        .run(&[program().to_str().unwrap()]);
    assert!(daemon.text().contains("smtp-delayd: warning: -H gives up the classes"));
    let report = report(&daemon, NAMELESS);
    assert_eq!(report.env("SMTPDELAY_CLASS"), Some("-"));
    assert_eq!(report.env("TCPREMOTEHOST"), None);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=- class=- delay=0.5 ") && line.contains(" dns=- "), "{line}");
    assert_eq!(dns.queries(), 0);
}

#[test]
fn exemptions_from_the_environment() {
    let nsd = Nsd::start();
    let setup = || Daemon::setup().option(&nsd.option()).option("--delay-static 1");
    let cases = [
        ("RELAYCLIENT", "", 0.0),
        ("SMTPDELAY", "0", 0.0),
        ("SMTPDELAY", "0.5", 0.5),
        ("GREETDELAY", "0.5", 0.5),
        ("RBLSMTPD", "", 1.0),
        ("RBLSMTPD", "listed", 0.0),
    ];
    for (name, value, delay) in cases {
        let daemon = setup().env(name, value).run(&MAILFRONT);
        assert_about(daemon.client(NAMELESS).read_line().1, delay);
    }
    let daemon = setup().option("--delay-none 1").env("SMTPDELAY", "soon").run(&MAILFRONT);
    assert_about(daemon.client(NAMELESS).read_line().1, 1.0);
    assert!(daemon.text().contains("unable to use SMTPDELAY=\"soon\": it takes seconds"));
}

#[test]
fn a_name_that_is_none_cannot_forge_a_line() {
    let nsd = Nsd::start();
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 0.1").run(&["echo", "220"]);
    daemon.client(HOSTILE).read_all();
    let line = daemon.log("pass ");
    assert!(
        line.contains(&format!("ip={HOSTILE} ")) && line.contains(" host=- class=none "),
        "{line}"
    );
}
