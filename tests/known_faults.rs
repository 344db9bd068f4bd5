//! Faults of the keeper of known clients, of its store and of its directory: no client is
//! later than its class says, refused or dropped, and what was known is known again.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::chown;
use smtp_delay::class::Class;
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Request, Where};
use smtp_delay::known::key::Key;

use crate::keeper::{
    ANSWER, Keeper, STATIC, assert_greeted, assert_waits_as_new, copy_for_all_users, daemon,
    daemon_with_a_known_client, home, keeper_of, named, passes_at_once, stop, wait_until_written,
    with_memory,
};
use crate::pool::limit_processes_of;
use lab::{Client, Daemon, directory, is_root, wait_until};

/// What a daemon logs that gets no answer.
const UNANSWERED: &str = "smtp-delayd: warning: unable to ask the keeper of known clients: ";
/// What is logged once where the store cannot be written.
const UNABLE_TO_WRITE: &str = "smtp-delayctl: warning: unable to write known clients to ";

/// A shell that is alone with a file system of its own at `home`, and becomes what follows.
fn on_a_file_system<'a>(home: &'a Path, mount: &'a str) -> [&'a str; 6] {
    ["unshare", "-m", "sh", "-c", mount, home.to_str().unwrap()]
}

/// What a keeper says that cannot be one.
#[track_caller]
fn refused(home: &Path) -> String {
    let mut command = Command::new(lab::command::ctl());
    let output = command.arg("keep").arg(home).output().unwrap();
    assert_eq!(output.status.code(), Some(111));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_keeper_that_is_killed_loses_no_more_than_a_second() {
    let home = home();
    let keeper = Keeper::start(&home);
    for number in 0..200 {
        keeper.tell(&format!("192.0.2.{number}"), STATIC);
    }
    wait_until_written(&home, &["192.0.2.199"]);
    // In the middle of the next batch.
    for number in 0..200 {
        keeper.tell(&format!("198.51.100.{number}"), STATIC);
    }
    keeper.kill();
    let keeper = Keeper::start(&home);
    for number in 0..200 {
        assert!(keeper.ask(&format!("192.0.2.{number}")).is_some(), "192.0.2.{number}");
    }
    assert!(!home.join("store.bad").exists());
}

#[test]
fn a_second_keeper_takes_over_when_the_first_is_gone() {
    let home = home();
    let first = Keeper::start(&home);
    let second = Keeper::start_waiting(&home);
    first.tell("192.0.2.7", STATIC);
    wait_until_written(&home, &["192.0.2.7"]);
    first.kill();
    second.wait_for_record("192.0.2.7");
    second.tell("192.0.2.8", STATIC);
    second.wait_for_record("192.0.2.8");
}

#[test]
fn a_socket_that_is_removed_is_made_again() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.learn("192.0.2.7");
    fs::remove_file(home.join("socket")).unwrap();
    keeper.log("smtp-delayctl: warning: the socket in ");
    keeper.wait_for_record("192.0.2.7");
}

#[test]
fn a_directory_that_is_not_its_owners_alone_is_refused() {
    let home = home();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o750)).unwrap();
    assert!(refused(&home).ends_with("its mode is 750: use chmod 700\n"), "{}", refused(&home));
    let link = home.join("link");
    fs::create_dir(home.join("real")).unwrap();
    symlink(home.join("real"), &link).unwrap();
    assert!(refused(&link).contains("keep known clients in "), "{}", refused(&link));
    assert!(refused(&home.join("missing")).contains("No such file"));
    if is_root("a directory of another user") {
        fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&home, Some(1234.into()), None).unwrap();
        assert!(refused(&home).ends_with("it belongs to user 1234, and this is user 0\n"));
    }
}

