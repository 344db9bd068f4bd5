//! The pool: how many children there are, what becomes of those that end, and
//! what happens when processes run out.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::dns::{FakeDns, Fault, NAMELESS, Nsd};
use lab::{
    Alone, Client, Daemon, assert_waited, directory, is_root, needs, one_is_quicker_than,
    wait_until,
};

#[test]
fn idle_children_are_kept_ahead_of_the_demand() {
    let daemon = Daemon::setup().option("-H --delay 20 --min-idle 3 -c 20").run(&["false"]);
    assert_eq!(daemon.children().len(), 3);
    let held: Vec<Client> = (0..10).map(|_| daemon.client("127.0.0.1")).collect();
    wait_until("three idle beside ten busy", || (daemon.children().len() >= 13).then_some(()));
    assert!(daemon.children().len() <= 20);
    drop(held);
}

#[test]
fn there_are_never_more_than_slots() {
    let daemon = Daemon::setup().option("-H --delay 20 -c 4").run(&["false"]);
    let held: Vec<Client> = (0..12).map(|_| daemon.client("127.0.0.1")).collect();
    wait_until("all slots taken", || (daemon.children().len() == 4).then_some(()));
    let until = Instant::now() + Duration::from_millis(500);
    while Instant::now() < until {
        assert!(daemon.children().len() <= 4);
    }
    drop(held);
    daemon.log_lines("hangup ", 12);
    assert!(daemon.children().len() <= 4);
}

/// Whichever process becomes the program.
#[test]
fn sessions_take_slots_as_well() {
    let daemon = Daemon::setup().option("-H --delay 0.1 -c 4 --min-idle 1").run(&[
        "sh",
        "-c",
        "echo $$; exec cat",
    ]);
    let children = daemon.children();
    let are_few = || assert!(daemon.children().len() <= 4, "{:?}", daemon.children());
    let answer = |client: &mut Client| {
        wait_until("a client to be served", || {
            are_few();
            (!client.is_silent_for(Duration::from_millis(1))).then_some(())
        });
        Pid::from_raw(client.read_line().0.trim().parse().unwrap())
    };
    let mut held: VecDeque<Client> = VecDeque::new();
    for number in 0..4 {
        held.push_back(daemon.client("127.0.0.1"));
        let pid = answer(&mut held[number]);
        assert!(number > 0 || !children.contains(&pid), "another process has the client");
    }
    for _ in 0..4 {
        let mut next = daemon.client("127.0.0.1");
        for _ in 0..50 {
            assert!(next.is_silent_for(Duration::from_millis(4)), "there is a slot for it");
            are_few();
        }
        held.pop_front();
        answer(&mut next);
        held.push_back(next);
    }
}

#[test]
fn a_child_whose_client_leaves_takes_the_next_one() {
    let daemon = Daemon::setup().option("-H --delay 20 -c 1").run(&["false"]);
    let before = daemon.children();
    for _ in 0..50 {
        drop(daemon.client("127.0.0.1"));
    }
    daemon.log_lines("hangup ", 50);
    assert_eq!(daemon.children(), before, "no child was forked");
}

