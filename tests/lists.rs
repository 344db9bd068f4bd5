//! DNS lists: who is refused by them, and what lists that are late, broken or
//! dead do to nobody.

use std::time::Duration;

use crate::lab::daemon::Setup;
use crate::lab::dns::{FakeDns, Fault, LINE, NAMELESS, Nsd, ORDINARY};
use crate::lab::rbl::{LISTED, Rbldnsd, WHY, ZONE, ZONE6};
use crate::lab::{Daemon, assert_about, is_root, waited};

/// A daemon that asks `list`, and for names `nsd`.
fn with(list: &Rbldnsd, nsd: &Nsd, options: &str) -> Setup {
    let delays = "--delay-static 0.4 --delay-none 1.5 --delay-dynamic 1.5 --delay-unknown 1.5";
    let setup = Daemon::setup().option(&list.option()).option(&nsd.option()).option(delays);
    if options.is_empty() { setup } else { setup.option(options) }
}

fn root(test: &str) -> Option<(Rbldnsd, Nsd)> {
    is_root(test).then(|| (Rbldnsd::start_on_a_free_port(&ENTRIES), Nsd::start()))
}

/// More on the list: what tells of an error, and what a filter may choose.
const ENTRIES: [&str; 4] = [
    "127.0.5.2 :127.255.255.254:quota",
    "127.0.5.3 :127.0.0.1:parked",
    "127.0.5.4 :127.0.0.9:nine",
    "127.0.3.1 :127.0.0.10:ten",
];

#[test]
fn a_listed_client_is_refused_at_once_in_the_words_of_the_list() {
    let Some((list, nsd)) = root("a_listed_client_is_refused_at_once") else { return };
    let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE}")).run(&["echo", "220"]);
    let mut listed = daemon.client(LISTED);
    assert_eq!(listed.read_all(), format!("421 4.7.1 {WHY}\r\n"));
    assert_about(listed.connected.elapsed(), 0.0);
    let line = daemon.log("listed ");
    assert!(line.starts_with(&format!("listed ip={LISTED} ")), "{line}");
    assert!(line.ends_with(&format!(" zones=\"{ZONE}:127.0.0.2\" score=1")), "{line}");
    assert_about(daemon.client(ORDINARY).read_line().1, 0.4);
    assert_about(daemon.client(LINE).read_line().1, 1.5);
    daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    assert!(daemon.log("stats ").contains(" deny=0 listed=1 limit=0 "));
}

#[test]
fn refusals_of_listed_clients_may_be_permanent_and_held_as_a_conversation() {
    let Some((list, nsd)) = root("refusals_of_listed_clients_may_be_permanent") else { return };
    let options = format!("--dnsbl {ZONE} --refuse-permanent --refuse talk");
    let daemon = with(&list, &nsd, &options).run(&["echo", "220"]);
    let mut listed = daemon.client(LISTED);
    let (greeting, _) = listed.read_line();
    assert_eq!(greeting, "220 mx.test.example\r\n");
    listed.say("HELO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nQUIT\r\n");
    assert!(listed.read_all().contains(&format!("553 5.7.1 {WHY}\r\n")));
    assert!(daemon.log("listed ").ends_with(" score=1 helo=me mail=FROM:<a@b> rcpt=TO:<c@d>"));
}

#[test]
fn scores_add_up_and_filters_choose() {
    let Some((list, nsd)) = root("scores_add_up_and_filters_choose") else { return };
    let options =
        format!("--dnsbl {ZONE}=127.0.0.[2;9..11]*2 --dnsbl {ZONE}=127.0.0.9 --dnsbl-threshold 3");
    let daemon = with(&list, &nsd, &options).run(&["echo", "220"]);
    assert_eq!(daemon.client("127.0.5.4").read_all(), "421 4.7.1 nine\r\n");
    let line = daemon.log("listed ");
    assert!(line.ends_with(&format!("zones=\"{ZONE}:127.0.0.9,{ZONE}:127.0.0.9\" score=3")));
    assert_eq!(daemon.client(LISTED).read_line().0, "220\n", "2 are not enough");
}

#[test]
fn a_list_that_answers_nonsense_lists_nobody() {
    let Some((list, nsd)) = root("a_list_that_answers_nonsense_lists_nobody") else { return };
    for (source, why) in [
        ("127.0.5.2", "it answers 127.255.255.254, which lists nobody"),
        ("127.0.5.3", "it answers 127.0.0.1, which lists nobody"),
    ] {
        let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE}")).run(&["echo", "220"]);
        assert_eq!(daemon.client(source).read_line().0, "220\n", "{source}");
        assert_eq!(
            daemon.log("smtp-delayd: warning: list "),
            format!("smtp-delayd: warning: list {ZONE} failed: {why}")
        );
    }
}

