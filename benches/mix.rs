//! How many connections are held: the same mix of clients, replayed through the
//! link before rblsmtpd and behind it, through rblsmtpd alone, and through the
//! daemon, all at the same time.  The last daemons have so few slots (`--few`, of which
//! `--reserve` are for good ones) that delays shrink, and clients without a good name
//! are turned away.  The first of these knows no clients; the next two have a memory
//! (`--known`), which is empty in one, and in the other has all hosts that return.  Needs
//! root, for a DNS list on port 53 of a loopback address.
//!
//! `cargo bench --bench mix -- [--clients N] [--per-minute N] [--listed PERCENT]
//! [--early PERCENT] [--impatient PERCENT] [--returning PERCENT] [--seed N] [--speed N]
//! [--few N] [--fewer N] [--reserve PERCENT] [--goal PERCENT] [--warm-goal PERCENT]`
//!
//! The rest of the clients are good.  Listed ones wait for the greeting as good
//! ones do; impatient ones leave after 3 to 15 s without one.  Good clients have
//! a mail server's name, the others a dynamic one or none, half and half.  So many of
//! the good ones (`--returning`) come from hosts that come four times on average, the
//! others from one that comes once.  A memory saves slots: the daemons that have one have
//! `--fewer`, or seven tenths of `--few`.  With `--speed 10` every time is a tenth of what it
//! would be.
//!
//! It ends with 1 if a good client is not served, or waits for a second longer than its
//! class says (three with `--speed`); if one that returns waits for more than that alone
//! where the memory has it;
//! or if a daemon with few slots does not hold so much less than the better one of the two
//! orders (`--goal` without memory, `--warm-goal` for the last row; `--goal 0` for any).

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names)]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, exit};
use std::thread;
use std::time::Duration;

use lab::chain::Chain;
use lab::command::{self, clean_command, words};
use lab::dns::{EMPTY, FORWARD, Nsd};
use lab::rbl::{Rbldnsd, ZONE};
use lab::{directory, wait_until};
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request};
use smtp_delay::known::key::Key;
use support::mix_tables::{good_ones, print_held, print_waits};
use support::planned_clients::{Host, Mix, Outcome, Plan};
use support::{arguments, measure_what_is_installed};

/// Where the list answers.
const LIST: &str = "127.53.2.1";
/// What stands behind every arrangement.
const SMTP: &str = "env PLUGINS=accept smtpfront-echo";

/// What good clients wait.
const GOOD_DELAY: f64 = 2.0;
/// What may come on top of it, in seconds that are not shortened.  If times are, many more
/// clients come at once than the machine may have processors for.
const SLACK: f64 = 1.0;
const HURRIED_SLACK: f64 = 3.0;
const DELAYS: [(&str, f64); 4] = [
    ("--delay-static", GOOD_DELAY),
    ("--delay-dynamic", 12.0),
    ("--delay-none", 20.0),
    ("--delay-unknown", 12.0),
];

/// What an arrangement remembers of good clients.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Memory {
    Without,
    /// Nothing at the start.
    Cold,
    /// All hosts that return.
    Warm,
}

/// A server, and how it is called in the table.
struct Row {
    name: &'static str,
    server: Chain,
    memory: Memory,
}

/// Names for all sources that have one.
fn names(plan: &Plan) -> Nsd {
    let mut reverse = String::from(EMPTY);
    for number in 0..plan.addresses() {
        let (high, low) = (number / 250 % 250, 1 + number % 250);
        let _ = writeln!(reverse, "{low}.{high}.10 PTR mx-{high}-{low}.example.org.");
        for network in [20, 21] {
            let name = format!("dsl-127-{network}-{high}-{low}.isp.example");
            let _ = writeln!(reverse, "{low}.{high}.{network} PTR {name}.");
        }
    }
    Nsd::start_with(&[("127.in-addr.arpa", reverse), ("example.org", FORWARD.into())])
}