#[test]
fn links_in_the_directory_are_not_followed() {
    let home = home();
    let elsewhere = directory().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    symlink(&elsewhere, home.join("store")).unwrap();
    let keeper = Keeper::start(&home);
    keeper.log(UNABLE_TO_WRITE);
    keeper.learn("192.0.2.7");
    assert_eq!(keeper.status().1, Where::Memory);
    keeper.end(Signal::SIGTERM);
    assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
    fs::remove_file(home.join("lock")).unwrap();
    symlink(&elsewhere, home.join("lock")).unwrap();
    assert!(refused(&home).contains("it is a symbolic link"));
    assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
}

#[test]
fn a_store_that_was_cut_is_renamed_and_mail_goes_on() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.learn("192.0.2.7");
    keeper.end(Signal::SIGTERM);
    let store = fs::File::options().write(true).open(home.join("store")).unwrap();
    store.set_len(5000).unwrap();
    let keeper = Keeper::start(&home);
    keeper.log("smtp-delayctl: warning: unable to read the known clients in ");
    assert!(home.join("store.bad").exists());
    assert_eq!(keeper.ask("192.0.2.7"), None);
    keeper.learn("192.0.2.7");
    assert_eq!(keeper.status(), (1, Where::Disk));
}

#[test]
fn a_full_disk_costs_the_memory_nothing() {
    if !is_root("a full disk") {
        return;
    }
    let home = home();
    let mount = "mount -t tmpfs -o size=2m,mode=700 none \"$0\" && exec \"$@\"";
    let keeper = Keeper::start_in_private(&home, &on_a_file_system(&home, mount));
    keeper.tell("192.0.2.7", STATIC);
    keeper.log(UNABLE_TO_WRITE);
    keeper.wait_for_record("192.0.2.7");
    assert_eq!(keeper.status().0, 1);
}

#[test]
fn a_keeper_that_is_stopped_or_gone_delays_no_client() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.learn("127.0.0.1");
    let dns = named();
    let daemon = daemon(&home, &dns).run(ANSWER);
    keeper.stop();
    assert_waits_as_new(&daemon);
    let line = daemon.log(UNANSWERED);
    assert!(line.ends_with(": it does not answer: every client counts as new"), "{line}");
    keeper.kill();
    // The daemon has one of its own, which finds no directory.
    fs::rename(&home, directory().join("elsewhere")).unwrap();
    assert_waits_as_new(&daemon);
    assert_waits_as_new(&daemon);
    assert_eq!(daemon.lines(UNANSWERED), [line], "a line a minute");
}

#[test]
fn a_keeper_that_is_killed_is_replaced() {
    let home = home();
    let dns = named();
    let daemon = daemon_with_a_known_client(&home, &dns);
    for _ in 0..2 {
        let keeper = keeper_of(&home).unwrap();
        kill(keeper, Signal::SIGKILL).unwrap();
        wait_until("another keeper", || {
            keeper_of(&home).filter(|other| *other != keeper && home.join("socket").exists())
        });
        wait_until("a known client", || passes_at_once(&daemon).then_some(()));
    }
}

#[test]
fn a_daemon_that_is_killed_leaves_its_memory_to_the_next() {
    let home = home();
    let dns = named();
    let mut daemon = daemon_with_a_known_client(&home, &dns);
    daemon.kill();
    wait_until("the keeper's end", || keeper_of(&home).is_none().then_some(()));
    let daemon = crate::keeper::daemon(&home, &dns).run(ANSWER);
    assert!(passes_at_once(&daemon));
}

#[test]
fn two_daemons_share_a_directory_and_the_second_takes_over() {
    let home = home();
    let dns = named();
    let mut first = daemon_with_a_known_client(&home, &dns);
    let second = daemon(&home, &dns).run(ANSWER);
    assert!(passes_at_once(&second));
    first.signal(Signal::SIGTERM);
    first.wait();
    wait_until("the second's keeper", || keeper_of(&home));
    wait_until("a known client", || passes_at_once(&second).then_some(()));
}

