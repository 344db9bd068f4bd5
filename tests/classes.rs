//! Mail through the daemon into a real SMTP server, once for each class.

use std::process::Command;

use lab::dns::{
    DELEGATED, FakeDns, Fault, HOSTILE, LINE, MANY_NAMES, NAMELESS, Nsd, ORDINARY, REFUSED,
    UNCHECKABLE, UNCONFIRMED,
};
use lab::report::{Report, program};
use lab::smtp::SmtpServer;
use lab::{Daemon, assert_waited, directory, is_root, needs, waited};

/// A program that only greets.
const GREETING: [&str; 2] = ["echo", "220 mx.test.example"];

/// Delivers a message with swaks; what it printed.
fn swaks(daemon: &Daemon, source: &str) -> String {
    let port = daemon.port.to_string();
    let swaks = Command::new("swaks")
        .args(["--server", "127.0.0.1", "--port", &port, "--local-interface", source])
        .args(["--from", "from@example.org", "--to", "to@example.net"])
        .args(["--body", &format!("sent from {source}"), "--timeout", "40"])
        .output()
        .expect("the test begins with needs!");
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
    needs!("msmtpd", "nsd", "swaks");
    let (nsd, smtp) = (Nsd::start(), SmtpServer::msmtpd());
    let daemon = Daemon::setup().option(&nsd.option()).run(&smtp.program());
    let cases = [
        (ORDINARY, "static", "mx1.example.org", 2, 12.0),
        (LINE, "dynamic", "dsl-127-0-2-1.isp.example", 12, 20.0),
        (NAMELESS, "none", "-", 20, 32.0),
        (REFUSED, "unknown", "-", 12, 20.0),
    ];
    std::thread::scope(|scope| {
        for (source, class, host, delay, another) in cases {
            let (daemon, smtp) = (&daemon, &smtp);
            scope.spawn(move || {
                swaks(daemon, source);
                let line = daemon.log(&format!("pass ip={source} "));
                let facts = format!(" host={host} class={class} delay={delay} waited=");
                assert!(line.contains(&facts), "{line}");
                assert_waited(waited(&line), f64::from(delay)..another);
                let messages = smtp.messages();
                assert!(messages.contains(&format!("sent from {source}")), "{messages}");
            });
        }
    });
    daemon.log_lines("end pid=", 4);
    assert_eq!(daemon.lines("pass ").len(), 4);
}

fn assert_delivers(smtp: &SmtpServer) -> String {
    let daemon = Daemon::setup().option("-H --delay 0.3").run(&smtp.program());
    let text = swaks(&daemon, "127.0.0.1");
    assert!(daemon.log("end pid=").contains(" exit=0 "), "{}", daemon.text());
    text
}

#[test]
fn exim_takes_a_message() {
    needs!("exim4", "unshare", "swaks");
    if !is_root("classes::exim_takes_a_message") {
        return;
    }
    let smtp = SmtpServer::exim();
    assert_delivers(&smtp);
    assert_eq!(smtp.messages().lines().nth(1), Some("sent from 127.0.0.1"));
}

#[test]
fn mailfront_takes_a_message() {
    needs!("mailfront", "swaks");
    let text = assert_delivers(&SmtpServer::mailfront());
    assert!(text.contains("<-  250 Received "), "{text}");
}

/// Runs a client through to the report program.
fn report(daemon: &Daemon, source: &str) -> Report {
    Report::read(&daemon.client(source).read_all())
}