/// What stands behind tcpserver in each chain.
fn chains(resolver: &str, plan: &Plan) -> [Row; 3] {
    let delays = DELAYS.map(|(option, delay)| format!(" {option} {}", delay / plan.speed));
    let link = |option: &str| {
        let (link, delays) = (command::link(), delays.concat());
        format!("{link} {option} --local-nets none --resolver {resolver}{delays}")
    };
    let rblsmtpd = format!("rblsmtpd -r {ZONE}");
    let chains = [
        ("smtp-delay, rblsmtpd", format!("{} {rblsmtpd} {SMTP}", link("-v"))),
        ("rblsmtpd, smtp-delay -S", format!("{rblsmtpd} {} {SMTP}", link("-v -S"))),
        ("rblsmtpd alone", format!("{rblsmtpd} {SMTP}")),
    ];
    chains.map(|(name, chain)| {
        let chain = words(&chain);
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let options = format!("-RHl mx.test.example -c {} -b 500", plan.clients);
        let server = Chain::tcpserver(&options, &[("DNSCACHEIP", LIST)], &chain);
        Row { name, server, memory: Memory::Without }
    })
}

/// The daemon with the same delays, and `options` of its own, in front of `behind`.
fn daemon(resolver: &str, plan: &Plan, options: &str, behind: &str) -> Chain {
    let mut command = clean_command(command::daemon());
    command.args(["-1", "-l", "mx.test.example", "--local-nets", "none", "--per-ip", "0"]);
    command.args(["-b", "500"]).args(words(options)).env("DNSCACHEIP", LIST);
    // The list's server refuses other questions, and the next one is asked.
    command.args(["--resolver", &format!("{LIST}:53"), "--resolver", resolver]);
    for (option, delay) in DELAYS {
        command.args([option, &(delay / plan.speed).to_string()]);
    }
    let behind = words(behind);
    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
    Chain::printing_its_port(command, &[&["127.0.0.1", "0"], &behind[..]].concat())
}

/// How many slots the last daemons have, without memory and with one, and which part of
/// them is the reserve.
#[derive(Clone, Copy)]
struct Slots {
    few: u32,
    fewer: u32,
    reserve: u32,
}

fn daemons(resolver: &str, mix: &Mix, slots: Slots) -> Vec<Row> {
    let plan = &mix.plan;
    let Slots { few, fewer, reserve } = slots;
    let many = format!("-c {}", plan.clients);
    let limited = |slots: u32| format!("-c {slots} --reserve {reserve} --dnsbl {ZONE}");
    let rblsmtpd = format!("rblsmtpd -r {ZONE} {SMTP}");
    let without = |name, options: &str, behind| Row {
        name,
        server: daemon(resolver, plan, options, behind),
        memory: Memory::Without,
    };
    let with = |name, memory| {
        let home = private_directory();
        let options = format!("{} --known {}", limited(fewer), home.display());
        let server = daemon(resolver, plan, &options, SMTP);
        if memory == Memory::Warm {
            warm(&server, mix, &home);
        }
        Row { name, server, memory }
    };
    vec![
        without("smtp-delayd, rblsmtpd", &many, &rblsmtpd),
        without("smtp-delayd --dnsbl", &format!("{many} --dnsbl {ZONE}"), SMTP),
        without("the same, few slots", &limited(few), SMTP),
        with("with --known, cold", Memory::Cold),
        with("with --known, warm", Memory::Warm),
    ]
}

/// A directory for a keeper.
fn private_directory() -> PathBuf {
    let home = directory();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    home
}

/// Lets the hosts that return wait once, some at a time, until all of them are known.
fn warm(server: &Chain, mix: &Mix, home: &Path) {
    let hosts: Vec<&str> = mix.returning_hosts().into_iter().collect();
    for some in hosts.chunks(5) {
        let clients: Vec<_> = some.iter().map(|host| server.client(host)).collect();
        for mut client in clients {
            assert!(client.read_line().0.starts_with("220"), "{}", server.text());
        }
    }
    let asker = Asker::of_directory(home).unwrap();
    for host in hosts {
        let key = Key::of(host.parse().unwrap());
        wait_until(host, || {
            let answer = asker.exchange(Request::Ask(key), Duration::from_secs(1));
            matches!(answer, Ok(Answer::Known(_))).then_some(())
        });
    }
}

