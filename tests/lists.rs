//! DNS lists: which clients are refused by them, and that lists that are late, broken or
//! dead affect no client.

use std::process::Command;
use std::time::Duration;

use domain::base::Rtype;
use domain::base::iana::{OptRcode, Rcode};

use lab::daemon::Setup;
use lab::dns::{FakeDns, Fault, LINE, NAMELESS, Nsd, ORDINARY, SILENT};
use lab::rbl::{LISTED, Rbldnsd, WHY, ZONE, ZONE6};
use lab::{Client, Daemon, assert_waited, directory, is_root, needs, packages, wait_until, waited};

/// A daemon that asks `list`, and for names `nsd`.
fn with(list: &Rbldnsd, nsd: &Nsd, options: &str) -> Setup {
    let delays = "--delay-static 0.4 --delay-none 5 --delay-dynamic 1.5 --delay-unknown 5";
    let setup = Daemon::setup().option(&list.option()).option(&nsd.option()).option(delays);
    if options.is_empty() { setup } else { setup.option(options) }
}

fn root(test: &str) -> Option<(Rbldnsd, Nsd)> {
    let able = is_root(test) && !packages::are_missing(test, &["rbldnsd", "nsd"]);
    able.then(|| (Rbldnsd::start_on_a_free_port(&ENTRIES), Nsd::start()))
}

/// A list that has every client, with this text.
fn list_of_all() -> FakeDns {
    FakeDns::start(Fault::Lists([127, 0, 0, 2], &[b"every client is listed"]))
}

/// A daemon that gets names from `nsd`, and nothing from lists: `dns` is asked
/// about them, as nsd refuses to tell.
fn beside(dns: &FakeDns, nsd: &Nsd, options: &str) -> Setup {
    let delays = "--delay-static 0.4 --delay-none 1.5 --dns-timeout 20";
    Daemon::setup().option(&nsd.option()).option(&dns.option()).option(delays).option(options)
}

/// What the daemon says of lists that failed, in order, once so many clients
/// have passed.
fn warnings_of_lists(daemon: &Daemon, clients: usize) -> Vec<String> {
    daemon.log_lines("pass ", clients);
    let mut lines = daemon.lines("smtp-delayd: warning: list ");
    lines.sort();
    // Whichever client it was.
    lines.iter().filter_map(|line| Some(line.split_once(" ip=127.0.")?.0.into())).collect()
}

fn rules(text: &str) -> String {
    let file = directory().join("rules");
    std::fs::write(&file, text).unwrap();
    format!("--rules {}", file.display())
}

/// More entries of the list: addresses that mean an error, and addresses for filters.
const ENTRIES: [&str; 4] = [
    "127.0.5.2 :127.255.255.254:quota",
    "127.0.5.3 :127.0.0.1:parked",
    "127.0.5.4 :127.0.0.9:nine",
    "127.0.3.1 :127.0.0.10:ten",
];

#[test]
fn a_listed_client_is_refused_at_once_with_the_txt_record() {
    let Some((list, nsd)) = root("a_listed_client_is_refused_at_once") else { return };
    let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE}")).run(&["echo", "220"]);
    let mut listed = daemon.client(LISTED);
    assert_eq!(listed.read_all(), format!("421 4.7.1 {WHY}\r\n"));
    assert_waited(listed.connected.elapsed(), ..5.0);
    let line = daemon.log("listed ");
    assert!(line.starts_with(&format!("listed ip={LISTED} ")), "{line}");
    assert!(line.ends_with(&format!(" zones=\"{ZONE}:127.0.0.2\" score=1")), "{line}");
    assert_waited(daemon.client(ORDINARY).read_line().1, 0.4..);
    assert_waited(daemon.client(LINE).read_line().1, 1.5..);
    daemon.signal(nix::sys::signal::Signal::SIGUSR1);
    assert!(daemon.log("stats ").contains(" deny=0 listed=1 limit=0 "));
}

#[test]
fn listed_clients_are_refused_permanently_or_by_talk_if_set() {
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
fn a_list_with_nonsense_answers_lists_no_client() {
    let Some((list, nsd)) = root("a_list_with_nonsense_answers_lists_no_client") else { return };
    for (source, why) in [
        ("127.0.5.2", "it answers 127.255.255.254, which lists no client"),
        ("127.0.5.3", "it answers 127.0.0.1, which lists no client"),
    ] {
        let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE}")).run(&["echo", "220"]);
        assert_eq!(daemon.client(source).read_line().0, "220\n", "{source}");
        let warning = daemon.log("smtp-delayd: warning: list ");
        let expected = format!("smtp-delayd: warning: list {ZONE} failed: {why} ip={source} port=");
        assert!(warning.starts_with(&expected), "{warning}");
    }
}

