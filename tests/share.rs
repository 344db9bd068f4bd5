//! Known clients that several hosts share by an engine: Valkey and Redis, and doubles for
//! what these do not do on demand.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use domain::base::iana::Rcode;
use nix::sys::signal::Signal;
use smtp_delay::class::Class;
use smtp_delay::known::rules::Pass;

use crate::keeper::Keeper;
use lab::daemon::Setup;
use lab::dns::{FakeDns, Fault};
use lab::engines::{Double, Engine, SlowWay, command_at};
use lab::{Client, Daemon, assert_waited, directory, wait_until};

const STATIC: Pass = Pass::Full(Class::Static);
/// What a keeper says of an engine that it can use.
const SHARED: &str = "smtp-delayctl: warning: known clients are shared by ";
/// What it says of one that it cannot use.
const ALONE: &str = "smtp-delayctl: warning: unable to share known clients by ";

/// A directory for a keeper, its owner's alone.
fn home() -> PathBuf {
    let home = directory();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    home
}

/// A keeper with a directory of its own that shares its clients.
#[track_caller]
fn keeper(url: &str) -> Keeper {
    Keeper::start_with(&home(), &["--known-share", url])
}

/// The same, once the engine can be used.
#[track_caller]
fn sharing(url: &str) -> Keeper {
    let keeper = keeper(url);
    keeper.log(SHARED);
    keeper
}

/// Why a keeper goes on alone.
#[track_caller]
fn trouble(keeper: &Keeper) -> String {
    let line = keeper.log(ALONE);
    let (_, why) = line.split_once(": unable ").unwrap().1.split_once(": ").unwrap();
    why.strip_suffix(": going on with our own").unwrap().into()
}

fn ctl(arguments: &[&str]) -> Output {
    Command::new(lab::command::ctl()).args(arguments).output().unwrap()
}

