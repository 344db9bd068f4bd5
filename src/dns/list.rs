//! DNS lists (RFC 5782): which name is asked, and what its addresses mean.

use std::error;
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::str::FromStr;

use super::answer::{Answer, Failure, Records};

/// The largest weight.
const HEAVIEST: u32 = 1000;

/// A list, and how much it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsList {
    /// Its zone.
    pub zone: String,
    /// What a listing means.
    purpose: Purpose,
    /// The addresses that count; without a filter, all valid ones.
    filter: Option<[Octets; 4]>,
    /// What a listing adds to the score, from 1 to 1000.
    pub weight: u32,
}

/// The kind of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// Clients on it are refused.
    Block,
    /// Clients on it are trusted.
    Allow,
}

/// The values of an octet that count, in ranges.
type Octets = Vec<(u8, u8)>;

/// What a list says about a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listing {
    /// It is listed, with this address.
    Listed(Ipv4Addr),
    /// It is not listed.
    NotListed,
    /// The list could not tell.
    Failed(ListFailure),
}

/// Why a list could not tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListFailure {
    /// The question failed.
    Failure(Failure),
    /// It answered with this address, as a list does that is abandoned or refuses to
    /// answer.
    Nonsense(IpAddr),
}

impl fmt::Display for ListFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failure(why) => write!(f, "{why}"),
            Self::Nonsense(address) => write!(f, "it answers {address}, which lists no client"),
        }
    }
}

/// Why a list cannot be asked.  Displayed as what would have been right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListError {
    /// It is an allowlist with a weight.
    AllowWeight,
    /// It has a weight out of range.
    Weight,
    /// It has no valid zone.
    Zone,
    /// It has this filter, which is not one of addresses.
    Filter(String),
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllowWeight => {
                f.write_str("it takes no weight: to be on one allowlist is enough")
            }
            Self::Weight => write!(f, "the weight behind the `*' is from 1 to {HEAVIEST}"),
            Self::Zone => {
                f.write_str("it takes a zone such as zen.example, zen.example=127.0.0.[2..11]*2")
            }
            Self::Filter(text) => {
                let such = "127.0.0.2 or 127.0.0.[2;4..11]";
                write!(f, "`{text}' is no address filter such as {such}")
            }
        }
    }
}

impl error::Error for ListError {}

/// The lists to ask.
#[derive(Clone, Debug, Default)]
pub struct WantedLists {
    /// Clients on them are refused, from a score on.
    pub blocklists: Vec<Rc<DnsList>>,
    /// A client on one of them is `static`.
    pub allowlists: Vec<Rc<DnsList>>,
}

impl DnsList {
    /// Reads `ZONE[=ADDRS][*N]`, a blocklist.
    ///
    /// # Errors
    /// What is valid.
    pub fn parse_blocklist(text: &str) -> Result<Self, ListError> {
        Self::parse(text, Purpose::Block)
    }

    /// Reads `ZONE[=ADDRS]`, an allowlist; a listing on one of them is enough.
    ///
    /// # Errors
    /// What is valid.
    pub fn parse_allowlist(text: &str) -> Result<Self, ListError> {
        if text.contains('*') {
            return Err(ListError::AllowWeight);
        }
        Self::parse(text, Purpose::Allow)
    }

    fn parse(text: &str, purpose: Purpose) -> Result<Self, ListError> {
        let (text, weight) = match text.split_once('*') {
            Some((text, weight)) => (text, self::weight(weight)?),
            None => (text, 1),
        };
        let (zone, filter) = match text.split_once('=') {
            Some((zone, filter)) => (zone, Some(self::filter(filter)?)),
            None => (text, None),
        };
        let zone = zone.trim_end_matches('.').to_ascii_lowercase();
        let label = |label: &str| {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=63).contains(&label.len()) && label.bytes().all(fine)
        };
        if zone.len() > 150 || !zone.contains('.') || !zone.split('.').all(label) {
            return Err(ListError::Zone);
        }
        Ok(Self { zone, purpose, filter, weight })
    }

    /// The name to ask for.
    #[must_use]
    pub fn name_of(&self, ip: IpAddr) -> String {
        let mut name = String::with_capacity(80);
        match ip.to_canonical() {
            IpAddr::V4(ip) => {
                for octet in ip.octets().into_iter().rev() {
                    let _ = write!(name, "{octet}.");
                }
            }
            IpAddr::V6(ip) => {
                for octet in ip.octets().into_iter().rev() {
                    let _ = write!(name, "{:x}.{:x}.", octet & 15, octet >> 4);
                }
            }
        }
        name + &self.zone
    }

    /// What an answer means; `is_known` says which addresses other lists of the zone use,
    /// so that they do not count as failures.
    #[must_use]
    pub fn read(&self, answer: &Answer, is_known: impl Fn(Ipv4Addr) -> bool) -> Listing {
        let addresses = match answer {
            Answer::Found(Records::Addresses(addresses)) => addresses.as_slice(),
            Answer::Found(_) | Answer::Absent => &[],
            Answer::Failed(why) => return Listing::Failed(ListFailure::Failure(*why)),
        };
        let (mut listed, mut nonsense) = (None, None);
        for address in addresses {
            match address {
                IpAddr::V4(address) if self.counts(*address) => listed = listed.or(Some(*address)),
                IpAddr::V4(address) if self.is_sensible(*address) || is_known(*address) => (),
                address => nonsense = Some(*address),
            }
        }
        match (listed, nonsense, self.purpose) {
            (Some(address), None, _) | (Some(address), _, Purpose::Block) => {
                Listing::Listed(address)
            }
            (_, Some(address), _) => Listing::Failed(ListFailure::Nonsense(address)),
            (None, None, _) => Listing::NotListed,
        }
    }

    /// Whether it has a filter that contains `address`.
    #[must_use]
    pub fn names(&self, address: Ipv4Addr) -> bool {
        self.filter.is_some() && self.counts(address)
    }

    fn counts(&self, address: Ipv4Addr) -> bool {
        let Some(filter) = &self.filter else { return self.is_sensible(address) };
        let passes = filter.iter().zip(address.octets()).all(|(octets, octet)| {
            octets.iter().any(|(first, last)| (first..=last).contains(&&octet))
        });
        passes && (self.purpose == Purpose::Block || may_allow(address))
    }

    fn is_sensible(&self, address: Ipv4Addr) -> bool {
        is_sensible(address) && (self.purpose == Purpose::Block || may_allow(address))
    }
}