#[test]
fn a_dead_or_late_list_does_not_prolong_the_wait() {
    needs!("nsd");
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
    assert_waited(time, 0.5..8.0);
    daemon.log("smtp-delayd: warning: list dead.example failed: no name server answered in time ");
    let late = FakeDns::start(Fault::Late(Duration::from_millis(800), "mx.example.org"));
    let daemon = Daemon::setup()
        .option(&late.option())
        .option("--dnsbl late.example --delay-static 20 --delay-unknown 20")
        .run(&["echo", "220"]);
    let mut listed = daemon.client("127.0.0.1");
    let text = listed.read_all();
    let words = "421 4.7.1 mx.test.example your address is listed by late.example\r\n";
    assert_eq!(text, words, "it has no text");
    // The name and the list are asked at once, and then the list for its text.
    assert_waited(listed.connected.elapsed(), 1.6..20.0);
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
    assert_waited(daemon.client("127.0.0.1").read_line().1, 1.0..);
}

#[test]
fn an_allowlist_makes_clients_static() {
    let Some((list, nsd)) = root("an_allowlist_makes_clients_static") else { return };
    let daemon = with(&list, &nsd, &format!("--dnswl {ZONE}=127.0.0.10")).run(&["echo", "220"]);
    assert_waited(daemon.client(NAMELESS).read_line().1, 0.4..5.0);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=- class=static delay=0.4 "), "{line}");
    assert_waited(daemon.client("127.0.3.2").read_line().1, 5.0..);
}

#[test]
fn rules_and_local_networks_exempt_from_lists() {
    let Some((list, nsd)) = root("rules_and_local_networks_exempt_from_lists") else { return };
    let rules = rules(&format!("{LISTED}:allow,RELAYCLIENT=\"\"\n:allow\n"));
    let options = format!("--dnsbl {ZONE} {rules}");
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
fn a_listed_client_that_talks_is_listed_all_the_same_where_talk_is_only_noted() {
    let Some((list, nsd)) = root("a_listed_client_that_talks_is_listed") else { return };
    let daemon = with(&list, &nsd, &format!("--dnsbl {ZONE} --early log")).run(&["echo", "220"]);
    let mut talker = daemon.client(LISTED);
    talker.say("EHLO spam.example\r\n");
    assert_eq!(talker.read_all(), format!("421 4.7.1 {WHY}\r\n"));
    assert_waited(waited(&daemon.log("listed ")), ..5.0);
}

#[test]
fn a_client_that_leaves_before_the_list_has_answered_has_hung_up() {
    for early in ["refuse", "log"] {
        let late = FakeDns::start(Fault::Late(Duration::from_secs(20), "mx.example.org"));
        let daemon = Daemon::setup()
            .option(&late.option())
            .option(&format!("--dnsbl late.example --early {early}"))
            .run(&["echo", "220"]);
        let mut leaver = daemon.client("127.0.0.1");
        leaver.finish();
        assert_eq!(leaver.read_all(), "", "{early}");
        assert_waited(waited(&daemon.log("hangup ip=127.0.0.1 ")), ..8.0);
        assert!(daemon.lines("listed ").is_empty(), "{}", daemon.text());
    }
}

#[test]
fn a_client_that_leaves_while_the_list_is_asked_why_is_listed_all_the_same() {
    let late = FakeDns::start(Fault::Late(Duration::from_millis(500), "mx.example.org"));
    let daemon =
        Daemon::setup().option(&late.option()).option("--dnsbl late.example").run(&["echo", "220"]);
    let mut leaver = daemon.client("127.0.0.1");
    wait_until("the list to be asked why", || (late.queries_for(Rtype::TXT) > 0).then_some(()));
    leaver.finish();
    assert!(leaver.read_all().starts_with("421 4.7.1 "));
    daemon.log("listed ip=127.0.0.1 ");
    assert!(daemon.lines("hangup ").is_empty(), "{}", daemon.text());
}

#[test]
fn txt_records_are_escaped_and_cut() {
    const LONG: &[u8] = &[b'x'; 300];
    let fallback = "mx.test.example your address is listed by bl.example";
    let cut = "x".repeat(200);
    let cases: [(&'static [&'static [u8]], &str); 7] = [
        (&[b"caf\xc3\xa9\r\n250 \x00\x1b\x7f~"], "caf????250 ???~"),
        (&[LONG], &cut),
        (&[b"-go away - now"], "go away - now"),
        (&[b" -- go away "], "go away"),
        (&[b""], fallback),
        (&[b"--- "], fallback),
        (&[b"the first", b"the second"], "the first"),
    ];
    for (texts, words) in cases {
        let list = FakeDns::start(Fault::Lists([127, 0, 0, 2], texts));
        let daemon =
            Daemon::setup().option(&list.option()).option("--dnsbl bl.example").run(&["false"]);
        assert_eq!(daemon.client("127.0.0.1").read_all(), format!("421 4.7.1 {words}\r\n"));
    }
}

