//! What the log is safe from: clients that forge lines, readers that stop reading,
//! names that control a terminal.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};

use crate::background::{Background, ctl};
use lab::command::clean_command;
use lab::{Client, directory, needs, packages, wait_until};

/// Whom clients try to have banned.
const VICTIM: &str = "198.51.100.9";

#[test]
fn fail2ban_bans_refused_clients_and_no_address_in_their_text() {
    needs!("fail2ban-regex");
    let daemon = Background::new();
    let forged = format!("listed ip={VICTIM} port=25 host=- action=refuse\" kind=per-ip ");
    let program = "echo 220; read line; echo \"$line\" >&2; echo \"early $line\" >&2";
    let options = "--delay 2 --per-ip 2 --refuse talk";
    daemon.start_well(options, &["sh", "-c", program]);
    let from = |source: &str| Client::connect(source, ([127, 0, 0, 1], daemon.port).into());
    let mut early = from("127.0.0.2");
    early.say(&format!("EHLO {forged}\r\nMAIL FROM:<{forged}>\r\n{forged}\r\nQUIT\r\n"));
    let _load = [(); 2].map(|()| from("127.0.0.3"));
    from("127.0.0.3").read_all();
    let mut good = from("127.0.0.4");
    assert_eq!(good.read_line().0, "220\n");
    good.say(&format!("{forged}\n"));
    early.read_all();
    for start in ["early ", "limit ", "prog: listed ", "prog: early ", "end "] {
        daemon.syslog.wait_for(start);
    }
    let file = directory().join("log");
    let mut messages = daemon.syslog.messages();
    messages.extend(lines_of_a_dry_run());
    let lines: String =
        messages.iter().map(|line| format!("Nov 27 12:00:00 host {line}\n")).collect();
    fs::write(&file, &lines).unwrap();
    let filter = concat!(env!("CARGO_MANIFEST_DIR"), "/init/fail2ban");
    let mut command = Command::new(packages::path("fail2ban-regex"));
    let output = command.args(["--out", "ip"]).arg(&file).arg(filter).output().unwrap();
    let output = String::from_utf8(output.stdout).unwrap();
    let mut banned: Vec<_> = output.lines().collect();
    banned.sort_unstable();
    assert_eq!(banned, ["127.0.0.2", "127.0.0.3"], "{lines}");
    assert!(!lines.contains(&format!(" ip={VICTIM}")), "what grep finds: {lines}");
}

/// With a client that would be refused.
fn lines_of_a_dry_run() -> Vec<String> {
    let daemon = Background::new();
    daemon.start_well("--delay 0.3 --per-ip 1 --dry-run", &["sh", "-c", "echo 220; cat"]);
    let mut clients = [(); 2].map(|()| daemon.client_from("127.0.0.5"));
    clients[1].say("EHLO\r\n");
    for line in ["early ", "limit "] {
        daemon.syslog.wait_for(line);
    }
    daemon.syslog.messages()
}

/// A daemon in the foreground whose standard error is not read yet.
struct Unread {
    child: Child,
    port: u16,
    log: File,
    board: String,
}

