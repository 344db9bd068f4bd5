//! How many connections are held: the same mix of clients, replayed through the
//! link before rblsmtpd and behind it, through rblsmtpd alone, and through the
//! daemon, all at the same time.  The last daemon has so few slots (`--few`, of which
//! `--reserve` are for good ones) that delays shrink, and clients without a good name
//! are turned away.  Needs root, for a DNS list on port 53 of a loopback address.
//!
//! `cargo bench --bench mix -- [--clients N] [--per-minute N] [--listed PERCENT]
//! [--early PERCENT] [--impatient PERCENT] [--seed N] [--speed N] [--few N]
//! [--reserve PERCENT]`
//!
//! The rest of the clients are good.  Listed ones wait for the greeting as good
//! ones do; impatient ones leave after 3 to 15 s without one.  Good clients have
//! a mail server's name, the others an end user's or none, half and half.  With
//! `--speed 10` every time is a tenth of what it would be.  It ends with 1 if a good
//! client is not served, or waits for a second longer than its class says, where
//! there are slots enough.

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names)]

#[path = "../tests/lab/mod.rs"]
#[allow(dead_code, unused_imports, unsafe_code, clippy::format_collect)]
#[allow(clippy::format_push_string, clippy::cast_possible_wrap, clippy::needless_pass_by_value)]
#[allow(clippy::similar_names)]
mod lab;
#[allow(dead_code)]
mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ExitCode, exit};
use std::thread;
use std::time::{Duration, Instant};

use lab::Client;
use lab::chain::{Chain, LINK, clean_command};
use lab::dns::{EMPTY, FORWARD, Nsd};
use lab::rbl::{Rbldnsd, ZONE};
use lab::twins::Dice;
use support::arguments;

/// Where the list answers.
const LIST: &str = "127.53.2.1";
/// How long a client that is served takes for its dialogue, in seconds.
const SESSION: f64 = 1.0;
/// What a client waits for an answer at most, in seconds (RFC 5321, 4.5.3.2).
const PATIENCE: f64 = 300.0;
const DIALOGUE: &str =
    "HELO me.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nQUIT\r\n";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Listed,
    Early,
    Impatient,
    Good,
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Listed, "listed"),
    (Kind::Early, "early"),
    (Kind::Impatient, "impatient"),
    (Kind::Good, "good"),
];

/// One client of the mix; times in seconds.
struct Visitor {
    kind: Kind,
    source: String,
    arrival: f64,
    patience: f64,
}

/// What became of it.
struct Outcome {
    kind: Kind,
    served: bool,
    /// How long it waited for its greeting, in seconds.
    greeted: f64,
    /// When it came and when its connection ended, in seconds since the start.
    held: (f64, f64),
}

struct Mix {
    visitors: Vec<Visitor>,
    speed: f64,
}

impl Mix {
    fn new(clients: u32, per_minute: u32, shares: [u32; 3], seed: u32, speed: f64) -> Self {
        let mut dice = Dice::new(seed.into());
        let mut arrival = 0.0;
        let visitors = (0..clients).map(|number| {
            arrival += gap(&mut dice) * 60.0 / f64::from(per_minute);
            let kind = kind(&mut dice, shares);
            let patience = 3.0 + f64::from(u32::try_from(dice.below(12_000)).unwrap()) / 1000.0;
            let source = source(kind, number, &mut dice);
            Visitor { kind, source, arrival, patience }
        });
        Self { visitors: visitors.collect(), speed }
    }

    fn last_arrival(&self) -> f64 {
        self.visitors.last().map_or(0.0, |visitor| visitor.arrival)
    }

    /// Sends all visitors to `server` at their times.
    fn replay(&self, server: &Chain) -> Vec<Outcome> {
        let start = Instant::now();
        thread::scope(|scope| {
            let visits = self.visitors.iter().map(|visitor| {
                let due = Duration::from_secs_f64(visitor.arrival / self.speed);
                thread::sleep(due.saturating_sub(start.elapsed()));
                scope.spawn(move || self.visit(visitor, server, start))
            });
            let visits: Vec<_> = visits.collect();
            visits.into_iter().map(|visit| visit.join().unwrap()).collect()
        })
    }

    fn visit(&self, visitor: &Visitor, server: &Chain, start: Instant) -> Outcome {
        let since = || start.elapsed().as_secs_f64() * self.speed;
        let came = since();
        let mut greeted = 0.0;
        let greet = || greeted = since() - came;
        let served = self.talk(visitor, server.client(&visitor.source), greet).unwrap_or(false);
        Outcome { kind: visitor.kind, served, greeted, held: (came, since()) }
    }

    /// Whether its recipient was accepted.
    fn talk(
        &self,
        visitor: &Visitor,
        client: Client,
        greeted: impl FnOnce(),
    ) -> std::io::Result<bool> {
        let patience = if visitor.kind == Kind::Impatient { visitor.patience } else { PATIENCE };
        let mut stream = client.stream;
        stream.set_read_timeout(Some(Duration::from_secs_f64(patience / self.speed)))?;
        if visitor.kind == Kind::Early {
            stream.write_all(DIALOGUE.as_bytes())?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            return Ok(text.matches("\r\n250 ").count() >= 3);
        }
        let mut replies = BufReader::new(stream.try_clone()?).lines();
        let mut reply = || replies.next().unwrap_or_else(|| Ok(String::new()));
        if !reply()?.starts_with("220") {
            return Ok(false);
        }
        greeted();
        thread::sleep(Duration::from_secs_f64(SESSION / self.speed));
        let mut served = false;
        for command in DIALOGUE.split_inclusive("\r\n") {
            stream.write_all(command.as_bytes())?;
            served |= reply()?.starts_with("250") && command.starts_with("RCPT");
        }
        Ok(served)
    }
}