#[test]
fn only_a_client_that_is_refused_is_asked_about_twice() {
    let empty = FakeDns::start(Fault::Code(Rcode::NXDOMAIN));
    let all = list_of_all();
    // A client on no list, and one on a list that is not enough.
    for (dns, options) in [(&empty, ""), (&all, " --dnsbl-threshold 2")] {
        let daemon = Daemon::setup()
            .option(&dns.option())
            .option(&format!("--dnsbl bl.example --delay 0.2{options}"))
            .run(&["echo", "220"]);
        assert_eq!(daemon.client("127.0.0.1").read_line().0, "220\n");
        assert_eq!((dns.queries_for(Rtype::A), dns.queries_for(Rtype::TXT)), (1, 0), "{options}");
    }
    let all = list_of_all();
    let daemon = Daemon::setup().option(&all.option()).option("--dnsbl bl.example").run(&["false"]);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "421 4.7.1 every client is listed\r\n");
    assert_eq!((all.queries_for(Rtype::A), all.queries_for(Rtype::TXT)), (1, 1));
}

#[test]
fn lists_of_one_zone_are_one_question_and_all_count() {
    let all = list_of_all();
    let daemon = Daemon::setup()
        .option(&all.option())
        .option("--dnsbl bl.example=127.0.0.2*2 --dnsbl bl.example=127.0.0.[2..9]")
        .option("--dnsbl-threshold 3")
        .run(&["false"]);
    assert_eq!(daemon.client("127.0.0.1").read_all(), "421 4.7.1 every client is listed\r\n");
    let line = daemon.log("listed ");
    let zones = "zones=\"bl.example:127.0.0.2,bl.example:127.0.0.2\" score=3";
    assert!(line.ends_with(zones), "{line}");
    assert_eq!(all.queries_for(Rtype::A), 1);
}

#[test]
fn failing_lists_list_no_client_and_draw_a_warning_each() {
    needs!("nsd");
    let broken = [
        (Fault::Code(Rcode::SERVFAIL), "no name server could answer"),
        (Fault::Code(Rcode::REFUSED), "no name server could answer"),
        (Fault::Lists([192, 0, 2, 1], &[]), "it answers 192.0.2.1, which lists no client"),
    ];
    for (fault, why) in broken {
        let (dns, nsd) = (FakeDns::start(fault), Nsd::start());
        let lists = "--dnsbl one.example --dnsbl two.example";
        let daemon = beside(&dns, &nsd, lists).run(&["echo", "220"]);
        assert_eq!(daemon.client(ORDINARY).read_line().0, "220\n", "{why}");
        let told = |zone| format!("smtp-delayd: warning: list {zone}.example failed: {why}");
        assert_eq!(warnings_of_lists(&daemon, 1), [told("one"), told("two")]);
    }
}

#[test]
fn an_answer_that_is_neither_one_nor_a_denial_fails_a_list() {
    needs!("nsd");
    let nsd = Nsd::start();
    let codes = [OptRcode::BADVERS, OptRcode::BADCOOKIE].map(Fault::ExtendedCode);
    let lame = [Rcode::NOERROR, Rcode::NXDOMAIN].map(Fault::Lame);
    for fault in codes.into_iter().chain(lame).chain([Fault::DanglingAlias]) {
        let dns = FakeDns::start(fault.clone());
        let daemon = beside(&dns, &nsd, "--dnsbl bad.example").run(&["echo", "220"]);
        assert_eq!(daemon.client(ORDINARY).read_line().0, "220\n");
        let failed = "smtp-delayd: warning: list bad.example failed: no name server could answer";
        assert_eq!(warnings_of_lists(&daemon, 1), [failed], "{fault:?}");
    }
}

