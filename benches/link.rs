//! What the chain link costs beside a C program that only polls and execs: CPU
//! from exec to its poll, and memory while it waits.  Both are measured in turn,
//! several times; only the ratios of one run count.
//!
//! `cargo bench --bench link -- [--rounds N] [--starts N] [--held N]`

#![allow(clippy::unwrap_used)]

#[path = "../tests/lab/mod.rs"]
#[allow(dead_code, unused_imports, unsafe_code, clippy::format_collect)]
#[allow(clippy::format_push_string, clippy::cast_possible_wrap, clippy::needless_pass_by_value)]
#[allow(clippy::similar_names)]
mod lab;
#[allow(dead_code)]
mod support;

use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use lab::chain::{Chain, LINK};
use lab::wait_until;
use support::cgroup::Cgroup;
use support::{Figures, arguments, compile};

/// What tcpserver says of a client whose name has to be judged.
const CLIENT: [(&str, &str); 6] = [
    ("PROTO", "TCP"),
    ("TCPREMOTEIP", "192.0.2.7"),
    ("TCPREMOTEPORT", "40112"),
    ("TCPREMOTEHOST", "dsl-192-0-2-7.isp.example.net"),
    ("TCPLOCALIP", "192.0.2.1"),
    ("TCPLOCALPORT", "25"),
];

fn main() {
    let [rounds, starts, held] =
        arguments([("rounds", 7), ("starts", 100), ("held", 300)], "cargo bench --bench link --");
    let plugin = compile("plugin.c", &["-O2"]);
    let peers: [(&str, Vec<&str>); 2] =
        [("smtp-delay", vec![LINK]), ("C stand-in", vec![plugin.as_str(), "60000"])];
    println!("{rounds} rounds of {starts} starts, {held} held; medians (least to most)\n");
    let cpu = measure(rounds, &peers, |words| cpu_to_poll(words, starts));
    report("CPU from exec to poll, µs", &peers, &cpu, 2.0);
    match Cgroup::new("smtp-delay-bench") {
        Ok(cgroup) => {
            let memory =
                measure(rounds.min(3), &peers, |words| memory_of_held(&cgroup, words, held));
            report("memory of a client that waits, KiB", &peers, &memory, f64::INFINITY);
        }
        Err(why) => println!("no memory was measured: {why}"),
    }
}

fn measure(
    rounds: u32,
    peers: &[(&str, Vec<&str>)],
    figure: impl Fn(&[&str]) -> f64,
) -> Vec<Figures> {
    let mut figures = vec![Figures::default(); peers.len()];
    for _ in 0..rounds {
        for (index, (_, words)) in peers.iter().enumerate() {
            figures[index].add(figure(words));
        }
    }
    figures
}

fn report(what: &str, peers: &[(&str, Vec<&str>)], figures: &[Figures], most: f64) {
    println!("{what}");
    for ((name, _), figures) in peers.iter().zip(figures) {
        println!("  {name:<12} {figures}");
    }
    let ratio = figures[0].ratio_to(&figures[1]);
    let verdict = match ratio.median() {
        _ if most.is_infinite() => String::new(),
        ratio if ratio <= most => format!("  at most {most}: held"),
        _ => format!("  at most {most}: SHORT"),
    };
    println!("  ratio        {ratio:.2}{verdict}\n");
}

/// Microseconds that a process has run by the time that it blocks in its poll.
fn cpu_to_poll(words: &[&str], starts: u32) -> f64 {
    let mut figures = Figures::default();
    for _ in 0..starts {
        let (server, _client) = UnixStream::pair().unwrap();
        // Without anything to do between fork and exec, so that std can spawn it
        // with hardly a fork.
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).arg("true").env_clear().envs(CLIENT).env("PATH", "/usr/bin:/bin");
        command.stdin(std::os::fd::OwnedFd::from(server)).stdout(Stdio::null());
        let mut child = command.spawn().unwrap();
        figures.add(run_time_once_blocked(&child));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    figures.median()
}

fn run_time_once_blocked(child: &Child) -> f64 {
    let read =
        |file: &str| fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
    let nanoseconds = wait_until("a process to block in poll", || {
        // Sleeping in a system call, and not on its way there.
        let number = read("syscall").split(' ').next()?.parse::<i64>().ok()?;
        let is_poll = [libc::SYS_ppoll, POLL].contains(&number);
        is_poll.then(|| read("schedstat").split(' ').next()?.parse::<f64>().ok()).flatten()
    });
    nanoseconds / 1000.0
}

#[cfg(target_arch = "x86_64")]
const POLL: i64 = libc::SYS_poll;
#[cfg(not(target_arch = "x86_64"))]
const POLL: i64 = libc::SYS_ppoll;

/// KiB that one more client costs under tcpserver, kernel memory included.
fn memory_of_held(cgroup: &Cgroup, words: &[&str], held: u32) -> f64 {
    let limit = (held + 10).to_string();
    let host = format!("TCPREMOTEHOST={}", CLIENT[3].1);
    let chain = [&["env", &host], words, &["true"]].concat();
    let server = Chain::tcpserver(&format!("-RHl0 -c {limit} -b {held}"), &[], &chain);
    cgroup.enter(server.pid().as_raw());
    let clients = |count: u32| -> Vec<lab::Client> {
        (0..count).map(|_| server.client("127.0.0.1")).collect()
    };
    let few = clients(10);
    settle(&server, 10);
    let before = cgroup.usage();
    let many = clients(held);
    settle(&server, held + 10);
    let after = cgroup.usage();
    drop((few, many));
    (after - before) / 1024.0 / f64::from(held)
}

/// Waits until all of the server's children block in their poll.
fn settle(server: &Chain, count: u32) {
    wait_until("all clients to be held", || {
        let children = lab::daemon::children_of(server.pid());
        let blocked = children.iter().filter(|pid| {
            let file = format!("/proc/{pid}/syscall");
            let number = fs::read_to_string(file).unwrap_or_default();
            let number = number.split(' ').next().and_then(|number| number.parse::<i64>().ok());
            number.is_some_and(|number| [libc::SYS_ppoll, POLL].contains(&number))
        });
        (blocked.count() == count as usize).then_some(())
    });
    // What the kernel frees later is not to be counted.
    thread::sleep(Duration::from_millis(300));
}
