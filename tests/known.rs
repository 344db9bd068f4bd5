//! The memory of known clients: the keeper alone, as `smtp-delayctl keep` runs it, and the
//! daemon's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use nix::sys::signal::Signal;
use smtp_delay::class::Class;
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Request, Where};
use smtp_delay::known::key::Key;
use smtp_delay::known::rules::Pass;

use crate::keeper::{
    ANSWER, Keeper, STATIC, assert_greeted, daemon, daemon_with_a_known_client, home, keeper_of,
    named, nameless, passes_at_once, wait_until_written,
};
use lab::{SMALL_MEMORY, directory, wait_until};

fn known(home: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(lab::command::ctl());
    command.arg("known").arg("--known").arg(home).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn what_a_keeper_is_told_it_answers_after_a_restart() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.tell("192.0.2.7", STATIC);
    keeper.tell("2001:db8:1:2::9", Pass::Full(Class::Dynamic));
    let record = keeper.wait_for_record("192.0.2.7");
    assert_eq!((record.count, record.class), (1, Class::Static));
    assert_eq!(keeper.ask("192.0.2.8"), None);
    keeper.end(Signal::SIGTERM);
    assert!(!home.join("socket").exists());
    let keeper = Keeper::start(&home);
    assert_eq!(keeper.ask("192.0.2.7"), Some(record));
    assert_eq!(keeper.ask("2001:db8:1:2:3::").unwrap().class, Class::Dynamic);
    keeper.tell("192.0.2.7", Pass::Renewal);
    let renewed =
        wait_until("a second pass", || keeper.ask("192.0.2.7").filter(|record| record.count == 2));
    assert_eq!(renewed.first, record.first);
}

#[test]
fn the_tool_lists_shows_forgets_and_exports() {
    let home = home();
    let keeper = Keeper::start(&home);
    for ip in ["192.0.2.7", "192.0.2.8", "198.51.100.1", "2001:db8:1:2::3"] {
        keeper.tell(ip, STATIC);
    }
    keeper.tell("203.0.113.9", Pass::Full(Class::None));
    keeper.wait_for_record("203.0.113.9");
    let list = text(&known(&home, &["list"]));
    let first: Vec<&str> = list.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let all = ["192.0.2.7", "192.0.2.8", "198.51.100.1", "203.0.113.9", "2001:db8:1:2::/64"];
    assert_eq!(first, all);
    assert!(list.starts_with("192.0.2.7 class=static count=1 first=0.00 last=0.00\n"), "{list}");
    assert!(text(&known(&home, &["show", "203.0.113.9"])).contains(" class=none "));
    assert_eq!(
        text(&known(&home, &["export"])).lines().collect::<Vec<_>>(),
        ["192.0.2.7", "192.0.2.8", "198.51.100.1", "2001:db8:1:2::/64"]
    );
    assert_eq!(text(&known(&home, &["export", "--all"])).lines().count(), 5);
    let zone = "$DATASET ip4set @\n:127.0.0.2:known to smtp-delay\n192.0.2.7\n192.0.2.8\n\
                198.51.100.1\n$DATASET ip6trie @\n:127.0.0.2:known to smtp-delay\n\
                2001:db8:1:2::/64\n";
    assert_eq!(text(&known(&home, &["export", "--zone"])), zone);
    assert_eq!(text(&known(&home, &["forget", "192.0.2.0/24"])), "forgotten: 2\n");
    assert_eq!(text(&known(&home, &["forget", "192.0.2.7"])), "forgotten: 0\n");
    assert_eq!(text(&known(&home, &["forget", "2001:db8:1:2::99"])), "forgotten: 1\n");
    keeper.log("forget ip=192.0.2.8 why=admin");
    keeper.log("forget ip=2001:db8:1:2::/64 why=admin");
    let gone = known(&home, &["show", "192.0.2.8"]);
    assert_eq!(gone.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&gone.stderr), "192.0.2.8 is not known\n");
    assert_eq!(text(&known(&home, &["list"])).lines().count(), 2);
}

