//! `--rules FILE`: rules in text form, compiled in memory.  Unlike tcprules,
//! which ignores a line without a colon, a line that says nothing stops the
//! start.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

use super::Match;
use super::keys::Place;
use super::record::Rule;
use super::text::{Parsed, keys, parse, trimmed};

/// Bytes of a line that are shown.
const SHOWN: usize = 100;

/// Compiled rules.  Of two for the same key the first one counts, as in a cdb.
#[derive(Debug, Default)]
pub struct List {
    by_key: HashMap<Vec<u8>, Vec<u8>>,
    /// The longest networks first.
    networks: Vec<(IpNet, Vec<u8>)>,
}

/// Why a file of rules cannot be used.
#[derive(Debug)]
pub struct ListError(String);

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl List {
    /// Bytes of a file that are read.
    pub const LARGEST_FILE: usize = 4 << 20;

    /// Compiles rules; `origin` is what a message calls the file.
    ///
    /// # Errors
    /// A line that cannot be parsed.
    pub fn parse(origin: &str, text: &[u8]) -> Result<Self, ListError> {
        let mut list = Self::default();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let bad = |why: &str| {
                let shown = trimmed(line).escape_ascii().to_string();
                let shown: String = shown.chars().take(SHOWN).collect();
                ListError(format!("unable to use {origin} line {}: {why}: {shown}", index + 1))
            };
            match parse_line(line) {
                Parsed::Empty => (),
                Parsed::NoColon => return Err(bad("there is no colon")),
                Parsed::Bad => {
                    return Err(bad("it takes address:allow or address:deny, with ,NAME=/value/"));
                }
                Parsed::Rules(line) => {
                    list.add(line.address, &line.rule).map_err(bad)?;
                }
            }
        }
        list.networks.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix_len()));
        Ok(list)
    }

    fn add(&mut self, address: &[u8], rule: &Rule) -> Result<(), &'static str> {
        let record = rule.encode();
        if let Some(network) = network(address)? {
            self.networks.push((network, record));
            return Ok(());
        }
        for key in keys(address).map_err(|_| "the range is none")? {
            self.by_key.entry(key).or_insert_with(|| record.clone());
        }
        Ok(())
    }

    pub(super) fn search(&self, places: &[Place]) -> Option<Match> {
        places.iter().find_map(|place| match place {
            Place::Key(key) => {
                let record = self.by_key.get(key)?.clone();
                Some(Match { key: key.clone(), record })
            }
            Place::Network(ip) => self.search_network(*ip),
        })
    }

    fn search_network(&self, ip: IpAddr) -> Option<Match> {
        let (network, record) = self.networks.iter().find(|(network, _)| network.contains(&ip))?;
        Some(Match { key: network.to_string().into_bytes(), record: record.clone() })
    }
}

/// An IPv6 address has colons of its own: the one before the last
/// `allow` or `deny` ends it.
fn parse_line(line: &[u8]) -> Parsed<'_> {
    let six = ipv6_address(line);
    match (six, parse(line)) {
        (Some(length), _) => match parse(&line[length..]) {
            Parsed::Rules(rest) => {
                Parsed::Rules(super::text::Line { address: &line[..length], rule: rest.rule })
            }
            other => other,
        },
        (None, parsed) => parsed,
    }
}

/// How much of the line is an IPv6 address, a network, or a prefix that ends
/// in a colon.
fn ipv6_address(line: &[u8]) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'/' | b'.');
    let length = line.iter().take_while(|byte| is_part(byte)).count();
    let end = [&b"allow"[..], b"deny"].iter().find_map(|word| {
        let at = line.windows(word.len()).position(|window| window == *word)?;
        (line.get(at.checked_sub(1)?) == Some(&b':')).then_some(at - 1)
    })?;
    let address = line.get(..end)?;
    (address.contains(&b':') && end <= length).then_some(end)
}

fn network(address: &[u8]) -> Result<Option<IpNet>, &'static str> {
    let text = std::str::from_utf8(address).unwrap_or_default();
    let is_network = text.contains('/') && !text.contains(['=', '@']);
    match text.parse::<IpNet>() {
        Ok(network) => Ok(Some(network.trunc())),
        Err(_) if is_network => Err("the network is none"),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::keys::{Subject, places};

    fn key(list: &List, ip: &str, host: Option<&str>) -> Option<String> {
        let host = host.map(str::as_bytes);
        let found = list.search(&places(&Subject { ip: ip.as_bytes(), host, info: None }))?;
        Some(String::from_utf8(found.key).unwrap())
    }

    #[test]
    fn networks_stand_between_prefixes_and_names() {
        let list = "10.1.:deny\n10.0.0.0/8:deny\n10.2.0.0/16:allow\n=.example:deny\n\
                    2001:db8::/32:deny\n2001:db8:1::1:allow\n2001:db8:2::deny\n:allow\n";
        let list = List::parse("x", list.replace("2::deny", "2:::deny").as_bytes()).unwrap();
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
        let list = List::parse("x", b"1.2.3.4:deny\n1.2.3.4:allow\n").unwrap();
        let found = list.search(&[Place::Key(b"1.2.3.4".to_vec())]).unwrap();
        assert!(found.rule().deny);
    }

    #[test]
    fn mistakes_are_named_by_line_and_text() {
        let error =
            |text: &str| List::parse("/etc/rules", text.as_bytes()).unwrap_err().to_string();
        let colon = error("1.2.3.4:deny\n# x\n1.2.3.5 deny\n");
        assert_eq!(colon, "unable to use /etc/rules line 3: there is no colon: 1.2.3.5 deny");
        assert!(error("1.2.3.4:refuse").contains("line 1: it takes address:allow"));
        assert!(error("1.2.3.0/33:deny").contains("the network is none"));
        assert!(error("1.a-b.:deny").contains("the range is none"));
        assert!(error(&format!("{}\n", "x".repeat(100_000))).len() < 300);
    }
}