/// Whatever it is that clients are refused for.
#[test]
fn refusals_leave_the_pool_as_it_is() {
    needs!("nsd");
    let list = FakeDns::start(Fault::Lists([127, 0, 0, 2], &[b"every client is listed"]));
    let nsd = Nsd::start();
    let rules = directory().join("rules");
    fs::write(&rules, "127.8.0.1:allow,SMTPDELAY=\"30\"\n127.9.:deny\n:allow\n").unwrap();
    let daemon = |options: &str| {
        Daemon::setup()
            .option(&nsd.option())
            .option("-c 40 --local-nets none --min-idle 2 --max-idle 30")
            .option_with("--rules", rules.display())
            .option(options)
            .run(&["echo", "220"])
    };
    let cases = [
        ("denied", "--per-ip 0", 0, "127.9.0.1", "", "deny "),
        ("of one address", "--per-ip 1 --delay 30", 1, "127.0.0.2", "421 4.7.0 ", "limit "),
        ("the reserve", "--reserve 90 --per-ip 0", 4, NAMELESS, "421 4.3.2 ", "limit "),
        (
            "listed",
            &format!("{} --dnsbl bad.example", list.option()),
            0,
            NAMELESS,
            "421 4.7.1 ",
            "listed ",
        ),
        ("early", "--delay 30 --per-ip 0", 0, "127.0.0.3", "421 4.7.0 ", "early "),
    ];
    for (why, options, others, source, answer, line) in cases {
        let daemon = daemon(options);
        let held = if why == "of one address" { source } else { "127.8.0.1" };
        let _held: Vec<Client> = (0..others).map(|_| daemon.client(held)).collect();
        daemon.wait_for_stats(&format!(" busy={others} "));
        let before = wait_until("two idle ones", || {
            let children = daemon.children();
            (children.len() >= others + 2).then_some(children)
        });
        for _ in 0..20 {
            let mut client = daemon.client(source);
            if why == "early" {
                client.say("EHLO spam.example\r\n");
            }
            let heard = client.read_all();
            let expected = heard.starts_with(answer) && heard.is_empty() == answer.is_empty();
            assert!(expected, "{why}: {heard}");
        }
        daemon.log_lines(line, 20);
        let after = daemon.children();
        assert!(before.iter().all(|child| after.contains(child)), "{why}: no child has ended");
        // Two or three may have been busy at once, and were made up for.
        let forked = after.len() - before.len();
        assert!(forked < 10, "{why}: {forked} were forked for twenty");
    }
}

#[test]
fn superfluous_children_end() {
    let daemon =
        Daemon::setup().option("-H --delay 20 -c 50 --min-idle 2 --max-idle 4").run(&["false"]);
    let held: Vec<Client> = (0..30).map(|_| daemon.client("127.0.0.1")).collect();
    wait_until("thirty busy ones", || (daemon.children().len() >= 32).then_some(()));
    drop(held);
    daemon.log_lines("hangup ", 30);
    wait_until("the rest to end", || (daemon.children().len() <= 4).then_some(()));
    assert!(daemon.children().len() >= 2);
    assert!(daemon.lines("smtp-delayd: error").is_empty(), "they end in peace");
}

/// Or those that are left would take them for idle ones, and end too.
#[test]
fn children_that_ended_do_not_count_before_they_are_reaped() {
    let daemon = Daemon::setup()
        .option("-H --delay 20 -c 50 --min-idle 4 --max-idle 4 --per-ip 0")
        .run(&["false"]);
    let held: Vec<Client> = (0..10).map(|_| daemon.client("127.0.0.1")).collect();
    wait_until("four idle beside ten busy", || (daemon.children().len() == 14).then_some(()));
    daemon.signal(Signal::SIGSTOP);
    drop(held);
    daemon.log_lines("hangup ", 10);
    for _ in 0..20 {
        let mut client = daemon.client("127.0.0.1");
        client.say("EHLO me.example\r\n");
        assert!(client.read_all().starts_with("421 4.7.0 "));
    }
    daemon.signal(Signal::SIGCONT);
    wait_until("the rest to be reaped", || (daemon.children().len() == 4).then_some(()));
}

#[test]
fn a_program_that_ends_at_once_is_no_crash() {
    let daemon = Daemon::setup().option("-H --delay 0 -c 3").run(&["sh", "-c", "echo 220; exit 1"]);
    // After ten crashes in a row each fork would wait for a second.
    for _ in 0..2 {
        one_is_quicker_than(Duration::from_secs(8), || {
            for _ in 0..20 {
                assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
            }
        });
    }
    daemon.log_lines("end ", 40);
    assert!(daemon.lines("smtp-delayd: error").is_empty());
}

#[test]
fn children_that_die_before_the_hand_over_are_logged_and_replaced() {
    const KILLED: usize = 12;
    let daemon = Daemon::setup().option("-H --delay 0 --min-idle 1").run(&["echo", "220"]);
    let start = Instant::now();
    for _ in 0..KILLED {
        let child = wait_until("a child", || daemon.children().pop());
        kill(child, Signal::SIGKILL).unwrap();
        wait_until("its end", || (!daemon.children().contains(&child)).then_some(()));
    }
    // The first five are replaced at once; then it is 50, 100, 200, 400, 800 and 1000 ms,
    // each from when the supervisor last looked at the clock, which is before it reaps.
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(2400), "{KILLED} were forked in {elapsed:?}");
    let lines = daemon.log_lines("smtp-delayd: error: child ", 6);
    assert!(lines[0].contains(" died before the hand-over: signal: 9 (SIGKILL)"), "{lines:?}");
    let seconds = usize::try_from(elapsed.as_secs()).unwrap();
    assert!(lines.len() <= 7 + seconds, "a loop is told once a second: {lines:?}");
    let unlogged = |line: &String| line.split('(').nth(2)?.split(' ').next()?.parse::<usize>().ok();
    let told = lines.len() + lines.iter().filter_map(unlogged).sum::<usize>();
    assert!(told <= KILLED && told + 10 >= KILLED, "{told} of {KILLED} were told of: {lines:?}");
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
}