#[test]
fn a_list_has_all_clients_however_many_there_are() {
    let home = home();
    let keeper = Keeper::start(&home);
    let ips: Vec<String> = (0..=255).map(|host| format!("192.0.2.{host}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).chain(["2001:db8::"]).collect();
    for ip in &ips {
        keeper.tell(ip, STATIC);
    }
    wait_until_written(&home, &ips);
    let lines = |arguments: &[&str]| text(&known(&home, arguments)).lines().count();
    assert_eq!((lines(&["list"]), lines(&["export"])), (257, 257));
    assert_eq!(text(&known(&home, &["forget", "192.0.2.128/25"])), "forgotten: 128\n");
    assert_eq!(text(&known(&home, &["forget", "0.0.0.0/0"])), "forgotten: 128\n");
    assert_eq!(lines(&["list"]), 1);
}

/// What a command that could not ask has printed.
#[track_caller]
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(111));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn where_there_is_no_keeper_the_tool_says_so() {
    let home = home();
    let text = refusal(&known(&home, &["list"]));
    assert!(text.contains("no keeper is running there (use --known DIR)"), "{text}");
}

#[test]
fn other_users_may_not_ask() {
    let home = home();
    let _keeper = Keeper::start(&home);
    let socket = fs::metadata(home.join("socket")).unwrap();
    assert_eq!(socket.mode() & 0o777, 0o600);
    for name in ["store", "lock"] {
        assert_eq!(fs::metadata(home.join(name)).unwrap().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn a_keeper_works_within_a_small_memory() {
    let home = home();
    let limit = SMALL_MEMORY;
    let limits = [format!("--as={limit}"), format!("--data={limit}")];
    let keeper = Keeper::start_under(&home, &["prlimit", &limits[0], &limits[1]]);
    let asker = Asker::of_directory(&home).unwrap();
    for number in 0..15_000_u32 {
        let key = Key::of(std::net::Ipv4Addr::from_bits(number << 8).into());
        asker.tell(Request::Tell(key, STATIC), Duration::from_secs(5)).unwrap();
    }
    keeper.wait_for_record(&std::net::Ipv4Addr::from_bits(14_999 << 8).to_string());
    assert_eq!(keeper.status(), (15_000, Where::Disk));
    assert_eq!(keeper.text(), "");
}

#[test]
fn a_client_that_has_waited_need_not_wait_again() {
    let home = home();
    let keeper = Keeper::start(&home);
    let dns = named();
    let daemon = daemon(&home, &dns).run(ANSWER);
    assert_greeted(daemon.client("127.0.0.1"));
    let first = daemon.log("pass ");
    assert!(first.contains(" class=static delay=1.5 ") && first.contains(" known=- "), "{first}");
    let record = keeper.wait_for_record("127.0.0.1");
    assert_eq!((record.count, record.class), (1, Class::Static));
    assert_greeted(daemon.client("127.0.0.1"));
    let second = daemon.log_lines("pass ", 2).remove(1);
    assert!(second.contains(" delay=0 ") && second.contains(" known=0.00 "), "{second}");
    wait_until("a second pass", || keeper.ask("127.0.0.1").filter(|record| record.count == 2));
}

#[test]
fn a_known_client_that_talks_early_is_refused_and_forgotten() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.tell("127.0.0.1", STATIC);
    keeper.wait_for_record("127.0.0.1");
    let dns = named();
    let daemon = daemon(&home, &dns).run(ANSWER);
    let mut client = daemon.client("127.0.0.1");
    client.say("EHLO early\r\n");
    daemon.log("early ");
    keeper.log("forget ip=127.0.0.1 why=early");
    assert_eq!(keeper.ask("127.0.0.1"), None);
}

#[test]
fn a_dry_run_forgets_an_early_talker_and_remembers_no_client_that_it_would_refuse() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.tell("127.0.0.1", STATIC);
    keeper.wait_for_record("127.0.0.1");
    let dns = named();
    let daemon = daemon(&home, &dns).option("--dry-run --per-ip 1").run(&["sh", "-c", "cat"]);
    let mut client = daemon.client("127.0.0.1");
    client.say("220 early\r\n");
    assert_greeted(client);
    keeper.log("forget ip=127.0.0.1 why=early");
    daemon.log("end ");
    // Two at once, of which one is within the limit.
    let _both = [(); 2].map(|()| daemon.client("127.0.0.1"));
    daemon.log("limit ");
    daemon.log_lines("pass ", 3);
    let record = keeper.wait_for_record("127.0.0.1");
    assert_eq!(record.count, 1);
}

#[test]
fn a_known_client_that_is_not_static_waits_like_a_static_one() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.tell("127.0.0.1", Pass::Full(Class::None));
    keeper.wait_for_record("127.0.0.1");
    let dns = nameless();
    let daemon = daemon(&home, &dns).run(ANSWER);
    assert_greeted(daemon.client("127.0.0.1"));
    let line = daemon.log("pass ");
    assert!(line.contains(" class=none delay=1.5 ") && line.contains(" known=0.00 "), "{line}");
    // A wait that was shortened renews only that of a static client.
    assert_greeted(daemon.client("127.0.0.1"));
    daemon.log_lines("pass ", 2);
    assert_eq!(keeper.ask("127.0.0.1").unwrap().count, 1);
}

#[test]
fn an_answer_that_comes_late_ends_the_wait() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.tell("127.0.0.1", STATIC);
    keeper.wait_for_record("127.0.0.1");
    let dns = named();
    let daemon = daemon(&home, &dns).option("--delay-static 60").run(ANSWER);
    keeper.stop();
    let client = daemon.client("127.0.0.1");
    wait_until("a client that is looked up", || (dns.queries() > 0).then_some(()));
    keeper.signal(Signal::SIGCONT);
    assert_greeted(client);
    let line = daemon.log("pass ");
    assert!(line.contains(" delay=0 ") && line.contains(" known=0.00 "), "{line}");
}

