//! What the program gets: every line of the contract, reported by a program that
//! reports it.
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::command::clean_command;
use lab::dns::{FakeDns, Fault};
use lab::program_process::{slow_to_start, stopped_program_process};
use lab::report::{Report, program};
use lab::syslog::FakeSyslog;
use lab::{Client, Daemon, SMALL_MEMORY, directory, is_root, needs, only, wait_until};

/// The caller, to the scheduler.
const SELF: Pid = Pid::from_raw(0);

fn report_with(setup: lab::daemon::Setup) -> (Daemon, Report) {
    let daemon = setup.run(&[program().to_str().unwrap(), "first", "", "a b"]);
    let report = Report::read(&daemon.client("127.0.0.1").read_all());
    (daemon, report)
}

fn setup() -> lab::daemon::Setup {
    Daemon::setup().option("-H --delay 0.1")
}

#[test]
fn descriptors_are_the_socket_and_standard_error() {
    let (_daemon, report) = report_with(setup());
    assert_eq!(report.all("fd"), ["0 socket", "1 socket", "2 other"]);
}

/// With all that a daemon in the background has open.
#[test]
fn descriptors_are_the_same_in_the_background() {
    for slots in ["40", "1"] {
        let files = directory();
        let path = |name: &str| files.join(name).to_str().unwrap().to_string();
        let syslog = FakeSyslog::start(&files.join("log"));
        let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.args(["--daemon", "-1Hl", "mx.test.example", "--delay", "0.1", "-c", slots]);
        command.args(["--syslog-socket", &path("log"), "--pidfile", &path("pid")]);
        command.args(["--scoreboard", &path("board"), "127.0.0.1", "0"]).arg(program());
        let output = command.output().unwrap();
        let port = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        let supervisor = std::fs::read_to_string(path("pid")).unwrap().trim().parse().unwrap();
        let _daemon = Stopped(Pid::from_raw(supervisor));
        let server = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        let report = Report::read(&Client::connect("127.0.0.1", server).read_all());
        // Descriptor 2 is non-blocking: no program waits for its reader.
        let expected = ["0 socket", "1 socket", "2 other nonblocking"];
        assert_eq!(report.all("fd"), expected, "-c {slots}");
        assert!(syslog.wait_for("pass ").ends_with(&format!(" pid={}", report.one("pid"))));
    }
}

/// A process that is told to stop in the end.
struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGTERM);
    }
}

#[test]
fn signals_are_at_their_default() {
    let (_daemon, report) = report_with(setup());
    assert_eq!(report.all("signal"), Vec::<&str>::new());
    assert_eq!(report.all("timer"), Vec::<&str>::new());
    assert_eq!(report.one("pdeathsig"), "0");
}

#[test]
fn signals_are_at_their_default_whatever_the_daemon_inherited() {
    let ignoring = setup().command(|command| {
        use nix::sys::signal::{SigHandler, SigSet, signal};
        let prepare = || {
            SigSet::all().thread_block()?;
            // SAFETY: ignoring a signal runs no code.
            unsafe { signal(Signal::SIGHUP, SigHandler::SigIgn) }?;
            // SAFETY: as above.
            unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
            Ok(())
        };
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(prepare) };
    });
    let (daemon, report) = report_with(ignoring);
    assert_eq!(report.all("signal"), Vec::<&str>::new());
    daemon.log("end ");
}

#[test]
fn privileges_can_still_be_gained() {
    let (_daemon, report) = report_with(setup());
    assert_eq!(report.one("no_new_privs"), "0");
    assert_eq!(report.one("seccomp"), "0");
}

#[test]
fn children_stuck_in_a_spawn_are_replaced() {
    let daemon = slow_to_start("-H -c 20 --delay 0 --min-idle 1 --max-idle 10");
    let mut stuck: Vec<_> = (0..4)
        .map(|_| wait_until("a stopped program process", || stopped_program_process(&daemon)))
        .collect();
    assert_eq!(daemon.client("127.0.0.1").read_line().0, "220\n");
    for (client, process) in &mut stuck {
        kill(*process, Signal::SIGCONT).unwrap();
        assert_eq!(client.read_line().0, "220\n");
    }
}