#[test]
fn a_directory_of_no_use_costs_a_warning() {
    let home = home();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let dns = named();
    let daemon = daemon(&home, &dns).run(ANSWER);
    let warning = daemon.log("smtp-delayd: warning: unable to keep known clients in ");
    assert!(warning.ends_with("its mode is 755: use chmod 700: keeping them in memory"));
    assert_greeted(daemon.client("127.0.0.1"));
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[test]
fn a_keeper_whose_queue_is_full_delays_no_client() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.learn("127.0.0.1");
    let dns = named();
    let daemon = daemon(&home, &dns).run(ANSWER);
    keeper.stop();
    let asker = Asker::of_directory(&home).unwrap();
    let request = Request::Tell(Key::of([192, 0, 2, 1].into()), STATIC);
    while asker.tell(request, Duration::ZERO).is_ok() {}
    assert_waits_as_new(&daemon);
    keeper.signal(Signal::SIGCONT);
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
}

#[test]
fn a_store_of_another_user_costs_a_warning() {
    if !is_root("a store of another user") {
        return;
    }
    let home = home();
    fs::write(home.join("store"), "").unwrap();
    chown(&home.join("store"), Some(1234.into()), None).unwrap();
    let keeper = Keeper::start(&home);
    keeper.log(UNABLE_TO_WRITE);
    keeper.learn("192.0.2.7");
    assert_eq!(keeper.status(), (1, Where::Memory));
}

#[test]
fn a_lock_of_another_user_costs_a_warning() {
    if !is_root("a lock of another user") {
        return;
    }
    let home = home();
    fs::write(home.join("lock"), "").unwrap();
    chown(&home.join("lock"), Some(1234.into()), None).unwrap();
    let dns = named();
    let daemon = daemon(&home, &dns).run(ANSWER);
    let warning = daemon.log("smtp-delayd: warning: unable to keep known clients in ");
    assert!(warning.contains(": it belongs to user 1234, "), "{warning}");
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
}

#[test]
fn a_store_with_another_name_is_not_written() {
    let home = home();
    let elsewhere = directory().join("elsewhere");
    fs::write(&elsewhere, "precious").unwrap();
    fs::hard_link(&elsewhere, home.join("store")).unwrap();
    let keeper = Keeper::start(&home);
    let line = keeper.log(UNABLE_TO_WRITE);
    assert!(line.contains(": a file in it has another name elsewhere: "), "{line}");
    keeper.learn("192.0.2.7");
    keeper.end(Signal::SIGTERM);
    assert_eq!(fs::read(&elsewhere).unwrap(), b"precious");
}

#[test]
fn a_full_disk_is_written_again_once_there_is_room() {
    if !is_root("a full disk") {
        return;
    }
    let home = home();
    let mount = "mount -t tmpfs -o size=16m,mode=700 none \"$0\" && exec \"$@\"";
    let keeper = Keeper::start_in_private(&home, &on_a_file_system(&home, mount));
    keeper.tell("192.0.2.7", STATIC);
    wait_until_written(keeper.home(), &["192.0.2.7"]);
    let filler = keeper.home().join("filler");
    // Until the disk is full.
    let _ = fs::write(&filler, vec![b'x'; 16 << 20]);
    keeper.tell("192.0.2.8", STATIC);
    let line = keeper.log(UNABLE_TO_WRITE);
    assert!(line.ends_with(": the disk is full: keeping new ones in memory"), "{line}");
    for ip in ["192.0.2.7", "192.0.2.8"] {
        assert!(keeper.ask(ip).is_some(), "{ip}");
    }
    fs::remove_file(&filler).unwrap();
    keeper.log("smtp-delayctl: warning: known clients are written to ");
    wait_until_written(keeper.home(), &["192.0.2.7", "192.0.2.8"]);
    assert_eq!(keeper.lines(UNABLE_TO_WRITE), [line]);
}