/// Among so many they are not asked for all alike any more.
#[test]
fn ends_are_noticed_among_many_children() {
    let daemon = Daemon::setup()
        .option("-H --delay 0 -c 640 --min-idle 540 --max-idle 600")
        .run(&["echo", "220"]);
    let children = wait_until("many children", || {
        Some(daemon.children()).filter(|children| children.len() >= 540)
    });
    for _ in 0..20 {
        assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
    }
    daemon.log_lines("end ", 20);
    let killed = children.into_iter().find(|child| is_idle(*child)).unwrap();
    kill(killed, Signal::SIGKILL).unwrap();
    let line = daemon.log("smtp-delayd: error: child ");
    assert!(line.starts_with(&format!("smtp-delayd: error: child {killed} died ")), "{line}");
    wait_until("all to be reaped", || {
        let status = |pid: &Pid| fs::read_to_string(format!("/proc/{pid}/stat"));
        let zombie = |pid: &Pid| status(pid).is_ok_and(|text| text.contains(") Z "));
        (!daemon.children().iter().any(zombie)).then_some(())
    });
}

#[test]
fn places_for_programs_are_bounded_and_waited_for() {
    let daemon = Daemon::setup().option("-H --delay 0.1 --max-prog 2").run(&[
        "sh",
        "-c",
        "echo 220; exec cat",
    ]);
    let first = daemon.client("127.0.0.1");
    let mut second = daemon.client("127.0.0.1");
    second.read_line();
    let mut third = daemon.client("127.0.0.1");
    let mut talker = daemon.client("127.0.0.1");
    assert!(third.is_silent_for(Duration::from_millis(600)));
    talker.say("EHLO\r\n");
    assert!(talker.read_all().starts_with("421 4.7.0 "), "it is still watched");
    drop(first);
    assert_eq!(third.read_line().0, "220\n");
    let mut fourth = daemon.client("127.0.0.1");
    let text = fourth.read_all();
    assert_eq!(text, "421 4.3.2 mx.test.example all slots are busy, try later\r\n");
    assert_waited(fourth.connected.elapsed(), 10.1..20.0);
    let line = daemon.log("limit ");
    assert!(line.ends_with(" kind=max-prog held=2"), "{line}");
}

#[test]
fn places_are_given_in_the_order_of_asking() {
    let daemon = Daemon::setup().option("-H --delay 0.1 --max-prog 1").run(&[
        "sh",
        "-c",
        "echo 220; exec cat",
    ]);
    let mut holder = daemon.client("127.0.0.1");
    assert_eq!(holder.read_line().0, "220\n");
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(daemon.client("127.0.0.1"));
        // More than enough for it to have asked before the next one does.
        assert!(clients.last_mut().unwrap().is_silent_for(Duration::from_secs(2)));
    }
    let port = |client: &Client| client.stream.local_addr().unwrap().port();
    for (passed, client) in clients.into_iter().enumerate() {
        drop(holder);
        let line = daemon.log_lines("pass ", passed + 2).pop().unwrap();
        assert!(line.contains(&format!(" port={} ", port(&client))), "{line}");
        holder = client;
    }
}

/// One that is refused while it waits, and is talked to for up to a minute, has no
/// place in the line any more.
#[test]
fn a_refused_client_does_not_keep_its_place_in_the_line() {
    let options = "-H --delay 0.1 --max-prog 1 -c 20 --refuse talk";
    let daemon = Daemon::setup().option(options).run(&["sh", "-c", "echo 220; cat"]);
    let mut first = daemon.client("127.0.0.1");
    assert_eq!(first.read_line().0, "220\n");
    let mut talker = daemon.client("127.0.0.1");
    assert!(talker.is_silent_for(Duration::from_millis(300)), "it waits for a place");
    talker.say("EHLO x\r\n");
    assert!(talker.read_line().0.starts_with("220 "), "it is refused");
    let mut next = daemon.client("127.0.0.1");
    wait_until("the next to wait", || daemon.wait_for_stats(" busy=3 ").into());
    first.finish();
    assert_eq!(next.read_line().0, "220\n");
    drop(talker);
}

