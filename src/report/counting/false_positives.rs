//! Hosts with a name that left before the greeting or were refused, and passed later: a
//! spam engine seldom tries again, a mail server does.

use std::collections::HashMap;

use super::top::Top;
use crate::class::Class;
use crate::report::reading::line::{Client, Verdict};

/// The most hosts that are kept.
const KEPT: usize = 50_000;

/// One such host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How often it left before the greeting.
    pub left: u64,
    /// How often it was refused.
    pub refused: u64,
    /// How often it passed after the first of these.
    pub passed: u64,
}

/// Suspected false positives.
#[derive(Debug, Default)]
pub struct FalsePositives {
    hosts: HashMap<Box<[u8]>, Record>,
    /// Hosts that waited longer than the shortest delay because of their name.
    pub delayed: Top,
}

impl FalsePositives {
    /// Counts a client.
    pub fn note(&mut self, client: &Client<'_>) {
        let Some(host) = client.host else { return };
        match client.verdict {
            Verdict::Pass => self.note_pass(host, client),
            Verdict::Deny => (),
            Verdict::Hangup => self.record(host, |record| record.left += 1),
            Verdict::Early | Verdict::Listed | Verdict::Limit => {
                self.record(host, |record| record.refused += 1);
            }
        }
    }

    fn note_pass(&mut self, host: &[u8], client: &Client<'_>) {
        if let Some(record) = self.hosts.get_mut(host) {
            record.passed += 1;
        }
        let waited = client.delay.is_some_and(|delay| delay > 0.0);
        if waited && matches!(client.class, Some(Class::Dynamic | Class::None | Class::Unknown)) {
            self.delayed.add(host, 1);
        }
    }

    fn record(&mut self, host: &[u8], change: impl Fn(&mut Record)) {
        if let Some(record) = self.hosts.get_mut(host) {
            return change(record);
        }
        if self.hosts.len() >= KEPT {
            self.forget();
        }
        let mut record = Record::default();
        change(&mut record);
        self.hosts.insert(host.into(), record);
    }

    /// Hosts that have not passed are dropped first: they came once, as spam engines do.
    fn forget(&mut self) {
        self.hosts.retain(|_, record| record.passed > 0);
        if self.hosts.len() > KEPT / 2 {
            self.hosts.retain(|_, record| record.passed > 1);
        }
    }

    /// The first `length`, those that passed most often first.
    #[must_use]
    pub fn first(&self, length: usize) -> Vec<(&[u8], Record)> {
        let passed = self.hosts.iter().filter(|(_, record)| record.passed > 0);
        let mut all: Vec<(&[u8], Record)> =
            passed.map(|(host, record)| (&**host, *record)).collect();
        all.sort_unstable_by(|(a, x), (b, y)| y.passed.cmp(&x.passed).then(a.cmp(b)));
        all.truncate(length);
        all
    }
}

/// The line for `--static-file` that makes `host`, as the log has it, a name that is not
/// dynamic.
#[must_use]
pub fn exception(host: &str) -> String {
    format!("^{}$", regex::escape(host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::reading::line::{Event, Read, read};

    fn false_positives(lines: &[&str]) -> FalsePositives {
        let mut false_positives = FalsePositives::default();
        for line in lines {
            let Read::Event(Event::Client(client)) = read(line.as_bytes()) else {
                panic!("{line}")
            };
            false_positives.note(&client);
        }
        false_positives
    }

    #[test]
    fn who_left_and_passed_later_is_one() {
        let false_positives = false_positives(&[
            "hangup ip=192.0.2.7 host=mx.example.org class=dynamic delay=12 waited=9.00",
            "limit ip=192.0.2.7 host=mx.example.org class=dynamic delay=12 waited=0.10 kind=reserve",
            "pass ip=192.0.2.7 host=mx.example.org class=dynamic delay=12 waited=12.00",
            "hangup ip=192.0.2.8 host=pc.isp.example class=dynamic delay=12 waited=9.00",
            "pass ip=192.0.2.9 host=other.example class=static delay=2 waited=2.00",
            "hangup ip=192.0.2.9 host=other.example class=static delay=2 waited=1.00",
        ]);
        let expected = Record { left: 1, refused: 1, passed: 1 };
        assert_eq!(false_positives.first(9), [(&b"mx.example.org"[..], expected)]);
        assert_eq!(false_positives.delayed.first(9), [(&b"mx.example.org"[..], 1)]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut false_positives = FalsePositives::default();
        for number in 0..3 * KEPT {
            false_positives.record(&number.to_ne_bytes(), |record| record.left += 1);
        }
        assert!(false_positives.hosts.len() <= KEPT);
    }

    #[test]
    fn an_exception_matches_the_name_and_no_other() {
        let line = exception("mx1.example.org");
        assert_eq!(line, r"^mx1\.example\.org$");
        assert!(!regex::Regex::new(&line).unwrap().is_match("mx1xexample.org"));
    }
}
