//! The start, the files that it makes, and what the administrator's tool says of
//! files that are none of the daemon's.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, geteuid, mkfifo, pipe};

use crate::background::{Background, ctl, is_there};
use lab::command::clean_command;
use lab::daemon::children_of;
use lab::{directory, is_root, needs, wait_until};
use smtp_delay::daemon::scoreboard::layout::{MAGIC, VERSION};

/// A user that has nothing.
const NOBODY: u32 = 65534;
/// As many bytes as this test's machine need not have.
const HUGE: u64 = 3 << 30;

/// smtp-delayctl, which may use 200 MB of memory, and 20 seconds.
fn limited_ctl(arguments: &[&str]) -> Output {
    let mut command = clean_command("timeout");
    command.args(["20", "prlimit", "--as=200000000:", env!("CARGO_BIN_EXE_smtp-delayctl")]);
    command.args(arguments).output().unwrap()
}

/// Copies a program by another process: a child that is forked here meanwhile would have
/// the copy open to write, and it could not be run (ETXTBSY).
fn copy(program: &str, to: impl AsRef<Path>) {
    assert!(Command::new("cp").arg(program).arg(to.as_ref()).status().unwrap().success());
}

/// What `pid` and `status` say of a file that they refuse.
#[track_caller]
fn refusals(file: &Path) -> [String; 2] {
    let file = file.to_str().unwrap();
    [vec!["pid", file], vec!["status", "--scoreboard", file]].map(|arguments| {
        let output = limited_ctl(&arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(111), "{arguments:?}: {text}");
        assert_eq!((output.stdout.len(), text.lines().count()), (0, 1), "{arguments:?}: {text}");
        assert!(text.starts_with("smtp-delayctl: fatal: unable to read "), "{text}");
        text
    })
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let directory = directory();
    let pipe = directory.join("pipe");
    mkfifo(&pipe, Mode::from_bits_truncate(0o666)).unwrap();
    for (file, why) in [
        (pipe.as_path(), "it is a pipe, not a regular file"),
        (Path::new("/dev/zero"), "it is a device, not a regular file"),
        (directory.as_path(), "Is a directory"),
    ] {
        assert!(refusals(file).iter().all(|text| text.contains(why)), "{why}");
    }
}

#[test]
fn a_file_that_is_no_scoreboard_is_refused() {
    let path = directory().join("file");
    let mut file = File::create(&path).unwrap();
    file.write_all(b"\x7fELF\x02\x01\x01").unwrap();
    for length in [7, HUGE] {
        file.set_len(length).unwrap();
        let [pid, status] = refusals(&path);
        assert!(pid.ends_with("it is no pidfile\n"), "{pid}");
        assert!(status.ends_with("it is no scoreboard\n"), "{status}");
    }
}

#[test]
fn no_more_is_read_than_a_scoreboard_has() {
    let path = directory().join("board");
    let mut file = File::create(&path).unwrap();
    let header: Vec<u8> = [MAGIC, VERSION, 3].iter().flat_map(|word| word.to_ne_bytes()).collect();
    file.write_all(&header).unwrap();
    file.set_len(HUGE).unwrap();
    let output = limited_ctl(&["status", "--scoreboard", path.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text.contains("3 slots: 0 idle, 0 waiting, 0 with prog"), "{text}");
}

#[test]
fn a_file_without_read_permission_is_reported() {
    if !is_root("a_file_without_read_permission_is_reported") {
        return;
    }
    let directory = directory();
    let own = directory.join("smtp-delayctl");
    copy(env!("CARGO_BIN_EXE_smtp-delayctl"), &own);
    let file = directory.join("file");
    fs::write(&file, "1\n").unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    for arguments in [vec!["pid", file], vec!["status", "--scoreboard", file]] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&own);
        let output = command.args(&arguments).output().unwrap();
        let expected = format!(
            "smtp-delayctl: fatal: unable to read {file}: Permission denied (os error 13)\n"
        );
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), text), (Some(111), expected));
    }
    assert_eq!(ctl(&["pid", file]).0, Some(1), "root may");
}

/// The same daemon in the foreground.
fn in_foreground(daemon: &Background, options: &str, program: &[&str]) -> Command {
    let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
    let background = daemon.command(options, program);
    command.args(["--log", "syslog"]);
    command.args(background.get_args().filter(|argument| *argument != "--daemon"));
    command
}

