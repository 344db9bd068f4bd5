//! How the argument of an option is read: seconds, counts, addresses,
//! networks, reply texts.  Every error says what would have been right.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use syslog::Facility;

/// The longest time that an option takes, in seconds: a day.
const LONGEST: f64 = 86_400.0;
/// The longest reply text, in bytes: RFC 5321, 4.5.3.1.5 allows 512 for the
/// whole line, and the code, a host name and CR LF have to fit too.
const LONGEST_TEXT: usize = 240;

pub(super) type Value<T> = Result<T, String>;

pub(super) fn text(value: &OsStr) -> Value<&str> {
    value.to_str().ok_or_else(|| "it is not UTF-8".into())
}

/// Seconds with decimals: `2`, `0.5`.
pub(crate) fn seconds(text: &str) -> Option<Duration> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = f64::from_str(text).ok().filter(|number| plain && *number <= LONGEST)?;
    Duration::try_from_secs_f64(number).ok()
}

pub(super) fn seconds_value(value: &OsStr) -> Value<Duration> {
    let wanted = "it takes seconds from 0 to 86400, such as 2 or 0.5";
    seconds(text(value)?).ok_or_else(|| wanted.into())
}

pub(super) fn number(value: &OsStr, range: RangeInclusive<u32>) -> Value<u32> {
    let wanted = || format!("it takes a number from {} to {}", range.start(), range.end());
    let number = u32::from_str(text(value)?).map_err(|_| wanted())?;
    if range.contains(&number) { Ok(number) } else { Err(wanted()) }
}

pub(super) fn count(value: &OsStr, range: RangeInclusive<u32>) -> Value<usize> {
    Ok(number(value, range)? as usize)
}

/// `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`.
pub(super) fn resolver(value: &OsStr) -> Value<SocketAddr> {
    let text = text(value)?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    address.or_else(|_| text.parse()).map_err(|_| {
        "it takes an address such as 192.0.2.1, 192.0.2.1:53 or [2001:db8::1]:53".into()
    })
}

/// Networks with commas or white space between them; `none` for none.
pub(super) fn networks(value: &OsStr) -> Value<Vec<IpNet>> {
    let text = text(value)?;
    if text == "none" {
        return Ok(Vec::new());
    }
    let parts = text.split([',', ' ', '\t']).filter(|part| !part.is_empty());
    parts.map(network).collect()
}

fn network(text: &str) -> Value<IpNet> {
    let alone = || text.parse::<IpAddr>().map(IpNet::from);
    let network = text.parse::<IpNet>().or_else(|_| alone());
    network.map_err(|_| format!("`{text}' is no network such as 10.0.0.0/8 or fd00::/8"))
}

/// One line of a reply: printable ASCII.
pub(super) fn reply_text(value: &OsStr) -> Value<String> {
    let text = text(value)?;
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if text.is_empty() || !printable {
        return Err("it takes one line of printable ASCII".into());
    }
    if text.starts_with('-') {
        return Err("a `-' in front would tell rblsmtpd to refuse for good".into());
    }
    if text.len() > LONGEST_TEXT {
        return Err(format!("it takes {LONGEST_TEXT} bytes at most"));
    }
    Ok(text.into())
}

/// A facility of syslog, such as `mail` or `local3`.
pub(super) fn facility(value: &OsStr) -> Value<Facility> {
    let text = text(value)?;
    Facility::from_str(text)
        .map_err(|()| "it takes a facility such as mail, daemon or local0".into())
}

/// A tag of syslog: what RFC 3164, 5.3 allows, and what programs are called.
pub(super) fn tag(value: &OsStr) -> Value<String> {
    let text = text(value)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.into());
    }
    Err("it takes up to 32 letters, digits, `-', `_', `.' and `/'".into())
}

/// One of a few words.
pub(super) fn choice<T: Copy>(value: &OsStr, choices: &[(&str, T)]) -> Value<T> {
    let text = text(value)?;
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        format!("it takes {}", words.join(" or "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_plain_decimals() {
        assert_eq!(seconds("2"), Some(Duration::from_secs(2)));
        assert_eq!(seconds("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Some(Duration::ZERO));
        for bad in ["", "-1", "1e3", "inf", "nan", "+2", "2s", "86401", " 2", "1.2.3", "."] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

    #[test]
    fn resolvers_take_a_port_or_not() {
        let read = |text: &str| resolver(OsStr::new(text)).map(|address| address.to_string());
        assert_eq!(read("192.0.2.1").unwrap(), "192.0.2.1:53");
        assert_eq!(read("192.0.2.1:5353").unwrap(), "192.0.2.1:5353");
        assert_eq!(read("::1").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]:5353").unwrap(), "[::1]:5353");
        assert!(read("ns.example.org").is_err());
    }

    #[test]
    fn networks_are_listed_or_none() {
        let read = |text: &str| networks(OsStr::new(text));
        assert_eq!(read("none").unwrap(), []);
        assert_eq!(read("10.0.0.0/8, ::1").unwrap().len(), 2);
        assert!(read("10.0.0.0/8,example").unwrap_err().contains("`example'"));
        assert!(read("10.0.0.0/33").is_err());
    }

    #[test]
    fn a_reply_text_is_one_printable_line() {
        assert_eq!(reply_text(OsStr::new("4.7.0 later")).unwrap(), "4.7.0 later");
        for bad in ["", "a\r\nb", "caf\u{e9}", "-x"] {
            assert!(reply_text(OsStr::new(bad)).is_err(), "{bad:?}");
        }
        assert!(reply_text(OsStr::new(&"x".repeat(300))).is_err());
    }
}
