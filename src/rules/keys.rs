//! In which order a client's keys are looked for, as tcpserver has it.

use std::net::IpAddr;

/// Whom the rules are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The address as text (`TCPREMOTEIP`).
    pub ip: &'a [u8],
    /// The name (`TCPREMOTEHOST`).
    pub host: Option<&'a [u8]>,
    /// What the ident server said (`TCPREMOTEINFO`).
    pub info: Option<&'a [u8]>,
}

/// Where a rule may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Under this key.
    Key(Vec<u8>),
    /// Under a network that this address belongs to, the longest first.
    Network(IpAddr),
}

/// The places to look, in their order: `info@ip`, `info@=host`, `ip`, `=host`,
/// prefixes of the address that end in a dot (or colon) from the longest, networks,
/// `=.suffixes` of the name, `=`, and the empty key.
#[must_use]
pub fn places(subject: &Subject<'_>) -> Vec<Place> {
    let mut keys: Vec<Vec<u8>> = Vec::new();
    if let Some(info) = subject.info {
        keys.push([info, b"@", subject.ip].concat());
        keys.extend(subject.host.map(|host| [info, b"@=", host].concat()));
    }
    keys.push(subject.ip.to_vec());
    keys.extend(subject.host.map(|host| [b"=", host].concat()));
    keys.extend(prefixes(subject.ip).map(<[u8]>::to_vec));
    let mut places: Vec<Place> = keys.into_iter().map(Place::Key).collect();
    let address = std::str::from_utf8(subject.ip).ok().and_then(|ip| ip.parse().ok());
    places.extend(address.map(Place::Network));
    if let Some(host) = subject.host {
        places.extend(suffixes(host).map(|suffix| Place::Key([b"=", suffix].concat())));
        places.push(Place::Key(b"=".to_vec()));
    }
    places.push(Place::Key(Vec::new()));
    places
}

fn prefixes(ip: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = (1..=ip.len()).rev().filter(|end| matches!(ip[end - 1], b'.' | b':'));
    ends.map(|end| &ip[..end])
}

fn suffixes(host: &[u8]) -> impl Iterator<Item = &[u8]> {
    (0..host.len()).filter(|start| host[*start] == b'.').map(|start| &host[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(ip: &str, host: Option<&str>, info: Option<&str>) -> Vec<String> {
        let [host, info] = [host, info].map(|text| text.map(str::as_bytes));
        let places = places(&Subject { ip: ip.as_bytes(), host, info });
        let shown = places.into_iter().map(|place| match place {
            Place::Key(key) => String::from_utf8(key).unwrap(),
            Place::Network(ip) => format!("({ip})"),
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
        assert_eq!(keys("86.75.30.9", Some("one.two.three"), Some("xyz")), expected);
    }

    #[test]
    fn without_a_name_or_ident() {
        let expected = ["1.2.3.4", "1.2.3.", "1.2.", "1.", "(1.2.3.4)", ""];
        assert_eq!(keys("1.2.3.4", None, None), expected);
        assert_eq!(keys("1.2.3.4", None, Some(""))[0], "@1.2.3.4");
    }

    #[test]
    fn ipv6_has_prefixes_at_colons() {
        let expected = ["2001:db8::1", "2001:db8::", "2001:db8:", "2001:", "(2001:db8::1)", ""];
        assert_eq!(keys("2001:db8::1", None, None), expected);
    }
}
