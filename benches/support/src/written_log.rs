//! A log as three mail hosts write it to one place: their clients come around the clock, in
//! the proportions of an ordinary day, and lines of other programs stand between ours.
//! A seed always gives the same lines.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use lab::ucspi::Random;

/// The first line's second, since 1970: the first of January 2026.
const START: i64 = 1_767_225_600;
/// Microseconds of a second.
const SECOND: f64 = 1_000_000.0;
/// Clients a second in an hour with the weight 1.
const RATE: f64 = 12.0;
/// How much comes in each hour of a day.
const HOURS: [f64; 24] = [
    0.5, 0.4, 0.4, 0.4, 0.4, 0.5, 0.7, 1.0, 1.4, 1.6, 1.6, 1.5, 1.3, 1.5, 1.6, 1.5, 1.4, 1.2, 1.0,
    0.9, 0.8, 0.7, 0.6, 0.5,
];
const HOSTS: [&str; 3] = ["mx1", "mx2", "mx3"];
/// The last of the hosts refuses nobody.
const DRY: &str = " would=refuse";
/// Mail servers; the first of them come most often.
const SENDERS: f64 = 20_000.0;
/// Names and words that try to be more than a value, as the log escapes them.
const HOSTILE: [&str; 3] = [
    "\"x</td><script>alert(1)</script>\"",
    "\"x\\r\\npass ip\\x3d192.0.2.1 waited\\x3d0\"",
    "\"\\\"><img src\\x3dhttp://x.example/>\\033[2J\"",
];

/// How the time is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// `Nov  7 06:50:16`.
    Rfc3164,
    /// `2026-11-07T06:50:16.123456+00:00`.
    Rfc3339,
}

/// Writes so many lines.
///
/// # Errors
/// Those of `out`.
pub fn write(out: &mut impl Write, lines: u64, seed: u32, stamp: Stamp) -> io::Result<()> {
    let mut hosts = Hosts::new(seed);
    let mut clock = Clock { stamp, second: 0, text: String::new() };
    let mut written = 0;
    while written < lines {
        hosts.arrive();
        while let Some(line) = hosts.due().filter(|_| written < lines) {
            clock.write(out, line.at)?;
            out.write_all(line.text.as_bytes())?;
            written += 1;
        }
    }
    Ok(())
}

/// Formats times, each second once.
struct Clock {
    stamp: Stamp,
    second: u64,
    text: String,
}

impl Clock {
    fn write(&mut self, out: &mut impl Write, micros: u64) -> io::Result<()> {
        let (second, part) = (micros / 1_000_000, micros % 1_000_000);
        if second != self.second || self.text.is_empty() {
            let at = Timestamp::from_second(START + i64::try_from(second).unwrap()).unwrap();
            let form = if self.stamp == Stamp::Rfc3164 { "%b %e %H:%M:%S" } else { "%FT%T" };
            self.second = second;
            self.text = at.to_zoned_datetime(TimeZone::UTC).strftime(form).to_string();
        }
        match self.stamp {
            Stamp::Rfc3164 => write!(out, "{} ", self.text),
            Stamp::Rfc3339 => write!(out, "{}.{part:06}+00:00 ", self.text),
        }
    }
}

/// A line without its time; in the order of time, then of making.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    at: u64,
    number: u64,
    text: String,
}

/// The hosts, and the lines that are still to come of clients that have arrived.
struct Hosts {
    random: Random,
    /// Microseconds since the start.
    now: u64,
    number: u64,
    coming: BinaryHeap<Reverse<Line>>,
}

/// A client, and what its lines begin with.
struct Client {
    host: &'static str,
    class: &'static str,
    delay: f64,
    ip: String,
    port: usize,
    name: String,
}

impl Hosts {
    fn new(seed: u32) -> Self {
        let mut hosts =
            Self { random: Random::new(seed.into()), now: 0, number: 0, coming: BinaryHeap::new() };
        for host in HOSTS {
            let text = "start host=:: port=25 slots=200 min-idle=5 max-idle=20 pid=812";
            hosts.tell(0.0, host, text);
        }
        hosts
    }

    /// The next line that no client that is still to come can precede.
    fn due(&mut self) -> Option<Line> {
        let is_due = self.coming.peek().is_some_and(|Reverse(line)| line.at <= self.now);
        is_due.then(|| self.coming.pop().unwrap().0)
    }

    /// Adds a line of ours that is written in so many seconds.
    fn tell(&mut self, seconds: f64, host: &str, text: &str) {
        self.put(seconds, &format!("{host} smtp-delayd[812]: {text}\n"));
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn put(&mut self, seconds: f64, text: &str) {
        self.number += 1;
        let at = self.now + (seconds * SECOND) as u64;
        self.coming.push(Reverse(Line { at, number: self.number, text: text.into() }));
    }

    /// The next client, and now and then a line about something else.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn arrive(&mut self) {
        let hour = self.now / 3_600_000_000 % 24;
        let gap = self.exponential(1.0 / (RATE * HOURS[usize::try_from(hour).unwrap()]));
        self.now += (gap * SECOND) as u64;
        let host = self.random.pick(&HOSTS);
        match self.random.below(1000) {
            0..150 => {
                let from = self.address();
                self.put(0.0, &format!("{host} sshd[77]: Connection closed by {from} port 4022\n"));
            }
            150 => self.tell(0.0, host, "warning: 3 log lines were lost"),
            151..155 => {
                let name = self.random.pick(&HOSTILE);
                let ip = self.address();
                let text = format!("deny ip={ip} port=1042 host={name} waited=0.00 rule=\"{ip}:\"");
                self.tell(0.0, host, &text);
            }
            155..160 => self.tell(0.0, host, "forget ip=192.0.2.7 why=early"),
            _ => {
                let client = self.client(host);
                self.serve(&client);
            }
        }
    }