/// As qmail-queue is.
#[test]
fn a_setuid_program_runs_as_its_owner() {
    if !is_root("a_setuid_program_runs_as_its_owner") {
        return;
    }
    let file = directory().join("id");
    std::fs::copy("/usr/bin/id", &file).unwrap();
    let daemon = |mode| {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        setup().option("-u nobody").run(&[file.to_str().unwrap()])
    };
    let told = daemon(0o4755).client("127.0.0.1").read_all();
    assert!(told.contains("(nobody)") && told.contains(" euid=0(root)"), "{told}");
    let told = daemon(0o755).client("127.0.0.1").read_all();
    assert!(told.contains("(nobody)") && !told.contains(" euid="), "{told}");
}

#[test]
fn arguments_are_passed_as_given() {
    let (_daemon, report) = report_with(setup());
    let arguments = report.all("arg");
    assert_eq!(arguments, [program().to_str().unwrap(), "first", "", "a b"]);
}

#[test]
fn the_environment_is_ours_and_the_connections() {
    let forged = ["TCPREMOTEHOST", "TCPREMOTEINFO", "TCPLOCALIP", "TCP6REMOTEIP", "TCP6INTERFACE"];
    let forging = forged.iter().fold(setup(), |setup, name| setup.env(name, "forged"));
    let (daemon, report) = report_with(forging.env("OURS", "kept = as it is"));
    assert_eq!(report.env("OURS"), Some("kept = as it is"));
    assert_eq!(report.env("PROTO"), Some("TCP"));
    assert_eq!(report.env("TCPLOCALIP"), Some("127.0.0.1"));
    assert_eq!(report.env("TCPLOCALPORT"), Some(daemon.port.to_string().as_str()));
    assert_eq!(report.env("TCPLOCALHOST"), Some("mx.test.example"));
    assert_eq!(report.env("TCPREMOTEIP"), Some("127.0.0.1"));
    let line = daemon.log("pass ");
    let port = format!(" port={} ", report.env("TCPREMOTEPORT").unwrap());
    assert!(line.contains(&port), "{line}");
    for unknown in ["TCPREMOTEHOST", "TCPREMOTEINFO", "TCP6REMOTEIP", "TCP6INTERFACE"] {
        assert_eq!(report.env(unknown), None, "{unknown}");
    }
    assert_eq!(report.env("SMTPDELAY_CLASS"), Some("-"));
    let waited: f64 = report.env("SMTPDELAY_WAITED").unwrap().parse().unwrap();
    assert!((0.1..0.4).contains(&waited), "{waited}");
    let names: Vec<&str> =
        report.all("env").into_iter().filter_map(|line| line.split('=').next()).collect();
    let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), unique.len(), "a variable stands twice: {names:?}");
}

#[test]
fn what_was_set_outside_is_left_alone() {
    let cwd = directory();
    let mut one_processor = CpuSet::new();
    let here = sched_getcpu().unwrap();
    one_processor.set(here).unwrap();
    let changed = setup().command(|command| {
        command.current_dir(&cwd);
        let prepare = move || {
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o027));
            let files = nix::sys::resource::Resource::RLIMIT_NOFILE;
            nix::sys::resource::setrlimit(files, 321, 321)?;
            // SAFETY: it takes no pointers.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 7) };
            sched_setaffinity(SELF, &one_processor)?;
            Ok(())
        };
        // SAFETY: it makes system calls only.
        unsafe { command.pre_exec(prepare) };
    });
    let (_daemon, report) = report_with(changed);
    assert_eq!(report.one("umask"), "27");
    assert_eq!(report.one("cwd"), cwd.to_str().unwrap());
    assert_eq!(report.one("files"), "321");
    assert_eq!(report.one("nice"), "7");
    assert_eq!(report.one("processors"), here.to_string());
}

