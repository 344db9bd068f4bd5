//! How many connections are held: the same mix of clients, replayed through the
//! link before rblsmtpd and behind it, through rblsmtpd alone, and through the
//! daemon, all at the same time.  The last daemon has so few slots (`--few`, of which
//! `--reserve` are for good ones) that delays shrink, and clients without a good name
//! are turned away.  Needs root, for a DNS list on port 53 of a loopback address.
//!
//! `cargo bench --bench mix -- [--clients N] [--per-minute N] [--listed PERCENT]
//! [--early PERCENT] [--impatient PERCENT] [--seed N] [--speed N] [--few N]
//! [--reserve PERCENT] [--goal PERCENT]`
//!
//! The rest of the clients are good.  Listed ones wait for the greeting as good
//! ones do; impatient ones leave after 3 to 15 s without one.  Good clients have
//! a mail server's name, the others a dynamic one or none, half and half.  With
//! `--speed 10` every time is a tenth of what it would be.  It ends with 1 if a good
//! client is not served, or waits for a second longer than its class says, or if the
//! last daemon does not hold so much less than the better one of the two orders
//! (`--goal`, 0 for any).

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names)]

use std::fmt::Write as _;
use std::process::{ExitCode, exit};
use std::thread;

use lab::chain::Chain;
use lab::command::{self, clean_command, words};
use lab::dns::{EMPTY, FORWARD, Nsd};
use lab::rbl::{Rbldnsd, ZONE};
use support::planned_clients::{KINDS, Kind, Mix, Outcome};
use support::{arguments, measure_what_is_installed};

/// Where the list answers.
const LIST: &str = "127.53.2.1";

/// Names for all sources that have one.
fn names(clients: u32) -> Nsd {
    let mut reverse = String::from(EMPTY);
    for number in 0..clients {
        let (high, low) = (number / 250 % 250, 1 + number % 250);
        let _ = writeln!(reverse, "{low}.{high}.10 PTR mx-{high}-{low}.example.org.");
        for network in [20, 21] {
            let name = format!("dsl-127-{network}-{high}-{low}.isp.example");
            let _ = writeln!(reverse, "{low}.{high}.{network} PTR {name}.");
        }
    }
    Nsd::start_with(&[("127.in-addr.arpa", reverse), ("example.org", FORWARD.into())])
}

/// The daemon with the same delays, and with or without the list.
fn daemon(resolver: &str, speed: f64, clients: u32, more: &[&str], behind: &str) -> Chain {
    let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
    command.args(["-1", "-l", "mx.test.example", "--local-nets", "none", "--per-ip", "0"]);
    command.args(["-b", "500", "-c", &clients.to_string()]).args(more).env("DNSCACHEIP", LIST);
    // The list's server refuses other questions, and the next one is asked.
    command.args(["--resolver", &format!("{LIST}:53"), "--resolver", resolver]);
    for (option, delay) in DELAYS {
        command.args([option, &(delay / speed).to_string()]);
    }
    let behind = words(behind);
    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
    Chain::printing_its_port(command, &[&["127.0.0.1", "0"], &behind[..]].concat())
}

/// What good clients wait.
const GOOD_DELAY: f64 = 2.0;
/// What may come on top of it, in seconds that are not shortened.
const SLACK: f64 = 1.0;
const DELAYS: [(&str, f64); 4] = [
    ("--delay-static", GOOD_DELAY),
    ("--delay-dynamic", 12.0),
    ("--delay-none", 20.0),
    ("--delay-unknown", 12.0),
];

