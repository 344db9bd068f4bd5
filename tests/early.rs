//! Early talkers, hang-ups and refusals.

use std::fs;
use std::io::Write;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use lab::dns::{FakeDns, Fault, Nsd, ORDINARY};
use lab::program_process::{slow_to_start, stopped_program_process};
use lab::{Client, Daemon, assert_waited, directory, needs, wait_until};

const DIALOGUE: &str =
    "EHLO spam.example\r\nMAIL FROM:<a@spam.example>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n";
const TEXT: &str = "4.7.0 mx.test.example you talked before the greeting";

/// A program that leaves a mark for every time it is run.
fn marking() -> (std::path::PathBuf, Vec<String>) {
    let marks = directory().join("marks");
    let script = format!("echo run >> {}; echo 220 hello; cat > /dev/null", marks.display());
    (marks, ["sh", "-c", &script].map(String::from).into())
}

fn words(program: &[String]) -> Vec<&str> {
    program.iter().map(String::as_str).collect()
}

#[test]
fn a_client_that_pipelines_can_read_why_it_is_refused() {
    let (marks, program) = marking();
    let daemon = Daemon::setup().option("-H").run(&words(&program));
    for size in [100, 20_000, 200_000] {
        let mut client = daemon.client("127.0.0.1");
        client.say(&DIALOGUE.repeat(size / DIALOGUE.len() + 1));
        assert_eq!(client.read_all(), format!("421 {TEXT}\r\n"), "{size} bytes");
    }
    let line = daemon.log("early ");
    assert!(line.contains(" ip=127.0.0.1 ") && line.ends_with(" action=refuse"), "{line}");
    assert!(
        line.contains(r#" text="EHLO spam.example\r\nMAIL FROM:<a@spam.example>\r\n"#),
        "{line}"
    );
    assert!(!marks.exists(), "a refusal costs no exec");
}

#[test]
fn a_client_that_goes_on_talking_can_read_it_too() {
    let daemon = Daemon::setup().option("-H").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    let mut other = client.stream.try_clone().unwrap();
    let talker = std::thread::spawn(move || {
        (0..20).take_while(|_| other.write_all(DIALOGUE.as_bytes()).is_ok()).count()
    });
    let (line, _) = client.read_line();
    talker.join().unwrap();
    assert_eq!(line, format!("421 {TEXT}\r\n"));
}

#[test]
fn a_client_that_talks_on_behind_its_refusal_meets_no_reset() {
    let daemon = Daemon::setup().option("-H").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say(DIALOGUE);
    assert!(client.stream.peek(&mut [0]).is_ok(), "the refusal is there, and not read yet");
    client.say(DIALOGUE);
    client.finish();
    assert_eq!(client.read_all(), format!("421 {TEXT}\r\n"));
}

#[test]
fn early_talk_is_seen_at_any_time() {
    let daemon = Daemon::setup().option("-H --delay 25").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    assert!(client.is_silent_for(Duration::from_millis(700)));
    client.say("EHLO me\r\n");
    assert_eq!(client.read_all(), format!("421 {TEXT}\r\n"));
    assert_waited(client.connected.elapsed(), 0.7..20.0);
    let line = daemon.log("early ");
    assert!(line.contains(" bytes=9 "), "{line}");
}

#[test]
fn a_client_that_leaves_costs_no_exec() {
    let (marks, program) = marking();
    let daemon = Daemon::setup().option("-H --delay 3").run(&words(&program));
    for _ in 0..10 {
        drop(daemon.client("127.0.0.1"));
        daemon.client("127.0.0.1").reset();
    }
    let half_closed = daemon.client("127.0.0.1");
    half_closed.finish();
    let lines = daemon.log_lines("hangup ", 21);
    assert!(lines.iter().all(|line| line.contains(" ip=127.0.0.1 port=")), "{lines:?}");
    assert!(lines.iter().all(|line| line.contains(" class=- delay=")), "{lines:?}");
    assert_eq!(daemon.lines("early "), Vec::<String>::new());
    assert!(!marks.exists());
    daemon.client("127.0.0.1").read_line();
    wait_until("one exec", || fs::read_to_string(&marks).ok().filter(|text| text == "run\n"));
}

#[test]
fn a_late_hang_up_is_noted_with_its_time() {
    let daemon = Daemon::setup().option("-H --delay 25").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    daemon.wait_for_stats(" busy=1 ");
    assert!(client.is_silent_for(Duration::from_millis(600)));
    drop(client);
    let line = daemon.log("hangup ");
    let waited = line.split("waited=").nth(1).unwrap().parse().unwrap();
    assert_waited(Duration::from_secs_f64(waited), 0.6..25.0);
}

/// 50 kB in which every place can be told from every other.
fn fifty_kilobytes() -> String {
    (0..5000).map(|number| format!("{number:08}\r\n")).collect()
}

#[test]
fn log_loses_not_one_early_byte() {
    let daemon = Daemon::setup().option("-H --delay 1 --early log").run(&["cat"]);
    let mut client = daemon.client("127.0.0.1");
    let said = fifty_kilobytes();
    client.say(&said);
    client.finish();
    let (first, waited) = client.read_line();
    assert_waited(waited, 1.0..);
    assert!(first + &client.read_all() == said, "bytes were lost");
    let line = daemon.log("early ");
    assert!(line.ends_with(" action=log"), "{line}");
    assert!(daemon.lines("hangup ").is_empty(), "an end of file behind early bytes is none");
    daemon.log("pass ");
}

#[test]
fn log_notes_a_reset_behind_early_bytes() {
    let daemon = Daemon::setup().option("-H --delay 5 --early log").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO\r\n");
    daemon.log("early ");
    client.reset();
    daemon.log("hangup ");
}

#[test]
fn early_rblsmtpd_keeps_early_bytes_and_sets_the_variable() {
    let script = "printf '%s %s\\n' \"$TCPLOCALHOST\" \"$RBLSMTPD\"; exec cat";
    let setup = || Daemon::setup().option("-H --delay 25 --early rblsmtpd");
    let daemon = setup().run(&["sh", "-c", script]);
    let mut client = daemon.client("127.0.0.1");
    let said = fifty_kilobytes();
    client.say(&said);
    client.finish();
    let (first, waited) = client.read_line();
    assert_waited(waited, ..20.0);
    assert_eq!(first, format!("mx.test.example {TEXT}\n"));
    assert!(client.read_all() == said, "bytes were lost");
    let line = daemon.log("early ");
    assert!(line.ends_with(" action=rblsmtpd"), "{line}");
    let daemon = setup().option("--refuse-permanent").run(&["sh", "-c", script]);
    let mut client = daemon.client("127.0.0.1");
    client.say(DIALOGUE);
    assert_eq!(
        client.read_line().0,
        "mx.test.example -5.7.0 mx.test.example you talked before the greeting\n"
    );
}

#[test]
fn the_real_rblsmtpd_does_the_talking() {
    needs!("rblsmtpd");
    let daemon = Daemon::setup().option("-H --delay 9 --early rblsmtpd").run(&[
        "rblsmtpd",
        "-r",
        "127.0.0.1",
        "false",
    ]);
    let mut client = daemon.client("127.0.0.1");
    client.say(DIALOGUE);
    client.say("QUIT\r\n");
    let text = client.read_all();
    assert!(text.starts_with("220 rblsmtpd.local\r\n"), "{text}");
    assert!(text.contains(&format!("451 {TEXT}\r\n")), "{text}");
}

#[test]
fn refuse_talk_logs_sender_and_recipient() {
    let daemon = Daemon::setup().option("-H --refuse talk").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say(DIALOGUE);
    client.say("RCPT TO:<second@example.org>\r\nNOOP\r\nrset\r\nQUIT\r\n");
    let text = client.read_all();
    let codes: Vec<&str> = text.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes, ["220", "250", "250", "451", "451", "451", "250", "250", "221"], "{text}");
    assert!(text.contains(&format!("451 {TEXT}\r\n")), "{text}");
    let line = daemon.log("early ");
    let said = " action=talk helo=spam.example mail=FROM:<a@spam.example> rcpt=TO:<b@example.org>";
    assert!(line.ends_with(said), "{line}");
}

