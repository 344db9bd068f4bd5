//! Reads one of our log lines back: the events and keys of LOG LINES.

use std::str;

use crate::class::Class;

/// What a line says, as far as a report uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Event<'a> {
    /// The outcome of a client.
    Client(Client<'a>),
    /// A program ended: seconds since the accept.
    End {
        /// Seconds from the accept to the end.
        seconds: f64,
    },
    /// The daemon started.
    Start,
    /// It read its files again.
    Reload,
    /// It stopped.
    Stop,
    /// So many lines of the log are missing.
    Lost(u64),
}

/// A client, and its verdict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Client<'a> {
    /// What became of it.
    pub verdict: Verdict,
    /// The verdict was logged and not carried out (`would=refuse`, or the action `log`):
    /// another line has the outcome of the client.
    pub told_only: bool,
    /// Its address.
    pub ip: &'a [u8],
    /// Its name, as the line has it; `None` for `-`.
    pub host: Option<&'a [u8]>,
    /// Its class, if it was known.
    pub class: Option<Class>,
    /// The delay that it was given, in seconds.
    pub delay: Option<f64>,
    /// Whether the load had shortened the delay.
    pub shrunk: bool,
    /// Seconds from the accept to the verdict.
    pub waited: f64,
    /// Days since it last passed, if the line says so; `None` if it was not known or the
    /// keeper was not asked.
    pub known: Option<f64>,
    /// The rule, the kind of limit, or the lists.
    pub why: Option<&'a [u8]>,
}

/// The outcome of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It got the program.
    Pass,
    /// It talked before the greeting.
    Early,
    /// It left before the greeting.
    Hangup,
    /// A rule denied it.
    Deny,
    /// DNS lists had it.
    Listed,
    /// It got no place or no slot.
    Limit,
}

impl Verdict {
    /// All of them, in the order of the `stats` line.
    pub const ALL: [Self; 6] =
        [Self::Pass, Self::Early, Self::Hangup, Self::Deny, Self::Listed, Self::Limit];

    /// The event's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Early => "early",
            Self::Hangup => "hangup",
            Self::Deny => "deny",
            Self::Listed => "listed",
            Self::Limit => "limit",
        }
    }

    fn of(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"pass" => Self::Pass,
            b"early" => Self::Early,
            b"hangup" => Self::Hangup,
            b"deny" => Self::Deny,
            b"listed" => Self::Listed,
            b"limit" => Self::Limit,
            _ => return None,
        })
    }
}

/// The use of a message for a report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Read<'a> {
    /// A line of ours.
    Event(Event<'a>),
    /// A line of ours that a report does not need.
    Other,
    /// It begins as a line of ours does, and is malformed.
    Bad,
    /// A line of another program.
    Foreign,
}

/// Reads a message, without time, host and tag.
#[must_use]
pub fn read(message: &[u8]) -> Read<'_> {
    let (word, rest) = split_at_byte(message, b' ');
    if let Some(verdict) = Verdict::of(word) {
        return match client(verdict, rest) {
            Some(client) => Read::Event(Event::Client(client)),
            None if rest.starts_with(b"ip=") => Read::Bad,
            None => Read::Foreign,
        };
    }
    match word {
        b"end" if rest.starts_with(b"pid=") => end(rest).map_or(Read::Bad, Read::Event),
        b"start" if rest.starts_with(b"host=") => Read::Event(Event::Start),
        b"reload" if rest.starts_with(b"pid=") => Read::Event(Event::Reload),
        b"stop" if rest.starts_with(b"sessions=") => Read::Event(Event::Stop),
        b"warning:" => lost(rest).map_or(Read::Other, |lines| Read::Event(Event::Lost(lines))),
        b"stats" | b"stopping" | b"forget" | b"check" | b"prog:" | b"error:" | b"fatal:" => {
            Read::Other
        }
        _ => Read::Foreign,
    }
}

