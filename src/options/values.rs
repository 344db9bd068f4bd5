//! Reads the arguments of options: seconds, counts, addresses, networks, reply texts.
//! Every error says what is valid.

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use nix::sys::socket::UnixAddr;
use syslog::Facility;

use super::suggest::hint;
use super::value_error::ValueError;
use crate::known::directory::socket_in;
use crate::known::share::engine::address::Address;
use crate::seconds::seconds;

/// The most bytes of a reply text: RFC 5321, 4.5.3.1.5 allows 512 for the whole line, and
/// the code, a host name and CR LF have to fit too.
const LONGEST_TEXT: usize = 240;
/// The most bytes that keys of an engine may begin with.
const LONGEST_PREFIX: usize = 100;

pub(crate) type Value<T> = Result<T, ValueError>;

pub(super) fn text(value: &OsStr) -> Value<&str> {
    value.to_str().ok_or(ValueError::NotUtf8)
}

pub(super) fn seconds_value(value: &OsStr) -> Value<Duration> {
    seconds(text(value)?).ok_or(ValueError::Seconds)
}

pub(super) fn number(value: &OsStr, range: RangeInclusive<u32>) -> Value<u32> {
    let number = u32::from_str(text(value)?).ok().filter(|number| range.contains(number));
    number.ok_or(ValueError::Number { least: *range.start(), most: *range.end() })
}

pub(super) fn count(value: &OsStr, range: RangeInclusive<u32>) -> Value<usize> {
    Ok(number(value, range)? as usize)
}

/// The directory of a keeper.  The path of the socket in it has to fit into an address of
/// unix(7).
pub(super) fn keepers_directory(value: &OsStr) -> Value<PathBuf> {
    let path = PathBuf::from(value);
    match UnixAddr::new(&socket_in(&path)) {
        _ if value.is_empty() => Err(ValueError::NoDirectory),
        Ok(_) => Ok(path),
        Err(_) => Err(ValueError::PathTooLong),
    }
}

/// For how many days a client is remembered.
pub(crate) fn days(value: &OsStr) -> Value<u32> {
    number(value, 1..=3650)
}

/// How many clients are remembered.
pub(crate) fn known_clients(value: &OsStr) -> Value<u64> {
    Ok(number(value, 1..=100_000_000)?.into())
}

/// The engine by which known clients are shared.
pub(crate) fn share_address(value: &OsStr) -> Value<Address> {
    Address::parse(text(value)?).map_err(ValueError::Share)
}

/// What its keys begin with.
pub(crate) fn share_prefix(value: &OsStr) -> Value<String> {
    let text = text(value)?;
    let fits = (1..=LONGEST_PREFIX).contains(&text.len());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits && is_plain { Ok(text.into()) } else { Err(ValueError::SharePrefix) }
}

/// `192.0.2.1`, `192.0.2.1:53`, `2001:db8::1` or `[2001:db8::1]:53`.
pub(super) fn resolver(value: &OsStr) -> Value<SocketAddr> {
    let text = text(value)?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = text.rsplit_once(':').filter(|(ip, port)| {
        ip.parse::<Ipv6Addr>().is_ok() && port.bytes().all(|byte| byte.is_ascii_digit())
    });
    if let (Some((ip, port)), true) = (with_port, bare == text) {
        return Err(ValueError::AmbiguousPort { ip: ip.into(), port: port.into() });
    }
    let address = bare.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    let address = address.or_else(|_| text.parse()).ok().filter(|address| address.port() > 0);
    address.ok_or(ValueError::Resolver)
}

/// Networks separated by commas or white space; `none` for no network.
pub(super) fn networks(value: &OsStr) -> Value<Vec<IpNet>> {
    let text = text(value)?;
    if text.trim() == "none" {
        return Ok(Vec::new());
    }
    let mut parts = text.split([',', ' ', '\t']).filter(|part| !part.is_empty()).peekable();
    if parts.peek().is_none() {
        return Err(ValueError::NoNetworks);
    }
    parts.map(network).collect()
}