/// Clients that connect one after the other in several threads, until told to
/// stop.
struct Load {
    stop: AtomicBool,
    served: AtomicUsize,
    lost: AtomicUsize,
}

impl Load {
    fn new() -> Self {
        Self {
            stop: AtomicBool::new(false),
            served: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        }
    }

    fn press(&self, daemon: &Daemon) {
        while !self.stop.load(Ordering::SeqCst) {
            let served =
                daemon.client("127.0.0.1").try_read_all().is_ok_and(|text| text == "220\n");
            let counter = if served { &self.served } else { &self.lost };
            counter.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

#[test]
fn service_goes_on_when_idle_children_are_killed_under_load() {
    let _alone = Alone::on_the_machine();
    let daemon = Daemon::setup().option("-H --delay 0.05 --min-idle 6").run(&["echo", "220"]);
    let load = Load::new();
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| load.press(&daemon))));
        wait_until("some load", || (load.served() > 20).then_some(()));
        let mut killed = BTreeSet::new();
        wait_until("three idle children to kill", || {
            for child in daemon.children() {
                if killed.len() < 3 && is_idle(child) && kill(child, Signal::SIGKILL).is_ok() {
                    killed.insert(child.as_raw());
                }
            }
            (killed.len() == 3).then_some(())
        });
        let before = load.served();
        wait_until("service to go on", || (load.served() > before + 100).then_some(()));
        load.stop.store(true, Ordering::SeqCst);
    });
    daemon.log_lines("smtp-delayd: error: child ", 3);
    // A child may accept a client between the look at it and the kill.
    assert!(load.lost() <= 3, "{} clients were lost", load.lost());
}

/// Whether a child is blocked in accept(2).
fn is_idle(pid: Pid) -> bool {
    let wait = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    wait.contains("accept")
}

#[test]
fn service_goes_on_after_forks_have_failed() {
    if !is_root("service_goes_on_after_forks_have_failed") {
        return;
    }
    let _alone = Alone::on_the_machine();
    let daemon = Daemon::setup().option("-H --delay 0 -u 64010 -g 64010").run(&["echo", "220"]);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
    daemon.log("end ");
    // Children that can make no process become the program themselves.
    for pid in daemon.children().into_iter().chain([daemon.pid()]) {
        limit_processes(pid, 1);
    }
    let start = Instant::now();
    let idle = daemon.children().len();
    let mut waiting: Vec<Client> = (0..idle + 3).map(|_| daemon.client("127.0.0.1")).collect();
    daemon.log_lines("pass ", idle);
    daemon.log_lines("smtp-delayd: error: unable to fork: ", 2);
    assert!(waiting.last_mut().unwrap().is_silent_for(Duration::from_secs(1)), "who forked?");
    let warnings_of_lists = daemon.lines("smtp-delayd: error: unable to fork: ").len();
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!(warnings_of_lists <= 2 + seconds, "{warnings_of_lists} in {seconds} s");
    limit_processes(daemon.pid(), 100);
    for mut client in waiting {
        assert_eq!(client.read_all(), "220\n", "it waited for a child");
    }
    for _ in 0..20 {
        assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
    }
}

#[test]
fn a_hup_is_not_lost_where_no_process_can_be_made() {
    if !is_root("a_hup_is_not_lost_where_no_process_can_be_made") {
        return;
    }
    let daemon = Daemon::setup().option("-H --delay 0 -u 64011 -g 64011").run(&["echo", "220"]);
    let limit = |processes| limit_processes_of(64011, daemon.pid(), processes);
    limit(1);
    daemon.signal(Signal::SIGHUP);
    let line = daemon.log("smtp-delayd: error: unable to fork: ");
    assert!(line.ends_with(": trying again"), "{line}");
    limit(100);
    daemon.log("reload ");
}

