//! Stopping, dying and starting again: the port is free at once, and no client
//! that was accepted is dropped.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use lab::daemon::Setup;
use lab::program_process::{slow_to_start, stopped_program_process};
use lab::{Alone, Client, Daemon, assert_waited, wait_until};

fn setup(delay: &str) -> Setup {
    Daemon::setup().option("-H").option_with("--delay", delay)
}

/// Whether a client's delay of so many seconds cannot be over.
fn is_before(client: &Client, seconds: u64) -> bool {
    client.connected.elapsed() < Duration::from_secs(seconds)
}

/// Whether a client could be connected; closes it at once if so.
fn port_answers(daemon: &Daemon) -> bool {
    TcpStream::connect(daemon.address()).is_ok()
}

#[test]
fn term_lets_waiting_clients_finish_and_frees_the_port() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut daemon = setup("5").run(&["sh", "-c", "echo 220; exec cat"]);
        let mut waiting = daemon.client("127.0.0.1");
        assert!(waiting.is_silent_for(Duration::from_millis(300)));
        daemon.signal(signal);
        // Before the port is tried, which adds a client until it is free.
        assert!(daemon.log("stopping ").starts_with("stopping waiting=1 sessions=0 pid="));
        wait_until("the port to be free", || (!port_answers(&daemon)).then_some(()));
        let ended = daemon.has_ended();
        assert!(!ended || !is_before(&waiting, 5), "a client is waiting");
        let next = setup("0").port(daemon.port).run(&["echo", "220 next"]);
        assert_eq!(next.client("127.0.0.1").read_all(), "220 next\n");
        let (line, waited) = waiting.read_line();
        assert_eq!(line, "220\n");
        assert_waited(waited, 5.0..);
        assert_eq!(daemon.wait().code(), Some(0));
        daemon.log("stats pass=1 ");
        assert!(daemon.log("stop ").starts_with("stop sessions=1 "));
        waiting.say("still here\n");
        assert_eq!(waiting.read_line().0, "still here\n", "the session goes on");
    }
}

#[test]
fn a_second_term_ends_only_the_supervisor() {
    let mut daemon = setup("9").run(&["echo", "220"]);
    let mut waiting = daemon.client("127.0.0.1");
    assert!(waiting.is_silent_for(Duration::from_millis(200)));
    daemon.signal(Signal::SIGTERM);
    wait_until("the port to be free", || (!port_answers(&daemon)).then_some(()));
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(is_before(&waiting, 9));
    assert_eq!(waiting.read_all(), "220\n");
}

#[test]
fn children_stop_listening_when_the_supervisor_dies() {
    let mut daemon = setup("4").option("--min-idle 10").run(&["sh", "-c", "echo 220; exec cat"]);
    let children = daemon.children();
    assert_eq!(children.len(), 10);
    let mut session = daemon.client("127.0.0.1");
    session.read_line();
    let mut waiting = daemon.client("127.0.0.1");
    assert!(waiting.is_silent_for(Duration::from_millis(200)));
    daemon.kill();
    wait_until("the port to be free", || (!port_answers(&daemon)).then_some(()));
    let left = || children.iter().filter(|pid| is_running(**pid)).count();
    wait_until("idle children to end", || (left() <= 2).then_some(()));
    assert_eq!(waiting.read_line().0, "220\n");
    for client in [&mut session, &mut waiting] {
        client.say("still here\n");
        assert_eq!(client.read_line().0, "still here\n");
    }
}

fn is_running(pid: nix::unistd::Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// A client under fire: what it saw.
enum Fate {
    /// It got the greeting.
    Served,
    /// It was cut off in the queue of a dying listener, or found none.
    Refused,
}

fn try_one(address: std::net::SocketAddr) -> Fate {
    let Ok(mut client) = Client::try_connect("127.0.0.1", address) else { return Fate::Refused };
    let mut text = String::new();
    match client.stream.read_to_string(&mut text) {
        Ok(_) if text == "220\n" => Fate::Served,
        Ok(_) => panic!("an accepted client got {text:?}"),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Fate::Refused,
        Err(error) => panic!("a client was left alone: {error}"),
    }
}

#[test]
fn fifty_kills_under_load_and_as_many_starts() {
    let _alone = Alone::on_the_machine();
    let mut daemon = setup("0.1").option("-c 60").run(&["echo", "220"]);
    let (address, port) = (daemon.address(), daemon.port);
    let stop = AtomicBool::new(false);
    let served = Mutex::new(0_usize);
    let accepted = thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    if let Fate::Served = try_one(address) {
                        *served.lock().unwrap() += 1;
                    }
                }
            });
        }
        let mut logs = Vec::new();
        for _ in 0..50 {
            let before = *served.lock().unwrap();
            wait_until("some clients", || (*served.lock().unwrap() > before + 5).then_some(()));
            daemon.kill();
            let next = setup("0.1").option("-c 60").port(port).run(&["echo", "220"]);
            logs.push(std::mem::replace(&mut daemon, next));
        }
        stop.store(true, Ordering::SeqCst);
        logs
    });
    let served = *served.lock().unwrap();
    let passed = || {
        let gone: usize = accepted.iter().map(|daemon| daemon.lines("pass ").len()).sum();
        gone + daemon.lines("pass ").len()
    };
    wait_until("as many passes as greetings", || (passed() == served).then_some(()));
    let hung_up: usize = accepted.iter().map(|daemon| daemon.lines("hangup ").len()).sum();
    assert_eq!(hung_up, 0, "every client that was accepted was served");
}

#[test]
fn max_prog_ends_with_the_supervisor() {
    let mut daemon = setup("4").option("--max-prog 1").run(&["echo", "220"]);
    let mut clients: Vec<Client> = (0..5).map(|_| daemon.client("127.0.0.1")).collect();
    assert!(clients[4].is_silent_for(Duration::from_millis(300)));
    daemon.kill();
    for client in &mut clients {
        assert_eq!(client.read_all(), "220\n");
    }
}

#[test]
fn a_port_in_use_is_reported() {
    let daemon = setup("0").run(&["echo", "220"]);
    let start = Instant::now();
    let other = std::process::Command::new(env!("CARGO_BIN_EXE_smtp-delayd"))
        .args(["-l0", "127.0.0.1", &daemon.port.to_string(), "echo"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&other.stderr).into_owned();
    let expected = format!(
        "smtp-delayd: fatal: unable to bind 127.0.0.1:{}: Address already in use (os error 98)\n",
        daemon.port
    );
    assert_eq!((other.status.code(), text), (Some(111), expected));
    assert!(start.elapsed() < Duration::from_secs(15), "as long as it waits for a pidfile");
}

#[test]
fn term_does_not_wait_for_a_program_that_does_not_start() {
    let mut daemon = slow_to_start("-H --delay 0");
    let (mut client, process) =
        wait_until("a stopped program process", || stopped_program_process(&daemon));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    kill(process, Signal::SIGCONT).unwrap();
    assert_eq!(client.read_line().0, "220\n");
}