/// A process for a client that is alone is children where its client's data is.
#[test]
fn no_process_stays_bound_to_a_processor() {
    let allowed = |pid: &dyn std::fmt::Display| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        list.map(|list| list.trim().to_string())
    };
    let daemon =
        setup().option("--min-idle 1").run(&["grep", "Cpus_allowed_list", "/proc/self/status"]);
    let ours = allowed(&"thread-self").unwrap();
    for _ in 0..3 {
        let report = daemon.client("127.0.0.1").read_all();
        assert_eq!(report.trim_start_matches("Cpus_allowed_list:").trim(), ours);
        wait_until("its children to run anywhere", || {
            let free = |child| allowed(child).is_none_or(|list| list == ours);
            daemon.children().iter().all(|child| free(child)).then_some(())
        });
    }
}

#[test]
fn inherited_descriptors_are_passed_on() {
    let file = File::open("/dev/null").unwrap();
    let number = file.as_raw_fd();
    let inheriting = setup().command(move |command| {
        let prepare = move || {
            // SAFETY: it takes no pointers, and nothing is open there.
            unsafe { libc::dup2(number, 77) };
            Ok(())
        };
        // SAFETY: it makes one system call.
        unsafe { command.pre_exec(prepare) };
    });
    let (_daemon, report) = report_with(inheriting);
    assert_eq!(report.all("fd"), ["0 socket", "1 socket", "2 other", "77 other"]);
}

/// With a slot to spare the child makes a process that becomes the program, and
/// is idle again; without one, or where lines have told of the child already, it
/// becomes the program itself.
#[test]
fn whichever_process_becomes_the_program_it_is_the_same_to_it() {
    let run = |options: &str| {
        let daemon = setup().option(options).run(&[program().to_str().unwrap()]);
        let children = wait_until("its children", || {
            Some(daemon.children()).filter(|children| !children.is_empty())
        });
        let report = Report::read(&daemon.client("127.0.0.1").read_all());
        let pid = report.one("pid");
        let by_child = children.iter().any(|child| child.to_string() == pid);
        let [line, end] = [daemon.log("pass "), daemon.log("end ")];
        assert!(line.ends_with(&format!(" pid={pid}")), "{line}");
        assert!(end.starts_with(&format!("end pid={pid} ip=127.0.0.1 exit=0 secs=")), "{end}");
        assert_eq!(report.one("ppid"), daemon.pid().to_string());
        (report, by_child)
    };
    let (by_new_process, by_child) = run("--min-idle 1");
    assert!(!by_child);
    // What no two connections have in common.
    let ports = ["env TCPREMOTEPORT=", "env TCPLOCALPORT="];
    let own = [&["pid ", "ppid ", "env SMTPDELAY_WAITED="], &ports[..]].concat();
    for options in ["-c 1", "-v --min-idle 1"] {
        let (report, by_child) = run(options);
        assert!(by_child, "{options}");
        assert_eq!(report.but(&own), by_new_process.but(&own), "{options}");
    }
}

#[test]
fn how_a_program_ended_is_logged() {
    let daemon = setup().run(&["sh", "-c", "exit 7"]);
    daemon.client("127.0.0.1").read_all();
    assert!(daemon.log("end ").contains(" exit=7 "));
    let daemon = setup().run(&["sh", "-c", "kill -9 $$"]);
    daemon.client("127.0.0.1").read_all();
    assert!(daemon.log("end ").contains(" signal=9 "));
    let daemon = setup().run(&["sh", "-c", "kill -40 $$"]);
    daemon.client("127.0.0.1").read_all();
    assert!(daemon.log("end ").contains(" signal=40 "));
}

#[test]
fn a_program_that_cannot_be_run_costs_a_421_and_nothing_else() {
    let daemon = setup().option("-c 1").run(&["/nonexistent/prog"]);
    for _ in 0..3 {
        let mut client = daemon.client("127.0.0.1");
        let expected = "421 4.3.0 mx.test.example unable to serve you now, try later\r\n";
        assert_eq!(client.read_all(), expected);
    }
    let lines = daemon.log_lines("smtp-delayd: error: ", 3);
    let why = "unable to run /nonexistent/prog: No such file or directory (os error 2)";
    assert!(lines[0].contains(&format!("{why} ip=127.0.0.1 port=")), "{lines:?}");
    assert_eq!(daemon.children().len(), 1);
    assert_eq!(daemon.lines("end "), Vec::<String>::new());
}

