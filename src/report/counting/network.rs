//! How clients are grouped: by the network of an address, or the domain of a name.

use std::io::{Cursor, Write};
use std::net::Ipv6Addr;
use std::str;

/// More than any network has letters.
const LONGEST: usize = 44;

/// A network as text, without an allocation: there is one for each client.
pub struct Network {
    text: [u8; LONGEST],
    length: usize,
}

impl Network {
    /// The /24 of an IPv4 address, the /64 of an IPv6 address; `None` if `address` is
    /// neither.
    #[must_use]
    pub fn of(address: &[u8]) -> Option<Self> {
        let mut text = Cursor::new([0; LONGEST]);
        if let Some(end) = address.iter().rposition(|byte| *byte == b'.') {
            text.write_all(&address[..end]).and_then(|()| text.write_all(b".0/24")).ok()?;
        } else {
            let address = str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
            let [a, b, c, d, ..] = address.segments();
            write!(text, "{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)).ok()?;
        }
        let length = usize::try_from(text.position()).ok()?;
        Some(Self { text: text.into_inner(), length })
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.text[..self.length]
    }
}

/// The last two labels of a name; three where the last has two letters and the one
/// before no more than three, as in `co.uk`.
#[must_use]
pub fn domain(host: &[u8]) -> &[u8] {
    let mut labels = host.rsplit(|byte| *byte == b'.');
    let (top, second, third) = (labels.next(), labels.next(), labels.next());
    let is_short = |label: Option<&[u8]>, most| label.is_some_and(|it| it.len() <= most);
    let has_three = top.is_some_and(|top| top.len() == 2) && is_short(second, 3);
    let third = third.filter(|_| has_three);
    let parts = [top, second, third].into_iter().flatten();
    let length: usize = parts.map(|label| label.len() + 1).sum();
    &host[host.len().saturating_sub(length - 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let of = |ip: &str| {
            Network::of(ip.as_bytes()).map(|it| String::from_utf8(it.text().to_vec()).unwrap())
        };
        assert_eq!(of("192.0.2.7").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(of("2001:db8:1:2:3::4").as_deref(), Some("2001:db8:1:2::/64"));
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        assert_eq!(of(longest).as_deref(), Some("1111:2222:3333:4444::/64"));
        assert_eq!((of("-"), of(&format!("{}.1", "x".repeat(99)))), (None, None));
    }

    #[test]
    fn domains() {
        for (host, expected) in [
            ("mx1.mail.example.org", "example.org"),
            ("pool-1.isp.co.uk", "isp.co.uk"),
            ("example.org", "example.org"),
            ("co.uk", "co.uk"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(domain(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }
}