#[test]
fn an_allowlist_that_refuses_to_answer_has_failed() {
    needs!("nsd");
    let (nsd, refuses) = (Nsd::start(), FakeDns::start(Fault::Lists([127, 0, 0, 255], &[])));
    let failed = "smtp-delayd: warning: list good.example failed: it answers 127.0.0.255, which \
                  lists no client";
    // The blocklist of the same zone has not failed, and does not hide it.
    for lists in [
        "--dnswl good.example",
        "--dnswl good.example=127.0.[0..255].[0..255]",
        "--dnsbl good.example=127.0.0.2 --dnswl good.example",
    ] {
        let daemon = beside(&refuses, &nsd, lists).run(&["echo", "220"]);
        assert_waited(daemon.client(NAMELESS).read_line().1, 1.5..20.0);
        assert!(daemon.log("pass ").contains(" class=none "), "{lists}");
        assert_eq!(warnings_of_lists(&daemon, 1), [failed], "{lists}");
    }
}

#[test]
fn a_zone_may_be_a_blocklist_and_an_allowlist() {
    needs!("nsd");
    let nsd = Nsd::start();
    let lists = "--dnsbl karma.example=127.0.0.2 --dnswl karma.example=127.0.0.1";
    for (code, class) in [(1, "static"), (3, "none")] {
        let karma = FakeDns::start(Fault::Lists([127, 0, 0, code], &[]));
        let daemon = beside(&karma, &nsd, lists).run(&["echo", "220"]);
        assert_eq!(daemon.client(NAMELESS).read_line().0, "220\n");
        assert!(daemon.log("pass ").contains(&format!(" class={class} ")), "{code}");
        assert!(warnings_of_lists(&daemon, 1).is_empty(), "{}", daemon.text());
    }
    let karma = FakeDns::start(Fault::Lists([127, 0, 0, 2], &[]));
    let daemon = beside(&karma, &nsd, lists).run(&["echo", "220"]);
    assert!(daemon.client(NAMELESS).read_all().starts_with("421 4.7.1 "));
}

#[test]
fn a_dead_allowlist_does_not_prolong_the_delay() {
    needs!("nsd");
    let (dead, nsd) = (FakeDns::start(Fault::Silence), Nsd::start());
    let daemon = beside(&dead, &nsd, "--dnswl dead.example").run(&["echo", "220"]);
    assert_waited(daemon.client(ORDINARY).read_line().1, 0.4..20.0);
    assert!(warnings_of_lists(&daemon, 1).is_empty(), "no client needed it: {}", daemon.text());
    assert_waited(daemon.client(NAMELESS).read_line().1, 1.5..20.0);
    let warning = "smtp-delayd: warning: list dead.example failed: no name server answered in time";
    assert_eq!(warnings_of_lists(&daemon, 2), [warning]);
    let by_rule = rules("127.:allow,SMTPDELAY=\"0.5\"\n");
    for (options, delay) in [("-H", 0.4), (&by_rule, 0.5)] {
        let options = format!("--dnswl dead.example {options}");
        let daemon = beside(&dead, &nsd, &options).run(&["echo", "220"]);
        assert_waited(daemon.client(NAMELESS).read_line().1, delay..20.0);
        assert!(warnings_of_lists(&daemon, 1).is_empty(), "no client needed it: {}", daemon.text());
    }
}

#[test]
fn a_list_that_answers_while_an_allowlist_is_waited_for_refuses_all_the_same() {
    needs!("nsd");
    let nsd = Nsd::start();
    // One that says no, with the same answer, and one that says nothing.
    for good in ["bad.example=127.0.0.99", SILENT] {
        let late = FakeDns::start(Fault::Late(Duration::from_millis(400), "mx.example.org"));
        let lists = format!("--dnsbl bad.example --dnswl {good} --delay-none 20");
        let daemon = beside(&late, &nsd, &lists).run(&["echo", "220"]);
        let mut listed = daemon.client(NAMELESS);
        assert!(listed.read_all().starts_with("421 4.7.1 "), "{good}");
        assert_waited(listed.connected.elapsed(), 0.8..20.0);
    }
}