fn known(home: &Path, arguments: &[&str]) -> Output {
    let home = home.to_str().unwrap();
    ctl(&[&["known", "--known", home][..], arguments].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Waits until a keeper does not know a client.
#[track_caller]
fn wait_until_forgotten(keeper: &Keeper, ip: &str) {
    wait_until(&format!("{ip} to be forgotten"), || keeper.ask(ip).is_none().then_some(()));
}

#[test]
fn a_pass_at_one_host_is_known_at_the_others_and_so_is_its_end() {
    for engine in Engine::each("share::a_pass", &[]) {
        let [one, two, three] = [(); 3].map(|()| sharing(&engine.url()));
        one.tell("192.0.2.7", STATIC);
        one.tell("2001:db8:1:2::9", Pass::Full(Class::Dynamic));
        let value = engine.wait_for_value("192.0.2.7", |value| value.ends_with(" 1 static"));
        engine.wait_for_value("2001:db8:1:2::/64", |value| value.ends_with(" 1 dynamic"));
        let record = one.ask("192.0.2.7").unwrap();
        assert_eq!(value, format!("{0} {1} 1 static", record.first.0, record.last.0));
        assert_eq!([two.ask("192.0.2.7"), three.ask("192.0.2.7")], [Some(record); 2]);
        assert_eq!(three.ask("2001:db8:1:2:3::").unwrap().class, Class::Dynamic);
        let seconds = |ip| -> u64 {
            let reply = engine.command(&format!("TTL smtp-delay:known:{ip}"));
            reply.strip_prefix(':').unwrap().parse().unwrap()
        };
        assert!((36 * 86_400 - 600..=36 * 86_400).contains(&seconds("192.0.2.7")));
        assert!((86_400 - 600..=86_400).contains(&seconds("2001:db8:1:2::/64")));
        // What was taken over counts as an own pass.
        three.tell("192.0.2.7", Pass::Renewal);
        engine.wait_for_value("192.0.2.7", |value| value.ends_with(" 2 static"));
        two.forget("192.0.2.7");
        engine.wait_for_value("192.0.2.7", |value| value.starts_with("forgotten "));
        assert_eq!([one.ask("192.0.2.7"), three.ask("192.0.2.7")], [None; 2]);
        one.log("forget ip=192.0.2.7 why=shared");
        assert!(seconds("192.0.2.7") > 35 * 86_400);
        // It can become known again.
        three.tell("192.0.2.7", STATIC);
        engine.wait_for_value("192.0.2.7", |value| value.ends_with(" static"));
        wait_until("a client that is known again", || two.ask("192.0.2.7"));
    }
}

#[test]
fn an_engine_does_not_learn_of_clients_that_nobody_knows() {
    let Some(engine) = Engine::start("share::unknown", &[]) else { return };
    let keeper = sharing(&engine.url());
    keeper.forget("192.0.2.7");
    keeper.tell("192.0.2.8", STATIC);
    engine.wait_for_value("192.0.2.8", |value| value.ends_with(" static"));
    assert_eq!(engine.command("GET smtp-delay:known:192.0.2.7"), "$-1");
    // Another host knows it.
    engine.command(&format!("SET smtp-delay:known:192.0.2.7 \"1 {} 1 static\"", now() - 9));
    keeper.forget("192.0.2.7");
    engine.wait_for_value("192.0.2.7", |value| value.starts_with("forgotten "));
}

#[test]
fn the_newer_of_both_decides() {
    let Some(engine) = Engine::start("share::newer", &[]) else { return };
    let keeper = sharing(&engine.url());
    let set = |value: &str| engine.command(&format!("SET smtp-delay:known:192.0.2.7 \"{value}\""));
    keeper.tell("192.0.2.7", STATIC);
    engine.wait_for_value("192.0.2.7", |value| value.ends_with(" 1 static"));
    // A missing key changes nothing, and neither does one that nobody understands.
    engine.command("DEL smtp-delay:known:192.0.2.7");
    assert_eq!(keeper.ask("192.0.2.7").unwrap().count, 1);
    set("known");
    assert_eq!(keeper.ask("192.0.2.7").unwrap().count, 1);
    engine.command("DEL smtp-delay:known:192.0.2.7");
    engine.command("RPUSH smtp-delay:known:192.0.2.7 list");
    assert_eq!(keeper.ask("192.0.2.7").unwrap().count, 1);
    engine.command("DEL smtp-delay:known:192.0.2.7");
    set(&format!("forgotten {}", now() - 1000));
    assert_eq!(keeper.ask("192.0.2.7").unwrap().count, 1);
    set(&format!("1 {} 9 static", now() - 1000));
    assert_eq!(keeper.ask("192.0.2.7").unwrap().count, 1);
    set(&format!("1 {} 9 none", now() + 1000));
    // The future counts as now, which has to be later than the pass.
    let newer = wait_until("a newer pass", || keeper.ask("192.0.2.7").filter(|it| it.count == 9));
    assert_eq!(newer.class, Class::None);
    set(&format!("forgotten {}", now() + 1000));
    wait_until_forgotten(&keeper, "192.0.2.7");
    // One that is too old is not known.
    set(&format!("1 {} 9 dynamic", now() - 2 * 86_400));
    assert_eq!(keeper.ask("192.0.2.7"), None);
}

#[test]
fn what_happens_while_an_engine_is_away_is_told_later() {
    let Some(mut engine) = Engine::start("share::away", &[]) else { return };
    let keeper = sharing(&engine.url());
    for ip in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
        keeper.tell(ip, STATIC);
        engine.wait_for_value(ip, |value| value.ends_with(" 1 static"));
    }
    engine.kill();
    let why = trouble(&keeper);
    assert!(why.contains("closed the connection") || why.contains("reset by peer"), "{why}");
    // What it has itself goes on.
    assert_eq!(keeper.ask("192.0.2.1").unwrap().count, 1);
    keeper.tell("192.0.2.1", Pass::Renewal);
    keeper.forget("192.0.2.2");
    keeper.tell("192.0.2.4", STATIC);
    keeper.forget("192.0.2.4");
    keeper.tell("192.0.2.5", STATIC);
    keeper.wait_for_record("192.0.2.5");
    // It comes back empty, but another host was quicker with something newer.
    engine.start_again();
    engine.command(&format!("SET smtp-delay:known:192.0.2.5 \"forgotten {}\"", now() + 100));
    engine.wait_for_value("192.0.2.1", |value| value.ends_with(" 2 static"));
    engine.wait_for_value("192.0.2.2", |value| value.starts_with("forgotten "));
    engine.wait_for_value("192.0.2.4", |value| value.starts_with("forgotten "));
    wait_until_forgotten(&keeper, "192.0.2.5");
    engine.wait_for_value("192.0.2.5", |value| value.starts_with("forgotten "));
    // A missing key changes nothing.
    assert_eq!(engine.command("GET smtp-delay:known:192.0.2.3"), "$-1");
    assert!(keeper.ask("192.0.2.3").is_some());
    assert_eq!(keeper.lines(ALONE).len(), 1, "{}", keeper.text());
    assert_eq!(keeper.lines(SHARED).len(), 2, "{}", keeper.text());
}

#[test]
fn a_password_is_read_for_each_connection() {
    let Some(engine) = Engine::start("share::password", &["--requirepass", "sec:ret"]) else {
        return;
    };
    let file = directory().join("auth");
    let file = file.to_str().unwrap();
    let home = home();
    fs::write(file, "wrong\n").unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    let url = format!("{}/3", engine.url());
    let options = ["--known-share", &url, "--known-share-auth", file];
    let keeper = Keeper::start_with(&home, &options);
    keeper.log(&format!("smtp-delayctl: warning: all users may read the password in {file}: "));
    let why = trouble(&keeper);
    assert!(why.starts_with("it says \"WRONGPASS ") && why.contains("--known-share-auth"), "{why}");
    fs::write(file, ":sec:ret\n").unwrap();
    keeper.log(SHARED);
    keeper.tell("192.0.2.7", STATIC);
    let value = || engine.command_after("AUTH sec:ret", "SELECT 3");
    wait_until("a database", || (value() == "+OK").then_some(()));
    drop(keeper);
    let keeper = Keeper::start_with(&self::home(), &options);
    keeper.log(SHARED);
    wait_until("a client of the third database", || keeper.ask("192.0.2.7"));
    assert!(!keeper.text().contains("sec:ret"));
}

#[test]
fn a_user_needs_two_commands_alone() {
    let Some(engine) = Engine::start("share::acl", &[]) else { return };
    let user = "ACL SETUSER mail on >secret ~smtp-delay:known:* resetchannels -@all +get +set";
    assert_eq!(engine.command(user), "+OK");
    assert_eq!(engine.command("ACL SETUSER default off"), "+OK");
    let file = directory().join("auth");
    let file = file.to_str().unwrap();
    fs::write(file, "mail:secret").unwrap();
    let options = ["--known-share", &engine.url(), "--known-share-auth", file];
    let keepers = [(); 2].map(|()| Keeper::start_with(&home(), &options));
    for keeper in &keepers {
        keeper.log(SHARED);
    }
    keepers[0].tell("192.0.2.7", STATIC);
    wait_until("a client of another host", || keepers[1].ask("192.0.2.7"));
    // Other keys are none of its business.
    let other = [&options[..], &["--known-share-prefix", "other:"]].concat();
    let other = Keeper::start_with(&home(), &other);
    let why = trouble(&other);
    assert!(why.starts_with("it says \"NOPERM ") && why.contains("the engine's ACL"), "{why}");
}

#[test]
fn keys_of_two_sites_are_kept_apart() {
    let Some(engine) = Engine::start("share::prefix", &[]) else { return };
    let url = engine.url();
    let keeper = |prefix| {
        let options = ["--known-share", &url, "--known-share-prefix", prefix];
        Keeper::start_with(&home(), &options)
    };
    let [one, two] = ["one:", "two:"].map(keeper);
    one.log(SHARED);
    two.log(SHARED);
    one.tell("192.0.2.7", STATIC);
    wait_until("a key", || (engine.command("EXISTS one:192.0.2.7") == ":1").then_some(()));
    assert_eq!(two.ask("192.0.2.7"), None);
}

#[test]
fn a_socket_of_this_host_serves_as_well() {
    let folder = directory();
    let socket = Engine::socket(&folder);
    let Some(_engine) = Engine::start("share::socket", &["--unixsocket", &socket]) else { return };
    let url = format!("redis+unix://{socket}");
    let [one, two] = [(); 2].map(|()| sharing(&url));
    one.tell("192.0.2.7", STATIC);
    wait_until("a client of another host", || two.ask("192.0.2.7"));
    assert!(command_at(&socket, "GET smtp-delay:known:192.0.2.7").ends_with(" 1 static"));
}

#[test]
fn an_engine_that_takes_nothing_counts_as_away_until_it_does() {
    let Some(engine) = Engine::start("share::full", &["--maxmemory-policy", "noeviction"]) else {
        return;
    };
    let keeper = sharing(&engine.url());
    let two = |refusal: (&str, &str), advice: &str, end: &str, ip: &str| {
        let before = keeper.lines(ALONE).len();
        assert_eq!(engine.command(refusal.0), "+OK");
        keeper.tell(ip, STATIC);
        let line = keeper.log_lines(ALONE, before + 1).pop().unwrap();
        assert!(line.contains(refusal.1) && line.contains(advice), "{line}");
        assert!(keeper.ask(ip).is_some());
        let shared = keeper.lines(SHARED).len();
        assert_eq!(engine.command(end), "+OK");
        keeper.log_lines(SHARED, shared + 1);
        engine.wait_for_value(ip, |value| value.ends_with(" 1 static"));
        assert_eq!(keeper.lines(ALONE).len(), before + 1, "{}", keeper.text());
    };
    let full = ("CONFIG SET maxmemory 1000", "it says \"OOM ");
    two(full, "raise its maxmemory", "CONFIG SET maxmemory 0", "192.0.2.7");
    let replica = ("REPLICAOF 127.0.0.1 1", "it says \"READONLY ");
    two(replica, "as a primary does", "REPLICAOF NO ONE", "192.0.2.8");
}

#[test]
fn an_engine_that_is_of_no_use_is_named_and_asked_again() {
    let refusing = |message: &'static str| Double::start(move |_| Some(format!("-{message}\r\n")));
    let closing = Double::start(|_| Some(String::new()));
    let foreign = Double::start(|_| Some("220 mx.example.org ESMTP\r\n".into()));
    let loading = refusing("LOADING Redis is loading the dataset in memory");
    let cluster = refusing("MOVED 866 127.0.0.1:7001");
    for (double, why) in [
        (&closing, "it has closed the connection"),
        (&foreign, "what it sends is not of Redis or Valkey"),
        (&loading, "it says \"LOADING Redis is loading the dataset in memory\""),
        (&cluster, "it says \"MOVED 866 127.0.0.1:7001\": use a proxy"),
    ] {
        let keeper = keeper(&double.url());
        let told = trouble(&keeper);
        assert!(told.starts_with(why), "{told}");
        keeper.tell("192.0.2.7", STATIC);
        keeper.wait_for_record("192.0.2.7");
        assert_eq!(keeper.ask("192.0.2.8"), None);
    }
    let missing = format!("redis+unix://{}", home().join("missing").display());
    assert!(trouble(&keeper(&missing)).starts_with("No such file or directory"));
    let nowhere = trouble(&keeper("redis://nosuchhost.invalid"));
    assert!(nowhere.starts_with("unable to look its address up: "), "{nowhere}");
}

#[test]
fn an_engine_that_says_nothing_is_not_waited_for() {
    let silent = Double::start(|_| None);
    let keeper = keeper(&silent.url());
    keeper.tell("192.0.2.7", STATIC);
    keeper.wait_for_record("192.0.2.7");
    assert_eq!(trouble(&keeper), "it does not answer");
}

#[test]
fn an_engine_that_is_stopped_keeps_a_known_client_waiting_for_a_tenth_of_a_second() {
    let Some(engine) = Engine::start("share::stopped", &[]) else { return };
    let keeper = sharing(&engine.url());
    keeper.tell("192.0.2.7", STATIC);
    engine.wait_for_value("192.0.2.7", |value| value.ends_with(" 1 static"));
    engine.signal(Signal::SIGSTOP);
    let start = Instant::now();
    assert!(keeper.ask("192.0.2.7").is_some());
    let known = start.elapsed();
    assert!(known >= Duration::from_millis(90), "it was not asked: {known:?}");
    // A new client is told as soon as the engine counts as away.
    let start = Instant::now();
    assert_eq!(keeper.ask("192.0.2.8"), None);
    let new = start.elapsed();
    assert!(known < new, "a known one waits as long as others: {known:?} {new:?}");
    assert_eq!(trouble(&keeper), "it does not answer");
    engine.signal(Signal::SIGCONT);
    keeper.log_lines(SHARED, 2);
}

const ANSWER: &[&str] = &["sh", "-c", "echo 220 ready; exec cat"];

fn named() -> FakeDns {
    FakeDns::start(Fault::Turning(&["mx.good.example"]))
}

/// A daemon with a memory of its own, that shares it.
fn daemon(url: &str, dns: &FakeDns) -> Setup {
    let setup = Daemon::setup().option("--delay-static 1.5").option(&dns.option());
    setup.option_with("--known", home().display()).option_with("--known-share", url)
}

#[track_caller]
fn assert_greeted(mut client: Client) {
    assert_eq!(client.read_line().0, "220 ready\n");
}

#[test]
fn three_daemons_share_what_they_know() {
    let Some(engine) = Engine::start("share::daemons", &[]) else { return };
    let dns = named();
    let daemons = [(); 3].map(|()| daemon(&engine.url(), &dns).run(ANSWER));
    for daemon in &daemons {
        daemon.log("smtp-delayd: warning: known clients are shared by ");
    }
    assert_greeted(daemons[0].client("127.0.0.1"));
    let first = daemons[0].log("pass ");
    assert!(first.contains(" delay=1.5 ") && first.contains(" known=- "), "{first}");
    engine.wait_for_value("127.0.0.1", |value| value.ends_with(" 1 static"));
    for daemon in &daemons[1..] {
        assert_greeted(daemon.client("127.0.0.1"));
        let line = daemon.log("pass ");
        assert!(line.contains(" delay=0 ") && line.contains(" known=0.00 "), "{line}");
    }
    // It talks early at one of them.
    let mut client = daemons[2].client("127.0.0.1");
    client.say("EHLO x\r\n");
    assert!(client.read_all().starts_with("421 "));
    engine.wait_for_value("127.0.0.1", |value| value.starts_with("forgotten "));
    for daemon in &daemons[..2] {
        let count = daemon.lines("pass ").len();
        assert_greeted(daemon.client("127.0.0.1"));
        let line = daemon.log_lines("pass ", count + 1).pop().unwrap();
        assert!(line.contains(" delay=1.5 ") && line.contains(" known=- "), "{line}");
        // The first one has made it known again.
        engine.wait_for_value("127.0.0.1", |value| value.ends_with(" static"));
        engine.command(&format!("SET smtp-delay:known:127.0.0.1 \"forgotten {}\"", now() + 9));
    }
}

#[test]
fn an_engine_that_is_slow_or_stopped_delays_no_client() {
    let Some(engine) = Engine::start("share::slow", &[]) else { return };
    let way = SlowWay::to(engine.address, Duration::from_secs(1));
    let dns = named();
    let daemon = daemon(&way.url(), &dns).run(ANSWER);
    daemon.log("smtp-delayd: warning: known clients are shared by ");
    let passes = |count: usize| daemon.log_lines("pass ", count).pop().unwrap();
    // What the engine says comes within the delay.
    engine.command(&format!("SET smtp-delay:known:127.0.0.1 \"1 {} 1 static\"", now() - 9));
    assert_greeted(daemon.client("127.0.0.1"));
    let line = passes(1);
    assert!(line.contains(" delay=0 ") && line.contains(" known=0.00 "), "{line}");
    assert_waited(lab::waited(&line), 1.0..4.0);
    // It is known here now.
    assert_greeted(daemon.client("127.0.0.1"));
    let line = passes(2);
    assert!(line.contains(" delay=0 ") && line.contains(" known=0.00 "), "{line}");
    assert_waited(lab::waited(&line), 0.0..0.9);
    engine.signal(Signal::SIGSTOP);
    for count in 3..6 {
        assert_greeted(daemon.client(&format!("127.0.0.{count}")));
        let line = passes(count);
        assert!(line.contains(" delay=1.5 ") && line.contains(" known=- "), "{line}");
        assert_waited(lab::waited(&line), 1.5..4.0);
    }
    assert!(daemon.lines("smtp-delayd: warning: unable to ask the keeper").is_empty());
}

#[test]
fn a_known_client_is_not_refused_because_the_engine_is_slow() {
    let Some(engine) = Engine::start("share::reserve", &[]) else { return };
    let home = home();
    let keeper = Keeper::start_with(&home, &["--known-share", &engine.url()]);
    keeper.log(SHARED);
    keeper.tell("127.0.0.1", STATIC);
    engine.wait_for_value("127.0.0.1", |value| value.ends_with(" 1 static"));
    let dns = FakeDns::start(Fault::Code(Rcode::SERVFAIL));
    let setup = Daemon::setup().option("-c 10 --reserve 100 --delay-static 0.5");
    let setup = setup.option(&dns.option()).option_with("--known", home.display());
    let daemon = setup.run(ANSWER);
    engine.signal(Signal::SIGSTOP);
    assert_greeted(daemon.client("127.0.0.1"));
    let line = daemon.log("pass ");
    assert!(line.contains(" class=unknown ") && line.contains(" known=0.00 "), "{line}");
    assert!(daemon.client("127.0.0.2").read_all().starts_with("421 4.3.2 "));
}

#[test]
fn the_tool_shows_what_the_engine_has() {
    let Some(mut engine) = Engine::start("share::tool", &[]) else { return };
    let home = home();
    let keeper = Keeper::start_with(&home, &["--known-share", &engine.url()]);
    keeper.log(SHARED);
    keeper.tell("192.0.2.7", STATIC);
    engine.wait_for_value("192.0.2.7", |value| value.ends_with(" 1 static"));
    let shown = |ip| {
        let output = known(&home, &["show", ip]);
        (output.status.code(), text(&output))
    };
    let line = "class=static count=1 first=0.00 last=0.00";
    let expected = format!("192.0.2.7 {line}\n192.0.2.7 shared {line}\n");
    assert_eq!(shown("192.0.2.7"), (Some(0), expected));
    assert_eq!(shown("192.0.2.8"), (Some(1), "192.0.2.8 shared -\n".into()));
    // Another host knows it.
    engine.command(&format!("SET smtp-delay:known:192.0.2.8 \"1 {} 3 none\"", now() - 4320));
    let (code, text_of_it) = shown("192.0.2.8");
    assert!(text_of_it.starts_with("192.0.2.8 shared class=none count=3 "), "{text_of_it}");
    assert_eq!(code, Some(0));
    engine.command(&format!("SET smtp-delay:known:192.0.2.9 \"1 {} 3 none\"", now() - 4320));
    assert_eq!(text(&known(&home, &["forget", "192.0.2.9"])), "forgotten: 1\n");
    let forgotten = "192.0.2.9 shared forgotten=0.00\n";
    wait_until("what was forgotten", || (shown("192.0.2.9").1 == forgotten).then_some(()));
    assert_eq!(shown("192.0.2.9").0, Some(1));
    engine.kill();
    keeper.log(ALONE);
    let away = wait_until("the end of the engine", || {
        Some(shown("192.0.2.7").1).filter(|text| text.contains("shared unreachable"))
    });
    assert_eq!(away, format!("192.0.2.7 {line}\n192.0.2.7 shared unreachable\n"));
}

#[test]
fn status_and_metrics_show_the_state() {
    let Some(mut engine) = Engine::start("share::status", &[]) else { return };
    let dns = named();
    let board = directory().join("board");
    let setup = daemon(&engine.url(), &dns).option_with("--scoreboard", board.display());
    let daemon = setup.run(ANSWER);
    daemon.log("smtp-delayd: warning: known clients are shared by ");
    let board = board.to_str().unwrap();
    let shown = |command: &[&str]| text(&ctl(&[command, &["--scoreboard", board]].concat()));
    let wait_for = |line: &str, command: &[&str]| {
        wait_until(line, || shown(command).contains(line).then_some(()));
    };
    wait_for("known clients are shared with other hosts\n", &["status"]);
    wait_for("\"sharing\":\"up\"", &["status", "--json"]);
    wait_for("smtp_delayd_share_up 1\n", &["metrics"]);
    engine.kill();
    wait_for("known clients are not shared: the engine is unreachable\n", &["status"]);
    wait_for("\"sharing\":\"unreachable\"", &["status", "--json"]);
    wait_for("smtp_delayd_share_up 0\n", &["metrics"]);
}

#[test]
fn mistakes_about_sharing_keep_a_daemon_from_starting() {
    let file = directory().join("auth");
    let mut auth = fs::File::create(&file).unwrap();
    let file = file.to_str().unwrap();
    let checked = |options: &[&str]| {
        let mut command = Command::new(lab::command::daemon());
        command.args(["--check", "--known", "/var/empty/known"]).args(options);
        let output = command.args(["127.0.0.1", "0", "true"]).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (options, message) in [
        (&["--known-share", "engine"][..], "it takes redis://HOST[:PORT][/DB] or redis+unix:"),
        (&["--known-share", "redis://:x@engine"], "stand in the file of --known-share-auth"),
        (&["--known-share-prefix", "a b"], "without spaces"),
        (&["--known-share", "redis://h", "--known-share-auth", "/missing"], "unable to read"),
        (&["--known-share", "redis://h", "--known-share-auth", file], "[USER:]PASSWORD"),
    ] {
        let (code, told) = checked(options);
        assert!(code == Some(100) && told.contains(message), "{options:?}: {told}");
    }
    auth.write_all(b"secret\n").unwrap();
    let (code, told) = checked(&["--known-share-auth", file]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("--known-share-auth has no effect without --known-share"), "{told}");
    assert!(told.contains("all users may read the password in "), "{told}");
}
