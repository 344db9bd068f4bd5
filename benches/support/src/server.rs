//! A server under measurement: in a process group of its own, with its log discarded,
//! so that no other process has work.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use lab::command::clean_command;

/// How long all its processes may take to be gone once they are killed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, which is killed with all its processes when this is dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `words`, which prints its port on 127.0.0.1.
    pub fn start(words: &[&str]) -> Self {
        let mut command = clean_command(words[0]);
        command.args(&words[1..]);
        Self::spawn(command)
    }

    /// Starts `command`, which prints its port on 127.0.0.1.
    pub fn spawn(mut command: Command) -> Self {
        set_child_subreaper(true).expect("to wait for the children of a server");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{command:?}: {why}"));
        let mut port = String::new();
        let output = child.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut port).expect("a line");
        let port: u16 = port.trim().parse().unwrap_or_else(|_| panic!("{command:?} has no port"));
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// Its first process.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        // Ten thousand processes take a while to end, and what is measured next
        // must not pay for it.  They are ours once their parent is gone.
        let until = Instant::now() + PATIENCE;
        let group = Pid::from_raw(-self.pid().as_raw());
        while let Ok(ended) = waitpid(group, Some(WaitPidFlag::WNOHANG)) {
            if ended == WaitStatus::StillAlive {
                assert!(Instant::now() < until, "a server's processes do not end");
                thread::sleep(Duration::from_millis(2));
            }
        }
    }
}