#[test]
fn clients_that_a_rule_exempts_do_not_wait_for_a_dead_list() {
    needs!("nsd");
    let (dead, nsd) = (FakeDns::start(Fault::Silence), Nsd::start());
    for variables in ["RELAYCLIENT=\"\"", "SMTPDELAY=\"0\",RBLSMTPD=\"\""] {
        let rules = rules(&format!("127.:allow,{variables}\n"));
        let options = format!("--dnsbl dead.example {rules}");
        let daemon = beside(&dead, &nsd, &options).run(&["echo", "220"]);
        let (line, time) = daemon.client(NAMELESS).read_line();
        assert_eq!(line, "220\n", "{variables}");
        assert_waited(time, ..20.0);
        assert!(warnings_of_lists(&daemon, 1).is_empty(), "{}", daemon.text());
    }
}

#[test]
fn an_allowlist_makes_dynamic_names_and_ipv6_clients_static() {
    let test = "an_allowlist_makes_static_who_looks_like_a_line";
    let Some((_, nsd)) = root(test) else { return };
    let list = Rbldnsd::start_on_a_free_port(&[&format!("{LINE} :127.0.0.10:a line")]);
    let daemon = with(&list, &nsd, &format!("--dnswl {ZONE}")).run(&["echo", "220"]);
    assert_waited(daemon.client(LINE).read_line().1, 0.4..);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=dsl-127-0-2-1.isp.example class=static delay=0.4 "), "{line}");
    // Without nsd no name is known.
    let daemon = Daemon::setup()
        .option(&list.option())
        .option(&format!("--dnswl {ZONE6} --delay-static 0.4 --delay-unknown 1.5"))
        .host("::1")
        .run(&["echo", "220"]);
    assert_waited(daemon.client("::1").read_line().1, 0.4..);
    let line = daemon.log("pass ");
    assert!(line.contains(" host=- class=static delay=0.4 "), "{line}");
}

#[test]
fn an_allowlist_gives_clients_the_reserve() {
    needs!("nsd");
    let nsd = Nsd::start();
    let late = FakeDns::start(Fault::Late(Duration::from_millis(200), "mx.example.org"));
    let daemon = |list: &str| {
        let rules = rules("127.8.0.1:allow,SMTPDELAY=\"30\"\n:allow\n");
        let options = format!("-c 10 --reserve 50 --per-ip 0 --dnswl {list} {rules}");
        beside(&late, &nsd, &options).run(&["echo", "220"])
    };
    let down_to_the_reserve = |daemon: &Daemon| {
        let held: Vec<Client> = (0..5).map(|_| daemon.client("127.8.0.1")).collect();
        daemon.wait_for_stats(" busy=5 ");
        held
    };
    let good = daemon("good.example");
    let _held = down_to_the_reserve(&good);
    let (line, time) = good.client(NAMELESS).read_line();
    assert_eq!(line, "220\n");
    assert_waited(time, 0.4..);
    assert!(good.log("pass ").contains(" class=static delay=0.4 "), "{}", good.text());
    // One that does not have the client, and one that says nothing for as long as the
    // look-up may take.
    for (list, answered) in [("good.example=127.0.0.99", 0.2), (SILENT, 0.8)] {
        let daemon = daemon(list);
        let _held = down_to_the_reserve(&daemon);
        let mut refused = daemon.client(NAMELESS);
        assert!(refused.read_all().starts_with("421 4.3.2 "), "{list}");
        assert_waited(refused.connected.elapsed(), answered..8.0);
        let line = daemon.log("limit ");
        assert!(line.contains(" class=none ") && line.contains(" kind=reserve "), "{line}");
    }
}

#[test]
fn an_allowlist_takes_no_weight() {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_smtp-delayd"));
    // Were it taken, the port would end it.
    let arguments = ["--dnswl", "zen.example*5", "127.0.0.1", "nosuchport", "false"];
    let output = daemon.args(arguments).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(100), "{text}");
    let start = "smtp-delayd: fatal: unable to use --dnswl `zen.example*5': it takes no weight";
    assert!(text.starts_with(start), "{text}");
}

#[test]
fn a_threshold_that_no_client_can_reach_draws_a_warning() {
    let warning = |threshold| {
        let daemon = Daemon::setup()
            .option("--dnsbl one.example*2 --dnsbl two.example")
            .option(&format!("--dnsbl-threshold {threshold}"))
            .run(&["false"]);
        daemon.lines("smtp-delayd: warning: ")
    };
    let expected =
        "smtp-delayd: warning: --dnsbl-threshold 5: no client is refused, all lists add up to 3";
    assert_eq!(warning(5), [expected]);
    assert!(warning(3).is_empty(), "{:?}", warning(3));
}
