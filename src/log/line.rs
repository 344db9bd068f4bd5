//! One log line: an event and its `key=value` pairs, written with one
//! write(2).

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use super::facts::LINES;
use super::syslog::Wait;
use super::value::Value;

/// A line with its newline is shorter than this: a pipe takes it in one piece (`PIPE_BUF`).
pub(super) const LIMIT: usize = 4096;

/// A line under construction.
pub(super) struct Line {
    text: String,
    wait: Wait,
}

impl Line {
    pub(super) fn new(event: &str) -> Self {
        let mut text = String::with_capacity(200);
        text.push_str(event);
        let kept = matches!(event, "pass" | "end" | "deny");
        Self { text, wait: if kept { Wait::Short } else { Wait::None } }
    }

    pub(super) fn wait(&self) -> Wait {
        self.wait
    }

    /// `value` is our own, or needs no escaping by its type.
    pub(super) fn plain(mut self, key: &str, value: impl fmt::Display) -> Self {
        debug_assert!(is_key_of(&self.text, key), "no key {key} in LINES: {}", self.text);
        self.text.push(' ');
        self.text.push_str(key);
        self.text.push('=');
        let _ = write!(self.text, "{value}");
        self
    }

    /// `value` comes from elsewhere.
    pub(super) fn text(self, key: &str, value: Option<&[u8]>) -> Self {
        self.plain(key, Value(value))
    }

    pub(super) fn name(self, key: &str, value: Option<&str>) -> Self {
        self.text(key, value.map(str::as_bytes))
    }

    pub(super) fn peer(mut self, peer: SocketAddr) -> Self {
        let _ = write!(self.text, " {}", Peer(peer));
        self
    }

    /// A value of our own that may be unknown.
    pub(super) fn known(self, key: &str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.plain(key, value),
            None => self.plain(key, "-"),
        }
    }

    /// Seconds to the hundredth.
    pub(super) fn seconds(self, key: &str, time: Duration) -> Self {
        self.plain(key, Rounded::<2>(time))
    }

    /// The bytes to write, newline included.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut bytes = self.text.into_bytes();
        bytes.truncate(LIMIT - 2);
        bytes.push(b'\n');
        bytes
    }
}

/// Whether `LINES`, which the manual follows, has `key` for the event that `line` begins with.
fn is_key_of(line: &str, key: &str) -> bool {
    let event = line.split(' ').next().unwrap_or_default();
    LINES.iter().any(|(name, keys)| *name == event && keys.contains(&key))
}

/// A client's address and its port, as far as they are known: neither is 0.
pub(super) struct Peer(pub SocketAddr);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.ip() {
            ip if ip.is_unspecified() => f.write_str("ip=-")?,
            ip => write!(f, "ip={ip}")?,
        }
        match self.0.port() {
            0 => f.write_str(" port=-"),
            port => write!(f, " port={port}"),
        }
    }
}

/// Seconds, with `DIGITS` digits after the point: 1 to 9.
pub(super) struct Rounded<const DIGITS: u32>(pub(super) Duration);

impl<const DIGITS: u32> fmt::Display for Rounded<DIGITS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = self.parts();
        write!(f, "{whole}.{part:0width$}", width = DIGITS as usize)
    }
}

impl<const DIGITS: u32> Rounded<DIGITS> {
    /// The seconds, and the digits after the point.  Without floating point: formatting the
    /// line is a considerable part of the cost of a refusal.
    fn parts(&self) -> (u64, u64) {
        let unit = 10_u64.pow(9 - DIGITS);
        let nanos = u64::from(self.0.subsec_nanos()) + unit / 2;
        let one = 1_000_000_000;
        (self.0.as_secs().saturating_add(nanos / one), nanos % one / unit)
    }
}

/// Seconds without trailing zeros: `2`, `0.5`.
pub(super) struct Brief(pub(super) Duration);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut part) = Rounded::<3>(self.0).parts();
        let mut digits = 3;
        while digits > 0 && part % 10 == 0 {
            (part, digits) = (part / 10, digits - 1);
        }
        match digits {
            0 => write!(f, "{whole}"),
            digits => write!(f, "{whole}.{part:0digits$}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_below_four_kilobytes() {
        let line = Line::new("early").text("text", Some(&[1; 9000])).finish();
        assert!(line.len() < LIMIT);
        assert_eq!(line.split(|byte| *byte == b'\n').count(), 2);
        assert_eq!(line.last(), Some(&b'\n'));
    }

    #[test]
    fn delays_are_shown_as_they_were_typed() {
        assert_eq!(Brief(Duration::from_secs(2)).to_string(), "2");
        assert_eq!(Brief(Duration::from_secs(20)).to_string(), "20");
        assert_eq!(Brief(Duration::from_millis(1500)).to_string(), "1.5");
        assert_eq!(Brief(Duration::ZERO).to_string(), "0");
        assert_eq!(Brief(Duration::from_millis(10_050)).to_string(), "10.05");
        assert_eq!(Brief(Duration::from_micros(1_999_600)).to_string(), "2");
    }

    #[test]
    fn times_are_rounded() {
        let rounded = |micros| Rounded::<2>(Duration::from_micros(micros)).to_string();
        let times = [0, 4_999, 5_000, 2_004_000, 9_995_000, 61_230_000, 12_345_678].map(rounded);
        assert_eq!(times, ["0.00", "0.00", "0.01", "2.00", "10.00", "61.23", "12.35"]);
        assert_eq!(Rounded::<1>(Duration::from_millis(1_950)).to_string(), "2.0");
        assert_eq!(Rounded::<3>(Duration::MAX).to_string().len(), 24);
    }
}