impl Unread {
    fn start(options: &str, program: &[&str]) -> Self {
        let (log, writing) = pipe2(OFlag::O_CLOEXEC).unwrap();
        // One page, which holds a few lines.
        fcntl(&log, FcntlArg::F_SETPIPE_SZ(4096)).unwrap();
        let board = directory().join("board").to_str().unwrap().to_string();
        let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.args(["-1", "-l", "mx.test.example", "--local-nets", "none", "--per-ip", "0"]);
        command.args(["--scoreboard", &board]).args(options.split(' ')).args(["127.0.0.1", "0"]);
        command.args(program).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(writing);
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut port).unwrap();
        Self { child, port: port.trim().parse().unwrap(), log: log.into(), board }
    }

    fn client(&self) -> Client {
        Client::connect("127.0.0.1", ([127, 0, 0, 1], self.port).into())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    fn status(&self) -> serde_json::Value {
        let (_, text) = ctl(&["status", "--json", "--scoreboard", &self.board]);
        serde_json::from_str(&text).unwrap()
    }

    /// What has been written and not been read.
    fn read(&mut self) -> String {
        fcntl(&self.log, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let mut text = Vec::new();
        let _ = self.log.read_to_end(&mut text);
        String::from_utf8(text).unwrap()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

#[test]
fn unread_standard_error_does_not_block() {
    let mut daemon = Unread::start("-H --delay 0 -c 20", &["echo", "220"]);
    let start = Instant::now();
    for _ in 0..600 {
        assert_eq!(daemon.client().read_all(), "220\n");
    }
    // One line waited for a second, with those that came meanwhile.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    let status = daemon.status();
    assert!(status["lost_log_lines"].as_u64().unwrap() > 500, "{status}");
    assert!(status["losing_log_lines_for"].as_f64().is_some(), "{status}");
    let (_, table) = ctl(&["status", "--scoreboard", &daemon.board]);
    assert!(table.contains("no log line has been taken for "), "{table}");
    let before = daemon.read();
    assert!(before.ends_with('\n') && before.contains("start host="), "whole lines: {before}");
    let mut after = String::new();
    wait_until("a line that tells how many are missing", || {
        daemon.client().read_all();
        after += &daemon.read();
        after.contains(" log lines were lost\n").then_some(())
    });
    assert!(after.starts_with("smtp-delayd: warning: "), "{after}");
    assert!(daemon.status()["losing_log_lines_for"].is_null());
    // It is told to stop, and does, whether its log is read or not.
    kill(daemon.pid(), Signal::SIGTERM).unwrap();
    wait_until("its end", || daemon.child.try_wait().unwrap());
}

#[test]
fn a_program_waits_for_standard_error_as_it_always_did() {
    let daemon = Unread::start("-H --delay 0", &["sh", "-c", "echo 220; exec cat >&2"]);
    let mut client = daemon.client();
    client.read_line();
    let program = wait_until("the program", || {
        let children = lab::daemon::children_of(daemon.pid()).into_iter();
        let mut children = children.map(|pid| format!("/proc/{pid}"));
        children.find(|proc| fs::read_to_string(format!("{proc}/comm")).is_ok_and(|n| n == "cat\n"))
    });
    let flags = fs::read_to_string(format!("{program}/fdinfo/2")).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap().trim();
    let flags = OFlag::from_bits_truncate(i32::from_str_radix(flags, 8).unwrap());
    assert!(!flags.contains(OFlag::O_NONBLOCK), "{flags:?}");
    let open = fs::read_dir(format!("{program}/fd")).unwrap().count();
    assert_eq!(open, 3, "only descriptors 0 to 2");
}

#[test]
fn no_message_controls_a_terminal() {
    let folder = directory();
    let hostile =
        std::ffi::OsStr::from_bytes(b"caf\xc3\xa9\x1b]0;x\x07\xff\nsmtp-delayd: error: x");
    let (config, none) = (folder.join(hostile), folder.join("none").join(hostile));
    fs::write(&config, "delay 1\n\x1b[2J 5\n").unwrap();
    let expressions = folder.join("expressions");
    fs::write(&expressions, "a\x1b(b\n").unwrap();
    let daemon = env!("CARGO_BIN_EXE_smtp-delayd");
    let (link, tool) = (env!("CARGO_BIN_EXE_smtp-delay"), env!("CARGO_BIN_EXE_smtp-delayctl"));
    let run = ["127.0.0.1", "0", "true"];
    for (program, options, file, operands) in [
        (daemon, &["--config"][..], &config, &run[..]),
        (daemon, &["--config"], &none, &run),
        (daemon, &["--check", "--dynamic-file"], &expressions, &run),
        (daemon, &["--check", "--rules"], &none, &run),
        (daemon, &["--pidfile"], &none, &run),
        (daemon, &["--scoreboard"], &none, &run),
        (daemon, &["--log", "syslog", "--demo", "--syslog-socket"], &none, &["127.0.0.1", "x"]),
        (daemon, &["--delay", "1", "-u"], &config, &run),
        (daemon, &["127.0.0.1"], &config, &run),
        (daemon, &["--check", "127.0.0.1", "0"], &none, &[]),
        (daemon, &[], &config, &run),
        (link, &["--static-file", "x", "--delay"], &config, &["true"]),
        (tool, &["status", "--scoreboard"], &none, &[]),
        (tool, &["status"], &none, &[]),
        (tool, &["pid"], &config.join("x"), &[]),
        (tool, &["classify", "--dynamic-file"], &expressions, &["192.0.2.1", "a.example"]),
        (tool, &["classify"], &config, &[]),
        (tool, &[], &config, &[]),
    ] {
        let mut command = clean_command(program);
        command.args(options).arg(file).args(operands).env("TCPREMOTEIP", "192.0.2.1");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let shown = format!("{command:?}: {}", text.escape_ascii());
        assert_ne!(output.status.code(), Some(0), "{shown}");
        assert!(!text.is_empty(), "{shown}");
        let harmless = |byte: &u8| *byte == b'\n' || !byte.is_ascii_control();
        assert!(text.iter().all(harmless) && std::str::from_utf8(&text).is_ok(), "{shown}");
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("\nsmtp-delayd: error"), "{shown}");
    }
}

/// Under ucspi-tcp's own name they are ucspi-tcp's, byte by byte.
#[test]
fn tcprules_messages_are_escaped_unless_it_is_called_tcprules() {
    let folder = directory();
    let file = folder.join("caf\u{e9}\x1b").join("rules.tmp");
    let told = |called: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"));
        let command = command.arg0(called).args(arguments).arg(&file).stdin(Stdio::null());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(111), "{called}");
        String::from_utf8(output.stderr).unwrap()
    };
    let name = file.to_str().unwrap();
    let message = |called: &str, name: &str| {
        format!("{called}: fatal: unable to create {name}: file does not exist\n")
    };
    assert_eq!(told("tcprules", &["x"]), message("tcprules", name));
    let escaped = message("smtp-delayctl", &name.replace('\x1b', "\\033"));
    assert_eq!(told("smtp-delayctl", &["tcprules", "x"]), escaped);
}
