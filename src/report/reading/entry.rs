//! One entry of a log: who wrote it, and what; the same for all formats of logs.

use std::str;

use super::line::{Read, read};
use super::moment::{Clock, Moment};

/// An entry without its head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// When it was written; `None` if the log does not say.
    pub at: Option<Moment>,
    /// How often it was written: syslog daemons combine equal lines.
    pub times: u64,
    /// Who wrote it, without a process id; `None` if the log does not say.
    pub tag: Option<&'a [u8]>,
    /// What was written.
    pub message: &'a [u8],
}

/// Parses a line.
pub fn split<'a>(line: &'a [u8], clock: &mut Clock) -> Entry<'a> {
    let line = without_priority(line);
    let (at, rest) = match clock.split(line) {
        Some((at, rest)) => (Some(at), rest),
        None => (None, line),
    };
    let (tag, message) = tag_and_message(rest, at.is_some());
    let (times, message) = repeated(message);
    Entry { at, times, tag, message }
}

/// `<22>` (RFC 3164, 4.1.1), and the version that follows in RFC 5424.
fn without_priority(line: &[u8]) -> &[u8] {
    let [b'<', rest @ ..] = line else { return line };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest[digits..].strip_prefix(b">") {
        Some(rest) if (1..=3).contains(&digits) => rest.strip_prefix(b"1 ").unwrap_or(rest),
        _ => line,
    }
}

/// `HOST TAG[PID]: MESSAGE`, `TAG: MESSAGE`, or the message alone.
fn tag_and_message(rest: &[u8], has_time: bool) -> (Option<&[u8]>, &[u8]) {
    if read(rest) != Read::Foreign {
        return (None, rest);
    }
    if let Some(found) = tagged(rest) {
        return found;
    }
    let host = rest.iter().position(|byte| *byte == b' ').filter(|_| has_time);
    host.and_then(|at| tagged(&rest[at + 1..])).unwrap_or((None, rest))
}

/// The tag may contain no blank.
fn tagged(rest: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let end = rest.iter().position(|byte| matches!(byte, b' ' | b':' | b'['))?;
    let (tag, mut rest) = rest.split_at(end);
    if let Some(pid) = rest.strip_prefix(b"[") {
        rest = &pid[pid.iter().position(|byte| *byte == b']')? + 1..];
    }
    rest.strip_prefix(b": ").map(|message| (Some(tag), message))
}

/// `message repeated 3 times: [ MESSAGE]` (rsyslog, syslog-ng).
fn repeated(message: &[u8]) -> (u64, &[u8]) {
    let found = || {
        let rest = message.strip_prefix(b"message repeated ")?;
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let times = str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
        let inner = rest[digits..].strip_prefix(b" times: [")?.strip_suffix(b"]")?;
        Some((times, inner.strip_prefix(b" ").unwrap_or(inner)))
    };
    found().unwrap_or((1, message))
}

/// `last message repeated 3 times` (sysklogd): how often the line before was repeated.
#[must_use]
pub fn repeats_last(message: &[u8]) -> Option<u64> {
    const TEXT: &[u8] = b"last message repeated ";
    // Without a tag, the host is still in front of it.
    let host = message.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let behind_host = message[host..].strip_prefix(b" ").and_then(|rest| rest.strip_prefix(TEXT));
    let rest = message.strip_prefix(TEXT).or(behind_host)?;
    let digits = rest.strip_suffix(b" times").or_else(|| rest.strip_suffix(b" time"))?;
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    const PASS: &str = "pass ip=192.0.2.7 waited=2.00";

    fn parts(line: &str) -> (bool, u64, Option<String>, String) {
        let mut clock = Clock::new(Moment(1_795_000_000_000), TimeZone::UTC);
        let entry = split(line.as_bytes(), &mut clock);
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (entry.at.is_some(), entry.times, entry.tag.map(text), text(entry.message))
    }

    #[test]
    fn heads_are_taken_off() {
        for (head, tag) in [
            ("Nov  7 06:50:16 mx smtp-delayd[812]: ", Some("smtp-delayd")),
            ("<22>Nov  7 06:50:16 mx smtp-delayd: ", Some("smtp-delayd")),
            ("2026-11-07T06:50:16.123456+01:00 mx smtp-delayd[812]: ", Some("smtp-delayd")),
            ("2026-11-07T06:50:16+0100 mx inbound[812]: ", Some("inbound")),
            ("@400000006a5cb1d2075bcd15 ", None),
            ("2026-11-07_06:50:16.12345 ", None),
            ("2026-11-07 06:50:16.123456789 ", None),
        ] {
            let expected = (true, 1, tag.map(str::to_string), PASS.to_string());
            assert_eq!(parts(&format!("{head}{PASS}")), expected, "{head}");
        }
        assert_eq!(parts(PASS), (false, 1, None, PASS.to_string()));
    }

    #[test]
    fn what_a_program_said_is_not_taken_for_our_line() {
        let (_, _, tag, message) =
            parts(&format!("Nov  7 06:50:16 mx smtp-delayd[8]: prog: {PASS}"));
        assert_eq!((tag.as_deref(), message), (Some("smtp-delayd"), format!("prog: {PASS}")));
        let (_, _, tag, _) = parts(&format!("Nov  7 06:50:16 mx other[8]: x: {PASS}"));
        assert_eq!(tag.as_deref(), Some("other"));
    }

    #[test]
    fn repeated_lines_count_as_often() {
        let line =
            format!("Nov  7 06:50:16 mx smtp-delayd[8]: message repeated 3 times: [ {PASS}]");
        assert_eq!(parts(&line), (true, 3, Some("smtp-delayd".into()), PASS.into()));
        assert_eq!(repeats_last(b"last message repeated 12 times"), Some(12));
        assert_eq!(repeats_last(b"mx last message repeated 1 time"), Some(1));
        for other in ["last message", "", "mx", "a b last message repeated 2 times"] {
            assert_eq!(repeats_last(other.as_bytes()), None, "{other}");
        }
    }
}
