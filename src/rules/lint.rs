//! Rules that do not do what they seem to: keys that no client has, and variables that no
//! program reads.  They are not errors, since tcprules accepts them; `--rules` and
//! `smtp-delayctl tcprules` warn of them.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::record::{DELAY_VARIABLES, VARIABLES};
use super::text::{Line, Parsed, keys, parse, parse_with_ipv6};
use crate::findings::{Extent, Findings};
use crate::names::host_name;
use crate::seconds::seconds;

/// The most characters of a key or a name that are shown.
const SHOWN: usize = 60;

/// Warns of rules that are compiled into a cdb.
#[derive(Debug)]
pub(crate) struct Linter {
    findings: Findings,
    line: u32,
    only_in_text: bool,
}

impl Default for Linter {
    fn default() -> Self {
        Self { findings: Findings::new(Extent::All), line: 0, only_in_text: false }
    }
}

impl Linter {
    /// Checks the next line.
    pub(crate) fn look_at(&mut self, line: &[u8]) {
        self.line = self.line.saturating_add(1);
        let number = self.line;
        // What tcprules reads as something else, or ignores.
        if is_network_or_ipv6(line) {
            if !std::mem::replace(&mut self.only_in_text, true) {
                let why = "a cdb has no networks and no IPv6 addresses: smtp-delayd --rules has";
                self.findings.warn(number, || why.into());
            }
            return;
        }
        match parse(line) {
            Parsed::NoColon => {
                self.findings.warn(number, || "there is no colon: the line is ignored".into());
            }
            Parsed::Rules(line) => warn_of_line(number, &line, &mut self.findings),
            Parsed::Empty | Parsed::Bad => (),
        }
    }

    /// What is worth a warning.
    pub(crate) fn finish(self) -> Vec<String> {
        self.findings.warnings("standard input")
    }
}

fn is_network_or_ipv6(line: &[u8]) -> bool {
    // An address in brackets, as in a URL.
    let without_brackets = line.strip_prefix(b"[").and_then(|rest| {
        let end = rest.iter().position(|byte| *byte == b']')?;
        Some([&rest[..end], &rest[end + 1..]].concat())
    });
    let line = without_brackets.as_deref().unwrap_or(line);
    let Parsed::Rules(Line { address, .. }) = parse_with_ipv6(line) else { return false };
    address.contains(&b':') || network(address).is_some()
}

fn network(address: &[u8]) -> Option<IpNet> {
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// Warns of what a line says that can be parsed.
pub(crate) fn warn_of_line(number: u32, line: &Line<'_>, findings: &mut Findings) {
    let address = quoted(line.address);
    if let Some(why) = why_unmatched(line.address) {
        findings.warn(number, || format!("{address} matches no client: {why}"));
    }
    if let Some(net) = network(line.address).filter(|net| net.trunc() != *net) {
        findings.warn(number, || format!("{address} is taken for {}", net.trunc()));
    }
    for (name, value) in &line.rule.variables {
        if let Some(why) = why_useless(name, value) {
            findings.warn(number, || format!("{}: {why}", quoted(name)));
        }
    }
}

pub(super) fn quoted(text: &[u8]) -> String {
    let shown: String = text.escape_ascii().to_string().chars().take(SHOWN).collect();
    format!("`{shown}'")
}

/// Why no client has a key that `address` stands for, if none has.
fn why_unmatched(address: &[u8]) -> Option<String> {
    if let Some(net) = network(address) {
        return why_no_network(net);
    }
    // All keys of a range have the same form.
    let Some(key) = keys(address).ok()?.next() else { return Some("the range is empty".into()) };
    let key = String::from_utf8(key).unwrap_or_else(|_| "\u{fffd}".into());
    if key.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("there is a blank in it".into());
    }
    if key.contains('*') {
        return Some("`*' is not a wildcard: see `1.2.3.' and `=.example.org'".into());
    }
    match key.split_once('@') {
        Some(("", _)) | None => why_no_place(key.trim_start_matches('@')),
        Some((_, rest)) if rest.parse::<IpAddr>().is_ok() => why_no_address(rest),
        Some((_, rest)) => match rest.strip_prefix('=') {
            Some(name) if !name.is_empty() && !name.starts_with('.') => why_no_name(name),
            _ => Some("behind `@' stands a whole address, or `=' and a whole name".into()),
        },
    }
}

fn why_no_place(key: &str) -> Option<String> {
    match key.strip_prefix('=') {
        Some("") => None,
        Some(name) => why_no_name(name),
        None if key.is_empty() => None,
        None => why_no_address(key),
    }
}

