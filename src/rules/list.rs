//! `--rules FILE`: rules in text form, compiled in memory.  A line without a colon, which
//! tcprules ignores, is an error here.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;

use super::keys::SearchKey;
use super::line_error::{LineError, WhyNot};
use super::lint::warn_of_line;
use super::record::Match;
use super::record::Rule;
use super::text::{Parsed, keys, parse_with_ipv6, trimmed};
use crate::findings::{Extent, Finding, Findings};
use crate::mistakes::Mistakes;

/// The most bytes of a line that are shown.
const SHOWN: usize = 100;
/// The most keys and networks of a file, ranges spelled out.
const MOST_KEYS: usize = 250_000;
/// The most bytes of all keys.
const MOST_BYTES: usize = 8 << 20;
/// The most bytes of a line: execve(2) takes no longer variable.
const LONGEST_LINE: usize = 128 << 10;

/// Compiled rules.  Of two rules for the same key the first one counts, as in a cdb.  They
/// are stored in a few large blocks, without reference counts, since all children share
/// them.
#[derive(Debug, Default)]
pub struct RuleList {
    /// The bytes of all keys.
    text: Vec<u8>,
    /// Sorted by key.
    keys: Vec<Key>,
    /// The longest first, then in the order of the file.
    networks: Vec<Network>,
    /// The prefix lengths that occur, the longest first.
    lengths: Vec<u8>,
    /// The records, in the form of a cdb; equal ones are stored once.
    records: Vec<Box<[u8]>>,
}

/// A key, its place in the bytes of all keys, and its record.
#[derive(Clone, Copy, Debug)]
struct Key {
    start: u32,
    length: u32,
    record: u32,
    /// Its line, from 1.
    line: u32,
}

#[derive(Debug)]
struct Network {
    net: IpNet,
    record: u32,
    line: u32,
}

impl RuleList {
    /// The most bytes of a file that are read.
    pub const LARGEST_FILE: usize = 4 << 20;

    /// Compiles rules; `origin` is what a message calls the file.  Also returns warnings
    /// about them.
    ///
    /// # Errors
    /// The lines that cannot be parsed, 20 at most, or the line that exceeds a limit.
    pub fn parse(origin: &str, text: &[u8]) -> Result<(Self, Vec<String>), Mistakes> {
        let mut findings = Findings::new(Extent::Some);
        let list = Self::compile(text, &mut findings);
        let (mut mistakes, mut warnings) = (Vec::new(), Vec::new());
        for finding in findings.in_order(origin) {
            match finding {
                Finding::Mistake(why) => mistakes.push(why),
                Finding::Warning(why) => warnings.push(why),
            }
        }
        Mistakes::of(mistakes).map_or(Ok((list, warnings)), Err)
    }

    /// All errors and warnings in `text`, which came from the file `origin`, and the rules
    /// on the other lines.
    #[must_use]
    pub fn examine(origin: &str, text: &[u8]) -> (Self, Vec<Finding>) {
        let mut findings = Findings::new(Extent::All);
        let list = Self::compile(text, &mut findings);
        (list, findings.in_order(origin))
    }

