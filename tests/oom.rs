//! Memory that runs out: which process the kernel kills, and what programs inherit.

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use lab::{Client, Daemon, is_root, packages, wait_until};

/// What a daemon is started with here, and its children's score then.
const GIVEN: &str = "50\n";
const RAISED: &str = "350\n";

const SHOW: [&str; 2] = ["cat", "/proc/self/oom_score_adj"];

/// Nothing of a process that has ended meanwhile.
fn score(pid: Pid) -> String {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default()
}

/// A daemon that has a score already.
fn daemon(options: &str) -> Daemon {
    let set = "echo 50 > /proc/self/oom_score_adj; exec \"$@\"";
    let setup = Daemon::setup_under(&["sh", "-c", set, "sh"]);
    setup.option("-H -c 12 --reserve 0 --min-idle 1 --max-idle 5").option(options).run(&SHOW)
}

fn wait_for_raised(daemon: &Daemon, least: usize) {
    wait_until("children that are killed first", || {
        let scores = daemon.children().into_iter().map(score);
        (scores.filter(|score| score == RAISED).count() >= least).then_some(())
    });
}

fn only_programs_are_as_the_daemon_was_started(daemon: &Daemon) {
    wait_for_raised(daemon, 1);
    assert_eq!(score(daemon.pid()), GIVEN);
    // Once all children have handed over they are raised only because they wait.
    for _ in 0..3 {
        let clients: Vec<Client> = (0..4).map(|_| daemon.client("127.0.0.1")).collect();
        wait_for_raised(daemon, 4);
        for mut client in clients {
            assert_eq!(client.read_all(), GIVEN);
        }
    }
}

#[test]
fn children_are_killed_first_and_programs_as_without_us() {
    only_programs_are_as_the_daemon_was_started(&daemon("--delay 2"));
    let at_once = daemon("--delay 0");
    for _ in 0..3 {
        assert_eq!(at_once.client("127.0.0.1").read_all(), GIVEN);
    }
    // The child becomes the program itself.
    let in_place = daemon("-v --delay 0.2");
    assert_eq!(in_place.client("127.0.0.1").read_all(), GIVEN);
}

#[test]
fn so_it_is_for_a_daemon_that_has_changed_its_user() {
    if is_root("so_it_is_for_a_daemon_that_has_changed_its_user") {
        only_programs_are_as_the_daemon_was_started(&daemon("-u nobody --delay 2"));
    }
}

/// A memory cgroup of version 1 or 2.
struct MemoryCgroup(PathBuf);

impl MemoryCgroup {
    /// `None` if there are none, or none may be made.
    fn make(bytes: usize) -> Option<Self> {
        let name = format!("smtp-delay-test-{}", std::process::id());
        let versions = [
            (
                "/sys/fs/cgroup/memory",
                "memory.limit_in_bytes",
                "memory.memsw.limit_in_bytes",
                bytes,
            ),
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max", 0),
        ];
        versions.into_iter().find_map(|(root, limit, swap, most)| {
            let group = Self(Path::new(root).join(&name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(limit), bytes.to_string()).ok()?;
            let _ = fs::write(group.0.join(swap), most.to_string());
            Some(group)
        })
    }

    fn kills(&self) -> usize {
        let events = ["memory.oom_control", "memory.events"].map(|file| self.0.join(file));
        let text: String = events.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for MemoryCgroup {
    /// Once its last process is gone, if a test fails.
    fn drop(&mut self) {
        for _ in 0..200 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_cgroup_without_memory_costs_clients_and_not_the_service() {
    let test = "a_cgroup_without_memory_costs_clients_and_not_the_service";
    if !is_root(test) {
        return;
    }
    let Some(group) = MemoryCgroup::make(14_000_000) else {
        return packages::skip(test, "memory-cgroup");
    };
    let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.0.display());
    let mut daemon = Daemon::setup_under(&["sh", "-c", &enter, "sh"])
        .option("-H -c 400 --reserve 0 --delay 600")
        .run(&["true"]);
    let mut held: Vec<Client> = Vec::new();
    wait_until("clients to have been killed", || {
        held.push(daemon.client("127.0.0.1"));
        thread::sleep(Duration::from_millis(2));
        (group.kills() >= 5 || daemon.has_ended()).then_some(())
    });
    assert!(!daemon.has_ended(), "the supervisor lives:\n{}", daemon.text());
    daemon.log("smtp-delayd: error: child ");
    drop(held);
    daemon.wait_for_stats(" busy=0 ");
}

fn limited(bytes: usize, program: &str) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={bytes}")).args([program, "--version"]).env("RUST_BACKTRACE", "1");
    command
}

/// Runs a program with limits from one at which it cannot be loaded to one that is
/// enough; what it says of those between them.
fn refusals(program: &str) -> Vec<(usize, String)> {
    let mut refusals = Vec::new();
    for bytes in (3_000_000..20_000_000).step_by(32 << 10) {
        let output = limited(bytes, program).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        match output.status.code() {
            Some(0) => return refusals,
            Some(111) => refusals.push((bytes, told)),
            // The kernel, and the dynamic loader.
            None | Some(127) => assert!(refusals.is_empty(), "{bytes}: {told}"),
            Some(other) => panic!("{program} ended with {other}: {told}"),
        }
    }
    panic!("{program} is never satisfied: {refusals:?}");
}

#[test]
fn a_memory_limit_that_is_too_small_is_reported_in_a_line() {
    for (program, name, enough) in [
        (env!("CARGO_BIN_EXE_smtp-delay"), "smtp-delay", "6000000"),
        (env!("CARGO_BIN_EXE_smtp-delayd"), "smtp-delayd", "20000000"),
        (env!("CARGO_BIN_EXE_smtp-delayctl"), "smtp-delayctl", "20000000"),
    ] {
        let refusals = refusals(program);
        assert!(!refusals.is_empty(), "{name}");
        for (_, told) in refusals {
            let start = format!("{name}: fatal: unable to allocate ");
            let end = format!(" bytes: raise it (softlimit -m {enough})\n");
            assert!(told.starts_with(&start) && told.ends_with(&end), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}

#[test]
fn a_memory_limit_is_not_reported_to_the_client() {
    let link = env!("CARGO_BIN_EXE_smtp-delay");
    let (bytes, _) = refusals(link).remove(0);
    // As inetd has it: all three are the connection.
    let (mut client, server) = UnixStream::pair().unwrap();
    let standard = || Stdio::from(OwnedFd::from(server.try_clone().unwrap()));
    let mut link = limited(bytes, link);
    let status = link.stdin(standard()).stdout(standard()).stderr(standard()).status();
    assert_eq!(status.unwrap().code(), Some(111));
    drop((link, server));
    let mut told = String::new();
    client.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
}
