//! What a link in a chain costs until it waits for its client.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::unistd::Pid;

use crate::Figures;
use crate::memory::polls;
use lab::wait_until;

/// What tcpserver's variables say of a client whose name has to be judged.
pub const CLIENT: [(&str, &str); 6] = [
    ("PROTO", "TCP"),
    ("TCPREMOTEIP", "192.0.2.7"),
    ("TCPREMOTEPORT", "40112"),
    ("TCPREMOTEHOST", "dsl-192-0-2-7.isp.example.net"),
    ("TCPLOCALIP", "192.0.2.1"),
    ("TCPLOCALPORT", "25"),
];

/// Microseconds that a process has run by the time that it blocks in its poll(2), where
/// `words` and a program are its command; the median of so many starts.
pub fn cpu_to_poll(words: &[&str], starts: u32) -> f64 {
    let mut figures = Figures::default();
    for _ in 0..starts {
        let (server, _client) = UnixStream::pair().expect("a pair of sockets");
        // Without anything to do between fork and exec, so that std can spawn it
        // with hardly a fork.
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("true").env_clear().envs(CLIENT).env("PATH", "/usr/bin:/bin");
        command.stdin(OwnedFd::from(server)).stdout(Stdio::null());
        let mut child = command.spawn().expect("a process");
        figures.add(run_time_once_blocked(&child));
        child.kill().expect("a process to kill");
        child.wait().expect("its end");
    }
    figures.median()
}

fn run_time_once_blocked(child: &Child) -> f64 {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let nanoseconds = wait_until("a process to block in poll", || {
        let times = || fs::read_to_string(format!("/proc/{pid}/schedstat")).ok();
        polls(pid).then(times)??.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds / 1000.0
}