/// What a start in the background with all its files needs is what it says it needs.
#[test]
fn with_as_many_open_files_as_it_asks_for_a_daemon_starts() {
    needs!("prlimit");
    let daemon = Background::new();
    let start = |files: u64| {
        let mut command = clean_command("prlimit");
        command.arg(format!("--nofile={files}")).arg(env!("CARGO_BIN_EXE_smtp-delayd"));
        let options = format!("--known {}", daemon.path("known"));
        command.args(daemon.command(&options, &["true"]).get_args()).output().unwrap()
    };
    let told = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let failed = start(8);
    let text = told(&failed);
    assert_eq!(failed.status.code(), Some(111), "{text}");
    let needed = text.strip_prefix("smtp-delayd: warning: the limit of open files is 8, and ");
    let needed: u64 = needed.and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
    let started = start(needed);
    let text = told(&started);
    assert_eq!(started.status.code(), Some(0), "{text}");
    assert!(!text.contains("open files"), "{text}");
}

#[test]
fn a_start_that_fails_leaves_no_file_behind() {
    let daemon = Background::new();
    let rules = daemon.path("rules");
    fs::write(&rules, "nonsense\n").unwrap();
    let rules = format!("--rules {rules}");
    // The files are in a directory of root, and the daemon is another user by then.
    let user = if is_root("a start that fails as another user") { "-u nobody" } else { "" };
    let taken = TcpListener::bind(("127.0.0.1", daemon.port)).unwrap();
    let fails = |options: &str, code: i32| {
        for mut command in
            [daemon.command(options, &["true"]), in_foreground(&daemon, options, &["true"])]
        {
            let output = command.output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{options}: {output:?}");
            assert!(daemon.has_no_files(), "{options}");
        }
    };
    fails("", 111);
    drop(taken);
    fails(&rules, 100);
    fails(&format!("{user} {rules}"), 100);
    fails("-u nosuchuser", 100);
}

