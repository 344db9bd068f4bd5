//! The contents of log lines: the table of events and keys, and the facts about a
//! client.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::class::Class;

/// Every event and the keys of its line, in their order.
pub const LINES: &[(&str, &[&str])] = &[
    ("start", &["host", "port", "slots", "min-idle", "max-idle", "pid"]),
    (
        "pass",
        &["ip", "port", "via", "host", "class", "delay", "shrunk", "waited", "dns", "known", "pid"],
    ),
    (
        "early",
        &[
            "ip", "port", "via", "host", "class", "delay", "shrunk", "waited", "bytes", "text",
            "action", "would", "helo", "mail", "rcpt",
        ],
    ),
    ("hangup", &["ip", "port", "via", "host", "class", "delay", "shrunk", "waited"]),
    ("deny", &["ip", "port", "via", "host", "waited", "rule"]),
    (
        "listed",
        &[
            "ip", "port", "via", "host", "class", "delay", "shrunk", "waited", "zones", "score",
            "would", "helo", "mail", "rcpt",
        ],
    ),
    (
        "limit",
        &[
            "ip", "port", "via", "host", "class", "delay", "shrunk", "waited", "kind", "held",
            "would",
        ],
    ),
    ("check", &["ip", "port"]),
    ("end", &["pid", "ip", "exit", "signal", "secs"]),
    ("forget", &["ip", "why"]),
    ("reload", &["pid"]),
    (
        "stats",
        &[
            "pass",
            "early",
            "hangup",
            "deny",
            "listed",
            "limit",
            "check",
            "error",
            WOULD_REFUSE,
            "static",
            "dynamic",
            "none",
            "unknown",
            "idle",
            "busy",
            "max",
        ],
    ),
    ("stopping", &["waiting", "sessions", "pid"]),
    ("stop", &["sessions", "pid"]),
];

/// How many verdicts are counted: the first keys of the `stats` line.
pub const VERDICTS: usize = 8;

/// The key behind those of the verdicts: clients whose verdict would have been another one.
pub const WOULD_REFUSE: &str = "would_refuse";

/// The keys of the `stats` line: verdicts, those that were not carried out, classes,
/// children.
#[must_use]
pub fn stats_keys() -> &'static [&'static str] {
    LINES.iter().find(|(event, _)| *event == "stats").map_or(&[][..], |line| line.1)
}

/// What is known about a client when its line is written.
pub struct Subject<'a> {
    /// Its address.
    pub peer: SocketAddr,
    /// The proxy that relays its connection.
    pub via: Option<IpAddr>,
    /// Its name.
    pub host: Option<&'a str>,
    /// The class, if it is known.
    pub class: Option<Class>,
    /// The delay that it was given.
    pub delay: Option<Duration>,
    /// The part of the class's delay that it is, if load has shortened it.
    pub shrunk: Option<f64>,
    /// Time since the accept.
    pub waited: Duration,
}

/// Early talk, as it was noticed.
#[derive(Clone, Debug)]
pub struct EarlyBytes {
    /// Bytes that were ready to be read.
    pub bytes: usize,
    /// The first of them, 100 at most; `None` if they cannot be peeked at.
    pub text: Option<Vec<u8>>,
}

/// What a client said in a limited conversation.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// The argument of the last HELO or EHLO.
    pub helo: Option<Vec<u8>>,
    /// The argument of the first MAIL.
    pub mail: Option<Vec<u8>>,
    /// The argument of the first RCPT.
    pub rcpt: Option<Vec<u8>>,
}

/// What is done about a client that talked early, that is listed or that a limit is for.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// It gets one line, which ends the connection.
    Refuse,
    /// It gets a limited conversation, in which it said this.
    Talk(&'a Said),
    /// The program is told to refuse it.
    Rblsmtpd,
    /// Nothing: it goes on.
    Log,
    /// The same, since this is a dry run: otherwise it would be refused.
    WouldRefuse,
}

impl Action<'_> {
    /// What is done.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Talk(_) => "talk",
            Self::Rblsmtpd => "rblsmtpd",
            Self::Log | Self::WouldRefuse => "log",
        }
    }
}

/// Counts for the `stats` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// By verdict, in the order of the line: pass, early, hangup, deny, listed,
    /// limit, check, error.
    pub verdicts: [u64; VERDICTS],
    /// Those that would have been refused, but for `--dry-run`; they have a verdict, too.
    pub would_refuse: u64,
    /// By class, in the order of the line: static, dynamic, none, unknown.
    pub classes: [u64; Class::JUDGED.len()],
    /// Idle children.
    pub idle: usize,
    /// Clients: waiting or handed over.
    pub busy: usize,
    /// Slots.
    pub max: usize,
}

impl Stats {
    /// How many clients had each verdict, by its key.
    pub fn by_verdict(&self) -> impl Iterator<Item = (&'static str, u64)> {
        stats_keys().iter().copied().zip(self.verdicts)
    }

    /// How many clients had each class, by its key.
    pub fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        stats_keys().iter().skip(VERDICTS + 1).copied().zip(self.classes)
    }

    /// All of these, by their keys.
    pub fn counters(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let would_refuse = [(WOULD_REFUSE, self.would_refuse)];
        self.by_verdict().chain(would_refuse).chain(self.by_class())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_its_key() {
        let (verdicts, others) = stats_keys().split_at(VERDICTS);
        assert_eq!((verdicts[0], verdicts[VERDICTS - 1]), ("pass", "error"));
        let (would_refuse, others) = others.split_at(1);
        assert_eq!(would_refuse, [WOULD_REFUSE]);
        let (classes, children) = others.split_at(Class::JUDGED.len());
        assert!(Class::JUDGED.iter().all(|class| classes.contains(&class.to_string().as_str())));
        assert_eq!(children, ["idle", "busy", "max"]);
        let stats = Stats::default();
        let counted = stats.counters().map(|(key, _)| key);
        assert!(counted.eq(stats_keys()[..stats_keys().len() - children.len()].iter().copied()));
    }
}
