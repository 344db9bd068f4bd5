//! A mix of clients that come to a server at planned times, and the outcome of each.

#![allow(clippy::similar_names)]

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

/// One client of the mix; times in seconds.
struct PlannedClient {
    kind: Kind,
    source: String,
    arrival: f64,
    patience: f64,
}

/// Its outcome.
pub struct Outcome {
    /// What it was like.
    pub kind: Kind,
    /// Whether its recipient was accepted.
    pub served: bool,
    /// How long it waited for its greeting, in seconds.
    pub greeted: f64,
    /// When it came and when its connection ended, in seconds since the start.
    pub held: (f64, f64),
}

/// Clients that are planned, each with its time.
pub struct Mix {
    planned: Vec<PlannedClient>,
    speed: f64,
}

impl Mix {
    /// Plans so many clients, which come at random (`seed`), so many a minute on average.
    /// `shares` are the percentages of the first three [`KINDS`]; the rest are good.  Time
    /// passes `speed` times as fast as planned.
    pub fn new(clients: u32, per_minute: u32, shares: [u32; 3], seed: u32, speed: f64) -> Self {
        let mut random = Random::new(seed.into());
        let mut arrival = 0.0;
        let planned = (0..clients).map(|number| {
            arrival += gap(&mut random) * 60.0 / f64::from(per_minute);
            let kind = kind(&mut random, shares);
            let patience = 3.0 + f64::from(u32::try_from(random.below(12_000)).unwrap()) / 1000.0;
            let source = source(kind, number, &mut random);
            PlannedClient { kind, source, arrival, patience }
        });
        Self { planned: planned.collect(), speed }
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
                let due = Duration::from_secs_f64(planned_client.arrival / self.speed);
                thread::sleep(due.saturating_sub(start.elapsed()));
                scope.spawn(move || self.visit(planned_client, server, start))
            });
            let visits: Vec<_> = visits.collect();
            visits.into_iter().map(|visit| visit.join().unwrap()).collect()
        })
    }

    fn visit(&self, planned_client: &PlannedClient, server: &Chain, start: Instant) -> Outcome {
        let since = || start.elapsed().as_secs_f64() * self.speed;
        let came = since();
        let mut greeted = 0.0;
        let greet = || greeted = since() - came;
        let served = self
            .talk(planned_client, server.client(&planned_client.source), greet)
            .unwrap_or(false);
        Outcome { kind: planned_client.kind, served, greeted, held: (came, since()) }
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
        stream.set_read_timeout(Some(Duration::from_secs_f64(patience / self.speed)))?;
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
fn gap(random: &mut Random) -> f64 {
    let uniform = f64::from(u32::try_from(random.below(1_000_000)).unwrap() + 1) / 1_000_001.0;
    -uniform.ln()
}

fn kind(random: &mut Random, shares: [u32; 3]) -> Kind {
    let thrown = u32::try_from(random.below(100)).unwrap();
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
        (Kind::Good, _) => 10,
        (Kind::Listed, 0) => 21,
        (Kind::Listed, _) => 31,
        (_, 0) => 20,
        _ => 30,
    };
    format!("127.{network}.{}.{}", number / 250 % 250, 1 + number % 250)
}
