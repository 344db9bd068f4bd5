//! Rules in tcprules' text form, a line at a time.  tcprules and `--rules` share this
//! grammar, and differ in what they do with a line that they cannot use.

use std::ops::RangeInclusive;

use super::record::Rule;
use crate::djb::scan_ulong;

/// A line that makes rules.
#[derive(Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// The part before the colon.
    pub address: &'a [u8],
    /// The part after it.
    pub rule: Rule,
}

/// The kind of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A comment, or a blank line.
    Empty,
    /// It has no colon; tcprules ignores it.
    NoColon,
    /// It cannot be parsed.
    Bad,
    /// It makes rules.
    Rules(Line<'a>),
}

/// A line without the blanks at its end, as tcprules quotes it.
#[must_use]
pub fn trimmed(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n');
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
    &line[..end]
}

/// Parses a line.
#[must_use]
pub fn parse(line: &[u8]) -> Parsed<'_> {
    if matches!(line.first(), None | Some(b'#' | b'\n')) {
        return Parsed::Empty;
    }
    let line = trimmed(line);
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Parsed::NoColon };
    match rule(&line[colon + 1..]) {
        Some(rule) => Parsed::Rules(Line { address: &line[..colon], rule }),
        None => Parsed::Bad,
    }
}

/// The same if an address may be IPv6, which contains colons: the colon before `allow` or
/// `deny` ends it.
#[must_use]
pub fn parse_with_ipv6(line: &[u8]) -> Parsed<'_> {
    let six = ipv6_address(line);
    match (six, parse(line)) {
        (Some(length), _) => match parse(&line[length..]) {
            Parsed::Rules(rest) => {
                Parsed::Rules(Line { address: &line[..length], rule: rest.rule })
            }
            other => other,
        },
        (None, parsed) => parsed,
    }
}

/// The length of the IPv6 address, the network, or the prefix that ends in a colon, at the
/// beginning of the line.
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

fn rule(text: &[u8]) -> Option<Rule> {
    let (deny, mut rest) = match text.strip_prefix(b"deny") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix(b"allow")?),
    };
    let mut variables = Vec::new();
    while !rest.is_empty() {
        let (variable, after) = variable(rest)?;
        variables.push(variable);
        rest = after;
    }
    Some(Rule { deny, variables })
}

type Variable = (Vec<u8>, Vec<u8>);

/// `,NAME=qVALUEq`, where q is any byte.
fn variable(text: &[u8]) -> Option<(Variable, &[u8])> {
    let text = text.strip_prefix(b",")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    let (quote, text) = (text.get(equals + 1)?, (text, text.get(equals + 2..)?));
    let (name, value) = (&text.0[..equals], text.1);
    let end = value.iter().position(|byte| byte == quote)?;
    Some(((name.to_vec(), value[..end].to_vec()), &value[end + 1..]))
}

/// The keys that an address stands for: itself, or each of a range such as `1.2.3.4-9` or
/// `10.2-3.`; one at a time, since a range may be long.
///
/// # Errors
/// A range whose ends are not numbers.
pub fn keys(address: &[u8]) -> Result<impl Iterator<Item = Vec<u8>>, BadRange> {
    let is_name = address.iter().any(|byte| matches!(byte, b'=' | b'@'));
    let dash = address.iter().position(|byte| *byte == b'-');
    let (itself, (left, numbers, right)) = match dash.filter(|_| !is_name) {
        Some(dash) => (None, range(address, dash)?),
        None => (Some(address.to_vec()), (&[][..], RangeInclusive::new(1, 0), &[][..])),
    };
    let key = move |number: u64| [left, number.to_string().as_bytes(), right].concat();
    Ok(itself.into_iter().chain(numbers.map(key)))
}

type Range<'a> = (&'a [u8], RangeInclusive<u64>, &'a [u8]);

/// The part before the numbers, the numbers, and the part after them.
fn range(address: &[u8], dash: usize) -> Result<Range<'_>, BadRange> {
    let left = address[..dash].iter().rposition(|byte| *byte == b'.').map_or(0, |dot| dot + 1);
    let top_end = address[dash + 1..].iter().position(|byte| *byte == b'.');
    let right = top_end.map_or(address.len(), |length| dash + 1 + length);
    let bottom = number(&address[left..dash])?;
    let top = number(&address[dash + 1..right])?.min(255);
    Ok((&address[..left], bottom..=top, &address[right..]))
}

/// A range that is not valid.
#[derive(Debug, PartialEq, Eq)]
pub struct BadRange;

/// As djb's `scan_ulong` reads it: no digit at all is 0, and overflow wraps.
fn number(text: &[u8]) -> Result<u64, BadRange> {
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if text.iter().all(u8::is_ascii_digit) { Ok(scan_ulong(text)) } else { Err(BadRange) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(line: &str) -> Vec<(String, String)> {
        let Parsed::Rules(line) = parse(line.as_bytes()) else { panic!("{line}") };
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        line.rule.variables.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(parse(b""), Parsed::Empty);
        assert_eq!(parse(b"\n"), Parsed::Empty);
        assert_eq!(parse(b"#x:deny\n"), Parsed::Empty);
        assert_eq!(parse(b"1.2.3.4 deny\n"), Parsed::NoColon);
        for bad in
            ["x:", "x:denied", "x:allow,A", "x:allow,A=", "x:allow,A=/x", "x:allow A=/x/", "x:Deny"]
        {
            assert_eq!(parse(bad.as_bytes()), Parsed::Bad, "{bad}");
        }
        let Parsed::Rules(line) = parse(b"1.2.3.:deny \t\n") else { panic!() };
        assert_eq!((line.address, line.rule.deny), (&b"1.2.3."[..], true));
    }

    #[test]
    fn any_byte_quotes() {
        let pair = |name: &str, value: &str| (String::from(name), String::from(value));
        let line = "x:allow,A=/1/,B==,,=,C=\"\",RELAYCLIENT=xx";
        let expected = [pair("A", "1"), pair("B", ",,"), pair("C", ""), pair("RELAYCLIENT", "")];
        assert_eq!(variables(line), expected);
    }

    fn keys_of(address: &str) -> Vec<String> {
        let keys = keys(address.as_bytes()).unwrap();
        keys.map(|key| String::from_utf8(key).unwrap()).collect()
    }

    #[test]
    fn ranges_are_spelled_out() {
        assert_eq!(keys_of("1.2.3.4"), ["1.2.3.4"]);
        assert_eq!(keys_of("1.2.3.4-6"), ["1.2.3.4", "1.2.3.5", "1.2.3.6"]);
        assert_eq!(keys_of("10.2-3."), ["10.2.", "10.3."]);
        assert_eq!(keys_of("9-8."), Vec::<String>::new());
        assert_eq!(keys_of("=a-b.example"), ["=a-b.example"]);
        assert_eq!(keys_of("x-y@1.2.3.4-5"), ["x-y@1.2.3.4-5"]);
        assert_eq!(keys_of("1.254-999").len(), 2);
        assert_eq!(keys_of("1.-2."), ["1.0.", "1.1.", "1.2."]);
        assert!(keys(b"1.a-b.").is_err());
    }
}
