//! Processes that are about to exec the program, stopped before they do.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{Client, Daemon, wait_until};

/// A daemon that searches for its program for so long that
/// [`stopped_program_process`] can stop the process before its exec.
pub fn slow_to_start(options: &str) -> Daemon {
    let path = "/n:".repeat(40_000) + "/usr/bin:/bin";
    let setup = Daemon::setup().option(options).env("PATH", &path);
    setup.run(&["sh", "-c", "echo 220; exec cat"])
}

/// A client, and the process that is to exec the program for it, stopped before its
/// exec; `None` if the exec came first, and the session has ended then.
pub fn stopped_program_process(daemon: &Daemon) -> Option<(Client, Pid)> {
    let old = daemon.children();
    let mut client = daemon.client("127.0.0.1");
    let process = wait_until("another process with the client", || {
        let link = |pid: &Pid| fs::read_link(format!("/proc/{pid}/fd/0")).unwrap_or_default();
        let has_client = |pid: &Pid| link(pid).to_string_lossy().starts_with("socket:");
        daemon.children().into_iter().find(|pid| !old.contains(pid) && has_client(pid))
    });
    kill(process, Signal::SIGSTOP).unwrap();
    wait_until("it to stop", || {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.contains(") T ").then_some(())
    });
    let program = |pid: Pid| fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    if program(process) == program(daemon.pid()) {
        return Some((client, process));
    }
    kill(process, Signal::SIGCONT).unwrap();
    client.finish();
    client.read_all();
    None
}
