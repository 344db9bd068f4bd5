//! Under a service manager such as systemd: what it is told, and a listener that it passes,
//! so that a restart refuses nobody.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use lab::daemon::Setup;
use lab::report::{Report, program};
use lab::service_manager::{Passed, Reports, output_of};
use lab::{Alone, Client, Daemon, directory, wait_until};

fn quick(setup: Setup) -> Setup {
    setup.option("-H --delay 0")
}

#[test]
fn the_service_manager_hears_of_start_reload_and_stop() {
    let reports = Reports::listen();
    let config = directory().join("config");
    std::fs::write(&config, "delay 0\n").unwrap();
    let setup = Daemon::setup().option(&format!("-H --config {}", config.display()));
    let setup = setup.env("NOTIFY_SOCKET", reports.path.to_str().unwrap());
    let mut daemon = setup.run(&["echo", "220"]);
    assert_eq!(reports.next(), "READY=1\nSTATUS=accepting clients");
    daemon.signal(Signal::SIGHUP);
    assert!(reports.next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(reports.next(), "READY=1\nSTATUS=accepting clients");
    std::fs::write(&config, "delay soon\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    assert!(reports.next().starts_with("RELOADING=1\n"));
    let failed = "READY=1\nSTATUS=accepting clients; unable to reload: the old files stay";
    assert_eq!(reports.next(), failed);
    daemon.signal(Signal::SIGTERM);
    assert!(reports.next().starts_with("STOPPING=1\nSTATUS="));
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn programs_know_nothing_of_the_service_manager() {
    let passed = Passed::at("127.0.0.1:0");
    let reports = Reports::listen();
    let setup = quick(passed.setup()).env("NOTIFY_SOCKET", reports.path.to_str().unwrap());
    let daemon = setup
        .env("WATCHDOG_USEC", "9")
        .env("WATCHDOG_PID", "9")
        .run(&[program().to_str().unwrap()]);
    let report = Report::read(&daemon.client("127.0.0.1").read_all());
    let names = ["NOTIFY_SOCKET", "LISTEN_", "WATCHDOG_"];
    let known = report.all("env").into_iter();
    let known: Vec<&str> =
        known.filter(|entry| names.iter().any(|name| entry.starts_with(name))).collect();
    assert!(known.is_empty(), "{known:?}");
    assert_eq!(report.all("fd").len(), 3, "{report:?}");
    let odd = report.all("signal");
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn a_listener_is_passed_to_one_process_and_has_to_be_where_the_operands_say() {
    let passed = Passed::at("127.0.0.1:0");
    let fails = |setup: Setup| {
        let output = output_of(setup, &["true"]);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, why) = fails(passed.setup().port(passed.address.port() ^ 1));
    assert_eq!(code, 100, "{why}");
    assert!(why.contains(", where the service manager listens: host and port are"), "{why}");
    let (code, why) = fails(passed.setup().host("0"));
    assert_eq!(code, 100, "{why}");
    let (code, why) = fails(passed.setup_passing(2));
    assert_eq!(code, 100, "{why}");
    assert!(why.contains("there are 2, and only one can be used"), "{why}");
    let not_ours = Daemon::setup().env("LISTEN_PID", "1").env("LISTEN_FDS", "1");
    let daemon = quick(not_ours).run(&["echo", "220"]);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
}

#[test]
fn clients_queue_from_one_daemon_to_the_next() {
    let passed = Passed::at("127.0.0.1:0");
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let mut first = quick(passed.setup()).option("--min-idle 7").run(&["echo", "220 first"]);
        assert_eq!(first.client("127.0.0.1").read_all(), "220 first\n");
        let children = first.children();
        assert!(children.len() >= 7);
        first.signal(signal);
        first.wait();
        wait_until("idle children to end", || {
            children.iter().all(|pid| is_gone(*pid)).then_some(())
        });
        let mut between = Client::connect("127.0.0.1", passed.address);
        let second = quick(passed.setup()).run(&["echo", "220 second"]);
        assert_eq!(between.read_all(), "220 second\n");
        assert_eq!(second.client("127.0.0.1").read_all(), "220 second\n");
    }
}

#[test]
fn idle_children_of_a_passed_listener_are_replaced_by_a_reload() {
    let passed = Passed::at("127.0.0.1:0");
    let daemon = quick(passed.setup()).option("--min-idle 4").run(&["echo", "220"]);
    let before = daemon.children();
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
    wait_until("other children", || before.iter().all(|pid| is_gone(*pid)).then_some(()));
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
}

fn is_gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.is_empty() || rest.starts_with(" Z"))
}

/// Connects until `stop`, and counts the clients that were served: all of them.
fn keep_connecting(address: SocketAddr, stop: &AtomicBool, served: &AtomicUsize) {
    while !stop.load(Ordering::SeqCst) {
        assert_eq!(Client::connect("127.0.0.1", address).read_all(), "220\n");
        served.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn restarts_under_load_refuse_nobody() {
    let _alone = Alone::on_the_machine();
    let passed = Passed::at("127.0.0.1:0");
    let start = || passed.setup().option("-H --delay 0.05 -c 60").run(&["echo", "220"]);
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let count = || served.load(Ordering::SeqCst);
    let daemons = thread::scope(|scope| {
        let clients = || keep_connecting(passed.address, &stop, &served);
        let clients: Vec<_> = (0..6).map(|_| scope.spawn(clients)).collect();
        let mut daemons = vec![start()];
        for number in 0..20 {
            let before = count();
            wait_until("some clients", || (count() > before + 5).then_some(()));
            let daemon = daemons.last_mut().unwrap();
            match number % 3 {
                0 => daemon.kill(),
                1 => daemon.signal(Signal::SIGTERM),
                // As systemd does after the command of ExecStop=.
                _ => [Signal::SIGTERM; 2].into_iter().for_each(|signal| daemon.signal(signal)),
            }
            if number % 3 > 0 {
                assert_eq!(daemon.wait().code(), Some(0));
            }
            daemons.push(start());
        }
        stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.join().expect("all are served");
        }
        daemons
    });
    let passes = || daemons.iter().map(|daemon| daemon.lines("pass ").len()).sum::<usize>();
    wait_until("as many passes as clients", || (passes() == count()).then_some(()));
}
