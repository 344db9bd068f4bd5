//! In the background: what the shell is told, the pidfile, syslog, standard
//! error of programs, the scoreboard.
#![allow(unsafe_code)]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::command::clean_command;
use lab::daemon::children_of;
use lab::syslog::FakeSyslog;
use lab::{
    Client, assert_waited, directory, is_root, needs, one_is_quicker_than, only, wait_until,
};
use smtp_delay::daemon::scoreboard::layout::VERSION;

/// A daemon that has gone into the background, and its files.
pub(crate) struct Background {
    pub(crate) directory: PathBuf,
    pub(crate) port: u16,
    pub(crate) syslog: FakeSyslog,
}

impl Background {
    /// Files, and a port that is free at this moment.
    pub(crate) fn new() -> Self {
        let directory = directory();
        let syslog = FakeSyslog::start(&directory.join("log"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Self { directory, port, syslog }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.join(name).to_str().unwrap().into()
    }

    pub(crate) fn command(&self, options: &str, program: &[&str]) -> Command {
        let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.args(["--daemon", "-Hl", "mx.test.example", "--local-nets", "none"]);
        command.args(["--per-ip", "0"]);
        command.args(["--pidfile", &self.path("pid"), "--syslog-socket", &self.path("log")]);
        command.args(["--scoreboard", &self.path("board")]);
        command.args(options.split_whitespace());
        command.args(["127.0.0.1", &self.port.to_string()]).args(program);
        command
    }

    pub(crate) fn start(&self, options: &str, program: &[&str]) -> Output {
        self.command(options, program).output().unwrap()
    }

    #[track_caller]
    pub(crate) fn start_well(&self, options: &str, program: &[&str]) {
        let output = self.start(options, program);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}");
    }

    pub(crate) fn client(&self) -> Client {
        self.client_from("127.0.0.1")
    }

    pub(crate) fn client_from(&self, source: &str) -> Client {
        Client::connect(source, ([127, 0, 0, 1], self.port).into())
    }

    /// The owner of the pidfile.
    pub(crate) fn owner(&self) -> Option<Pid> {
        let (_, text) = ctl(&["pid", &self.path("pid")]);
        text.trim().parse().ok().map(Pid::from_raw)
    }

    #[track_caller]
    pub(crate) fn pid(&self) -> Pid {
        wait_until("an owner of the pidfile", || self.owner())
    }

    /// Whether neither a pidfile nor a scoreboard is there.
    pub(crate) fn has_no_files(&self) -> bool {
        ["pid", "board"].iter().all(|name| !fs::exists(self.path(name)).unwrap())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// The process that passes standard error on: it has the pipe, and no
    /// listener.
    pub(crate) fn relay(&self) -> Pid {
        let holds = |pid: &Pid, what: &str| {
            let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut links = links.filter_map(|link| fs::read_link(link.path()).ok());
            links.any(|link| link.to_string_lossy().starts_with(what))
        };
        let name = |pid: Pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
        let ours = name(self.pid());
        wait_until("a relay", || {
            let mut children = children_of(self.pid()).into_iter();
            children.find(|pid| name(*pid) == ours && !holds(pid, "anon_inode:[eventfd]"))
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(pid) = self.owner() {
            let children = children_of(pid);
            let _ = kill(pid, Signal::SIGKILL);
            for pid in children {
                let _ = kill(pid, Signal::SIGKILL);
            }
        }
    }
}

pub(crate) fn ctl(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"));
    let output = command.args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into())
}

#[test]
fn daemon_option_returns_once_the_pool_is_up_or_with_the_error() {
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["echo", "220 hello"]);
    assert_eq!(daemon.client().read_all(), "220 hello\n", "at once");
    let written = fs::read_to_string(daemon.path("pid")).unwrap();
    assert_eq!(written.trim().parse().ok().map(Pid::from_raw), daemon.owner());
    for (options, code, message) in [
        ("--delay 0", 111, "runs already and holds it"),
        ("--pidfile /nonexistent/x", 111, "unable to write /nonexistent/x"),
        ("-u nosuchuser", 100, "no such user"),
        ("--nonsense", 100, "unknown option"),
    ] {
        let output = daemon.start(options, &["echo"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options}: {text}");
        assert!(text.starts_with("smtp-delayd: fatal: ") && text.contains(message), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    daemon.syslog.wait_for("fatal: unable to lock ");
    let other = Background::new();
    for (options, code, message) in [
        ("--dynamic-file /nonexistent", 100, "unable to read /nonexistent"),
        ("--scoreboard /nonexistent/x", 111, "unable to make /nonexistent/x"),
    ] {
        let output = other.start(options, &["echo"]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{options}: {text}");
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn a_failed_fork_is_reported() {
    if !is_root("a_failed_fork_is_reported") {
        return;
    }
    let daemon = Background::new();
    let own = daemon.path("smtp-delayd");
    assert!(
        Command::new("cp")
            .args([env!("CARGO_BIN_EXE_smtp-delayd"), &own])
            .status()
            .unwrap()
            .success()
    );
    for (processes, message) in [
        (1, "unable to fork: "),
        (2, "unable to fork: "),
        (3, "unable to fork: "),
        (4, "unable to make a relay of standard error: "),
        (5, "unable to fork a single child"),
    ] {
        // A user for each: the kernel limits nothing for root, and counts what
        // the last one has left until it is reaped.
        let user = 20_000 + std::process::id() % 10_000 * 5 + processes;
        chown(&daemon.directory, Some(user), Some(user)).unwrap();
        let _ = fs::remove_file(daemon.path("pid"));
        let daemon_command = daemon.command("--delay 0", &["echo"]);
        let output = clean_command("prlimit")
            .arg(format!("--nproc={processes}:"))
            .args(["setpriv", &format!("--reuid={user}"), &format!("--regid={user}")])
            .args(["--clear-groups", &own])
            .args(daemon_command.get_args())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(111), "{processes}: {text}");
        let fatal = text.lines().filter(|line| !line.starts_with("smtp-delayd: warning: "));
        let fatal = only(fatal.collect());
        assert!(
            fatal.starts_with(&format!("smtp-delayd: fatal: {message}")),
            "{processes}: {text}"
        );
        assert!(processes == 5 || fatal.contains("raise the limit of processes"), "{text}");
        assert!(daemon.has_no_files(), "{processes}");
    }
}

#[test]
fn the_lock_holder_owns_the_pidfile() {
    let daemon = Background::new();
    fs::write(daemon.path("pid"), format!("{}\nstale\n", std::process::id())).unwrap();
    assert_eq!(ctl(&["pid", &daemon.path("pid")]).0, Some(1), "left behind by a dead one");
    assert_eq!(ctl(&["pid", "/nonexistent/pid"]).0, Some(3));
    daemon.start_well("--delay 5", &["sh", "-c", "echo 220; exec cat"]);
    let first = daemon.pid();
    assert_eq!(fs::read_to_string(daemon.path("pid")).unwrap(), format!("{first}\n"));
    let mut waiting = daemon.client();
    assert!(waiting.is_silent_for(Duration::from_millis(300)));
    daemon.signal(Signal::SIGTERM);
    wait_until("the lock to be free", || daemon.owner().is_none().then_some(()));
    assert_eq!(fs::read_to_string(daemon.path("pid")).unwrap(), "");
    assert_eq!(ctl(&["pid", &daemon.path("pid")]).0, Some(3));
    daemon.start_well("--delay 0", &["echo", "220 next"]);
    assert_ne!(daemon.pid(), first);
    assert_eq!(daemon.client().read_all(), "220 next\n", "while the old one still has a client");
    assert_eq!(waiting.read_line().0, "220\n");
    waiting.say("still here\n");
    assert_eq!(waiting.read_line().0, "still here\n");
}

#[test]
fn what_programs_write_on_standard_error_comes_line_by_line() {
    let daemon = Background::new();
    let script = "printf 'one\\ntwo \\001 caf\\303\\251\\nhalf' >&2; echo 220; exec cat";
    daemon.start_well("--delay 0", &["sh", "-c", script]);
    let mut client = daemon.client();
    assert_eq!(client.read_line().0, "220\n");
    daemon.syslog.wait_for("prog: one");
    daemon.syslog.wait_for("prog: two \\001 caf\u{e9}");
    daemon.syslog.wait_for("prog: half");
    client.say("more\n");
    assert!(daemon.syslog.lines("pass ").len() == 1);
}

#[test]
fn a_relay_that_is_killed_is_replaced_and_no_program_notices() {
    let daemon = Background::new();
    let script = "echo 220; while read line; do echo \"$line\" >&2; echo 250; done; echo bye >&2";
    daemon.start_well("--delay 0", &["sh", "-c", script]);
    let mut client = daemon.client();
    client.read_line();
    let mut say = |text: &str| {
        client.say(&format!("{text}\n"));
        assert_eq!(client.read_line().0, "250\n", "{text}");
    };
    say("first");
    daemon.syslog.wait_for("prog: first");
    let relay = daemon.relay();
    kill(relay, Signal::SIGKILL).unwrap();
    // What it has read already dies with it.
    wait_until("its end", || (!is_there(relay)).then_some(()));
    say("while there is none");
    daemon.syslog.wait_for("prog: while there is none");
    // One that is stopped must not hold programs up, whatever they write.
    kill(daemon.relay(), Signal::SIGSTOP).unwrap();
    let long = "x".repeat(1000);
    (0..3000).for_each(|_| say(&long));
    let (relay, supervisor) = (daemon.relay(), daemon.pid());
    for pid in [supervisor, relay] {
        kill(pid, Signal::SIGKILL).unwrap();
    }
    say("after both");
    client.finish();
    assert_eq!(client.read_all(), "");
}

pub(crate) fn is_there(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z")
}

#[test]
fn the_relay_lives_until_its_last_writer_ends() {
    let daemon = Background::new();
    let script = "echo 220; read line; echo \"last: $line\" >&2";
    daemon.start_well("--delay 0", &["sh", "-c", script]);
    let mut client = daemon.client();
    client.read_line();
    let (relay, supervisor) = (daemon.relay(), daemon.pid());
    daemon.signal(Signal::SIGTERM);
    wait_until("the supervisor's end", || (!is_there(supervisor)).then_some(()));
    kill(relay, Signal::SIGTERM).unwrap();
    client.say("words\n");
    assert_eq!(client.read_all(), "");
    daemon.syslog.wait_for("prog: last: words");
    wait_until("the relay's end", || (!is_there(relay)).then_some(()));
}

#[test]
fn a_start_without_a_syslog_daemon_warns() {
    let mut daemon = Background::new();
    daemon.syslog.stop();
    let output = daemon.start("--delay 0", &["echo", "220"]);
    assert_eq!(output.status.code(), Some(0));
    let warning = format!(
        "smtp-delayd: warning: unable to log to {}: No such file or directory (os error 2): lines \
         are lost until a syslog daemon listens there\n",
        daemon.path("log")
    );
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.ends_with(&warning), "{told}");
    assert_eq!(daemon.client().read_all(), "220\n");
    let board = daemon.path("board");
    let (_, table) = ctl(&["status", "--scoreboard", &board]);
    assert!(table.contains("\nno log line has been taken for "), "{table}");
    daemon.syslog = FakeSyslog::start(&daemon.directory.join("log"));
    wait_until("a line", || {
        daemon.client().read_all();
        let (_, table) = ctl(&["status", "--scoreboard", &board]);
        (!table.contains("no log line has been taken")).then_some(())
    });
    let loud = Background::new();
    let told = String::from_utf8(loud.start("--delay 0", &["true"]).stderr).unwrap();
    assert!(!told.contains("unable to log"), "a process listens there: {told}");
    let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
    command.args(["-l", "x", "--log", "syslog", "--syslog-socket", "/nonexistent/log"]);
    command.args(["127.0.0.1", "0", "true"]).stderr(Stdio::piped());
    let mut foreground = command.spawn().unwrap();
    let mut told = BufReader::new(foreground.stderr.take().unwrap()).lines().map_while(Result::ok);
    let start = "smtp-delayd: warning: unable to log to /nonexistent/log: ";
    assert!(told.any(|line| line.starts_with(start)));
    foreground.kill().unwrap();
    foreground.wait().unwrap();
}

#[test]
fn the_syslog_daemon_may_be_gone_or_stuck_and_mail_goes_on() {
    let mut daemon = Background::new();
    daemon.start_well("--delay 0 -c 100", &["echo", "220"]);
    daemon.client().read_all();
    daemon.syslog.wait_for("pass ");
    daemon.syslog.stop();
    for _ in 0..5 {
        let mut client = daemon.client();
        assert_eq!(client.read_all(), "220\n");
        assert_waited(client.connected.elapsed(), ..20.0);
    }
    let path = daemon.directory.join("log");
    daemon.syslog = FakeSyslog::start(&path);
    wait_until("a line after it is back", || {
        daemon.client().read_all();
        (!daemon.syslog.lines("warning: ").is_empty()).then_some(())
    });
    let told = daemon.syslog.wait_for("warning: ");
    assert!(told.ends_with(" log lines were lost"), "{told}");
    daemon.syslog.pause();
    for _ in 0..40 {
        // A process that waits for the syslog daemon waits a second for each line.
        one_is_quicker_than(Duration::from_secs(5), || {
            for _ in 0..10 {
                assert_eq!(daemon.client().read_all(), "220\n");
            }
        });
    }
    let (_, status) = ctl(&["status", "--json", "--scoreboard", &daemon.path("board")]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert!(status["lost_log_lines"].as_u64().unwrap() > 10, "{status}");
}

#[test]
fn status_shows_children_and_clients() {
    let daemon = Background::new();
    let script = "echo 220; exec cat";
    daemon.start_well("--delay 2 -c 20 --min-idle 3", &["sh", "-c", script]);
    let mut session = daemon.client();
    session.read_line();
    let waiting = Client::connect("127.0.0.9", ([127, 0, 0, 1], daemon.port).into());
    let board = daemon.path("board");
    let status = wait_until("two clients", || {
        let (code, text) = ctl(&["status", "--json", "--scoreboard", &board]);
        assert_eq!(code, Some(0), "{text}");
        let status: serde_json::Value = serde_json::from_str(&text).unwrap();
        (status["waiting"] == 1 && status["prog"] == 1 && status["idle"] == 3).then_some(status)
    });
    assert_eq!(status["pid"], daemon.pid().as_raw());
    assert_eq!((&status["port"], &status["slots"]), (&daemon.port.into(), &20.into()));
    assert_eq!(status["counters"]["pass"], 1);
    let children = status["children"].as_array().unwrap();
    let state = |index: usize| children[index]["state"].as_str().unwrap();
    assert_eq!((state(0), state(1), state(2)), ("prog", "waiting", "idle"));
    assert_eq!(children[1]["address"], "127.0.0.9");
    assert!(children[0]["seconds"].as_f64().unwrap() >= 2.0);
    let passed = daemon.syslog.wait_for("pass ");
    assert!(passed.ends_with(&format!(" pid={}", children[0]["pid"])), "{passed}");
    let (_, table) = ctl(&["status", "--scoreboard", &board]);
    assert!(table.contains("20 slots: 3 idle, 1 waiting, 1 with prog"), "{table}");
    assert!(table.contains("127.0.0.9"), "{table}");
    drop(waiting);
    kill(daemon.pid(), Signal::SIGKILL).unwrap();
    wait_until("the daemon to be gone", || {
        let (code, text) = ctl(&["status", "--scoreboard", &board]);
        (code == Some(3) && text.contains("is gone")).then_some(())
    });
}

#[test]
fn status_is_shown_again_and_again_and_under_load() {
    let daemon = Background::new();
    daemon.start_well("--delay 0.01 -c 60", &["echo", "220"]);
    let board = daemon.path("board");
    let mut watch = Command::new(env!("CARGO_BIN_EXE_smtp-delayctl"))
        .args(["status", "--json", "--watch", "--scoreboard", &board])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..100).for_each(|_| drop(daemon.client().read_all()))))
            .collect();
        while !clients.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            let (code, text) = ctl(&["status", "--json", "--scoreboard", &board]);
            assert_eq!(code, Some(0), "{text}");
            let status: serde_json::Value = serde_json::from_str(&text).unwrap();
            let children = status["children"].as_array().unwrap().len();
            assert!(children <= 60, "{children}");
        }
    });
    let passed = |line: String| {
        let status: serde_json::Value = serde_json::from_str(&line).unwrap();
        status["counters"]["pass"].as_u64().unwrap()
    };
    let first = passed(lines.next().unwrap().unwrap());
    wait_until("the counter to move", || (passed(lines.next()?.ok()?) > first).then_some(()));
    kill(daemon.pid(), Signal::SIGKILL).unwrap();
    let code = wait_until("the end of the watch", || watch.try_wait().unwrap()).code();
    assert_eq!(code, Some(3));
}

#[test]
fn tag_and_facility_are_as_asked() {
    let daemon = Background::new();
    daemon.start_well("--delay 0 --tag mx1.smtp --facility local3", &["echo", "220"]);
    daemon.client().read_all();
    daemon.syslog.wait_for("pass ");
    // local3 is 19, and 6 is "informational" (RFC 3164, 4.1.1).
    assert!(daemon.syslog.has("<158>mx1.smtp["));
}

#[test]
fn a_scoreboard_that_is_none_is_refused() {
    let file = directory().join("board");
    let of = |bytes: &[u8]| {
        fs::File::create(&file).unwrap().write_all(bytes).unwrap();
        let (code, text) = ctl(&["status", "--scoreboard", file.to_str().unwrap()]);
        assert_eq!(code, Some(111), "{text}");
        text
    };
    assert!(of(b"").contains("it is no scoreboard"));
    assert!(of(b"something else entirely").contains("it is no scoreboard"));
    let mut other = b"smtpdely".to_vec();
    let newer = VERSION + 1;
    other.extend_from_slice(&newer.to_ne_bytes());
    let expected = format!("it has version {newer}, and this program reads {VERSION}");
    assert!(of(&other).contains(&expected));
    let (code, text) = ctl(&["status", "--scoreboard", "/nonexistent"]);
    assert_eq!((code, text.contains("unable to read /nonexistent")), (Some(111), true), "{text}");
    assert_eq!(ctl(&["status", "--nonsense"]).0, Some(100));
    assert_eq!(ctl(&["pid"]).0, Some(100));
}

#[test]
fn all_users_may_read_the_files_whatever_the_umask() {
    let daemon = Background::new();
    let mut command = daemon.command("--delay 0", &["true"]);
    // SAFETY: umask is a system call.
    unsafe {
        command.pre_exec(|| {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
            Ok(())
        })
    };
    assert!(command.output().unwrap().status.success());
    for name in ["board", "pid"] {
        let file = fs::metadata(daemon.path(name)).unwrap();
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&file) & 0o777, 0o644, "{name}");
    }
}