#[test]
fn those_who_are_exempt_are_neither_asked_about_nor_remembered() {
    let home = home();
    let keeper = Keeper::start(&home);
    let dns = named();
    let daemon = daemon(&home, &dns).env("SMTPDELAY", "0.2").run(ANSWER);
    assert_greeted(daemon.client("127.0.0.1"));
    daemon.log("pass ");
    keeper.tell("192.0.2.1", STATIC);
    keeper.wait_for_record("192.0.2.1");
    assert_eq!(keeper.ask("127.0.0.1"), None);
}

#[test]
fn a_daemon_keeps_its_memory_over_restarts() {
    let home = directory().join("made");
    let dns = named();
    let mut daemon = daemon_with_a_known_client(&home, &dns);
    assert_eq!(fs::metadata(&home).unwrap().mode() & 0o777, 0o700);
    assert!(passes_at_once(&daemon));
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert_eq!(keeper_of(&home), None, "the keeper ends before the supervisor");
    let daemon = crate::keeper::daemon(&home, &dns).run(ANSWER);
    assert!(passes_at_once(&daemon));
    daemon.signal(Signal::SIGHUP);
    daemon.log("reload ");
    assert!(passes_at_once(&daemon));
}

/// Words of a status line of a daemon with a scoreboard at `board`.
fn status(board: &Path) -> String {
    let mut command = Command::new(lab::command::ctl());
    text(&command.arg("status").arg("--scoreboard").arg(board).output().unwrap())
}

#[test]
fn status_shows_how_many_clients_are_known_and_where() {
    let (home, board) = (home(), directory().join("board"));
    let keeper = Keeper::start(&home);
    keeper.tell("192.0.2.7", STATIC);
    keeper.wait_for_record("192.0.2.7");
    let dns = named();
    let option = format!("--scoreboard {}", board.display());
    let daemon = daemon(&home, &dns).option(&option).run(ANSWER);
    let shows = |line: &str| {
        wait_until(line, || status(&board).lines().any(|shown| shown == line).then_some(()));
    };
    shows("1 known client");
    keeper.tell("192.0.2.8", STATIC);
    shows("2 known clients");
    wait_until_written(&home, &["192.0.2.8"]);
    keeper.stop();
    shows("the keeper of known clients does not answer: every client counts as new");
    keeper.kill();
    wait_until("the daemon's own keeper", || keeper_of(&home));
    shows("2 known clients");
    drop(daemon);
}

#[test]
fn classify_tells_what_is_remembered_and_the_delay() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.tell("192.0.2.7", STATIC);
    keeper.tell("192.0.2.8", Pass::Full(Class::None));
    keeper.wait_for_record("192.0.2.8");
    let classify = |words: &[&str]| {
        let mut command = Command::new(lab::command::ctl());
        command.arg("classify").arg("--known").arg(&home).args(words).output().unwrap()
    };
    let lines = |words: &[&str]| {
        text(&classify(words)).lines().skip(1).map(String::from).collect::<Vec<_>>()
    };
    let known = "known: class=static count=1 first=0.00 last=0.00";
    assert_eq!(lines(&["192.0.2.7", "mx.example.org"]), [known, "delay: 0", "static"]);
    let known = "known: class=none count=1 first=0.00 last=0.00";
    assert_eq!(lines(&["192.0.2.8", "mx.example.org"]), [known, "delay: 2", "static"]);
    assert_eq!(lines(&["192.0.2.9", "mx.example.org"]), ["known: -", "delay: 2", "static"]);
    let json = text(&classify(&["--json", "192.0.2.7", "mx.example.org"]));
    assert!(json.contains("\"delay\":0.0") && json.contains("\"count\":1"), "{json}");
    keeper.end(Signal::SIGTERM);
    let text = refusal(&classify(&["192.0.2.7", "mx.example.org"]));
    assert!(text.contains("no keeper is running there"), "{text}");
}

#[test]
fn a_flood_of_new_clients_removes_none_that_came_back() {
    let home = home();
    let keeper = Keeper::start_with(&home, &["--known-size", "100"]);
    for _ in 0..2 {
        (0..50).for_each(|number| keeper.tell(&format!("192.0.2.{number}"), STATIC));
    }
    let asker = Asker::of_directory(&home).unwrap();
    for number in 0..5000_u32 {
        let key = Key::of(std::net::Ipv4Addr::from_bits(number << 8).into());
        asker.tell(Request::Tell(key, STATIC), Duration::from_secs(5)).unwrap();
    }
    wait_until("a store of its size", || (keeper.status().0 == 100).then_some(()));
    for number in 0..50 {
        let record = keeper.ask(&format!("192.0.2.{number}"));
        assert_eq!(record.map(|record| record.count), Some(2), "192.0.2.{number}");
    }
}
