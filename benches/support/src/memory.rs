//! Memory that one more client costs while it waits: what is charged to a memory
//! control group of the server's own, the kernel's share included.

use std::fs;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;
use socket2::Socket;

use crate::cgroup::Cgroup;
use crate::load::visit_from;
use lab::daemon::children_of;

/// Clients that are there before the counting starts.
const FEW: usize = 10;
/// How long clients may take to be held, and what is freed late takes.
const PATIENCE: Duration = Duration::from_secs(120);
const REST: Duration = Duration::from_millis(500);
/// How often it is checked how many children poll, and the time between two checks.
const LOOKS: u32 = 5;
const INTERVAL: Duration = Duration::from_millis(50);

/// KiB that each of `held` clients costs `server` (its process and its address), which lets
/// them wait in poll(2) in a process each, and is moved into `cgroup`; client number N comes
/// from the address `source` has for it.
#[allow(clippy::cast_precision_loss)]
pub fn of_held(
    cgroup: &Cgroup,
    server: (Pid, SocketAddr),
    held: usize,
    source: impl Fn(usize) -> [u8; 4],
) -> f64 {
    let (pid, address) = server;
    cgroup.enter(pid.as_raw());
    for child in children_of(pid) {
        cgroup.enter(child.as_raw());
    }
    let helpers = helpers(pid);
    let come = |number: usize| visit_from(source(number), address);
    let mut clients: Vec<Socket> = (0..FEW).map(come).collect();
    settle(pid, helpers + FEW);
    let before = cgroup.usage();
    clients.extend((FEW..FEW + held).map(come));
    settle(pid, helpers + FEW + held);
    let after = cgroup.usage();
    drop(clients);
    (after - before) / 1024.0 / held as f64
}

/// How many children poll without a client: the keeper of known clients does, between two
/// moments in which it works.
fn helpers(pid: Pid) -> usize {
    let polling = |_| {
        thread::sleep(INTERVAL);
        children_of(pid).iter().filter(|pid| polls(**pid)).count()
    };
    (0..LOOKS).map(polling).max().unwrap_or_default()
}

/// Waits until so many children of the process block in poll(2), and half a second longer.
/// Panics after two minutes.
pub fn settle(pid: Pid, count: usize) {
    let until = std::time::Instant::now() + PATIENCE;
    while children_of(pid).iter().filter(|pid| polls(**pid)).count() != count {
        assert!(std::time::Instant::now() < until, "{count} clients are not held");
        thread::sleep(INTERVAL);
    }
    thread::sleep(REST);
}

/// Whether the process is sleeping in poll(2), and not on its way there.
pub fn polls(pid: Pid) -> bool {
    sleeps_in(pid, &[libc::SYS_ppoll, POLL])
}

/// Whether the process is sleeping in accept(2).
pub fn accepts(pid: Pid) -> bool {
    sleeps_in(pid, &[libc::SYS_accept4])
}

fn sleeps_in(pid: Pid, calls: &[i64]) -> bool {
    let call = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
    let number = call.split(' ').next().and_then(|number| number.parse::<i64>().ok());
    number.is_some_and(|number| calls.contains(&number))
}

#[cfg(target_arch = "x86_64")]
const POLL: i64 = libc::SYS_poll;
#[cfg(not(target_arch = "x86_64"))]
const POLL: i64 = libc::SYS_ppoll;