/// As the daemon's own user: root needs a capability for it that containers
/// withhold.
fn limit_processes(pid: Pid, limit: u64) {
    limit_processes_of(64010, pid, limit);
}

pub(crate) fn limit_processes_of(user: u32, pid: Pid, limit: u64) {
    let set = std::process::Command::new("setpriv")
        .args([format!("--reuid={user}"), format!("--regid={user}")])
        .args(["--clear-groups", "prlimit"])
        .args([format!("--pid={pid}"), format!("--nproc={limit}:")])
        .status();
    assert!(set.unwrap().success());
}

#[test]
fn a_shortage_of_descriptors_is_logged_and_survived() {
    let daemon = Daemon::setup().option("-H --delay 0.1 -c 1").run(&["echo", "220"]);
    let child = daemon.children()[0];
    let limit = |files: u64| {
        let set = std::process::Command::new("prlimit")
            .args([format!("--pid={child}"), format!("--nofile={files}:")])
            .status();
        assert!(set.unwrap().success());
    };
    let start = Instant::now();
    limit(3);
    // Its accept(2) has a descriptor already; the next one has none.
    drop(daemon.client("127.0.0.1"));
    let mut client = daemon.client("127.0.0.1");
    let line = daemon.log("smtp-delayd: error: unable to accept: ");
    assert!(line.contains("Too many open files"), "{line}");
    assert!(client.is_silent_for(Duration::from_millis(1500)));
    let told = daemon.lines("smtp-delayd: error: unable to accept: ").len();
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    assert!(told <= 2 + seconds, "{told} in {seconds} s");
    limit(100);
    assert_eq!(client.read_all(), "220\n");
}

#[test]
fn a_shortage_does_not_keep_the_daemon_from_ending() {
    let mut daemon = Daemon::setup().option("-H --delay 0.1 -c 1").run(&["echo", "220"]);
    let child = daemon.children()[0];
    let set = std::process::Command::new("prlimit")
        .args([format!("--pid={child}"), "--nofile=3:".into()])
        .status();
    assert!(set.unwrap().success());
    drop(daemon.client("127.0.0.1"));
    daemon.log("smtp-delayd: error: unable to accept: ");
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0));
}

#[test]
fn tcpservers_own_lines_come_with_v() {
    let daemon =
        Daemon::setup().option("-vRH -c 7 --delay 0.1").run(&["sh", "-c", "echo 220; exit 3"]);
    daemon.client("127.0.0.1").read_all();
    let end = daemon.log("smtp-delayd: end ");
    let pid = daemon.log("smtp-delayd: pid ");
    let pid = pid.strip_prefix("smtp-delayd: pid ").unwrap().split(' ').next().unwrap().to_string();
    assert_eq!(end, format!("smtp-delayd: end {pid} status 768"));
    let ok = daemon.log("smtp-delayd: ok ");
    let start =
        format!("smtp-delayd: ok {pid} mx.test.example:127.0.0.1:{} :127.0.0.1::", daemon.port);
    assert!(ok.starts_with(&start), "{ok}");
    let status = daemon.log_lines("smtp-delayd: status: ", 3);
    assert_eq!(status, ["0/7", "1/7", "0/7"].map(|count| format!("smtp-delayd: status: {count}")));
    let mut early = daemon.client("127.0.0.1");
    early.say("x");
    early.read_all();
    wait_until("the end of a refused client", || {
        daemon.lines("smtp-delayd: end ").get(1).filter(|line| line.ends_with(" status 0")).cloned()
    });
}

#[test]
fn new_expressions_are_used_after_a_hup_and_bad_ones_never() {
    needs!("nsd");
    let nsd = Nsd::start();
    let file = directory().join("dynamic");
    fs::write(&file, "nothing\\.like\\.this\n").unwrap();
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option("--delay 0.1")
        .option_with("--dynamic-file", file.display())
        .run(&["sh", "-c", "echo $SMTPDELAY_CLASS"]);
    let class = || daemon.client(lab::dns::ORDINARY).read_all();
    assert_eq!(class(), "static\n");
    fs::write(&file, "mx1\\.example\n").unwrap();
    let old = daemon.children();
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
    wait_until("idle children of old to end", || {
        let new = daemon.children();
        (!new.is_empty() && old.iter().all(|pid| !new.contains(pid))).then_some(())
    });
    (0..10).for_each(|_| assert_eq!(class(), "dynamic\n"));
    fs::write(&file, "fine\n(unclosed\n").unwrap();
    daemon.signal(Signal::SIGHUP);
    let line = daemon.log("smtp-delayd: error: unable to use ");
    assert!(line.contains(" line 2: "), "{line}");
    daemon.log("smtp-delayd: error: unable to reload: the old files stay");
    assert_eq!(class(), "dynamic\n");
}