#[test]
fn a_list_that_is_dead_or_late_keeps_nobody_waiting() {
    let dns = FakeDns::start(Fault::Silence);
    let nsd = Nsd::start();
    // Names are known, and the list never answers.
    let daemon = Daemon::setup()
        .option(&nsd.option())
        .option(&dns.option())
        .option("--dnsbl dead.example --delay-static 0.5")
        .run(&["echo", "220"]);
    let (line, time) = daemon.client(ORDINARY).read_line();
    assert_eq!(line, "220\n");
    assert_about(time, 0.5);
    let warning = "smtp-delayd: warning: list dead.example failed: no name server answered in time";
    assert_eq!(daemon.log("smtp-delayd: warning: list "), warning);
    let late = FakeDns::start(Fault::Late(Duration::from_millis(800), "mx.example.org"));
    let daemon = Daemon::setup()
        .option(&late.option())
        .option("--dnsbl late.example --delay-static 3 --delay-unknown 3")
        .run(&["echo", "220"]);
    let mut listed = daemon.client("127.0.0.1");
    let text = listed.read_all();
    let words = "421 4.7.1 mx.test.example your address is listed by late.example\r\n";
    assert_eq!(text, words, "it has no text");
    assert!(listed.connected.elapsed() < Duration::from_millis(2500), "before its delay is over");
}

#[test]
fn a_client_without_a_delay_waits_for_lists_alone() {
    let late = FakeDns::start(Fault::Late(Duration::from_millis(700), "mx.example.org"));
    let daemon = Daemon::setup()
        .option(&late.option())
        .option("--dnsbl late.example --delay 0 --dns-timeout 3")
        .run(&["echo", "220"]);
    assert!(daemon.client("127.0.0.1").read_all().starts_with("421 4.7.1 "));
    let dead = FakeDns::start(Fault::Silence);
    let daemon = Daemon::setup()
        .option(&dead.option())
        .option("-H --dnsbl dead.example --delay 0 --dns-timeout 1")
        .run(&["echo", "220"]);
    assert_about(daemon.client("127.0.0.1").read_line().1, 1.0);
}

#[test]
fn a_list_of_good_clients_makes_them_static() {
    let Some((list, nsd)) = root("a_list_of_good_clients_makes_them_static") else { return };
    let daemon = with(&list, &nsd, &format!("--dnswl {ZONE}=127.0.0.10")).run(&["echo", "220"]);
    assert_about(daemon.client(NAMELESS).read_line().1, 0.4);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=- class=static delay=0.4 "), "{line}");
    assert_about(daemon.client("127.0.3.2").read_line().1, 1.5);
}

#[test]
fn rules_and_local_networks_exempt_from_lists() {
    let Some((list, nsd)) = root("rules_and_local_networks_exempt_from_lists") else { return };
    let rules = crate::lab::directory().join("rules");
    std::fs::write(&rules, format!("{LISTED}:allow,RELAYCLIENT=\"\"\n:allow\n")).unwrap();
    let options = format!("--dnsbl {ZONE} --rules {}", rules.display());
    let daemon = with(&list, &nsd, &options).run(&["echo", "220"]);
    assert_eq!(daemon.client(LISTED).read_line().0, "220\n");
    assert!(daemon.client("127.0.5.4").read_all().starts_with("421 "));
    let options = format!("--dnsbl {ZONE} --local-nets 127.0.5.0/24");
    let daemon = with(&list, &nsd, &options).run(&["echo", "220"]);
    assert_eq!(daemon.client(LISTED).read_line().0, "220\n");
    let daemon =
        with(&list, &nsd, &format!("--dnsbl {ZONE}")).env("RBLSMTPD", "").run(&["echo", "220"]);
    assert_eq!(daemon.client(LISTED).read_line().0, "220\n");
}

#[test]
fn ipv6_clients_are_looked_up_too() {
    let Some((list, nsd)) = root("ipv6_clients_are_looked_up_too") else { return };
    let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE6}")).host("::1").run(&["echo", "220"]);
    assert_eq!(daemon.client("::1").read_all(), "421 4.7.1 ::1 is listed here\r\n");
}

#[test]
fn a_listed_client_that_hangs_up_or_talks_is_listed_all_the_same() {
    let Some((list, nsd)) = root("a_listed_client_that_hangs_up_or_talks") else { return };
    let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE} --early log")).run(&["echo", "220"]);
    let mut talker = daemon.client(LISTED);
    talker.say("EHLO spam.example\r\n");
    assert_eq!(talker.read_all(), format!("421 4.7.1 {WHY}\r\n"));
    assert_about(waited(&daemon.log("listed ")), 0.0);
}