    /// Compiles the valid lines, up to the one that exceeds a limit.
    fn compile(text: &[u8], findings: &mut Findings) -> Self {
        let mut builder = Builder::default();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            if let Err(why) = builder.add_line(number, line, findings) {
                findings.reject(number, || {
                    let shown = trimmed(line).escape_ascii().to_string();
                    let shown: String = shown.chars().take(SHOWN).collect();
                    LineError { why, shown }
                });
                if builder.check_size().is_err() {
                    break;
                }
            }
        }
        builder.finish(findings)
    }

    /// Whether a key depends on what an ident server says.
    #[must_use]
    pub fn asks_for_ident(&self) -> bool {
        self.keys.iter().any(|key| self.text_of(key).contains(&b'@'))
    }

    pub(super) fn search(&self, keys: &[SearchKey]) -> Option<Match> {
        keys.iter().find_map(|key| match key {
            SearchKey::Key(key) => self.search_key(key),
            SearchKey::Network(ip) => self.search_network(*ip),
        })
    }

    fn search_key(&self, key: &[u8]) -> Option<Match> {
        let found = self.keys.binary_search_by(|known| self.text_of(known).cmp(key)).ok()?;
        Some(self.found(key.to_vec(), self.keys[found].record))
    }

    fn search_network(&self, ip: IpAddr) -> Option<Match> {
        self.lengths.iter().find_map(|length| {
            let wanted = IpNet::new(ip, *length).ok()?.trunc();
            let found = self.networks.binary_search_by(|known| order(known).cmp(&of(&wanted)));
            let found = &self.networks[found.ok()?];
            Some(self.found(found.net.to_string().into_bytes(), found.record))
        })
    }

    fn found(&self, key: Vec<u8>, record: u32) -> Match {
        Match { key, record: self.records[record as usize].to_vec() }
    }

    fn text_of(&self, key: &Key) -> &[u8] {
        &self.text[key.start as usize..][..key.length as usize]
    }
}

fn order(network: &Network) -> (Reverse<u8>, IpNet) {
    of(&network.net)
}

fn of(net: &IpNet) -> (Reverse<u8>, IpNet) {
    (Reverse(net.prefix_len()), *net)
}

#[derive(Default)]
struct Builder {
    list: RuleList,
    known_records: HashMap<Box<[u8]>, u32>,
}

impl Builder {
    fn add_line(
        &mut self,
        number: u32,
        line: &[u8],
        findings: &mut Findings,
    ) -> Result<(), WhyNot> {
        if line.len() > LONGEST_LINE {
            return Err(WhyNot::TooLong);
        }
        match parse_with_ipv6(line) {
            Parsed::Empty => (),
            Parsed::NoColon => return Err(WhyNot::NoColon),
            Parsed::Bad => return Err(WhyNot::NoRule),
            Parsed::Rules(line) => {
                self.add(number, line.address, &line.rule)?;
                warn_of_line(number, &line, findings);
            }
        }
        Ok(())
    }

    fn add(&mut self, line: u32, address: &[u8], rule: &Rule) -> Result<(), WhyNot> {
        let record = self.record(rule);
        if let Some(net) = network(address)? {
            self.list.networks.push(Network { net, record, line });
            return self.check_size();
        }
        for key in keys(address).map_err(|_| WhyNot::NoRange)? {
            let start = index(self.list.text.len());
            self.list.text.extend_from_slice(&key);
            self.list.keys.push(Key { start, length: index(key.len()), record, line });
            self.check_size()?;
        }
        Ok(())
    }

    fn record(&mut self, rule: &Rule) -> u32 {
        let record = rule.encode().into_boxed_slice();
        if let Some(known) = self.known_records.get(&record) {
            return *known;
        }
        let number = index(self.list.records.len());
        self.list.records.push(record.clone());
        self.known_records.insert(record, number);
        number
    }

    fn check_size(&self) -> Result<(), WhyNot> {
        let RuleList { keys, networks, text, .. } = &self.list;
        if keys.len() + networks.len() > MOST_KEYS {
            return Err(WhyNot::TooManyKeys);
        }
        if text.len() > MOST_BYTES {
            return Err(WhyNot::TooManyBytes);
        }
        Ok(())
    }

    fn finish(mut self, findings: &mut Findings) -> RuleList {
        let RuleList { text, keys, networks, lengths, .. } = &mut self.list;
        let of = |key: &Key| &text[key.start as usize..][..key.length as usize];
        keys.sort_unstable_by(|a, b| of(a).cmp(of(b)).then(a.start.cmp(&b.start)));
        let mut hidden = Vec::new();
        keys.dedup_by(|later, first| {
            let same = of(later) == of(first);
            hidden.extend(same.then_some((later.line, first.line)));
            same
        });
        networks.sort_by_key(order);
        networks.dedup_by(|later, first| {
            let same = later.net == first.net;
            hidden.extend(same.then_some((later.line, first.line)));
            same
        });
        lengths.extend(networks.iter().map(|network| network.net.prefix_len()));
        lengths.dedup();
        let left = keys.iter().map(|key| key.line).chain(networks.iter().map(|net| net.line));
        warn_of_hidden(hidden, left, findings);
        self.list
    }
}