/// The same where another process was made for it; its slot is free again.
#[test]
fn a_process_that_cannot_become_the_program_leaves_nothing_behind() {
    let options = "-c 6 --min-idle 2 --max-idle 3 --per-ip 1";
    let daemon = setup().option(options).run(&["/nonexistent/prog"]);
    for _ in 0..20 {
        let mut client = daemon.client("127.0.0.1");
        let expected = "421 4.3.0 mx.test.example unable to serve you now, try later\r\n";
        assert_eq!(client.read_all(), expected);
        drop(client);
        daemon.wait_for_stats(" busy=0 ");
    }
    daemon.log_lines("smtp-delayd: error: unable to run ", 20);
    wait_until("the others to be gone", || (daemon.children().len() <= 3).then_some(()));
    assert_eq!(daemon.lines("smtp-delayd: error: ").len(), 20);
    assert_eq!(daemon.lines("end "), Vec::<String>::new());
}

#[test]
fn the_path_is_searched_on_past_what_must_not_be_run() {
    let files = directory();
    let [first, second] = ["first", "second"].map(|name| files.join(name));
    std::fs::create_dir(&first).unwrap();
    std::fs::create_dir(&second).unwrap();
    std::fs::write(first.join("prog"), "not executable").unwrap();
    std::os::unix::fs::symlink(program(), second.join("prog")).unwrap();
    let path = format!("/nonexistent:{}:{}", first.display(), second.display());
    let daemon = setup().env("PATH", &path).run(&["prog"]);
    let report = Report::read(&daemon.client("127.0.0.1").read_all());
    assert_eq!(report.all("arg"), ["prog"]);
}