#[test]
fn talk_ends_after_twenty_commands() {
    let daemon = Daemon::setup().option("-H --refuse talk --refuse-permanent").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say(&"DATA\r\n".repeat(30));
    let text = client.read_all();
    let codes: Vec<&str> = text.lines().map(|line| &line[..3]).collect();
    assert_eq!(codes.iter().filter(|code| **code == "553").count(), 20, "{text}");
    assert_eq!(codes.last(), Some(&"521"), "{text}");
}

#[test]
fn talk_ends_for_a_client_that_never_ends_a_line() {
    let daemon = Daemon::setup().option("-H --refuse talk").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    let mut other = client.stream.try_clone().unwrap();
    let babbler = std::thread::spawn(move || {
        let sent = (0..10_000).take_while(|_| other.write_all(&[b'x'; 1000]).is_ok()).count();
        sent * 1000
    });
    let text = client.try_read_all();
    assert!(text.is_err() || text.is_ok_and(|text| text.contains("421 4.7.0 ")));
    assert!(babbler.join().unwrap() < 9_000_000, "it was listened to");
    daemon.log("early ");
}

#[test]
fn refusals_are_short_under_pressure() {
    let daemon = Daemon::setup().option("-c 2 -vH --refuse talk --hold 20").run(&["false"]);
    let _other = daemon.client("127.0.0.1");
    daemon.log("smtp-delayd: pid ");
    let mut client = daemon.client("127.0.0.1");
    client.say(DIALOGUE);
    assert!(client.read_all().starts_with("421 "));
    assert_waited(client.connected.elapsed(), ..20.0);
}