fn client(verdict: Verdict, rest: &[u8]) -> Option<Client<'_>> {
    let mut client = Client {
        verdict,
        told_only: false,
        ip: b"",
        host: None,
        class: None,
        delay: None,
        shrunk: false,
        waited: f64::NAN,
        known: None,
        why: None,
    };
    for pair in Pairs(rest) {
        client.take(pair?)?;
    }
    (!client.ip.is_empty() && client.waited >= 0.0).then_some(client)
}

impl<'a> Client<'a> {
    /// `None` for a value that the key cannot have.
    fn take(&mut self, Pair { key, value }: Pair<'a>) -> Option<()> {
        match key {
            b"ip" => self.ip = value,
            b"host" => self.host = (value != b"-").then_some(value),
            b"class" => self.class = unless_dash(value, class).ok()?,
            b"delay" => self.delay = unless_dash(value, number).ok()?,
            b"shrunk" => self.shrunk = true,
            b"waited" => self.waited = number(value)?,
            b"known" => self.known = unless_dash(value, number).ok()?,
            b"rule" | b"kind" | b"zones" => self.why = Some(value),
            b"action" => self.told_only |= value == b"log",
            b"would" => self.told_only = true,
            _ => (),
        }
        Some(())
    }
}

/// A value that its key cannot have.
struct Malformed;

/// `None` for `-`, which stands for an unknown value.
fn unless_dash<T>(value: &[u8], read: fn(&[u8]) -> Option<T>) -> Result<Option<T>, Malformed> {
    if value == b"-" {
        return Ok(None);
    }
    read(value).map(Some).ok_or(Malformed)
}

fn class(value: &[u8]) -> Option<Class> {
    Some(match value {
        b"static" => Class::Static,
        b"dynamic" => Class::Dynamic,
        b"none" => Class::None,
        b"unknown" => Class::Unknown,
        _ => return None,
    })
}

fn end(rest: &[u8]) -> Option<Event<'_>> {
    let mut seconds = None;
    for pair in Pairs(rest) {
        if let Pair { key: b"secs", value } = pair? {
            seconds = Some(number(value)?);
        }
    }
    seconds.map(|seconds| Event::End { seconds })
}

/// The text of the warning about lost lines.
fn lost(rest: &[u8]) -> Option<u64> {
    let (count, text) = split_at_byte(rest, b' ');
    (text == b"log lines were lost").then(|| str::from_utf8(count).ok()?.parse().ok())?
}

/// A plain decimal, as our lines have them.
fn number(value: &[u8]) -> Option<f64> {
    let (whole, part) = split_at_byte(value, b'.');
    let digits = |text: &[u8]| {
        text.iter().try_fold(0_u32, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
    };
    let scale = 10_f64.powi(i32::try_from(part.len()).ok()?);
    (!whole.is_empty()).then_some(())?;
    Some(f64::from(digits(whole)?) + f64::from(digits(part)?) / scale)
}

/// Before and after the first such byte.
fn split_at_byte(text: &[u8], byte: u8) -> (&[u8], &[u8]) {
    match text.iter().position(|letter| *letter == byte) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, &[]),
    }
}

/// One `key=value`: a quoted value without its quotes, not unescaped.
struct Pair<'a> {
    key: &'a [u8],
    value: &'a [u8],
}

/// The pairs of a line; `None` once for what is not a pair, and then the end.
struct Pairs<'a>(&'a [u8]);

impl<'a> Iterator for Pairs<'a> {
    type Item = Option<Pair<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = first_pair(self.0);
        self.0 = pair.as_ref().map_or(&[][..], |(_, rest)| rest);
        Some(pair.map(|(pair, _)| pair))
    }
}

/// The first pair, and what follows the blank after it.
fn first_pair(text: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let is_of_keys = |byte: &u8| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_');
    let end = text.iter().position(|byte| !is_of_keys(byte))?;
    let (key, rest) = text.split_at(end);
    let rest = rest.strip_prefix(b"=").filter(|_| !key.is_empty())?;
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        let (value, rest) = split_at_byte(rest, b' ');
        return Some((Pair { key, value }, rest));
    };
    let end = closing_quote(quoted)?;
    let rest = &quoted[end + 1..];
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix(b" ")? };
    Some((Pair { key, value: &quoted[..end] }, rest))
}