fn main() -> ExitCode {
    let known = [
        ("clients", 600),
        ("per-minute", 600),
        ("listed", 30),
        ("early", 20),
        ("impatient", 20),
        ("returning", 80),
        ("seed", 1),
        ("speed", 1),
        ("few", 26),
        ("fewer", 0),
        ("reserve", 40),
        ("goal", 40),
        ("warm-goal", 60),
    ];
    let [
        clients,
        per_minute,
        shares @ ..,
        returning,
        seed,
        speed,
        few,
        fewer,
        reserve,
        goal,
        warm_goal,
    ] = arguments(known, "cargo bench --bench mix --");
    measure_what_is_installed();
    let [listed, early, impatient] = shares;
    if listed + early + impatient > 100 || !nix::unistd::geteuid().is_root() {
        eprintln!("mix: shares add up to 100 at most, and root is needed");
        exit(100);
    }
    let plan = Plan { clients, per_minute, shares, returning, seed, speed: speed.into() };
    println!(
        "{clients} clients, {per_minute} a minute: {listed} % listed, {early} % early, {impatient} % \
         impatient, the rest good, {returning} % of which return; seed {seed}, speed {speed}\n"
    );
    let mix = Mix::new(plan);
    let _list = Rbldnsd::start_with(LIST, &["127.21.0.0/16", "127.31.0.0/16"]);
    let dns = names(&plan);
    let resolver = dns.address.to_string();
    let fewer = if fewer == 0 { few * 7 / 10 } else { fewer };
    let slots = Slots { few, fewer, reserve };
    let rows: Vec<Row> =
        chains(&resolver, &plan).into_iter().chain(daemons(&resolver, &mix, slots)).collect();
    let outcomes = replay(&mix, &rows);
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    let parts = print_held(&names, &outcomes, mix.last_arrival());
    print_waits(&names, &outcomes);
    let mut faults: Vec<String> =
        rows.iter().zip(&outcomes).flat_map(|(row, all)| faults(row, all, &plan)).collect();
    if goal > 0 {
        faults.extend(missed(&rows, &parts, Memory::Without, goal));
        faults.extend(missed(&rows, &parts, Memory::Warm, warm_goal));
    }
    for fault in &faults {
        eprintln!("mix: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Through all of them at the same time.
fn replay(mix: &Mix, rows: &[Row]) -> Vec<Vec<Outcome>> {
    thread::scope(|scope| {
        let replays: Vec<_> =
            rows.iter().map(|row| scope.spawn(move || mix.replay(&row.server))).collect();
        replays.into_iter().map(|replay| replay.join().unwrap()).collect()
    })
}

/// What happened to good clients that should not.
fn faults(row: &Row, outcomes: &[Outcome], plan: &Plan) -> Vec<String> {
    let slack = if plan.speed > 1.0 { HURRIED_SLACK } else { SLACK };
    let most = |host| {
        let is_known = row.memory == Memory::Warm && host == Host::Returning;
        slack * plan.speed + if is_known { 0.0 } else { GOOD_DELAY }
    };
    let good: Vec<&Outcome> = good_ones(outcomes).collect();
    let mut faults = Vec::new();
    if good.iter().any(|one| !one.served) {
        faults.push(format!("a good client was not served: {}", row.name));
    }
    if let Some(one) = good.iter().find(|one| one.greeted > most(one.host)) {
        let (waited, most) = (one.greeted, most(one.host));
        faults
            .push(format!("a good client waited for {waited:.2} s, and not {most}: {}", row.name));
    }
    faults
}

/// Whether the last row with such a memory holds less than the goal, in percent.
fn missed(rows: &[Row], parts: &[f64], memory: Memory, goal: u32) -> Option<String> {
    let last = rows.iter().rposition(|row| row.memory == memory)?;
    let less = (1.0 - parts[last]) * 100.0;
    let is_missed = less.is_nan() || less < f64::from(goal);
    is_missed
        .then(|| format!("{less:.0} % less are held, {goal} are asked for: {}", rows[last].name))
}