/// The chains to compare: what stands behind tcpserver.
fn chains(resolver: &str, speed: f64) -> [(&'static str, Vec<String>); 3] {
    let delays: Vec<String> = DELAYS
        .iter()
        .flat_map(|(option, delay)| [String::from(*option), (delay / speed).to_string()])
        .collect();
    let link = |option: &str| {
        let ours =
            words(&format!("{} {option} --local-nets none --resolver {resolver}", command::link()));
        [ours, delays.clone()].concat()
    };
    let (rblsmtpd, smtp) =
        (words(&format!("rblsmtpd -r {ZONE}")), words("env PLUGINS=accept smtpfront-echo"));
    [
        ("smtp-delay, rblsmtpd", [link("-v"), rblsmtpd.clone(), smtp.clone()].concat()),
        ("rblsmtpd, smtp-delay -S", [rblsmtpd.clone(), link("-v -S"), smtp.clone()].concat()),
        ("rblsmtpd alone", [rblsmtpd, smtp].concat()),
    ]
}

fn main() -> ExitCode {
    let known = [
        ("clients", 600),
        ("per-minute", 600),
        ("listed", 30),
        ("early", 20),
        ("impatient", 20),
        ("seed", 1),
        ("speed", 1),
        ("few", 26),
        ("reserve", 40),
        ("goal", 40),
    ];
    let [clients, per_minute, listed, early, impatient, seed, speed, few, reserve, goal] =
        arguments(known, "cargo bench --bench mix --");
    measure_what_is_installed();
    if listed + early + impatient > 100 || !nix::unistd::geteuid().is_root() {
        eprintln!("mix: shares add up to 100 at most, and root is needed");
        exit(100);
    }
    let good = 100 - listed - early - impatient;
    let mix = Mix::new(clients, per_minute, [listed, early, impatient], seed, speed.into());
    println!(
        "{clients} clients, {per_minute} a minute: {listed} % listed, {early} % early, {impatient} % \
         impatient, {good} % good; seed {seed}, speed {speed}\n"
    );
    let _list = Rbldnsd::start_with(LIST, &["127.21.0.0/16", "127.31.0.0/16"]);
    let names = names(clients);
    let servers = chains(&names.address.to_string(), speed.into()).map(|(name, chain)| {
        let chain: Vec<&str> = chain.iter().map(String::as_str).collect();
        let options = format!("-RHl mx.test.example -c {clients} -b 500");
        (name, Chain::tcpserver(&options, &[("DNSCACHEIP", LIST)], &chain))
    });
    let (resolver, speed) = (names.address.to_string(), speed.into());
    let smtp = "env PLUGINS=accept smtpfront-echo";
    let rblsmtpd = format!("rblsmtpd -r {ZONE} {smtp}");
    let few = &["-c", &few.to_string(), "--reserve", &reserve.to_string(), "--dnsbl", ZONE];
    let daemons = [
        ("smtp-delayd, rblsmtpd", daemon(&resolver, speed, clients, &[], &rblsmtpd)),
        ("smtp-delayd --dnsbl", daemon(&resolver, speed, clients, &["--dnsbl", ZONE], smtp)),
        ("smtp-delayd --dnsbl, few", daemon(&resolver, speed, clients, few, smtp)),
    ];
    let servers: Vec<(&str, Chain)> = servers.into_iter().chain(daemons).collect();
    let outcomes: Vec<Vec<Outcome>> = thread::scope(|scope| {
        let mix = &mix;
        let replays: Vec<_> =
            servers.iter().map(|(_, server)| scope.spawn(move || mix.replay(server))).collect();
        replays.into_iter().map(|replay| replay.join().unwrap()).collect()
    });
    let names: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
    let held = print(&names, &outcomes, mix.last_arrival());
    if !outcomes.iter().all(|all| good_ones(all).all(|one| one.served)) {
        eprintln!("mix: a good client was not served");
        return ExitCode::FAILURE;
    }
    let most = GOOD_DELAY + SLACK * speed;
    let late = |all| good_ones(all).any(|one| one.greeted > most);
    if let Some((name, _)) = names.iter().zip(&outcomes).find(|(_, all)| late(all)) {
        eprintln!("mix: a good client waited for more than {most} s: {name}");
        return ExitCode::FAILURE;
    }
    let less = (1.0 - held) * 100.0;
    if goal > 0 && (less.is_nan() || less < f64::from(goal)) {
        eprintln!("mix: {less:.0} % less are held, {goal} are asked for");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn good_ones(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|one| one.kind == Kind::Good)
}

/// A row a chain, with the slowest greeting to a good client.  The mean is taken
/// between the time when the first clients can have gone again and the last arrival;
/// percentages are of the better one of the two orders of link and list.  What part
/// of it the last row is.
fn print(names: &[&str], outcomes: &[Vec<Outcome>], last: f64) -> f64 {
    let first = 25.0_f64.min(last / 2.0);
    let mean = |outcomes: &[Outcome], kind: Option<Kind>| {
        let chosen = outcomes.iter().filter(|one| kind.is_none_or(|kind| one.kind == kind));
        let inside = |(from, to): (f64, f64)| (to.min(last) - from.max(first)).max(0.0);
        chosen.map(|one| inside(one.held)).sum::<f64>() / (last - first)
    };
    print!("{:<24}  mean  peak", "connections held");
    for (_, name) in KINDS {
        print!("  {name:>9}");
    }
    println!("  served  slowest good");
    let base = mean(&outcomes[0], None).min(mean(&outcomes[1], None));
    let mut part = 1.0;
    for (name, outcomes) in names.iter().zip(outcomes) {
        let all = mean(outcomes, None);
        print!("{name:<24} {all:5.1} {:5}", peak(outcomes));
        for (kind, _) in KINDS {
            print!("  {:9.1}", mean(outcomes, Some(kind)));
        }
        let served = outcomes.iter().filter(|one| one.served).count();
        part = all / base;
        let slowest = good_ones(outcomes).map(|one| one.greeted).fold(0.0, f64::max);
        println!("  {served:6}  {slowest:10.2} s  ({:+.0} %)", (part - 1.0) * 100.0);
    }
    part
}

fn peak(outcomes: &[Outcome]) -> i32 {
    let mut changes: Vec<(f64, i32)> =
        outcomes.iter().flat_map(|one| [(one.held.0, 1), (one.held.1, -1)]).collect();
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut now = 0;
    let counts = changes.iter().map(|(_, change)| {
        now += change;
        now
    });
    counts.max().unwrap_or(0)
}