#[test]
fn a_start_that_fails_leaves_a_pidfile_as_it_was() {
    let daemon = Background::new();
    let before = "4194304\nof a daemon that has died\n";
    fs::write(daemon.path("pid"), before).unwrap();
    fs::set_permissions(daemon.path("pid"), Permissions::from_mode(0o640)).unwrap();
    let assert_as_it_was = |about: &str| {
        assert_eq!(fs::read_to_string(daemon.path("pid")).unwrap(), before, "{about}");
        let mode = fs::metadata(daemon.path("pid")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "{about}");
        assert_eq!(ctl(&["pid", &daemon.path("pid")]).0, Some(1), "{about}: it has died");
    };
    let taken = TcpListener::bind(("127.0.0.1", daemon.port)).unwrap();
    let user = if is_root("a start that fails as another user") { "-u nobody" } else { "" };
    for (options, code) in [("", 111), ("-u nosuchuser", 100), ("--scoreboard /nonexistent/x", 111)]
    {
        let output = daemon.start(options, &["true"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert_as_it_was(options);
    }
    drop(taken);
    let output = daemon.start(&format!("{user} --rules /nonexistent"), &["true"]);
    assert_eq!(output.status.code(), Some(100), "{output:?}");
    assert_as_it_was("rules");
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let command = in_foreground(&daemon, &format!("--delay 26 {user}"), &["true"]);
        let (mut child, pipe) = started_half(&daemon, command);
        signal(&child, end);
        child.wait().unwrap();
        pipe.drain().unwrap();
        wait_until("the scoreboard to be gone", || {
            (!fs::exists(daemon.path("board")).unwrap()).then_some(())
        });
        assert_as_it_was(end.as_str());
    }
    daemon.start_well("--delay 0", &["true"]);
    let pid = fs::read_to_string(daemon.path("pid")).unwrap();
    assert_eq!(pid, format!("{}\n", daemon.pid()));
}

#[test]
fn a_pidfile_of_another_user_is_not_overwritten() {
    if !is_root("a_pidfile_of_another_user_is_not_overwritten") {
        return;
    }
    let daemon = Background::new();
    let file = daemon.path("pid");
    fs::write(&file, "4194304\n").unwrap();
    chown(&file, Some(NOBODY), Some(NOBODY)).unwrap();
    for options in ["", "-u 12345 -g 12345"] {
        let output = daemon.start(options, &["true"]);
        let text = String::from_utf8(output.stderr).unwrap();
        let expected = format!(
            "smtp-delayd: fatal: unable to write {file}: it belongs to user 65534: \
             remove it, or name another file (--pidfile)\n"
        );
        assert_eq!((output.status.code(), text), (Some(111), expected), "{options}");
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "4194304\n");
    daemon.start_well("--delay 0 -u 65534 -g 65534", &["true"]);
}

/// A pipe that is full, so that a process that writes into it waits.
struct FullPipe {
    reading: File,
    writing: Option<File>,
}

impl FullPipe {
    fn new() -> Self {
        let (reading, writing) = pipe().unwrap();
        let mut writing = File::from(writing);
        fcntl(&writing, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        while writing.write(&[b'\n'; 4096]).is_ok() {}
        fcntl(&writing, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        Self { reading: reading.into(), writing: Some(writing) }
    }

    /// The end to write to, which may be taken once.
    fn stderr(&mut self) -> Stdio {
        self.writing.take().unwrap().into()
    }

    /// Lets processes that wait go on, and reads until they have ended.
    fn drain(mut self) -> io::Result<String> {
        let mut text = String::new();
        self.reading.read_to_string(&mut text)?;
        Ok(text)
    }
}

/// Starts a daemon that waits in the middle of its start, as its warning finds no
/// room, until the pipe is drained.
fn started_half(daemon: &Background, mut command: Command) -> (Child, FullPipe) {
    let mut pipe = FullPipe::new();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(pipe.stderr());
    let child = command.spawn().unwrap();
    drop(command);
    wait_until("a scoreboard", || fs::exists(daemon.path("board")).unwrap().then_some(()));
    // From then on a process is there that would remove it.
    wait_until("a child", || (!children_of(daemon.pid()).is_empty()).then_some(()));
    (child, pipe)
}

fn child_pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

fn signal(child: &Child, signal: Signal) {
    kill(child_pid(child), signal).unwrap();
}

#[test]
fn what_does_not_end_a_daemon_waits_until_it_is_up() {
    for command in [in_foreground, Background::command] {
        let daemon = Background::new();
        let (mut child, pipe) = started_half(&daemon, command(&daemon, "--delay 0", &["true"]));
        let pid = daemon.pid();
        // In the background that is another process, which waits for the daemon.
        signal(&child, Signal::SIGHUP);
        for signal in [Signal::SIGHUP, Signal::SIGUSR1] {
            kill(pid, signal).unwrap();
        }
        let rest = thread::spawn(|| pipe.drain());
        for line in ["start ", "reload ", "stats "] {
            daemon.syslog.wait_for(line);
        }
        kill(pid, Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
        rest.join().unwrap().unwrap();
    }
}

#[test]
fn whatever_ends_a_start_no_file_is_left_behind() {
    let test = "whatever_ends_a_start_no_file_is_left_behind, as another user";
    let options = if is_root(test) { "--delay 0 -u 65534 -g 65534" } else { "--delay 0" };
    for end in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let daemon = Background::new();
        let command = in_foreground(&daemon, options, &["true"]);
        let (mut child, pipe) = started_half(&daemon, command);
        signal(&child, end);
        let status = child.wait().unwrap();
        if end == Signal::SIGKILL {
            assert_eq!(status.signal(), Some(end as i32));
        } else {
            assert_eq!(status.code(), Some(0));
        }
        wait_until("the files to be gone", || daemon.has_no_files().then_some(()));
        pipe.drain().unwrap();
        assert!(daemon.syslog.lines("start ").is_empty());
    }
}

/// Starts a daemon in the foreground, up to a child that reads its files and takes some
/// time for that; both.
fn started_up_to_reading(daemon: &Background) -> (Child, Pid) {
    let lines: String = (0..4000).map(|n| format!("^{n}[a-z]{{1,3}}x\n")).collect();
    let file = daemon.path("expressions");
    fs::write(&file, lines).unwrap();
    let options = format!("--delay 0 --dynamic-file {file}");
    let child = in_foreground(daemon, &options, &["true"]).spawn().unwrap();
    // The other one is there to remove the files.
    let children = || <[Pid; 2]>::try_from(children_of(child_pid(&child))).ok();
    let [_, reader] = wait_until("a child that reads", children);
    (child, reader)
}

#[test]
fn a_start_that_reads_files_is_stopped_at_once() {
    for end in [Signal::SIGTERM, Signal::SIGINT] {
        let daemon = Background::new();
        let (mut child, reader) = started_up_to_reading(&daemon);
        kill(reader, Signal::SIGSTOP).unwrap();
        signal(&child, end);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        daemon.syslog.wait_for("warning: stopped during the start");
        assert!(daemon.syslog.lines("start ").is_empty());
        assert!(daemon.has_no_files());
    }
}

#[test]
fn no_client_queues_before_all_is_compiled() {
    let daemon = Background::new();
    let (mut child, reader) = started_up_to_reading(&daemon);
    kill(reader, Signal::SIGSTOP).unwrap();
    let connect = || TcpStream::connect(("127.0.0.1", daemon.port));
    assert_eq!(connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    kill(reader, Signal::SIGCONT).unwrap();
    wait_until("a client to be accepted", || connect().ok());
    signal(&child, Signal::SIGTERM);
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_start_is_logged_before_any_client() {
    for _ in 0..5 {
        let daemon = Background::new();
        let mut child = in_foreground(&daemon, "-H --delay 0", &["echo", "220"]).spawn().unwrap();
        wait_until("a client to be accepted", || {
            TcpStream::connect(("127.0.0.1", daemon.port)).ok()
        });
        daemon.syslog.wait_for("pass ");
        let lines = daemon.syslog.lines("");
        let first = |start: &str| lines.iter().position(|line| line.starts_with(start));
        assert!(first("start ").unwrap() < first("pass ").unwrap(), "{lines:?}");
        signal(&child, Signal::SIGTERM);
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn a_signal_to_the_waiting_command_stops_the_daemon() {
    for end in [Signal::SIGTERM, Signal::SIGINT] {
        let daemon = Background::new();
        let (mut child, pipe) = started_half(&daemon, daemon.command("--delay 0", &["true"]));
        let pid = daemon.pid();
        signal(&child, end);
        wait_until("the daemon's end", || (!is_there(pid)).then_some(()));
        let text = pipe.drain().unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(111), "{text}");
        let expected = "\nsmtp-delayd: fatal: told to stop before the daemon was up\n";
        assert!(text.ends_with(expected), "{text}");
        assert!(daemon.has_no_files());
    }
}

#[test]
fn warnings_of_a_start_in_the_background_are_printed() {
    let daemon = Background::new();
    let output = daemon.start("--delay 26", &["true"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("smtp-delayd: warning: a delay of 26 s: "), "{text}");
    daemon.syslog.wait_for("warning: a delay of 26 s: ");
}

#[test]
fn a_daemon_without_its_default_scoreboard_warns() {
    let daemon = Background::new();
    let own = daemon.path("smtp-delayd");
    copy(env!("CARGO_BIN_EXE_smtp-delayd"), &own);
    let board = daemon.path("board");
    let options = daemon.command("--delay 0", &["true"]);
    let options =
        options.get_args().filter(|option| *option != "--scoreboard" && *option != &*board);
    let mut command = if geteuid().is_root() {
        chown(&daemon.directory, Some(NOBODY), Some(NOBODY)).unwrap();
        let mut command = clean_command("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&own);
        command
    } else {
        clean_command(&own)
    };
    let output = command.args(options).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let file = format!("/run/smtp-delayd.{}.sb", daemon.port);
    let why = "Permission denied (os error 13): there will be no status\n";
    let expected = format!("smtp-delayd: warning: unable to make {file}: {why}");
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_check_finds_files_that_could_not_be_made() {
    let directory = directory();
    let other = directory.join("settings");
    fs::write(&other, "--delay 5\n").unwrap();
    let other = other.to_str().unwrap();
    let here = directory.join("new").to_str().unwrap().to_owned();
    for (option, file, why) in [
        ("--pidfile", "/nonexistent/x", "unable to write /nonexistent/x: No such file"),
        ("--scoreboard", "/nonexistent/x", "unable to make /nonexistent/x: No such file"),
        ("--pidfile", other, "it is no pidfile"),
        ("--scoreboard", other, "it is no scoreboard"),
        ("--pidfile", &here, ""),
        ("--scoreboard", &here, ""),
    ] {
        let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.args(["--check", "-Hl0", option, file, "127.0.0.1", "2525", "true"]);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let code = if why.is_empty() { 0 } else { 100 };
        assert_eq!(output.status.code(), Some(code), "{option} {file}: {text}");
        assert!(text.contains(why), "{option} {file}: {text}");
    }
    assert!(!fs::exists(&here).unwrap(), "a check makes nothing");
    assert_eq!(fs::read_to_string(other).unwrap(), "--delay 5\n");
}

#[test]
fn a_daemon_in_another_pid_namespace_counts_as_running() {
    if !is_root("a_daemon_in_another_pid_namespace_counts_as_running") {
        return;
    }
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["true"]);
    let from_inside = |arguments: &[&str]| {
        let mut command = clean_command("unshare");
        command.args(["--pid", "--fork", env!("CARGO_BIN_EXE_smtp-delayctl")]);
        let output = command.args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let board = daemon.path("board");
    let (code, text) = from_inside(&["status", "--scoreboard", &board]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(" has a process that cannot be told, started "), "{text}");
    let (code, text) = from_inside(&["pid", &daemon.path("pid")]);
    assert_eq!(code, Some(111), "{text}");
    assert!(text.ends_with("its lock belongs to no process that can be told\n"), "{text}");
}
