//! The chain link and known clients: it asks the daemon's keeper, or that of
//! `smtp-delayctl keep`.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use smtp_delay::class::Class;

use crate::keeper::{
    ANSWER, Keeper, copy_for_all_users, daemon, home, named, passes_at_once, wait_until_written,
};
use lab::chain::Link;
use lab::command::words;
use lab::{assert_waited, is_root, wait_until, waited};

/// What a server says of a client with a good name.
const GOOD: [(&str, &str); 2] =
    [("TCPREMOTEIP", "127.0.0.1"), ("TCPREMOTEHOST", "mx.good.example")];
/// What a link logs that gets no answer.
const UNANSWERED: &str = "smtp-delay: warning: unable to ask the keeper of known clients: ";

fn options(home: &Path) -> String {
    format!("-v -S -d 1 --local-nets none --known {}", home.display())
}

/// The `pass` line of a link whose client is greeted.
#[track_caller]
fn pass(home: &Path) -> String {
    let mut link = Link::run(&GOOD, &options(home), ANSWER);
    assert_eq!(link.client.read_line().0, "220 hi\n");
    link.log("pass ")
}

#[track_caller]
fn assert_new(line: &str) {
    assert!(line.contains(" class=static delay=1 ") && line.contains(" known=- "), "{line}");
    assert_waited(waited(line), 1.0..10.0);
}

#[track_caller]
fn assert_known(line: &str) {
    assert!(line.contains(" delay=0 ") && line.contains(" known=0.00 "), "{line}");
}

#[test]
fn a_link_and_a_daemon_share_a_memory() {
    let (home, dns) = (home(), named());
    let daemon = daemon(&home, &dns).run(ANSWER);
    assert_new(&pass(&home));
    wait_until_written(&home, &["127.0.0.1"]);
    assert_known(&pass(&home));
    assert!(passes_at_once(&daemon));
}

#[test]
fn a_link_asks_and_tells_a_keeper_that_runs_alone() {
    let home = home();
    let keeper = Keeper::start(&home);
    assert_new(&pass(&home));
    let first = keeper.wait_for_record("127.0.0.1");
    assert_eq!((first.count, first.class), (1, Class::Static));
    assert_known(&pass(&home));
    wait_until("a second pass", || keeper.ask("127.0.0.1").filter(|record| record.count == 2));
}

#[test]
fn a_known_client_that_talks_to_a_link_is_refused_and_forgotten() {
    let home = home();
    let keeper = Keeper::start(&home);
    let options = format!("{} -d 9 --delay-known 5", options(&home));
    // Without -S the program refuses it.
    for (options, answer) in [(options.clone(), "421 "), (options.replace(" -S", ""), "220")] {
        keeper.learn("127.0.0.1");
        let mut link = Link::run_with(&GOOD, &words(&options), ANSWER, |_| ());
        link.client.say("EHLO early\r\n");
        assert!(link.client.read_line().0.starts_with(answer));
        link.log("early ");
        wait_until("a client that is forgotten", || {
            keeper.ask("127.0.0.1").is_none().then_some(())
        });
    }
    assert_eq!(keeper.lines("forget ip=127.0.0.1 why=early").len(), 2);
}

#[test]
fn a_known_client_that_was_listed_before_a_link_is_forgotten() {
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.learn("127.0.0.1");
    let listed = [GOOD.as_slice(), &[("RBLSMTPD", "you are listed")]].concat();
    let mut link = Link::run(&listed, &options(&home), ANSWER);
    assert_eq!(link.client.read_line().0, "220 hi\n");
    keeper.log("forget ip=127.0.0.1 why=listed");
    assert_eq!(keeper.ask("127.0.0.1"), None);
}

#[test]
fn links_without_a_keeper_say_so_once_a_minute() {
    let home = home();
    let told = || {
        let mut link = Link::run(&GOOD, &options(&home), ANSWER);
        assert_eq!(link.client.read_line().0, "220 hi\n");
        assert_new(&link.log("pass "));
        assert_eq!(link.code(), Some(0));
        link.lines(UNANSWERED)
    };
    let line = lab::only(told());
    assert!(line.ends_with(": every client counts as new"), "{line}");
    assert_eq!(told(), Vec::<String>::new());
    let file = fs::File::options().write(true).open(home.join("unanswered")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    let keeper = Keeper::start(&home);
    keeper.stop();
    let line = lab::only(told());
    assert!(line.ends_with(": it does not answer: every client counts as new"), "{line}");
    assert_eq!(told(), Vec::<String>::new());
}

#[test]
fn as_another_user_a_link_knows_nothing() {
    if !is_root("as_another_user_a_link_knows_nothing") {
        return;
    }
    let home = home();
    let keeper = Keeper::start(&home);
    keeper.learn("127.0.0.1");
    let own = copy_for_all_users(lab::command::link());
    let as_user = ["setpriv", "--reuid=64022", "--regid=64022", "--clear-groups"];
    let options = words(&options(&home));
    let options = options.iter().map(String::as_str);
    let program: Vec<&str> =
        as_user.into_iter().chain([own.to_str().unwrap()]).chain(options).collect();
    // The server's part, which is to run it as that user, is another link's.
    let mut link = Link::run(&GOOD, "--delay 0", &[&program, ANSWER].concat());
    assert_eq!(link.client.read_line().0, "220 hi\n");
    assert_new(&link.log("pass "));
    assert_eq!(link.code(), Some(0));
    assert_eq!(link.lines(UNANSWERED), Vec::<String>::new(), "where would it say so only once?");
    assert_eq!(keeper.ask("127.0.0.1").unwrap().count, 1);
}