#[test]
fn refusals_have_the_configured_text_and_code() {
    let cases = [
        (
            vec![("--refuse-permanent", "")],
            "521 5.7.0 mx.test.example you talked before the greeting",
        ),
        (vec![("--text-early", "4.7.1 wait for it")], "421 4.7.1 wait for it"),
        (vec![("--text-early", "wait"), ("--refuse-permanent", "")], "521 wait"),
    ];
    for (options, expected) in cases {
        let mut setup = Daemon::setup().option("-H");
        for (option, value) in options {
            setup = if value.is_empty() {
                setup.option(option)
            } else {
                setup.option_with(option, value)
            };
        }
        let daemon = setup.run(&["false"]);
        let mut client = daemon.client("127.0.0.1");
        client.say("x");
        assert_eq!(client.read_all(), format!("{expected}\r\n"));
    }
}

#[test]
fn an_early_talker_is_held() {
    let daemon = Daemon::setup().option("-H --hold 1").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.say(DIALOGUE);
    assert_eq!(client.read_all(), format!("421 {TEXT}\r\n"));
    assert_waited(client.connected.elapsed(), 1.0..);
    let daemon = Daemon::setup().option("-H --hold 25").run(&["false"]);
    let mut impatient = daemon.client("127.0.0.1");
    impatient.say(DIALOGUE);
    impatient.finish();
    assert_eq!(impatient.read_all(), format!("421 {TEXT}\r\n"));
    assert_waited(impatient.connected.elapsed(), ..20.0);
}

#[test]
fn a_teaser_comes_at_once_and_the_greeting_completes_it() {
    let setup = || Daemon::setup().option("-H --delay 6").option_with("--teaser", "mx.test waits");
    let daemon = setup().run(&["echo", "220 mx.test ESMTP"]);
    let mut client = daemon.client("127.0.0.1");
    let (line, waited) = client.read_line();
    assert_eq!(line, "220-mx.test waits\r\n");
    assert_waited(waited, ..6.0);
    assert_eq!(client.read_all(), "220 mx.test ESMTP\n");
    assert_waited(client.connected.elapsed(), 6.0..);
    let mut fooled = daemon.client("127.0.0.1");
    fooled.read_line();
    fooled.say(DIALOGUE);
    assert_eq!(fooled.read_all(), format!("421 {TEXT}\r\n"));
    let daemon = setup().option("--delay 0").run(&["echo", "220 hello"]);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220 hello\n");
}