/// Warns of lines all of whose keys are hidden; `hidden` has the lines that lost a key,
/// each with the line that precedes it.
fn warn_of_hidden(
    mut hidden: Vec<(u32, u32)>,
    left: impl Iterator<Item = u32>,
    findings: &mut Findings,
) {
    hidden.sort_unstable();
    hidden.dedup_by_key(|(line, _)| *line);
    let mut has_some = vec![false; hidden.len()];
    for line in left {
        if let Ok(found) = hidden.binary_search_by_key(&line, |(hidden, _)| *hidden) {
            has_some[found] = true;
        }
    }
    for ((line, first), _) in hidden.iter().zip(has_some).filter(|(_, has_some)| !has_some) {
        findings.warn(*line, || format!("line {first} decides: of two rules the first counts"));
    }
}

/// A length or a number that [`MOST_BYTES`] and [`MOST_KEYS`] bound.
fn index(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn network(address: &[u8]) -> Result<Option<IpNet>, WhyNot> {
    let text = std::str::from_utf8(address).unwrap_or_default();
    let is_network = text.contains('/') && !text.contains(['=', '@']);
    match text.parse::<IpNet>() {
        Ok(network) => Ok(Some(network.trunc())),
        Err(_) if is_network => Err(WhyNot::NoNetwork),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Fatal;
    use crate::rules::keys::{RuleSubject, search_keys};

    fn parse(text: &str) -> RuleList {
        RuleList::parse("x", text.as_bytes()).unwrap().0
    }

    fn key(list: &RuleList, ip: &str, host: Option<&str>) -> Option<String> {
        let hosts = host.map(str::as_bytes).into_iter().collect();
        let found =
            list.search(&search_keys(&RuleSubject { ip: ip.as_bytes(), hosts, info: None }))?;
        Some(String::from_utf8(found.key).unwrap())
    }

    #[test]
    fn networks_stand_between_prefixes_and_names() {
        let list = "10.1.:deny\n10.0.0.0/8:deny\n10.2.0.0/16:allow\n=.example:deny\n\
                    2001:db8::/32:deny\n2001:db8:1::1:allow\n2001:db8:2::deny\n:allow\n";
        let list = parse(&list.replace("2::deny", "2:::deny"));
        assert_eq!(key(&list, "10.1.2.3", None).as_deref(), Some("10.1."));
        assert_eq!(key(&list, "10.2.2.3", Some("a.example")).as_deref(), Some("10.2.0.0/16"));
        assert_eq!(key(&list, "10.3.2.3", Some("a.example")).as_deref(), Some("10.0.0.0/8"));
        assert_eq!(key(&list, "11.1.1.1", Some("a.example")).as_deref(), Some("=.example"));
        assert_eq!(key(&list, "11.1.1.1", None).as_deref(), Some(""));
        assert_eq!(key(&list, "2001:db8::7", None).as_deref(), Some("2001:db8::/32"));
        assert_eq!(key(&list, "2001:db8:1::1", None).as_deref(), Some("2001:db8:1::1"));
        assert_eq!(key(&list, "2001:db8:2::9", None).as_deref(), Some("2001:db8:2::"));
    }

    #[test]
    fn the_first_rule_for_a_key_counts() {
        let list = parse("1.2.3.4:deny\n1.2.3.4:allow\n");
        let found = list.search(&[SearchKey::Key(b"1.2.3.4".to_vec())]).unwrap();
        assert!(found.rule().deny);
    }

    #[test]
    fn mistakes_are_named_by_line_and_text() {
        let error = |text: &str| {
            Fatal::from(RuleList::parse("/etc/rules", text.as_bytes()).unwrap_err()).to_string()
        };
        let colon = error("1.2.3.4:deny\n# x\n1.2.3.5 deny\n");
        assert_eq!(colon, "unable to use /etc/rules line 3: there is no colon: 1.2.3.5 deny");
        assert!(error("1.2.3.4:refuse").contains("line 1: it takes address:allow"));
        assert!(error("1.2.3.0/33:deny").contains("not a valid network"));
        assert!(error("1.a-b.:deny").contains("not a valid range"));
        assert!(error(&format!("{}\n", "x".repeat(100_000))).len() < 300);
    }

    #[test]
    fn every_line_that_cannot_be_used_is_reported_up_to_a_number() {
        let lines = |text: &str| -> Vec<String> {
            let mistakes = RuleList::parse("f", text.as_bytes()).unwrap_err();
            mistakes
                .into_iter()
                .map(|why| why.to_string().split(':').next().unwrap().into())
                .collect()
        };
        let wrong = lines("x\n:allow\n1.2.3.0/33:deny\n");
        assert_eq!(wrong, ["unable to use f line 1", "unable to use f line 3"]);
        assert_eq!(lines(&"x\n".repeat(1000)).len(), 21);
        assert_eq!(lines(&"x\n".repeat(1000))[20], "unable to use f");
        assert_eq!(RuleList::examine("f", &b"x\n".repeat(1000)).1.len(), 1000);
    }

    #[test]
    fn what_is_equal_is_there_once() {
        let value = "v".repeat(100_000);
        let list = parse(&format!("0-255:allow,A=\"{value}\"\n9.9.9.9:allow,A=/{value}/\n"));
        assert_eq!((list.keys.len(), list.records.len()), (257, 1));
        let rule = list.search(&[SearchKey::Key(b"17".to_vec())]).unwrap().rule();
        assert_eq!(rule.variables[0].1.len(), 100_000);
    }

    #[test]
    fn rules_are_bounded_and_the_line_that_is_too_much_is_named() {
        let error = |text: &str| {
            let mistakes = RuleList::parse("f", text.as_bytes()).unwrap_err().into_iter();
            let messages: Vec<String> = mistakes.map(|why| why.to_string()).collect();
            assert_eq!(messages.len(), 1);
            messages.concat()
        };
        let ranges: Vec<String> = (0..2000).map(|n| format!("{n}.0-255:deny\n")).collect();
        let message = error(&ranges.concat());
        assert!(message.starts_with("unable to use f line 977: over 250000 keys: "), "{message}");
        let long = format!("0-255.{}:deny", "x".repeat(60_000));
        assert!(error(&long).starts_with("unable to use f line 1: the keys are over 8 MiB: "));
        let line = format!(":deny\n:allow,A=\"{}\"", "x".repeat(LONGEST_LINE));
        assert!(error(&line).starts_with("unable to use f line 2: it is over 128 KiB: "));
    }

    #[test]
    fn a_line_of_which_nothing_is_left_is_warned_of() {
        let warnings = |text: &str| RuleList::parse("f", text.as_bytes()).unwrap().1;
        let hidden = |line, first| {
            format!("f line {line}: line {first} decides: of two rules the first counts")
        };
        assert_eq!(warnings("1.2.3.4:deny\n1.:deny\n1.2.3.4:allow\n"), [hidden(3, 1)]);
        assert_eq!(warnings("10.0.0.0/8:deny\n10.0.0.0/8:allow"), [hidden(2, 1)]);
        assert_eq!(warnings("1.2.3.5:allow\n1.2.3.4-6:deny"), [""; 0]);
        assert_eq!(warnings("1.2.3.4-6:deny\n1.2.3.5-6:allow"), [hidden(2, 1)]);
    }
}
