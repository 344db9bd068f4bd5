//! How clients are grouped: by the network of an address, or the domain of a name.

use std::net::Ipv6Addr;
use std::str;

/// The /24 of an IPv4 address, the /64 of an IPv6 address; `None` if `address` is neither.
#[must_use]
pub fn of(ip: &[u8]) -> Option<String> {
    let text = str::from_utf8(ip).ok()?;
    if let Some((network, _)) = text.rsplit_once('.') {
        return Some(format!("{network}.0/24"));
    }
    let [a, b, c, d, ..] = text.parse::<Ipv6Addr>().ok()?.segments();
    Some(format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
}

/// The last two labels of a name; three where the last has two letters and the one
/// before no more than three, as in `co.uk`.
#[must_use]
pub fn domain(host: &[u8]) -> &[u8] {
    let labels: Vec<&[u8]> = host.rsplit(|byte| *byte == b'.').take(3).collect();
    let many = match labels[..] {
        [top, second, _] if top.len() == 2 && second.len() <= 3 => 3,
        _ => 2,
    };
    let length: usize = labels.iter().take(many).map(|label| label.len() + 1).sum();
    &host[host.len().saturating_sub(length - 1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        assert_eq!(of(b"192.0.2.7").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(of(b"2001:db8:1:2:3::4").as_deref(), Some("2001:db8:1:2::/64"));
        assert_eq!(of(b"-"), None);
    }

    #[test]
    fn domains() {
        for (host, expected) in [
            ("mx1.mail.example.org", "example.org"),
            ("pool-1.isp.co.uk", "isp.co.uk"),
            ("example.org", "example.org"),
            ("localhost", "localhost"),
            ("", ""),
        ] {
            assert_eq!(domain(host.as_bytes()), expected.as_bytes(), "{host}");
        }
    }
}