/// Reading them takes longer than it takes until the next signal comes.
#[test]
fn hups_that_come_faster_than_files_can_be_read_have_them_read() {
    let file = directory().join("dynamic");
    let lines: String =
        (0..200).map(|n| format!("[0-9]+\\.dyn[a-z]*\\.isp{n}\\.example$\n")).collect();
    fs::write(&file, lines).unwrap();
    let daemon = Daemon::setup()
        .option("-H --delay 0")
        .option_with("--dynamic-file", file.display())
        .run(&["echo", "220"]);
    let mut signals = 0;
    wait_until("a reload", || {
        daemon.signal(Signal::SIGHUP);
        signals += 1;
        daemon.lines("reload ").first().cloned()
    });
    assert!(signals > 3, "{signals}: the files are read too fast for this test");
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
}

fn is_stopped(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.contains(") T ")
}

/// A client that a child keeps: those that come in the first seconds after the
/// supervisor was stopped may be served.
fn held_client(daemon: &Daemon) -> Client {
    let sleeps = |pid: &Pid| {
        let wait = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
        wait.contains("nanosleep")
    };
    let mut client = daemon.client("127.0.0.1");
    wait_until("a client to be held", || {
        if !client.is_silent_for(Duration::from_millis(100)) {
            // Not too many: no process reaps those that have ended.
            thread::sleep(Duration::from_millis(100));
            client = daemon.client("127.0.0.1");
        }
        daemon.children().iter().any(sleeps).then_some(())
    });
    client
}

#[test]
fn no_client_is_served_while_the_supervisor_is_stopped() {
    let daemon = Daemon::setup().option("-H --delay 0").run(&["echo", "220"]);
    daemon.signal(Signal::SIGSTOP);
    let mut held = held_client(&daemon);
    assert!(held.is_silent_for(Duration::from_millis(500)), "it is held on");
    daemon.signal(Signal::SIGCONT);
    assert_eq!(held.read_all(), "220\n");
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
}

#[test]
fn clients_held_for_a_stopped_supervisor_are_served_after_its_death() {
    let mut daemon = Daemon::setup().option("-H --delay 0").run(&["echo", "220"]);
    daemon.signal(Signal::SIGSTOP);
    let mut held = held_client(&daemon);
    daemon.kill();
    assert_eq!(held.read_all(), "220\n");
}

#[test]
fn others_are_made_for_idle_children_that_are_stopped() {
    let mut daemon = Daemon::setup().option("-H --delay 0").run(&["echo", "220"]);
    wait_until("idle children", || (daemon.children().len() == 5).then_some(()));
    let stopped = daemon.children();
    for child in &stopped {
        kill(*child, Signal::SIGSTOP).unwrap();
    }
    wait_until("them to be stopped", || stopped.iter().all(|pid| is_stopped(*pid)).then_some(()));
    for _ in 0..20 {
        assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n");
    }
    daemon.signal(Signal::SIGTERM);
    assert_eq!(daemon.wait().code(), Some(0), "nor does the end wait for them");
}

#[test]
fn a_reload_that_memory_does_not_suffice_for_keeps_the_old() {
    let file = directory().join("dynamic");
    let lines: String = (0..100).map(|n| format!("\\.dyn\\.isp{n}\\.example$\n")).collect();
    fs::write(&file, lines).unwrap();
    let daemon = Daemon::setup()
        .option("-H --delay 0")
        .option_with("--dynamic-file", file.display())
        .run(&["echo", "220"]);
    let limit = |bytes: &str| {
        let set = std::process::Command::new("prlimit")
            .args([format!("--pid={}", daemon.pid()), format!("--as={bytes}:")])
            .status();
        assert!(set.unwrap().success());
    };
    // What it has, and too little more to read them again.
    limit(&(address_space(daemon.pid()) + (128 << 10)).to_string());
    daemon.signal(Signal::SIGHUP);
    let line = daemon.log("smtp-delayd: error: unable to reload");
    let why = "memory does not suffice: raise the limit (softlimit -m)";
    assert_eq!(line, format!("smtp-delayd: error: unable to reload: {why}: the old files stay"));
    assert!(!daemon.text().contains("allocat"), "that is all: {}", daemon.text());
    assert_eq!(daemon.client("127.0.0.1").read_all(), "220\n", "the daemon lives");
    limit("unlimited");
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
}