fn why_no_network(net: IpNet) -> Option<String> {
    match net {
        IpNet::V6(six) if six.prefix_len() >= 96 && six.addr().to_ipv4_mapped().is_some() => {
            Some("such clients have IPv4 addresses".into())
        }
        _ => None,
    }
}

/// A name, or a suffix that begins with a dot.
fn why_no_name(name: &str) -> Option<String> {
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return Some("names are in lower case".into());
    }
    if name.ends_with('.') {
        return Some("names end without a dot".into());
    }
    let whole = if name.starts_with('.') { format!("x{name}") } else { name.into() };
    // Such as `.org', which is the end of others.
    let is_name = |name: &str| host_name(name.split('.').map(str::as_bytes)).is_some();
    (!is_name(&whole)).then(|| "it is not a host name".into())
}

/// An address, or the beginning of one.
fn why_no_address(key: &str) -> Option<String> {
    if key.contains(':') {
        return why_no_ipv6(key);
    }
    let body = key.strip_suffix('.').unwrap_or(key);
    let octets: Vec<&str> = body.split('.').collect();
    if !body.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Some(why_no_ipv4(key));
    }
    let is_octet = |octet: &&str| octet.parse::<u8>().is_ok_and(|o| o.to_string() == **octet);
    if !octets.iter().all(is_octet) {
        return Some("the numbers of an address are from 0 to 255, without zeros in front".into());
    }
    match (octets.len(), key.ends_with('.')) {
        (4, false) | (1..=3, true) => None,
        (1..=3, false) => Some(format!("the beginning of an address ends in a dot: `{key}.'")),
        _ => Some("an address has four numbers, and no dot behind them".into()),
    }
}

fn why_no_ipv4(key: &str) -> String {
    match key {
        _ if key.eq_ignore_ascii_case("all") => "the empty key is for everybody".into(),
        _ if key.contains('/') => "not a valid network".into(),
        _ if key.contains('.') => format!("a name stands behind `=': `={key}'"),
        _ => "it is neither an address nor, behind `=', a name".into(),
    }
}

fn why_no_ipv6(key: &str) -> Option<String> {
    if let Ok(ip) = key.parse::<Ipv6Addr>() {
        let shown = ip.to_canonical().to_string();
        return (shown != key).then(|| format!("clients have it as `{shown}'"));
    }
    let is_group = |group: &str| {
        let number = u16::from_str_radix(group, 16);
        group.is_empty() || number.is_ok_and(|number| format!("{number:x}") == group)
    };
    if key.ends_with(':') && key.split(':').all(is_group) {
        return None;
    }
    Some(
        "the beginning of an IPv6 address ends in a colon, in lower case, without zeros in front"
            .into(),
    )
}