/// 127.255.255.0/24 is how lists say "query refused" or "over quota"; 127.0.0.1,
/// and what lies outside 127.0.0.0/8, comes from a zone that is broken or parked.
fn is_sensible(address: Ipv4Addr) -> bool {
    let (first, last) = (Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 255, 254, 255));
    (first..=last).contains(&address)
}

/// Whether a listing with `address` may put a client on an allowlist.  Lists say "blocked"
/// by an address that ends in 255 (`list.dnswl.org` by 127.0.0.255), whatever the filter;
/// parked zones answer with any address.
fn may_allow(address: Ipv4Addr) -> bool {
    let [first, .., last] = address.octets();
    first == 127 && last != 255 && address < Ipv4Addr::new(127, 255, 255, 0)
}

/// `127.0.0.2`, `127.0.0.[2..11]` or `127.0.[0;1].[2;4..6]`, as in postscreen.
fn filter(text: &str) -> Result<[Octets; 4], ListError> {
    let wanted = || ListError::Filter(text.into());
    let mut octets = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').ok_or_else(wanted)?,
            None => rest.split_at(rest.find('.').unwrap_or(rest.len())),
        };
        octets.push(ranges(part, rest.starts_with('[')).ok_or_else(wanted)?);
        if after.is_empty() {
            break;
        }
        rest = after.strip_prefix('.').ok_or_else(wanted)?;
    }
    octets.try_into().map_err(|_| wanted())
}

fn ranges(text: &str, many: bool) -> Option<Octets> {
    let range = |text: &str| {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let range: (u8, u8) = (first.parse().ok()?, last.parse().ok()?);
        (range.0 <= range.1).then_some(range)
    };
    if many {
        return text.split(';').map(range).collect();
    }
    let octet = text.parse().ok()?;
    Some(vec![(octet, octet)])
}