/// What a process takes of its address space, in bytes.
fn address_space(pid: Pid) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes = size.and_then(|size| size.trim().strip_suffix(" kB")).unwrap();
    kilobytes.parse::<usize>().unwrap() << 10
}

#[test]
fn many_hups_lose_no_client_and_end_no_session() {
    let _alone = Alone::on_the_machine();
    let daemon = Daemon::setup().option("-H --delay 0.02").run(&["sh", "-c", "echo 220"]);
    let load = Load::new();
    thread::scope(|scope| {
        (0..4).for_each(|_| drop(scope.spawn(|| load.press(&daemon))));
        for reloads in 1..=50 {
            daemon.signal(Signal::SIGHUP);
            daemon.log_lines("reload ", reloads);
        }
        wait_until("some load", || (load.served() > 100).then_some(()));
        load.stop.store(true, Ordering::SeqCst);
    });
    assert_eq!(load.lost(), 0);
    let ends = daemon.log_lines("end ", load.served());
    assert!(ends.iter().all(|line| line.contains(" exit=0 ")), "{ends:?}");
    assert!(daemon.lines("smtp-delayd: error").is_empty());
}

#[test]
fn ten_thousand_connections_with_a_hup_every_tenth_of_a_second() {
    let _alone = Alone::on_the_machine();
    let files = directory();
    let [config, expressions, rules] = ["config", "expressions", "rules"].map(|f| files.join(f));
    fs::write(&expressions, "^dsl\n").unwrap();
    fs::write(&rules, ":allow\n").unwrap();
    let settings = |delay: &str| {
        let text = format!(
            "delay {delay}\ndynamic-file {}\nrules {}\n",
            expressions.display(),
            rules.display()
        );
        fs::write(files.join("new"), text).unwrap();
        fs::rename(files.join("new"), &config).unwrap();
    };
    settings("0.01");
    let daemon = Daemon::setup()
        .option("-H -c 60")
        .option_with("--config", config.display())
        .run(&["echo", "220"]);
    let load = Load::new();
    let mut hups = 0;
    thread::scope(|scope| {
        (0..8).for_each(|_| drop(scope.spawn(|| load.press(&daemon))));
        let until = Instant::now() + Duration::from_secs(600);
        while load.served() < 10_000 && Instant::now() < until {
            settings(["0.01", "0.02", "soon"][hups % 3]);
            daemon.signal(Signal::SIGHUP);
            hups += 1;
            thread::sleep(Duration::from_millis(100));
        }
        load.stop.store(true, Ordering::SeqCst);
    });
    assert!(load.served() >= 10_000, "{} in ten minutes", load.served());
    assert_eq!(load.lost(), 0, "of {}", load.served());
    // HUPs that come while it reads are one.
    assert!(daemon.lines("reload ").len() >= 5, "{hups} HUPs");
    assert!(!daemon.lines("smtp-delayd: error: unable to reload").is_empty());
    let ends = daemon.log_lines("end ", load.served());
    assert!(ends.iter().all(|line| line.contains(" exit=0 ")));
}

#[test]
fn usr1_logs_the_counters() {
    let daemon = Daemon::setup().option("-H --delay 0.2").run(&["echo", "220"]);
    daemon.client("127.0.0.1").read_all();
    let mut early = daemon.client("127.0.0.1");
    early.say("x");
    early.read_all();
    drop(daemon.client("127.0.0.1"));
    daemon.log("hangup ");
    daemon.log("end ");
    let expected = "stats pass=1 early=1 hangup=1 deny=0 listed=0 limit=0 check=0 error=0 would_refuse=0 static=0 dynamic=0 none=0 unknown=0 ";
    let line = daemon.wait_for_stats(" busy=0 max=40");
    assert!(line.starts_with(expected), "{line}");
}