#[test]
fn without_a_delay_a_client_may_talk_first() {
    let daemon = Daemon::setup().option("-H --delay 0").run(&["cat"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("GET / HTTP/1.0\r\n");
    client.finish();
    assert_eq!(client.read_all(), "GET / HTTP/1.0\r\n");
    let daemon =
        Daemon::setup().option("-H --delay 20").option_with("-B", "hello\r\n").run(&["cat"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("me first");
    client.finish();
    assert_eq!(client.read_all(), "hello\r\nme first");
    assert_waited(client.connected.elapsed(), ..20.0);
}

#[test]
fn if_some_classes_have_a_delay_the_class_decides_about_early_talk() {
    needs!("nsd");
    let nsd = Nsd::start();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay-static 0 --delay-none 5")
        .run(&["cat"]);
    for (source, answer) in
        [(ORDINARY, "EHLO\r\n".into()), ("127.0.3.1", format!("421 {TEXT}\r\n"))]
    {
        let mut client = daemon.client(source);
        client.say("EHLO\r\n");
        client.finish();
        assert_eq!(client.read_all(), answer, "{source}");
    }
    assert_eq!(daemon.log_lines("early ", 1).len(), 1);
    assert!(daemon.lines("early ")[0].contains(" class=none delay=5 "));
}

#[test]
fn the_look_up_of_an_early_talker_ends_after_a_second() {
    let dns = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup()
        .option(&dns.option())
        .option("--delay-static 0 --delay-unknown 9")
        .run(&["cat"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO\r\n");
    assert_eq!(client.read_all(), format!("421 {TEXT}\r\n"));
    assert_waited(client.connected.elapsed(), 1.0..8.0);
}

#[test]
fn talk_that_is_only_noted_does_not_shorten_the_look_up() {
    let dns = FakeDns::start(Fault::Late(Duration::from_secs(2), "mx.example.org"));
    let daemon = Daemon::setup()
        .option(&dns.option())
        .option("--early log --delay-static 0 --delay-unknown 9")
        .run(&["cat"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO\r\n");
    client.finish();
    assert_eq!(client.read_all(), "EHLO\r\n");
    assert_waited(client.connected.elapsed(), 2.0..);
    assert!(daemon.log("pass ").contains(" class=static "));
}

#[test]
fn bytes_of_a_client_cannot_forge_a_line() {
    let daemon = Daemon::setup().option("-H").run(&["false"]);
    let mut client = daemon.client("127.0.0.1");
    client.stream.write_all(b"x\"\r\npass ip=192.0.2.1 \x00\x1b\xff\\\n").unwrap();
    client.read_all();
    let line = daemon.log("early ");
    let text = r#" bytes=27 text="x\"\r\npass ip\x3d192.0.2.1 \000\033\377\\\n" action=refuse"#;
    assert!(line.ends_with(text), "{line}");
    assert!(daemon.lines("pass ").is_empty());
}

#[test]
fn signals_to_the_group_do_not_affect_waiting_clients() {
    let daemon = Daemon::setup().option("-vH --delay 1").run(&["echo", "220 hello"]);
    let mut client: Client = daemon.client("127.0.0.1");
    daemon.log("smtp-delayd: pid ");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGINT, Signal::SIGTERM] {
        daemon.signal_group(signal);
    }
    let (line, waited) = client.read_line();
    assert_eq!(line, "220 hello\n");
    assert_waited(waited, 1.0..);
}

/// Where other processes become the program.
#[test]
fn signals_to_the_group_lose_no_client_of_many() {
    let daemon = Daemon::setup().option("-H --delay 2").run(&["echo", "220"]);
    let mut clients: Vec<Client> = (0..10).map(|_| daemon.client("127.0.0.1")).collect();
    daemon.wait_for_stats(" busy=10 ");
    for signal in [Signal::SIGHUP, Signal::SIGUSR1].repeat(5) {
        daemon.signal_group(signal);
    }
    for client in &mut clients {
        let (line, waited) = client.read_line();
        assert_eq!(line, "220\n");
        assert!(waited >= Duration::from_secs(2), "{waited:?}");
    }
}

/// And for one whose process is about to, and has not yet.
#[test]
fn signals_to_the_group_lose_no_client_that_is_being_handed_over() {
    let daemon = slow_to_start("-H --delay 0.1 --min-idle 1");
    for reloads in 1..=3 {
        let (mut client, process) =
            wait_until("a stopped program process", || stopped_program_process(&daemon));
        daemon.signal_group(Signal::SIGHUP);
        daemon.log_lines("reload ", reloads);
        daemon.signal_group(Signal::SIGUSR1);
        daemon.log_lines("stats ", reloads);
        kill(process, Signal::SIGCONT).unwrap();
        assert_eq!(client.read_line().0, "220\n");
        client.say("still here\n");
        assert_eq!(client.read_line().0, "still here\n");
        client.finish();
        let ends = daemon.log_lines("end ", reloads);
        assert!(ends.iter().all(|line| line.contains(" exit=0 ")), "{ends:?}");
    }
}