/// The networks of proxies.  Everybody could name any client if all addresses were.
pub(super) fn proxy_networks(value: &OsStr) -> Value<Vec<IpNet>> {
    let nets = networks(value)?;
    match nets.iter().find(|net| net.prefix_len() == 0) {
        Some(net) => Err(ValueError::AllAreProxies(*net)),
        None => Ok(nets),
    }
}

/// An address, or a network: `10.0.0.0/8`, its short form `10/8`, `fd00::/8`.
fn network(text: &str) -> Value<IpNet> {
    let network = text.parse::<IpAddr>().map(IpNet::from).ok();
    let network = network.or_else(|| text.parse().ok()).or_else(|| short_network(text));
    let network = network.ok_or_else(|| ValueError::Network(text.into()))?;
    let meant = network.trunc();
    if meant != network {
        return Err(ValueError::HostBits { text: text.into(), meant });
    }
    Ok(unmapped(network))
}

/// `10/8`, `172.16/12` or `192.168.1/24`: octets that are omitted are 0.
fn short_network(text: &str) -> Option<IpNet> {
    let (octets, length) = text.split_once('/')?;
    let missing = 3_usize.checked_sub(octets.matches('.').count())?;
    let ip = format!("{octets}{}", ".0".repeat(missing)).parse::<Ipv4Addr>().ok()?;
    Ipv4Net::new(ip, length.parse().ok()?).ok().map(IpNet::from)
}

/// A network of IPv4 addresses that were mapped into IPv6, as IPv4, which is how clients
/// from there appear.
fn unmapped(network: IpNet) -> IpNet {
    let ip = network.addr().to_canonical();
    let length = network.prefix_len().checked_sub(96).filter(|_| ip != network.addr());
    length.and_then(|length| IpNet::new(ip, length).ok()).unwrap_or(network)
}

/// The name of this host in replies and in the environment: one word of
/// printable ASCII, no longer than a host name (RFC 1035, 2.3.4).  tcpserver's
/// `0` is one.
pub(super) fn local_name(value: &OsStr) -> Value<String> {
    let text = text(value)?;
    if (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.into());
    }
    Err(ValueError::LocalName)
}

/// One line of a reply: printable ASCII.
pub(super) fn reply_text(value: &OsStr) -> Value<String> {
    let text = text(value)?;
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if text.is_empty() || !printable {
        return Err(ValueError::ReplyText);
    }
    if text.starts_with('-') {
        return Err(ValueError::ReplyDash);
    }
    if text.len() > LONGEST_TEXT {
        return Err(ValueError::ReplyTooLong(LONGEST_TEXT));
    }
    Ok(text.into())
}

/// syslog's facilities, by the names of syslog.conf(5).
const FACILITIES: [&str; 20] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// A facility of syslog, such as `mail` or `local3`.
pub(super) fn facility(value: &OsStr) -> Value<Facility> {
    let text = text(value)?;
    Facility::from_str(text).map_err(|()| ValueError::Facility(hint(text, "", FACILITIES)))
}

/// A tag of syslog: what RFC 3164, 5.3 allows, and the characters of program names.
pub(super) fn tag(value: &OsStr) -> Value<String> {
    let text = text(value)?;
    if text.contains('/') {
        return Err(ValueError::TagSlash);
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=32).contains(&text.len()) && text.bytes().all(allowed) {
        return Ok(text.into());
    }
    Err(ValueError::Tag)
}