#[test]
fn a_board_that_another_daemon_has_is_left_alone() {
    let daemon = Background::new();
    daemon.start_well("--delay 0", &["true"]);
    let other = Background::new();
    let board = daemon.path("board");
    let output = other.start(&format!("--scoreboard {board}"), &["true"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(111), "{text}");
    assert!(text.contains(&format!("unable to make {board}: process ")), "{text}");
}

#[test]
fn one_program_cannot_make_standard_error_wait_for_all() {
    needs!("python3");
    let daemon = Background::new();
    let block = "import os,sys; os.set_blocking(2, sys.argv[1] == 'block'); \
                 os.write(1, b'220\\n'); sys.stdin.read()";
    let script = format!(
        "read kind; case $kind in block) exec python3 -c \"{block}\" block;; esac; \
         head -c 3000000 /dev/zero >&2; echo done"
    );
    daemon.start_well("--delay 0", &["sh", "-c", &script]);
    let mut blocking = daemon.client();
    blocking.say("block\n");
    blocking.read_line();
    kill(daemon.relay(), Signal::SIGSTOP).unwrap();
    let mut other = daemon.client();
    other.say("write\n");
    assert_eq!(other.read_line().0, "done\n");
    kill(daemon.relay(), Signal::SIGCONT).unwrap();
}