/// The time between two arrivals that know nothing of each other, 1 on average.
fn gap(dice: &mut Dice) -> f64 {
    let uniform = f64::from(u32::try_from(dice.below(1_000_000)).unwrap() + 1) / 1_000_001.0;
    -uniform.ln()
}

fn kind(dice: &mut Dice, shares: [u32; 3]) -> Kind {
    let thrown = u32::try_from(dice.below(100)).unwrap();
    let mut sum = 0;
    let kinds = KINDS.iter().zip(shares);
    let found = kinds.map(|((kind, _), share)| {
        sum += share;
        (*kind, sum)
    });
    let found = found.collect::<Vec<_>>().into_iter().find(|(_, sum)| thrown < *sum);
    found.map_or(Kind::Good, |(kind, _)| kind)
}

/// The second octet tells the list and the name server what the client is.
fn source(kind: Kind, number: u32, dice: &mut Dice) -> String {
    let network = match (kind, dice.below(2)) {
        (Kind::Good, _) => 10,
        (Kind::Listed, 0) => 21,
        (Kind::Listed, _) => 31,
        (_, 0) => 20,
        _ => 30,
    };
    format!("127.{network}.{}.{}", number / 250 % 250, 1 + number % 250)
}

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
    let behind = lab::chain::words(behind);
    let behind: Vec<&str> = behind.iter().map(String::as_str).collect();
    Chain::printing_its_port(command, &[&["127.0.0.1", "0"], &behind[..]].concat())
}

/// What good clients wait.
const GOOD_DELAY: f64 = 2.0;
/// What may come on top of it, in seconds that are not shortened.
const SLACK: f64 = 1.0;
/// Where there may be no slot for them at once.
const FEW: &str = "smtp-delayd --dnsbl, few";
const DELAYS: [(&str, f64); 4] = [
    ("--delay-static", GOOD_DELAY),
    ("--delay-dynamic", 12.0),
    ("--delay-none", 20.0),
    ("--delay-unknown", 12.0),
];

/// The chains to compare: what stands behind tcpserver.
fn chains(resolver: &str, speed: f64) -> [(&'static str, Vec<String>); 3] {
    let words = |text: &str| lab::chain::words(text);
    let delays: Vec<String> = DELAYS
        .iter()
        .flat_map(|(option, delay)| [String::from(*option), (delay / speed).to_string()])
        .collect();
    let link = |option: &str| {
        let ours = words(&format!("{LINK} {option} --local-nets none --resolver {resolver}"));
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
    ];
    let [clients, per_minute, listed, early, impatient, seed, speed, few, reserve] =
        arguments(known, "cargo bench --bench mix --");
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
        (FEW, daemon(&resolver, speed, clients, few, smtp)),
    ];
    let servers: Vec<(&str, Chain)> = servers.into_iter().chain(daemons).collect();
    let outcomes: Vec<Vec<Outcome>> = thread::scope(|scope| {
        let mix = &mix;
        let replays: Vec<_> =
            servers.iter().map(|(_, server)| scope.spawn(move || mix.replay(server))).collect();
        replays.into_iter().map(|replay| replay.join().unwrap()).collect()
    });
    let names: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
    print(&names, &outcomes, mix.last_arrival());
    if !outcomes.iter().all(|all| good_ones(all).all(|one| one.served)) {
        eprintln!("mix: a good client was not served");
        return ExitCode::FAILURE;
    }
    let most = GOOD_DELAY + SLACK * speed;
    let late = |name: &str, all| name != FEW && good_ones(all).any(|one| one.greeted > most);
    if let Some((name, _)) = names.iter().zip(&outcomes).find(|(name, all)| late(name, all)) {
        eprintln!("mix: a good client waited for more than {most} s: {name}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn good_ones(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|one| one.kind == Kind::Good)
}

/// A row a chain, with the slowest greeting to a good client.  The mean is taken
/// between the time when the first clients can have gone again and the last arrival;
/// percentages are of the better one of the two orders of link and list.
fn print(names: &[&str], outcomes: &[Vec<Outcome>], last: f64) {
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
    for (name, outcomes) in names.iter().zip(outcomes) {
        let all = mean(outcomes, None);
        print!("{name:<24} {all:5.1} {:5}", peak(outcomes));
        for (kind, _) in KINDS {
            print!("  {:9.1}", mean(outcomes, Some(kind)));
        }
        let served = outcomes.iter().filter(|one| one.served).count();
        let slowest = good_ones(outcomes).map(|one| one.greeted).fold(0.0, f64::max);
        println!("  {served:6}  {slowest:10.2} s  ({:+.0} %)", (all / base - 1.0) * 100.0);
    }
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
