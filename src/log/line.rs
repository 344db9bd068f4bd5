//! One log line: an event and its `key=value` pairs, written with one
//! write(2).

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use super::escape::Value;
use super::syslog::Worth;

/// A line with its newline is shorter than this: what a pipe takes whole
/// (`PIPE_BUF`).
const LIMIT: usize = 4096;

/// A line that is being put together.
pub(super) struct Line {
    text: String,
    worth: Worth,
}

impl Line {
    pub(super) fn new(event: &str) -> Self {
        let mut text = String::with_capacity(200);
        text.push_str(event);
        let kept = matches!(event, "pass" | "end" | "deny");
        Self { text, worth: if kept { Worth::AWait } else { Worth::Nothing } }
    }

    pub(super) fn worth(&self) -> Worth {
        self.worth
    }

    /// `value` is ours, or harmless by its type.
    pub(super) fn plain(mut self, key: &str, value: impl fmt::Display) -> Self {
        let _ = write!(self.text, " {key}={value}");
        self
    }

    /// `value` comes from elsewhere.
    pub(super) fn text(self, key: &str, value: Option<&[u8]>) -> Self {
        self.plain(key, Value(value))
    }

    pub(super) fn name(self, key: &str, value: Option<&str>) -> Self {
        self.text(key, value.map(str::as_bytes))
    }

    /// A client's address and its port, as far as they are known: neither is 0.
    pub(super) fn peer(self, peer: SocketAddr) -> Self {
        let line = match peer.ip() {
            ip if ip.is_unspecified() => self.plain("ip", "-"),
            ip => self.plain("ip", ip),
        };
        match peer.port() {
            0 => line.plain("port", "-"),
            port => line.plain("port", port),
        }
    }

    /// Seconds to the hundredth.
    pub(super) fn seconds(self, key: &str, time: Duration) -> Self {
        self.plain(key, format_args!("{:.2}", time.as_secs_f64()))
    }

    /// The bytes to write, newline included.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut bytes = self.text.into_bytes();
        bytes.truncate(LIMIT - 2);
        bytes.push(b'\n');
        bytes
    }
}

/// Seconds without trailing zeros: `2`, `0.5`.
pub(super) struct Brief(pub(super) Duration);

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0.as_secs_f64());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
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
    }
}