#[test]
fn on_a_file_system_that_cannot_be_written_clients_are_known_in_memory() {
    if !is_root("a read-only file system") {
        return;
    }
    let (home, dns) = (home(), named());
    let mount = "mount -t tmpfs -o mode=700 none \"$0\" && mount -o remount,ro \"$0\" && \
                 exec \"$@\"";
    let setup = Daemon::setup_under(&on_a_file_system(&home, mount));
    let daemon = with_memory(setup, &home, &dns).run(ANSWER);
    let warnings = "smtp-delayd: warning: unable to keep known clients in ";
    let warning = daemon.log(warnings);
    assert!(warning.contains(": Read-only file system"), "{warning}");
    assert_waits_as_new(&daemon);
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
    assert_eq!(daemon.lines(warnings).len(), 1);
}

/// A user without privileges, and what becomes a process of its.
const USER: u32 = 64_020;
const AS_USER: &[&str] = &["setpriv", "--reuid=64020", "--regid=64020", "--clear-groups"];

#[test]
fn a_store_that_may_not_be_written_costs_a_warning() {
    if !is_root("a store that its owner may not write") {
        return;
    }
    let home = home();
    let store = home.join("store");
    fs::write(&store, "").unwrap();
    fs::set_permissions(&store, fs::Permissions::from_mode(0o400)).unwrap();
    for path in [&home, &store] {
        chown(path, Some(USER.into()), Some(USER.into())).unwrap();
    }
    let own = copy_for_all_users(lab::command::ctl());
    let keeper = Keeper::start_copy(&home, AS_USER, &own);
    let line = keeper.log(UNABLE_TO_WRITE);
    assert!(line.contains(": Permission denied"), "{line}");
    keeper.learn("192.0.2.7");
    assert_eq!(keeper.status(), (1, Where::Memory));
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).unwrap();
    keeper.log("smtp-delayctl: warning: known clients are written to ");
    assert_eq!(keeper.status(), (1, Where::Disk));
}

#[test]
fn a_directory_that_is_missing_is_made_for_the_final_user() {
    if !is_root("a directory for another user") {
        return;
    }
    let home = directory().join("made");
    let dns = named();
    let user = format!("-u {USER} -g {USER}");
    let daemon = daemon(&home, &dns).option(&user).run(ANSWER);
    for path in [home.clone(), home.join("lock")] {
        let found = fs::metadata(&path).unwrap();
        assert_eq!((found.uid(), found.gid(), found.mode() & 0o077), (USER, USER, 0), "{path:?}");
    }
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
    assert_eq!(fs::metadata(home.join("store")).unwrap().uid(), USER);
}

#[test]
fn a_keeper_that_cannot_be_forked_delays_no_client() {
    if !is_root("a limit of processes") {
        return;
    }
    let home = directory().join("made");
    let dns = named();
    let daemon = daemon(&home, &dns).option("-u 64021 -g 64021").run(ANSWER);
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
    limit_processes_of(64_021, daemon.pid(), 1);
    kill(keeper_of(&home).unwrap(), Signal::SIGKILL).unwrap();
    let line = daemon.log("smtp-delayd: error: unable to fork the keeper of known clients: ");
    assert!(line.contains("raise the limit of processes"), "{line}");
    assert_waits_as_new(&daemon);
    limit_processes_of(64_021, daemon.pid(), 1000);
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
}

/// The first process that this daemon forks is its keeper.
#[test]
fn a_keeper_that_cannot_be_forked_at_the_start_is_forked_later() {
    let (home, dns) = (home(), named());
    let library = directory().join("first_fork_fails.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/first_fork_fails.c");
    let done =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(done.expect("cc comes with rustc").success());
    let preloaded = library.to_str().unwrap();
    let daemon = daemon(&home, &dns).env("LD_PRELOAD", preloaded).run(ANSWER);
    daemon.log("smtp-delayd: error: unable to fork the keeper of known clients: ");
    assert_waits_as_new(&daemon);
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
}