#[test]
fn a_file_without_an_interpreter_is_not_given_to_a_shell() {
    let script = directory().join("script");
    std::fs::write(&script, "echo 220 from a shell\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let daemon = setup().run(&[script.to_str().unwrap()]);
    assert!(daemon.client("127.0.0.1").read_all().starts_with("421 4.3.0 "));
    assert!(daemon.log("smtp-delayd: error: ").contains("Exec format error"));
}

#[test]
fn users_and_groups() {
    if !is_root("users_and_groups") {
        return;
    }
    let (_daemon, report) = report_with(setup().option("-u 64001 -g 64002"));
    assert_eq!(report.one("uid"), "64001 64001");
    assert_eq!(report.one("gid"), "64002 64002");
    assert_eq!(report.one("groups"), "64002");
    let (_daemon, report) = report_with(setup().option("-u nobody"));
    assert_eq!(report.one("uid"), "65534 65534");
    assert_eq!(report.one("gid"), "65534 65534");
    let (_daemon, report) = report_with(setup().option("-u nobody -g daemon"));
    assert_eq!((report.one("gid"), report.one("groups")), ("1 1", "1"));
    let (_daemon, report) =
        report_with(setup().option("-U").env("UID", "64003").env("GID", "64004"));
    assert_eq!((report.one("uid"), report.one("gid")), ("64003 64003", "64004 64004"));
    assert_eq!(report.one("groups"), "64004");
}

#[test]
fn small_packets_are_sent_at_once_where_asked() {
    let (_daemon, report) = report_with(setup());
    assert_eq!(report.one("nodelay"), "0");
    let (_daemon, report) = report_with(setup().option("-D"));
    assert_eq!(report.one("nodelay"), "1");
    let (_daemon, report) = report_with(setup().option("-D -d"));
    assert_eq!(report.one("nodelay"), "0");
}

#[test]
fn ipv6_clients_have_the_variables_of_ucspi_tcp6() {
    let (daemon, report) = {
        let daemon = setup().host("::1").run(&[program().to_str().unwrap()]);
        let report = Report::read(&daemon.client("::1").read_all());
        (daemon, report)
    };
    for name in ["TCPLOCALIP", "TCPREMOTEIP", "TCP6LOCALIP", "TCP6REMOTEIP"] {
        assert_eq!(report.env(name), Some("::1"), "{name}");
    }
    assert_eq!(report.env("PROTO"), Some("TCP6"));
    assert_eq!(report.env("TCP6LOCALPORT"), Some(daemon.port.to_string().as_str()));
    assert_eq!(report.env("TCP6REMOTEPORT"), report.env("TCPREMOTEPORT"));
    assert_eq!(report.env("TCP6LOCALHOST"), Some("mx.test.example"));
}

#[test]
fn both_families_at_once_and_mapped_addresses_as_ipv4() {
    let daemon = setup().host("0").run(&[program().to_str().unwrap()]);
    let report = Report::read(&daemon.client("127.0.0.5").read_all());
    assert_eq!(report.env("PROTO"), Some("TCP"));
    assert_eq!(report.env("TCPREMOTEIP"), Some("127.0.0.5"));
    assert_eq!(report.env("TCPLOCALIP"), Some("127.0.0.1"));
    let six = std::net::SocketAddr::new("::1".parse().unwrap(), daemon.port);
    let report = Report::read(&Client::connect("::1", six).read_all());
    assert_eq!(report.env("PROTO"), Some("TCP6"));
    assert_eq!(report.env("TCPREMOTEIP"), Some("::1"));
}

#[test]
fn a_program_that_writes_faster_than_the_client_reads_loses_nothing() {
    let daemon = setup().run(&["head", "-c", "30000000", "/dev/zero"]);
    let mut client = daemon.client("127.0.0.1");
    assert!(client.stream.peek(&mut [0]).is_ok());
    // More than the buffers of both sockets can take (tcp_wmem, tcp_rmem).
    assert!(daemon.lines("end ").is_empty(), "it is blocked in its write");
    assert_eq!(client.read_all().len(), 30_000_000);
    assert!(only(daemon.log_lines("end ", 1)).contains(" exit=0 "));
}

/// The real softlimit, which `softlimit -m` in a run script is, and everything that
/// takes memory.
#[test]
fn twenty_megabytes_are_enough() {
    needs!("softlimit");
    let files = directory();
    let expressions: String = (0..300).map(|n| format!("^host-{n}[0-9]+\\.isp{n}\\.\n")).collect();
    std::fs::write(files.join("dynamic"), expressions).unwrap();
    std::fs::write(files.join("rules"), ":allow\n".repeat(1000)).unwrap();
    let dns = FakeDns::start(Fault::Late(Duration::from_millis(50), "mx.example.org"));
    let shown = format!("{}\n", SMALL_MEMORY / 1024);
    for slots in ["40", "10000"] {
        let daemon = Daemon::setup_under(&["softlimit", "-m", &SMALL_MEMORY.to_string()])
            .option(&format!("-c {slots} --delay-static 0.1 {}", dns.option()))
            // Not what the name server says about any name.
            .option("--dnsbl bl.test=127.0.0.9")
            .option_with("--dynamic-file", files.join("dynamic").display())
            .option_with("--rules", files.join("rules").display())
            .run(&["sh", "-c", "ulimit -v"]);
        let serve_twenty = || {
            let clients: Vec<_> = (0..20).map(|_| daemon.client("127.0.0.1")).collect();
            for mut client in clients {
                assert_eq!(client.read_all(), shown, "the limit, in KiB");
            }
        };
        serve_twenty();
        daemon.signal(Signal::SIGHUP);
        daemon.log("reload ");
        serve_twenty();
        let passed = daemon.log_lines("pass ", 40);
        assert!(passed.iter().all(|line| line.contains(" class=static ")), "{passed:?}");
        assert_eq!(daemon.lines("smtp-delayd: error: "), Vec::<String>::new());
    }
}
