//! The demo and the commands that it prints do what README.md says.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use lab::log::Log;
use lab::{Client, needs, wait_until};

struct Demo {
    child: Child,
    log: Log,
    address: SocketAddr,
}

impl Demo {
    fn start(options: &[&str], host: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.arg("-1").args(options).args(["--demo", host, "0"]).process_group(0);
        let shown = format!("{command:?}");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(&shown, child.stderr.take().unwrap());
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let address = SocketAddr::new(host.parse().unwrap(), port.trim().parse().unwrap());
        Self { child, log, address }
    }

    /// The commands that it prints, of which there are `count`.
    fn commands(&self, count: usize) -> Vec<String> {
        wait_until("the commands", || {
            let text = self.log.text();
            let is_one = |line: &&str| line.starts_with("bash ") || line.starts_with("timeout ");
            let commands: Vec<_> = text.lines().filter(is_one).map(String::from).collect();
            (commands.len() == count).then_some(commands)
        })
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// All that it has logged, once it has been interrupted.
    fn interrupt(&mut self) -> String {
        kill(self.pid(), Signal::SIGINT).unwrap();
        let status = wait_until("its end", || self.child.try_wait().unwrap());
        self.log.wait_for_end();
        assert!(status.success(), "{}", self.log.text());
        self.log.text()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- demo\n{}\n---", self.log.text());
        }
    }
}

/// What a command shows, to its end or, if it only listens, until it is greeted.
fn run(command: &str) -> String {
    let listens = command.split_once(" nc ");
    let command = listens.map_or(command.into(), |(_, rest)| format!("exec nc.openbsd {rest}"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut shell = shell.spawn().unwrap();
    let mut output = BufReader::new(shell.stdout.take().unwrap());
    let mut text = String::new();
    output.read_line(&mut text).unwrap();
    if listens.is_some() {
        shell.kill().unwrap();
    }
    output.read_to_string(&mut text).unwrap();
    shell.wait().unwrap();
    text
}

/// A log line without what differs from run to run: whether an early talker's name
/// is known in time does as well.
fn without_numbers(line: &str) -> String {
    let mut changes =
        vec!["port=", "pid=", "delay=", "waited=", "dns=", "secs=", "static=", "known="];
    if line.starts_with("early ") {
        changes.extend(["host=", "class="]);
    }
    let word = |word: &str| {
        let change = changes.iter().find(|change| word.starts_with(**change));
        change.map_or(word.to_string(), |change| format!("{change}*"))
    };
    line.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// The lines of the README's table.
fn readme() -> Vec<String> {
    let readme = include_str!("../README.md");
    let section = readme.split("## What the demo shows").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|row| row.strip_prefix("| ")?.split('`').nth(1));
    rows.map(without_numbers).collect()
}

#[test]
fn the_readme_shows_the_log_lines_of_the_commands() {
    needs!("nc.openbsd");
    // The one that leaves after a second leaves before it is greeted.
    let delays = ["--delay-static", "6", "--delay-dynamic", "0.3", "--delay-none", "0.4"];
    let options = [&delays[..], &["--delay-unknown", "0.5"]].concat();
    let mut demo = Demo::start(&options, "127.0.0.1");
    let greeting = "220 demo.example ESMTP smtp-delay demo\r\n";
    let commands = demo.commands(6);
    let ends = [0, 0, 1, 2, 3, 4];
    for (number, (command, ends)) in commands.iter().zip(ends).enumerate() {
        let text = run(command);
        match number {
            0 => assert!(text.starts_with("421 4.7.0 "), "{command}: {text}"),
            1 => assert_eq!(text, "", "{command}"),
            _ => assert_eq!(text, greeting, "{command}"),
        }
        demo.log.wait_for_lines("end ", ends);
        if number == 1 {
            demo.log.wait_for("hangup ");
        }
    }
    let log = demo.interrupt();
    let ours = ["start ", "pass ", "end ", "early ", "hangup ", "stopping ", "stats ", "stop "];
    let lines = log.lines().filter(|line| ours.iter().any(|event| line.starts_with(event)));
    let mut lines: Vec<String> = lines.map(without_numbers).collect();
    // One end is as good as another.
    let first = lines.iter().position(|line| line.starts_with("end ")).unwrap();
    let mut number = 0;
    lines.retain(|line| {
        number += 1;
        number <= first + 1 || !line.starts_with("end ")
    });
    assert_eq!(lines, readme());
}

#[test]
fn on_ipv6_the_commands_do_as_well() {
    let mut demo = Demo::start(&["--delay-static", "6"], "::1");
    let commands = demo.commands(3);
    assert!(run(&commands[0]).starts_with("421 "), "{commands:?}");
    assert_eq!(run(&commands[1]), "", "{commands:?}");
    demo.log.wait_for("hangup ip=::1 ");
    assert!(run(&commands[2]).starts_with("220 "), "{commands:?}");
    demo.log.wait_for("pass ");
    assert!(run(&commands[2]).starts_with("220 "), "{commands:?}");
    let again = demo.log.wait_for_lines("pass ", 2).remove(1);
    assert!(again.contains(" delay=0 "), "{again}");
    demo.interrupt();
}

#[test]
fn a_message_is_taken_in_and_not_kept() {
    let demo = Demo::start(&["--delay-static", "0.1"], "127.0.0.1");
    let mut client = Client::connect("127.0.0.1", demo.address);
    assert_eq!(client.read_line().0, "220 demo.example ESMTP smtp-delay demo\r\n");
    client.say("EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
    client.say("Subject: hello\r\n\r\nhello\r\n.\r\nQUIT\r\n");
    let text = client.read_all();
    assert!(text.contains("451 4.3.0 demo server: your message was not kept\r\n"), "{text}");
}
