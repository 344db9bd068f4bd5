//! ucspi-tcp's programs and ours under the same names, run with the same input.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::command::{self, inherit_nothing};
use crate::{directory, wait_until};

/// Pseudo-random numbers, the same in every run.
pub struct Random(u64);

impl Random {
    /// Numbers that only `seed` determines.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `limit` - 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    /// One of `from`.
    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The real program of this name.
pub fn theirs(name: &str) -> PathBuf {
    crate::packages::path(name)
}

/// Ours under the same name.
pub fn ours(name: &str) -> PathBuf {
    let path = directory().join(name);
    let program = match name {
        "tcpserver" => command::daemon(),
        _ => command::ctl(),
    };
    std::os::unix::fs::symlink(program, &path).unwrap();
    path
}

/// Runs a program to its end with `input`.
pub fn run(program: &Path, change: impl FnOnce(&mut Command), input: &[u8]) -> Output {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin");
    inherit_nothing(&mut command);
    change(&mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// A running tcpserver, real or ours.
pub struct Server {
    child: Child,
    /// The port that it listens on.
    pub port: u16,
    log: BufReader<std::process::ChildStderr>,
}

impl Server {
    /// Starts `program` with `options` on a free port, in front of `run`, with the name
    /// server `dns`.
    pub fn start(program: &Path, options: &[String], run: &[&str], dns: &str) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/bin:/bin").env("DNSCACHEIP", dns);
        command.arg("-1").args(options).args(["127.0.0.1", "0"]).args(run).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        inherit_nothing(&mut command);
        let mut child = command.spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse();
        let port = port.unwrap_or_else(|_| panic!("{command:?} did not start"));
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, port, log }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// The lines that `-v` prints about one session, up to the status behind
    /// its end.
    pub fn session(&mut self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        while !lines.iter().rev().nth(1).is_some_and(|line| line.starts_with("tcpserver: end ")) {
            let mut line = String::new();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "no end in {lines:?}");
            lines.push(line);
        }
        lines
    }

    /// Ends it by a signal.
    pub fn end_by(mut self, signal: Signal) -> std::process::ExitStatus {
        kill(self.pid(), signal).unwrap();
        wait_until("the end of a tcpserver", || self.child.try_wait().unwrap())
    }

    /// Ends it: its exit code, and what it had still to say.
    pub fn stop(mut self) -> (Option<i32>, Vec<String>) {
        kill(self.pid(), Signal::SIGTERM).unwrap();
        let status = wait_until("the end of a tcpserver", || self.child.try_wait().unwrap());
        let rest = self.log.by_ref().lines().map_while(Result::ok);
        (status.code(), rest.map(|line| line + "\n").collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