fn closing_quote(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp)]
mod tests {
    use super::*;

    fn client(line: &str) -> Client<'_> {
        match read(line.as_bytes()) {
            Read::Event(Event::Client(client)) => client,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_client_is_read_back() {
        let pass = client(
            "pass ip=192.0.2.7 port=40112 host=mx1.example.org class=static delay=0.5 \
             shrunk=0.25 waited=2.04 dns=0.013 known=1.5 pid=8121",
        );
        assert_eq!(pass.verdict, Verdict::Pass);
        assert_eq!((pass.ip, pass.host), (&b"192.0.2.7"[..], Some(&b"mx1.example.org"[..])));
        assert_eq!((pass.class, pass.delay), (Some(Class::Static), Some(0.5)));
        assert_eq!((pass.waited, pass.known, pass.shrunk), (2.04, Some(1.5), true));
        assert!(!pass.told_only);
        let hangup = client("hangup ip=2001:db8::1 port=- host=- class=- delay=- waited=0.00");
        assert_eq!(
            (hangup.host, hangup.class, hangup.delay, hangup.known),
            (None, None, None, None)
        );
    }

    #[test]
    fn what_a_client_said_is_no_key() {
        let text = r#"EHLO \"x\r\npass ip\x3d1 waited\x3d9 \\"#;
        let line = format!("early ip=192.0.2.7 waited=0.31 bytes=9 text=\"{text}\" action=refuse");
        assert_eq!(client(&line).waited, 0.31);
        let told = client("early ip=192.0.2.7 waited=0.31 text=- action=log");
        assert!(told.told_only);
        assert!(client("listed ip=192.0.2.7 waited=0.31 zones=\"a b\" would=refuse").told_only);
    }

    #[test]
    fn what_does_not_go_on_as_our_lines_do_is_bad() {
        for bad in [
            "pass ip=192.0.2.7",
            "pass ip=192.0.2.7 waited=x",
            "pass ip=192.0.2.7 waited=1.0 host=\"x",
            "pass ip=192.0.2.7 waited=1.0 class=other",
            "pass ip=192.0.2.7 waited=1.0 and more",
            "pass ip=192.0.2.7 waited=99999999999",
            "end pid=7 secs=",
        ] {
            assert_eq!(read(bad.as_bytes()), Read::Bad, "{bad}");
        }
    }

    #[test]
    fn other_lines() {
        let read = |line: &'static str| read(line.as_bytes());
        assert_eq!(
            read("end pid=8121 ip=192.0.2.7 exit=0 secs=13.2"),
            Read::Event(Event::End { seconds: 13.2 })
        );
        assert_eq!(read("warning: 17 log lines were lost"), Read::Event(Event::Lost(17)));
        assert_eq!(read("start host=:: port=25 slots=40"), Read::Event(Event::Start));
        assert_eq!(read("warning: unable to read x"), Read::Other);
        for foreign in ["", "pass", "connect from x[192.0.2.7]", "pass the salt", "end of file"] {
            assert_eq!(read(foreign), Read::Foreign, "{foreign}");
        }
    }

    #[test]
    fn the_words_of_verdicts_and_classes_are_read_back() {
        for verdict in Verdict::ALL {
            assert_eq!(Verdict::of(verdict.word().as_bytes()), Some(verdict));
        }
        for of in Class::JUDGED {
            assert_eq!(class(of.to_string().as_bytes()), Some(of));
        }
        assert_eq!((Verdict::of(b"passed"), class(b"-")), (None, None));
    }

    #[test]
    fn every_line_that_the_log_writes_is_known() {
        for (event, keys) in crate::log::LINES {
            let line = format!("{event} {}=1", keys[0]);
            assert_ne!(read(line.as_bytes()), Read::Foreign, "{event}");
        }
    }
}
