//! `smtp-delayctl metrics`: a daemon's figures for Prometheus.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::SystemTime;

use nix::sys::signal::{Signal, kill};

use lab::command::clean_command;
use lab::{directory, is_root, needs, packages, wait_until};

use crate::background::{Background, ctl};

/// The value of a figure, by its name and label.
#[track_caller]
fn value(text: &str, figure: &str) -> u64 {
    let start = format!("smtp_delayd_{figure} ");
    let found = text.lines().find_map(|line| line.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("no {figure} in {text}")).parse().unwrap()
}

fn seconds_since_1970() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[track_caller]
fn metrics(daemon: &Background) -> String {
    let (code, text) = ctl(&["metrics", "--scoreboard", &daemon.path("board")]);
    assert_eq!(code, Some(0), "{text}");
    text
}

/// Ends the daemon without a chance to tidy up.
fn kill_daemon(daemon: &Background) {
    kill(daemon.pid(), Signal::SIGKILL).unwrap();
    wait_until("the daemon to be gone", || daemon.owner().is_none().then_some(()));
}

#[test]
fn metrics_are_those_of_the_running_daemon() {
    let daemon = Background::new();
    let before = seconds_since_1970();
    daemon.start_well("--delay 0.01 -c 20 --min-idle 3", &["sh", "-c", "echo 220; exec cat"]);
    let after = seconds_since_1970();
    let mut session = daemon.client();
    session.read_line();
    let text = wait_until("the session to be counted, and its child to be idle", || {
        let text = metrics(&daemon);
        let has_passed = value(&text, r#"clients_total{verdict="pass"}"#) == 1;
        (has_passed && value(&text, r#"children{state="waiting"}"#) == 0).then_some(text)
    });
    assert_eq!(value(&text, r#"children{state="prog"}"#), 1, "{text}");
    assert!((3..=19).contains(&value(&text, r#"children{state="idle"}"#)), "{text}");
    assert_eq!(value(&text, r#"clients_total{verdict="early"}"#), 0, "{text}");
    assert_eq!(value(&text, r#"classified_total{class="none"}"#), 0, "{text}");
    assert_eq!((value(&text, "up"), value(&text, "slots")), (1, 20), "{text}");
    assert_eq!(value(&text, "log_lines_lost_total"), 0, "{text}");
    let started = value(&text, "start_time_seconds");
    assert!((before..=after + 1).contains(&started), "{before} {after}: {text}");
    assert!(!text.contains("127.0.0.1") && !text.contains("known_clients"), "{text}");
}

#[test]
fn metrics_are_written_to_a_file_that_anybody_may_read() {
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["echo", "220"]);
    let file = daemon.path("metrics.prom");
    let write = |board: &str| {
        let mut command = clean_command("sh");
        command.args(["-c", "umask 077; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_smtp-delayctl")]);
        let output = command.args(["metrics", "--output", &file, "--scoreboard", board]);
        let output = output.output().unwrap();
        assert!(output.stdout.is_empty(), "{output:?}");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told, fs::read_to_string(&file).unwrap())
    };
    let (code, told, text) = write(&daemon.path("board"));
    assert_eq!((code, told.as_str(), value(&text, "up")), (Some(0), "", 1));
    kill_daemon(&daemon);
    // A collector shows what the file has, however old it is.
    for (board, expected, why) in [
        (daemon.path("board"), 3, "is gone\n"),
        (daemon.path("missing"), 111, "No such file or directory (os error 2)\n"),
        (daemon.path("metrics.prom"), 111, "it is no scoreboard\n"),
    ] {
        let (code, told, text) = write(&board);
        assert_eq!(code, Some(expected), "{told}");
        assert!(told.ends_with(why), "{told}");
        let figures: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(figures, ["smtp_delayd_up 0"]);
    }
    let names = fs::read_dir(&daemon.directory).unwrap();
    let names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(names.iter().all(|name| !name.starts_with("metrics.prom.")), "{names:?}");
}

#[test]
fn a_file_of_metrics_that_cannot_be_replaced_stays_whole() {
    if !is_root("a_file_of_metrics_that_cannot_be_replaced_stays_whole") {
        return;
    }
    needs!("setpriv");
    let directory = directory();
    let own = directory.join("smtp-delayctl");
    fs::copy(env!("CARGO_BIN_EXE_smtp-delayctl"), &own).unwrap();
    let file = directory.join("metrics.prom");
    fs::write(&file, "smtp_delayd_up 1\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    fs::set_permissions(&directory, Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(packages::path("setpriv"));
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&own);
    let output = command.args(["metrics", "--output"]).arg(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(111), "{output:?}");
    let expected = format!(
        "smtp-delayctl: fatal: unable to write {}: Permission denied (os error 13)\n",
        file.display()
    );
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(fs::read_to_string(&file).unwrap(), "smtp_delayd_up 1\n");
}

/// What Prometheus's own checker says, which also knows its conventions for names.
#[track_caller]
fn assert_valid(text: &str) {
    let mut promtool = Command::new(packages::path("promtool"));
    promtool.args(["check", "metrics"]).stdin(Stdio::piped());
    let mut checker = promtool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    checker.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}\n{text}");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}\n{text}");
}

#[test]
fn promtool_has_nothing_to_say() {
    needs!("promtool");
    let daemon = Background::new();
    daemon.start_well(&format!("--delay 0 --known {}", daemon.path("known")), &["echo", "220"]);
    daemon.client().read_all();
    let text = wait_until("the keeper to tell what it knows", || {
        let text = metrics(&daemon);
        text.contains("smtp_delayd_known_clients 0\n").then_some(text)
    });
    assert_valid(&text);
    let (_, text) = ctl(&["metrics", "--label", "port=25", "--scoreboard", &daemon.path("board")]);
    assert_valid(&text);
    let mut figures = text.lines().filter(|line| !line.starts_with('#'));
    assert!(figures.all(|line| line.contains("port=\"25\"")), "{text}");
    kill_daemon(&daemon);
    let output = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"))
        .args(["metrics", "--scoreboard", &daemon.path("board")])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert_valid(&String::from_utf8(output.stdout).unwrap());
}