#[test]
fn the_program_gets_the_name_and_the_class() {
    needs!("nsd");
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
        (MANY_NAMES, Some("host-number-0.of.many.example.org"), "static"),
    ];
    for (source, host, class) in cases {
        let report = report(&daemon, source);
        if source == MANY_NAMES {
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
    needs!("nsd");
    let nsd = Nsd::start();
    let report_program = program().to_str().unwrap();
    let setup = || Daemon::setup().option(&nsd.option()).option("--delay 0.1");
    let trusting = setup().run(&[report_program]);
    assert_eq!(report(&trusting, UNCONFIRMED).env("TCPREMOTEHOST"), Some("liar.example.org"));
    let paranoid = setup().option("-p").run(&[report_program]);
    let cases = [
        (ORDINARY, Some("mx1.example.org"), "static"),
        (UNCONFIRMED, None, "none"),
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
    needs!("nsd");
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
    needs!("nsd");
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
    needs!("nsd");
    let nsd = Nsd::start();
    let files = directory();
    let (dynamic, exceptions) = (files.join("dynamic"), files.join("static"));
    std::fs::write(&dynamic, "# ours\n^MX\\d+\\.example\\.org$\n").unwrap();
    std::fs::write(&exceptions, "^dsl-127-0-2-1\\.\n").unwrap();
    let other = files.join("other");
    std::fs::write(&other, "^other\\.\n").unwrap();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay-static 0.1 --delay-dynamic 0.2")
        .option_with("--dynamic-file", other.display())
        .option_with("--dynamic-file", dynamic.display())
        .option_with("--static-file", exceptions.display())
        .option_with("--static-file", other.display())
        .run(&[program().to_str().unwrap()]);
    assert_eq!(report(&daemon, ORDINARY).env("SMTPDELAY_CLASS"), Some("dynamic"));
    assert_eq!(report(&daemon, LINE).env("SMTPDELAY_CLASS"), Some("static"));
}

#[test]
fn one_delay_for_all_classes_and_none_for_any() {
    needs!("nsd");
    let nsd = Nsd::start();
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 1").run(&GREETING);
    for source in [ORDINARY, LINE, NAMELESS] {
        assert_waited(daemon.client(source).read_line().1, 1.0..);
    }
    assert!(daemon.log_lines("pass ", 3).iter().all(|line| line.contains(" delay=1 ")));
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 0").run(&GREETING);
    for source in [ORDINARY, LINE, NAMELESS] {
        assert_eq!(daemon.client(source).read_line().0, "220 mx.test.example\n");
    }
    assert!(daemon.log_lines("pass ", 3).iter().all(|line| line.contains(" delay=0 ")));
}

#[test]
fn without_look_ups_there_are_no_classes() {
    let dns = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup()
        .option("-H")
        .option(&dns.option())
        .option("--delay-static 0.5")
        .run(&[program().to_str().unwrap()]);
    assert!(daemon.text().contains("smtp-delayd: warning: -H disables classification"));
    let report = report(&daemon, NAMELESS);
    assert_eq!(report.env("SMTPDELAY_CLASS"), Some("-"));
    assert_eq!(report.env("TCPREMOTEHOST"), None);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=- class=- delay=0.5 ") && line.contains(" dns=- "), "{line}");
    assert_eq!(dns.queries(), 0);
}

#[test]
fn exemptions_from_the_environment() {
    needs!("nsd");
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
        let daemon = setup().env(name, value).run(&GREETING);
        assert_waited(daemon.client(NAMELESS).read_line().1, delay..15.0);
    }
    let daemon = setup().option("--delay-none 1").env("SMTPDELAY", "soon").run(&GREETING);
    assert_waited(daemon.client(NAMELESS).read_line().1, 1.0..);
    assert!(daemon.text().contains("unable to use SMTPDELAY=\"soon\": it takes seconds"));
}

#[test]
fn a_name_that_is_none_cannot_forge_a_line() {
    needs!("nsd");
    let nsd = Nsd::start();
    let daemon = Daemon::setup().option(&nsd.option()).option("--delay 0.1").run(&["echo", "220"]);
    daemon.client(HOSTILE).read_all();
    let line = daemon.log("pass ");
    assert!(
        line.contains(&format!("ip={HOSTILE} ")) && line.contains(" host=- class=none "),
        "{line}"
    );
}