fn weight(text: &str) -> Result<u32, ListError> {
    let weight = u32::from_str(text).ok().filter(|weight| (1..=HEAVIEST).contains(weight));
    weight.ok_or(ListError::Weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> DnsList {
        DnsList::parse_blocklist(text).unwrap()
    }

    fn allowlist(text: &str) -> DnsList {
        DnsList::parse_allowlist(text).unwrap()
    }

    fn read(list: &DnsList, addresses: &[&str]) -> Listing {
        list.read(&found(addresses), |_| false)
    }

    fn listed(address: &str) -> Listing {
        Listing::Listed(address.parse().unwrap())
    }

    fn failed(address: &str) -> Listing {
        Listing::Failed(ListFailure::Nonsense(address.parse().unwrap()))
    }

    fn found(addresses: &[&str]) -> Answer {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Answer::Found(Records::Addresses(addresses))
    }

    #[test]
    fn lists_are_written_as_in_postscreen() {
        assert_eq!(list("zen.example").weight, 1);
        let weighed = list("Zen.Example.=127.0.0.[2..11]*3");
        assert_eq!((weighed.zone.as_str(), weighed.weight), ("zen.example", 3));
        for bad in [
            "",
            "zen",
            "zen.example*0",
            "zen.example*x",
            "zen.example=127.0.0",
            "a..b",
            "zen.example=127.0.0.[2..1]",
            "zen.example=127.0.0.[2",
            "zen.example=127.0.0.256",
            "zen.example=127.0.0.2..3",
            "zen.example=127.0.0.2.3",
            "zen.example=",
            "a b.example",
        ] {
            assert!(DnsList::parse_blocklist(bad).is_err(), "{bad}");
        }
        let why = |text| DnsList::parse_blocklist(text).unwrap_err().to_string();
        assert_eq!(why("zen.example*1001"), "the weight behind the `*' is from 1 to 1000");
        assert!(why("zen.example=127").starts_with("`127' is no address filter such as 127.0.0.2"));
        assert_eq!(DnsList::parse_allowlist("zen.example*2"), Err(ListError::AllowWeight));
    }

    #[test]
    fn addresses_are_reversed() {
        let list = list("bl.test");
        assert_eq!(list.name_of("192.0.2.7".parse().unwrap()), "7.2.0.192.bl.test");
        assert_eq!(list.name_of("::ffff:192.0.2.7".parse().unwrap()), "7.2.0.192.bl.test");
        let six = list.name_of("2001:db8::25".parse().unwrap());
        assert!(six.starts_with("5.2.0.0.") && six.ends_with(".8.b.d.0.1.0.0.2.bl.test"), "{six}");
        assert_eq!(six.split('.').count(), 34);
    }

    #[test]
    fn only_what_lists_say_lists() {
        let plain = list("bl.test");
        assert_eq!(read(&plain, &["127.0.0.2"]), listed("127.0.0.2"));
        assert_eq!(read(&plain, &["127.1.2.3", "127.0.0.4"]), listed("127.1.2.3"));
        assert_eq!(read(&plain, &[]), Listing::NotListed);
        for nonsense in ["127.0.0.1", "127.0.0.0", "127.255.255.254", "192.0.2.1", "0.0.0.0"] {
            assert_eq!(read(&plain, &[nonsense]), failed(nonsense));
            assert_eq!(read(&allowlist("wl.test"), &[nonsense]), failed(nonsense));
        }
        let read = |answer: &Answer| plain.read(answer, |_| false);
        assert_eq!(read(&Answer::Absent), Listing::NotListed);
        let why = Failure::TimedOut;
        assert_eq!(read(&Answer::Failed(why)), Listing::Failed(ListFailure::Failure(why)));
    }

    #[test]
    fn filters_choose() {
        let some = list("bl.test=127.0.[0;2].[2;4..6;10]");
        for (address, counts) in [
            ("127.0.0.2", true),
            ("127.0.2.5", true),
            ("127.0.0.10", true),
            ("127.0.0.3", false),
            ("127.0.1.2", false),
        ] {
            let listing = if counts { listed(address) } else { Listing::NotListed };
            assert_eq!(read(&some, &[address]), listing, "{address}");
        }
        assert_eq!(read(&some, &["127.0.0.3", "127.0.0.4"]), listed("127.0.0.4"));
        let all = list("bl.test=127.255.255.[0..255]");
        assert_eq!(read(&all, &["127.255.255.1"]), listed("127.255.255.1"), "as asked");
    }

    #[test]
    fn an_allowlist_that_refuses_allows_no_client() {
        let zones = ["wl.test", "wl.test=127.0.[0..255].[0..255]", "wl.test=127.0.0.1"];
        for zone in zones.map(allowlist) {
            for refusal in ["127.0.0.255", "127.0.10.255", "127.255.255.1", "198.51.100.7"] {
                assert_eq!(read(&zone, &[refusal]), failed(refusal), "{zone:?}");
                assert_eq!(read(&zone, &["127.0.0.1", refusal]), failed(refusal), "{zone:?}");
            }
        }
        let everything = allowlist("wl.test=[0..255].[0..255].[0..255].[0..255]");
        assert_eq!(read(&everything, &["198.51.100.7"]), failed("198.51.100.7"));
        assert_eq!(read(&everything, &["127.0.5.0"]), listed("127.0.5.0"));
        assert_eq!(read(&allowlist("wl.test"), &["127.0.9.2"]), listed("127.0.9.2"));
        assert_eq!(read(&list("bl.test"), &["127.0.0.255"]), listed("127.0.0.255"));
    }

    #[test]
    fn what_a_filter_does_not_name_is_no_failure_if_it_is_valid() {
        let (bad, good) = (list("karma.test=127.0.0.2"), allowlist("karma.test=127.0.0.1"));
        assert_eq!(read(&good, &["127.0.0.1"]), listed("127.0.0.1"));
        assert_eq!(read(&bad, &["127.0.0.3"]), Listing::NotListed);
        assert_eq!(read(&good, &["127.0.0.3"]), Listing::NotListed);
        assert_eq!(read(&bad, &["127.0.0.1"]), failed("127.0.0.1"), "alone it is parked");
        let beside = bad.read(&found(&["127.0.0.1"]), |address| good.names(address));
        assert_eq!(beside, Listing::NotListed);
    }
}
