//! A mix of clients that come to a server at planned times, and the outcome of each.

#![allow(clippy::similar_names)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use lab::Client;
use lab::chain::Chain;
use lab::ucspi::Random;

/// How long a client that is served takes for its dialogue, in seconds.
const SESSION: f64 = 1.0;
/// How long a client waits for an answer, in seconds (RFC 5321, 4.5.3.2).
const PATIENCE: f64 = 300.0;
const DIALOGUE: &str =
    "HELO me.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nQUIT\r\n";

/// What a client is like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A DNS list has it; it waits for the greeting.
    Listed,
    /// It talks before the greeting.
    Early,
    /// It leaves after 3 to 15 s without a greeting.
    Impatient,
    /// It waits, and has a mail server's name.
    Good,
}

/// All kinds, and what they are called.
pub const KINDS: [(Kind, &str); 4] = [
    (Kind::Listed, "listed"),
    (Kind::Early, "early"),
    (Kind::Impatient, "impatient"),
    (Kind::Good, "good"),
];

/// How often a host that returns comes, on average.
const VISITS: u32 = 4;

/// Whether a good client has been there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// It comes once.
    New,
    /// It comes again and again.
    Returning,
}

/// One client of the mix; times in seconds.
struct PlannedClient {
    kind: Kind,
    host: Host,
    source: String,
    arrival: f64,
    patience: f64,
}

/// The outcome of one client.
pub struct Outcome {
    /// What it was like.
    pub kind: Kind,
    /// Whether it returns.
    pub host: Host,
    /// Whether its recipient was accepted.
    pub served: bool,
    /// How long it waited for its greeting, in seconds.
    pub greeted: f64,
    /// When it came and when its connection ended, in seconds since the start.
    pub held: (f64, f64),
}

/// How many clients come, and of which kinds.
#[derive(Clone, Copy)]
pub struct Plan {
    /// All of them.
    pub clients: u32,
    /// How many come in a minute, on average.
    pub per_minute: u32,
    /// Percent of all: the first three [`KINDS`]; the rest are good.
    pub shares: [u32; 3],
    /// Percent of the good ones: those whose hosts return.
    pub returning: u32,
    /// What determines when which client comes.
    pub seed: u32,
    /// How many times faster than planned time passes.
    pub speed: f64,
}

impl Plan {
    /// How many hosts the returning clients come from.
    fn returning_hosts(&self) -> u32 {
        let good = 100 - self.shares.iter().sum::<u32>();
        (self.clients * good * self.returning / 10_000).div_ceil(VISITS)
    }

    /// How many addresses good clients may come from; hosts that return have the last
    /// numbers.
    pub fn addresses(&self) -> u32 {
        self.clients + self.returning_hosts()
    }
}

/// Clients that are planned, each with its time.
pub struct Mix {
    /// How it was planned.
    pub plan: Plan,
    planned: Vec<PlannedClient>,
}

impl Mix {
    /// Plans all clients of `plan`.
    pub fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed.into());
        // The others are the same, whatever the share of those that return.
        let mut hosts = Random::new(u64::from(plan.seed) << 32);
        let mut arrival = 0.0;
        let planned = (0..plan.clients).map(|number| {
            arrival += gap(&mut random) * 60.0 / f64::from(plan.per_minute);
            let kind = kind(&mut random, plan.shares);
            let patience = 3.0 + f64::from(below(&mut random, 12_000)) / 1000.0;
            let source = source(kind, number, &mut random);
            let thrown = [100, plan.returning_hosts().max(1)].map(|most| below(&mut hosts, most));
            if kind == Kind::Good && thrown[0] < plan.returning {
                let source = address(GOOD, plan.clients + thrown[1]);
                PlannedClient { kind, host: Host::Returning, source, arrival, patience }
            } else {
                PlannedClient { kind, host: Host::New, source, arrival, patience }
            }
        });
        Self { planned: planned.collect(), plan }
    }

    /// The addresses of the hosts that return.
    pub fn returning_hosts(&self) -> BTreeSet<&str> {
        let returning = self.planned.iter().filter(|one| one.host == Host::Returning);
        returning.map(|one| one.source.as_str()).collect()
    }

    /// When the last one comes, in seconds as planned.
    pub fn last_arrival(&self) -> f64 {
        self.planned.last().map_or(0.0, |planned_client| planned_client.arrival)
    }

    /// Sends all of them to `server` at their times, and waits for the outcome of each.
    pub fn replay(&self, server: &Chain) -> Vec<Outcome> {
        let start = Instant::now();
        thread::scope(|scope| {
            let visits = self.planned.iter().map(|planned_client| {
                let due = Duration::from_secs_f64(planned_client.arrival / self.plan.speed);
                thread::sleep(due.saturating_sub(start.elapsed()));
                scope.spawn(move || self.visit(planned_client, server, start))
            });
            let visits: Vec<_> = visits.collect();
            visits.into_iter().map(|visit| visit.join().unwrap()).collect()
        })
    }

    fn visit(&self, planned_client: &PlannedClient, server: &Chain, start: Instant) -> Outcome {
        let since = || start.elapsed().as_secs_f64() * self.plan.speed;
        let came = since();
        let mut greeted = 0.0;
        let greet = || greeted = since() - came;
        let served = self
            .talk(planned_client, server.client(&planned_client.source), greet)
            .unwrap_or(false);
        let PlannedClient { kind, host, .. } = *planned_client;
        Outcome { kind, host, served, greeted, held: (came, since()) }
    }

    /// Whether its recipient was accepted.
    fn talk(
        &self,
        planned_client: &PlannedClient,
        client: Client,
        greeted: impl FnOnce(),
    ) -> std::io::Result<bool> {
        let patience =
            if planned_client.kind == Kind::Impatient { planned_client.patience } else { PATIENCE };
        let mut stream = client.stream;
        stream.set_read_timeout(Some(Duration::from_secs_f64(patience / self.plan.speed)))?;
        if planned_client.kind == Kind::Early {
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
        thread::sleep(Duration::from_secs_f64(SESSION / self.plan.speed));
        let mut served = false;
        for command in DIALOGUE.split_inclusive("\r\n") {
            stream.write_all(command.as_bytes())?;
            served |= reply()?.starts_with("250") && command.starts_with("RCPT");
        }
        Ok(served)
    }
}

fn below(random: &mut Random, most: u32) -> u32 {
    u32::try_from(random.below(most as usize)).unwrap()
}

/// The time between two arrivals that know nothing of each other, 1 on average.
fn gap(random: &mut Random) -> f64 {
    let uniform = f64::from(below(random, 1_000_000) + 1) / 1_000_001.0;
    -uniform.ln()
}

fn kind(random: &mut Random, shares: [u32; 3]) -> Kind {
    let thrown = below(random, 100);
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
fn source(kind: Kind, number: u32, random: &mut Random) -> String {
    let network = match (kind, random.below(2)) {
        (Kind::Good, _) => GOOD,
        (Kind::Listed, 0) => 21,
        (Kind::Listed, _) => 31,
        (_, 0) => 20,
        _ => 30,
    };
    address(network, number)
}

/// The network of the good clients.
const GOOD: u32 = 10;

fn address(network: u32, number: u32) -> String {
    format!("127.{network}.{}.{}", number / 250 % 250, 1 + number % 250)
}