/// Why a variable does not do what it seems to, if so.
pub(super) fn why_useless(name: &[u8], value: &[u8]) -> Option<String> {
    let starts = name.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    if !starts || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
        return Some("not the name of a variable".into());
    }
    let name = std::str::from_utf8(name).unwrap_or_default();
    if let Some(meant) = VARIABLES.iter().find(|known| name.eq_ignore_ascii_case(known)) {
        if name != *meant {
            return Some(format!("case matters in names of variables: did you mean {meant}?"));
        }
    }
    let seconds = std::str::from_utf8(value).ok().and_then(seconds);
    let is_delay = DELAY_VARIABLES.contains(&name);
    (is_delay && seconds.is_none()).then(|| format!("{} is not a number of seconds", quoted(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warnings(text: &str) -> Vec<String> {
        let mut findings = Findings::new(Extent::Some);
        for (number, line) in (1..).zip(text.lines()) {
            let Parsed::Rules(line) = parse_with_ipv6(line.as_bytes()) else { panic!("{line}") };
            warn_of_line(number, &line, &mut findings);
        }
        findings.warnings("f")
    }

    #[test]
    fn ipv6_addresses_and_networks_need_rules_in_text_form() {
        for line in
            ["2001:db8::1:deny", "[2001:db8::1]:deny", "[2001:db8::]/32:allow", "10.0.0.0/8:deny"]
        {
            let mut linter = Linter::default();
            linter.look_at(line.as_bytes());
            let warnings = linter.finish();
            assert_eq!(warnings.len(), 1, "{line}: {warnings:?}");
            assert!(warnings[0].ends_with("smtp-delayd --rules has"), "{warnings:?}");
        }
    }

    #[test]
    fn keys_that_clients_have_are_not_warned_of() {
        for key in [
            "",
            "=",
            "=.org",
            "=.example.org",
            "=mx1.example.org",
            "=a_b-c.example.org",
            "1.",
            "10.2.",
            "10.2.3.",
            "192.0.2.7",
            "192.0.2.7-9",
            "10.2-3.",
            "007-9.",
            "joe@192.0.2.7",
            "joe@=mx.example.org",
            "@192.0.2.7",
            "192.0.2.0/24",
            "2001:db8::/32",
            "2001:db8::7",
            "2001:db8:",
            "2001:db8:0:0:1::",
            "::1",
            "0.0.0.0/0",
        ] {
            assert_eq!(warnings(&format!("{key}:deny")), [""; 0], "{key}");
        }
    }

    #[test]
    fn keys_that_no_client_has_are_warned_of() {
        for (key, why) in [
            (" 192.0.2.7", "there is a blank in it"),
            ("192.0.2.7 ", "there is a blank in it"),
            ("=mx .example.org", "there is a blank in it"),
            ("192.0.2", "ends in a dot: `192.0.2.'"),
            ("192.0.2-3", "ends in a dot: `192.0.2.'"),
            ("192", "ends in a dot: `192.'"),
            ("192.0.2.7.", "four numbers"),
            ("192.0.2.256", "from 0 to 255"),
            ("010.", "without zeros in front"),
            ("192.0.2.*", "`*' is not a wildcard"),
            ("=*.example.org", "`*' is not a wildcard"),
            ("9-8.", "the range is empty"),
            ("ALL", "the empty key is for everybody"),
            ("=MX.example.org", "names are in lower case"),
            ("=.Example.org", "names are in lower case"),
            ("=mx.example.org.", "names end without a dot"),
            ("=.local", "it is not a host name"),
            ("=localhost", "it is not a host name"),
            ("=a..example", "it is not a host name"),
            ("=192.0.2.7", "it is not a host name"),
            ("mx.example.org", "a name stands behind `=': `=mx.example.org'"),
            (".example.org", "a name stands behind `='"),
            ("localhost", "it is neither an address nor"),
            ("joe@", "behind `@' stands a whole address"),
            ("joe@192.0.2.", "behind `@' stands a whole address"),
            ("joe@=", "behind `@' stands a whole address"),
            ("joe@=.example.org", "behind `@' stands a whole address"),
            ("2001:db8:0::7", "clients have it as `2001:db8::7'"),
            ("2001:DB8:", "ends in a colon, in lower case"),
            ("2001:0db8:", "without zeros in front"),
            ("::ffff:192.0.2.7", "clients have it as `192.0.2.7'"),
            ("::ffff:0:0/96", "such clients have IPv4 addresses"),
        ] {
            let told = warnings(&format!(":allow\n{key}:deny"));
            assert_eq!(told.len(), 1, "{key}: {told:?}");
            assert!(told[0].starts_with("f line 2: `"), "{told:?}");
            assert!(told[0].contains("' matches no client: ") && told[0].contains(why), "{told:?}");
        }
    }

    #[test]
    fn bits_behind_a_prefix_are_warned_of() {
        let expected = "f line 1: `192.0.2.7/24' is taken for 192.0.2.0/24";
        assert_eq!(warnings("192.0.2.7/24:deny"), [expected]);
    }

    #[test]
    fn variables_that_do_nothing_are_warned_of() {
        let told = warnings(":allow, RELAYCLIENT=\"\",A=/x/,SMTPDELAY=/soon/,GREETDELAY=/0.5/");
        assert_eq!(
            told,
            [
                "f line 1: ` RELAYCLIENT': not the name of a variable",
                "f line 1: `SMTPDELAY': `soon' is not a number of seconds"
            ]
        );
        assert_eq!(warnings(":allow,=/x/,SMTPD_GREETDELAY=//,2X=/1/").len(), 3);
    }

    #[test]
    fn names_of_variables_in_another_case_are_warned_of() {
        for (name, meant) in [
            ("smtpdelay", "SMTPDELAY"),
            ("GreetDelay", "GREETDELAY"),
            ("smtpd_greetdelay", "SMTPD_GREETDELAY"),
            ("RelayClient", "RELAYCLIENT"),
            ("rblsmtpd", "RBLSMTPD"),
        ] {
            let expected = format!(
                "f line 1: `{name}': case matters in names of variables: did you mean {meant}?"
            );
            assert_eq!(warnings(&format!(":allow,{name}=/1/")), [expected]);
            assert_eq!(warnings(&format!(":allow,{meant}=/1/")), [""; 0]);
        }
    }

    #[test]
    fn all_lines_are_reported_to_tcprules() {
        let mut linter = Linter::default();
        (0..500).for_each(|_| linter.look_at(b"192.0.2:deny"));
        assert_eq!(linter.finish().len(), 500);
    }
}
