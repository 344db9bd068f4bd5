//! Places for sessions (`--max-prog`): the line of clients that wait for one.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::{Client, Daemon, wait_until};

/// Far less than the second after which a client that was not woken looks for itself.
const AT_ONCE: Duration = Duration::from_millis(400);

fn daemon(places: usize) -> Daemon {
    let options = format!("-H --delay 0 -c 20 --max-prog {places}");
    Daemon::setup().option(&options).run(&["sh", "-c", "echo 220; exec cat"])
}

fn session(daemon: &Daemon) -> Client {
    let mut client = daemon.client("127.0.0.1");
    assert_eq!(client.read_line().0, "220\n");
    client
}

/// A client that has just asked for a place and waits for one, and its child.
fn waiting(daemon: &Daemon) -> (Client, Pid) {
    let before = waiting_children(daemon);
    let client = daemon.client("127.0.0.1");
    let child = wait_until("it to wait for a place", || {
        waiting_children(daemon).into_iter().find(|child| !before.contains(child))
    });
    (client, child)
}

/// Children that wait in ppoll(2), which they do for a place alone.
fn waiting_children(daemon: &Daemon) -> Vec<Pid> {
    let waits = |pid: &Pid| {
        let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        call.split(' ').next().and_then(|number| number.parse().ok()) == Some(libc::SYS_ppoll)
    };
    daemon.children().into_iter().filter(waits).collect()
}

/// Tries `attempt` anew until it takes no longer than [`AT_ONCE`]: it starts the clock
/// itself.
#[track_caller]
fn one_is_served_at_once(mut attempt: impl FnMut() -> Duration) {
    wait_until("a client to be served at once", || (attempt() < AT_ONCE).then_some(()));
}

#[test]
fn a_stopped_child_does_not_hold_up_those_behind_it() {
    let daemon = daemon(1);
    let first = session(&daemon);
    let (_stopped, child) = waiting(&daemon);
    kill(child, Signal::SIGSTOP).unwrap();
    let (mut next, _) = waiting(&daemon);
    drop(first);
    assert_eq!(next.read_line().0, "220\n");
    kill(child, Signal::SIGCONT).unwrap();
}

#[test]
fn a_stopped_child_takes_its_turn_once_it_goes_on() {
    let daemon = daemon(1);
    let first = session(&daemon);
    let (mut stopped, child) = waiting(&daemon);
    kill(child, Signal::SIGSTOP).unwrap();
    drop(first);
    daemon.log("end ");
    kill(child, Signal::SIGCONT).unwrap();
    assert_eq!(stopped.read_line().0, "220\n");
}

#[test]
fn a_client_behind_a_child_that_is_killed_is_woken() {
    one_is_served_at_once(|| {
        let daemon = daemon(1);
        let first = session(&daemon);
        let (_killed, child) = waiting(&daemon);
        let (mut next, _) = waiting(&daemon);
        // It is woken for the place, and does not take it.
        kill(child, Signal::SIGSTOP).unwrap();
        drop(first);
        daemon.log("end ");
        kill(child, Signal::SIGKILL).unwrap();
        let start = Instant::now();
        assert_eq!(next.read_line().0, "220\n");
        start.elapsed()
    });
}

#[test]
fn two_places_that_are_free_at_once_wake_two_clients() {
    one_is_served_at_once(|| {
        let daemon = daemon(2);
        let held = [session(&daemon), session(&daemon)];
        let (first, child) = waiting(&daemon);
        let mut clients = [first, waiting(&daemon).0];
        // Both wakes are its own.
        kill(child, Signal::SIGSTOP).unwrap();
        drop(held);
        daemon.log_lines("end ", 2);
        kill(child, Signal::SIGCONT).unwrap();
        let start = Instant::now();
        for client in &mut clients {
            assert_eq!(client.read_line().0, "220\n");
        }
        start.elapsed()
    });
}