    fn client(&mut self, host: &'static str) -> Client {
        let ip = self.address();
        let dashed = ip.replace('.', "-");
        let (class, delay, name) = match self.random.below(100) {
            0..45 => ("none", 20.0, "-".into()),
            45..70 => {
                let provider = self.random.below(300);
                ("dynamic", 12.0, format!("{dashed}.dyn.isp{provider}.example"))
            }
            70..74 => ("unknown", 12.0, "-".into()),
            _ => return self.sender(host),
        };
        Client { host, class, delay, ip, port: self.port(), name }
    }

    /// A mail server, of which some come often.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn sender(&mut self, host: &'static str) -> Client {
        let number = SENDERS.powf(self.uniform()) as u32;
        let [_, a, b, c] = number.to_be_bytes();
        let name = format!("mx{}.mail{number}.example", number % 3);
        let ip = format!("203.{a}.{b}.{c}");
        Client { host, class: "static", delay: 2.0, ip, port: self.port(), name }
    }

    fn serve(&mut self, client: &Client) {
        let bad = if client.class == "static" { 8 } else { 90 };
        if self.random.below(100) >= bad {
            return self.pass(client);
        }
        match self.random.below(100) {
            0..60 => self.early(client),
            60..90 => self.hang_up(client),
            90..95 => {
                let zones = "zones=\"zen.example:127.0.0.4\" score=1";
                self.refuse(client, "listed", 0.12, zones);
            }
            _ => self.refuse(client, "limit", 0.05, "kind=per-ip held=10"),
        }
    }

    fn pass(&mut self, client: &Client) {
        // A mail server that has come before is known.
        let known = client.class == "static" && self.random.below(3) > 0;
        let (delay, known) = if known { (0.0, "1.37") } else { (client.delay, "-") };
        let pid = 1000 + self.random.below(60_000);
        let waited = delay + 0.02 * self.uniform();
        let text = about("pass", client, delay, waited);
        let dns = 0.2 * self.uniform();
        self.tell(waited, client.host, &format!("{text} dns={dns:.3} known={known} pid={pid}"));
        let held = waited + self.exponential(4.0);
        let text = format!("end pid={pid} ip={} exit=0 secs={held:.1}", client.ip);
        self.tell(held, client.host, &text);
        if self.random.below(20) == 0 {
            let from = format!("prog: qmail-smtpd: mail from <a@{}>", client.name);
            self.tell(held, client.host, &from);
        }
    }

    fn early(&mut self, client: &Client) {
        let at = self.exponential(0.7).min(client.delay - 0.01);
        let action = if client.host == HOSTS[2] { "log" } else { "refuse" };
        let greeting = match self.random.below(200) {
            0 => self.random.pick(&HOSTILE).trim_matches('"').into(),
            _ => format!("EHLO [{}]\\r\\nMAIL FROM:<a@b.example>\\r\\n", client.ip),
        };
        let more = format!("bytes=111 text=\"{greeting}\" action={action}");
        self.refuse(client, "early", at, &more);
    }

    /// Many leave after round numbers of seconds.
    fn hang_up(&mut self, client: &Client) {
        let round = 5.0 * f64::from(u32::try_from(1 + self.random.below(4)).unwrap());
        let at = if client.delay > round { round + 0.3 * self.uniform() } else { self.uniform() };
        let at = at.min(client.delay - 0.01);
        let text = about("hangup", client, client.delay, at);
        self.tell(at, client.host, &text);
    }

    /// The line of a refusal, after which a host that refuses nobody lets the client pass.
    fn refuse(&mut self, client: &Client, event: &str, at: f64, more: &str) {
        let dry = client.host == HOSTS[2];
        let text = about(event, client, client.delay, at);
        self.tell(at, client.host, &format!("{text} {more}{}", if dry { DRY } else { "" }));
        if dry {
            self.pass(client);
        }
    }

    fn port(&mut self) -> usize {
        1024 + self.random.below(60_000)
    }

    fn address(&mut self) -> String {
        let mut octet = || self.random.below(256);
        let [a, b, c, d] = [octet(), octet(), octet(), octet()];
        if d == 0 { format!("2001:db8:{a:x}:{b:x}::{c:x}") } else { format!("{a}.{b}.{c}.{d}") }
    }

    fn uniform(&mut self) -> f64 {
        f64::from(u32::try_from(self.random.below(1_000_000)).unwrap()) / 1_000_000.0
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }
}

fn about(event: &str, client: &Client, delay: f64, waited: f64) -> String {
    let Client { class, ip, port, name, .. } = client;
    format!(
        "{event} ip={ip} port={port} host={name} class={class} delay={delay} waited={waited:.2}"
    )
}