#[test]
fn a_daemon_ends_its_keeper_even_if_that_is_stopped() {
    let home = home();
    let dns = named();
    let mut daemon = daemon_with_a_known_client(&home, &dns);
    let keeper = keeper_of(&home).unwrap();
    stop(keeper);
    fs::remove_file(home.join("socket")).unwrap();
    assert_waits_as_new(&daemon);
    daemon.signal(Signal::SIGTERM);
    assert!(daemon.wait().success());
    assert_eq!(keeper_of(&home), None);
    let daemon = crate::keeper::daemon(&home, &dns).run(ANSWER);
    assert!(passes_at_once(&daemon));
}

#[test]
fn what_a_keeper_was_told_before_its_end_is_not_lost() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.stop();
    let told = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
    for ip in told {
        keeper.tell(ip, STATIC);
    }
    keeper.signal(Signal::SIGTERM);
    keeper.signal(Signal::SIGCONT);
    keeper.wait_for_end();
    wait_until_written(&home, &told);
}

const SECOND: Duration = Duration::from_secs(1);

/// Clients of thirty addresses, each of which waits.
fn many(daemon: &Daemon, network: u8) -> Vec<(String, Client)> {
    let ips = (1..=30).map(|host| Ipv4Addr::new(127, 9, network, host).to_string());
    ips.map(|ip| (ip.clone(), daemon.client(&ip))).collect()
}

/// Waits until each has its greeting; returns their addresses.
fn greeted(clients: Vec<(String, Client)>) -> Vec<String> {
    let greeted = clients.into_iter().map(|(ip, client)| {
        assert_greeted(client);
        ip
    });
    greeted.collect()
}

#[test]
fn a_reload_a_restart_and_a_kill_under_load_lose_nothing_known() {
    let home = home();
    let dns = named();
    let setup = || daemon(&home, &dns).option("-c 100 --min-idle 40 --delay-static 1");
    let mut first = setup().run(ANSWER);
    let clients = many(&first, 1);
    first.signal(Signal::SIGHUP);
    let mut known = greeted(clients);
    first.log("reload ");
    let clients = many(&first, 2);
    wait_until("clients that were accepted", || (dns.queries() >= 60).then_some(()));
    first.signal(Signal::SIGTERM);
    first.log("stopping ");
    let mut second = setup().run(ANSWER);
    known.extend(greeted(clients));
    assert!(first.wait().success());
    let asker = Asker::of_directory(&home).unwrap();
    wait_until("the second daemon's keeper", || asker.exchange(Request::Status, SECOND).ok());
    let last = greeted(many(&second, 3));
    let last: Vec<&str> = last.iter().map(String::as_str).collect();
    wait_until_written(&home, &last);
    second.signal_group(Signal::SIGKILL);
    second.wait();
    known.extend(last.iter().map(ToString::to_string));
    wait_until("the keeper's end", || keeper_of(&home).is_none().then_some(()));
    let keeper = Keeper::start(&home);
    for ip in &known {
        let record = keeper.ask(ip).unwrap_or_else(|| panic!("{ip} is not known"));
        assert_eq!((record.class, record.count), (Class::Static, 1), "{ip}");
    }
    assert_eq!(keeper.status(), (90, Where::Disk));
}

#[test]
fn a_store_of_another_version_is_renamed_and_mail_goes_on() {
    let (home, dns) = (home(), named());
    let other = redb::Database::create(home.join("store")).unwrap();
    let writing = other.begin_write().unwrap();
    writing.open_table(redb::TableDefinition::<u64, u64>::new("clients.0")).unwrap();
    writing.commit().unwrap();
    drop(other);
    let daemon = daemon(&home, &dns).run(ANSWER);
    let line = daemon.log("smtp-delayd: warning: unable to read the known clients in ");
    assert!(line.contains(": another version has written it: starting anew; "), "{line}");
    assert!(home.join("store.bad").exists());
    assert_waits_as_new(&daemon);
    wait_until("a known client", || passes_at_once(&daemon).then_some(()));
}