/// One of a few words.
pub(super) fn choice<T: Copy>(value: &OsStr, choices: &[(&str, T)]) -> Value<T> {
    let text = text(value)?;
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| {
        let words = choices.iter().map(|(word, _)| *word);
        let hint = hint(text, "", words.clone());
        ValueError::Choice { words: words.map(String::from).collect(), hint }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_take_a_port_or_not() {
        let read = |text: &str| resolver(OsStr::new(text)).map(|address| address.to_string());
        assert_eq!(read("192.0.2.1").unwrap(), "192.0.2.1:53");
        assert_eq!(read("192.0.2.1:5353").unwrap(), "192.0.2.1:5353");
        assert_eq!(read("::1").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]").unwrap(), "[::1]:53");
        assert_eq!(read("[::1]:5353").unwrap(), "[::1]:5353");
        assert_eq!(read("2001:db8::53").unwrap(), "[2001:db8::53]:53");
        assert_eq!(read("2001:db8:0:0:0:0:0:53").unwrap(), "[2001:db8::53]:53");
        for bad in ["ns.example.org", "192.0.2.1:0", "[::1]:99999", "", "[]"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_port_behind_an_ipv6_address_without_brackets_is_ambiguous() {
        let read = |text: &str| resolver(OsStr::new(text));
        let why = "it may be a port or not: use [::1]:53 or [::1:53]";
        assert_eq!(read("::1:53").unwrap_err().to_string(), why);
        assert!(read("2001:db8::1:5353").is_err());
        assert_eq!(read("[::1:53]").unwrap().to_string(), "[::1:53]:53");
        assert_eq!(read("2001:db8::1:5a").unwrap().to_string(), "[2001:db8::1:5a]:53");
    }

    #[test]
    fn networks_are_listed_or_none() {
        let read = |text: &str| networks(OsStr::new(text));
        assert_eq!(read("none").unwrap(), []);
        assert_eq!(read("10.0.0.0/8, ::1").unwrap().len(), 2);
        assert!(read("10.0.0.0/8,example").unwrap_err().to_string().contains("`example'"));
        for bad in ["10.0.0.0/33", "10.0.0/", "/8", "10/8/8", "10", "1.2.3.4.5/8", "none,::1", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn octets_of_a_network_may_be_left_out() {
        let read = |text: &str| networks(OsStr::new(text));
        let long = read("10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,192.0.2.0/24").unwrap();
        assert_eq!(read("10/8 172.16/12 192.168/16 192.0.2/24").unwrap(), long);
    }

    #[test]
    fn a_network_has_no_bits_behind_its_prefix() {
        let read = |text: &str| networks(OsStr::new(text));
        let why = "`10.1.2.3/8' is not a valid network: use 10.0.0.0/8";
        assert_eq!(read("10.1.2.3/8").unwrap_err().to_string(), why);
        assert!(read("172.17/12").is_err() && read("2001:db8::1/32").is_err());
    }

    #[test]
    fn mapped_networks_are_of_ipv4() {
        let read = |text: &str| networks(OsStr::new(text)).unwrap();
        assert_eq!(read("::ffff:192.0.2.0/120"), read("192.0.2.0/24"));
        assert_eq!(read("::ffff:192.0.2.7"), read("192.0.2.7"));
        assert_eq!(read("::/0")[0].to_string(), "::/0");
    }

    #[test]
    fn the_facilities_that_are_suggested_exist() {
        assert!(FACILITIES.iter().all(|name| facility(OsStr::new(name)).is_ok()));
        let why = facility(OsStr::new("mial")).err().unwrap().to_string();
        assert!(why.ends_with(": did you mean mail?"), "{why}");
    }

    #[test]
    fn a_choice_suggests_the_nearest_word() {
        let choices = [("refuse", 1), ("log", 2)];
        let why = |word: &str| choice(OsStr::new(word), &choices).unwrap_err().to_string();
        assert_eq!(why("refused"), "it takes refuse or log: did you mean refuse?");
        assert_eq!(why("never"), "it takes refuse or log");
    }

    #[test]
    fn a_local_name_is_one_printable_word() {
        let read = |text: &str| local_name(OsStr::new(text));
        for good in ["0", "mx.example.org", "[192.0.2.1]", "mx_1"] {
            assert_eq!(read(good).unwrap(), good);
        }
        let long = "x".repeat(254);
        for bad in ["", "bad name", "a\r\nb", "a\tb", "caf\u{e9}", &long] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_tag_is_what_syslog_daemons_take_for_a_name() {
        for good in ["smtp-delayd", "mx1.smtp_2", "2", &"x".repeat(32)] {
            assert_eq!(tag(OsStr::new(good)).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "a:", "a[1]", "a=b", "a\n", "caf\u{e9}", &"x".repeat(33)] {
            assert_eq!(tag(OsStr::new(bad)), Err(ValueError::Tag), "{bad:?}");
        }
        assert_eq!(tag(OsStr::new("mail/smtp-delayd")), Err(ValueError::TagSlash));
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
