//! The demo does what the README says.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{Client, assert_waited};

#[test]
fn the_demo_shows_a_delay_an_early_talker_and_a_pass() {
    let mut demo = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
    demo.args(["-1", "--demo", "127.0.0.1", "0"]);
    let mut demo = demo.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(demo.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let address = format!("127.0.0.1:{}", port.trim()).parse().unwrap();
    let mut client = Client::connect("127.0.0.1", address);
    let (line, waited) = client.read_line();
    assert_eq!(line, "220 demo.example ESMTP smtp-delay demo\r\n");
    assert_waited(waited, 2.0..);
    client.say("EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    client.say("Subject: hello\r\n\r\nhello\r\n.\r\nQUIT\r\n");
    let text = client.read_all();
    assert!(text.contains("451 4.3.0 demo server: your message was not kept\r\n"), "{text}");
    let mut early = Client::connect("127.0.0.3", address);
    early.say("EHLO spam.example\r\n");
    assert!(early.read_all().starts_with("421 4.7.0 "));
    kill(Pid::from_raw(i32::try_from(demo.id()).unwrap()), Signal::SIGINT).unwrap();
    let output = demo.wait_with_output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    let pass = log.lines().find(|line| line.starts_with("pass ")).unwrap();
    assert!(pass.contains(" host=mx.example.org class=static delay=2 waited=2.0"), "{log}");
    assert!(log.contains("early ip=127.0.0.3 "), "{log}");
}
