//! The keys of rules that may apply to a client, in tcpserver's order.

use std::cmp::Reverse;
use std::net::IpAddr;

/// The client that rules are applied to.
#[derive(Clone, Debug)]
pub struct RuleSubject<'a> {
    /// The address as text (`TCPREMOTEIP`).
    pub ip: &'a [u8],
    /// The names (`TCPREMOTEHOST`); tcpserver has one at most.
    pub hosts: Vec<&'a [u8]>,
    /// What the ident server said (`TCPREMOTEINFO`).
    pub info: Option<&'a [u8]>,
}

/// What a rule for a client is searched for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// This key.
    Key(Vec<u8>),
    /// A network that contains this address, the longest first.
    Network(IpAddr),
}

/// What the rule for `subject` is searched for by, in this order: `info@ip`,
/// `info@=host`, `ip`, `=host`, prefixes of the address that end in a dot (or colon) from
/// the longest, networks, `=.suffixes` of the names from the longest, `=`, and the empty
/// key.  Of several names all are tried for one kind of key before the next.
#[must_use]
pub fn search_keys(subject: &RuleSubject<'_>) -> Vec<SearchKey> {
    let RuleSubject { ip, hosts, info } = subject;
    let mut keys: Vec<Vec<u8>> = Vec::new();
    if let Some(info) = info {
        keys.push([info, &b"@"[..], ip].concat());
        keys.extend(hosts.iter().map(|host| [info, &b"@="[..], host].concat()));
    }
    keys.push(ip.to_vec());
    keys.extend(hosts.iter().map(|host| [b"=", *host].concat()));
    keys.extend(prefixes(ip).map(<[u8]>::to_vec));
    let mut all: Vec<SearchKey> = keys.into_iter().map(SearchKey::Key).collect();
    let address = std::str::from_utf8(ip).ok().and_then(|ip| ip.parse().ok());
    all.extend(address.map(SearchKey::Network));
    if !hosts.is_empty() {
        all.extend(all_suffixes(hosts).map(|suffix| SearchKey::Key([b"=", suffix].concat())));
        all.push(SearchKey::Key(b"=".to_vec()));
    }
    all.push(SearchKey::Key(Vec::new()));
    all
}

/// The name of `subject` that `key`, one of its keys, was made of.
#[must_use]
pub fn matched_host<'a>(subject: &RuleSubject<'a>, key: &[u8]) -> Option<&'a [u8]> {
    let behind_info = subject.info.and_then(|info| key.strip_prefix(info)?.strip_prefix(b"@"));
    let name = behind_info.unwrap_or(key).strip_prefix(b"=").filter(|name| !name.is_empty())?;
    let is_suffix = name.starts_with(b".") && behind_info.is_none();
    let goes_by = |host: &&&[u8]| if is_suffix { host.ends_with(name) } else { **host == name };
    subject.hosts.iter().find(goes_by).copied()
}

fn prefixes(ip: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = (1..=ip.len()).rev().filter(|end| matches!(ip[end - 1], b'.' | b':'));
    ends.map(|end| &ip[..end])
}

/// Those of all names, the longest first, each once.
fn all_suffixes<'a>(hosts: &[&'a [u8]]) -> impl Iterator<Item = &'a [u8]> {
    let mut all: Vec<&[u8]> = hosts.iter().flat_map(|host| suffixes(host)).collect();
    all.sort_by_key(|suffix| (Reverse(suffix.len()), *suffix));
    all.dedup();
    all.into_iter()
}

fn suffixes(host: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..host.len()).filter(|start| host[*start] == b'.').map(|start| &host[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject<'a>(ip: &'a str, hosts: &[&'a str], info: Option<&'a str>) -> RuleSubject<'a> {
        let hosts = hosts.iter().map(|host| host.as_bytes()).collect();
        RuleSubject { ip: ip.as_bytes(), hosts, info: info.map(str::as_bytes) }
    }

    fn keys(ip: &str, hosts: &[&str], info: Option<&str>) -> Vec<String> {
        let keys = search_keys(&subject(ip, hosts, info));
        let shown = keys.into_iter().map(|key| match key {
            SearchKey::Key(key) => String::from_utf8(key).unwrap(),
            SearchKey::Network(ip) => format!("({ip})"),
        });
        shown.collect()
    }

    #[test]
    fn tcpservers_order() {
        let expected = [
            "xyz@86.75.30.9",
            "xyz@=one.two.three",
            "86.75.30.9",
            "=one.two.three",
            "86.75.30.",
            "86.75.",
            "86.",
            "(86.75.30.9)",
            "=.two.three",
            "=.three",
            "=",
            "",
        ];
        assert_eq!(keys("86.75.30.9", &["one.two.three"], Some("xyz")), expected);
    }

    #[test]
    fn without_a_name_or_ident() {
        let expected = ["1.2.3.4", "1.2.3.", "1.2.", "1.", "(1.2.3.4)", ""];
        assert_eq!(keys("1.2.3.4", &[], None), expected);
        assert_eq!(keys("1.2.3.4", &[], Some(""))[0], "@1.2.3.4");
    }

    #[test]
    fn ipv6_has_prefixes_at_colons() {
        let expected = ["2001:db8::1", "2001:db8::", "2001:db8:", "2001:", "(2001:db8::1)", ""];
        assert_eq!(keys("2001:db8::1", &[], None), expected);
    }

    #[test]
    fn each_kind_of_key_is_tried_for_all_names() {
        let expected = [
            "xyz@1.2.3.4",
            "xyz@=a.b.example",
            "xyz@=mx.c.example",
            "1.2.3.4",
            "=a.b.example",
            "=mx.c.example",
            "1.2.3.",
            "1.2.",
            "1.",
            "(1.2.3.4)",
            "=.b.example",
            "=.c.example",
            "=.example",
            "=",
            "",
        ];
        assert_eq!(keys("1.2.3.4", &["a.b.example", "mx.c.example"], Some("xyz")), expected);
    }

    #[test]
    fn the_name_that_a_key_goes_by() {
        let subject = subject("1.2.3.4", &["a.b.example", "mx.c.example"], Some("x=@y"));
        let matched = |key: &str| {
            let host = matched_host(&subject, key.as_bytes());
            host.map(|host| std::str::from_utf8(host).unwrap())
        };
        assert_eq!(matched("=mx.c.example"), Some("mx.c.example"));
        assert_eq!(matched("=.c.example"), Some("mx.c.example"));
        assert_eq!(matched("=.example"), Some("a.b.example"));
        assert_eq!(matched("x=@y@=mx.c.example"), Some("mx.c.example"));
        for key in ["", "=", "1.2.3.4", "1.2.", "x=@y@1.2.3.4", "1.2.0.0/16"] {
            assert_eq!(matched(key), None, "{key}");
        }
    }
}
