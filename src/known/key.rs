//! What identifies a client: its IPv4 address, or the /64 of its IPv6 address, in which a
//! host may choose any address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::{IpNet, Ipv6Net};

/// Bytes of a key.
pub const LENGTH: usize = 9;
/// The first byte of a key.
const IPV4: u8 = 4;
const IPV6: u8 = 6;
/// The longest prefix of IPv6 that is distinguished.
const PREFIX: u8 = 64;

/// One client: an IPv4 address (mapped ones too), or an IPv6 /64.  As text it has the form
/// of RFC 5952: `192.0.2.7`, `2001:db8:1:2::/64`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key([u8; LENGTH]);

impl Key {
    /// The lowest of all.
    pub const FIRST: Self = Self([0; LENGTH]);
    /// The highest of all.
    pub const LAST: Self = Self([u8::MAX; LENGTH]);

    /// The client that has the address `ip`.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::of_ipv4(ip),
            IpAddr::V6(ip) => Self::of_ipv6(ip),
        }
    }

    fn of_ipv4(ip: Ipv4Addr) -> Self {
        let mut bytes = [0; LENGTH];
        bytes[0] = IPV4;
        bytes[1..5].copy_from_slice(&ip.octets());
        Self(bytes)
    }

    fn of_ipv6(ip: Ipv6Addr) -> Self {
        let mut bytes = [0; LENGTH];
        bytes[0] = IPV6;
        bytes[1..].copy_from_slice(&ip.octets()[..8]);
        Self(bytes)
    }

    /// All clients in `net`, from the lowest to the highest; for an IPv6 network longer
    /// than /64 the /64 that contains it.
    #[must_use]
    pub fn range(net: IpNet) -> RangeInclusive<Self> {
        Self::of(net.network())..=Self::of(net.broadcast())
    }

    /// The key in these bytes, as [`bytes`](Self::bytes) returns them.
    #[must_use]
    pub fn from_bytes(bytes: [u8; LENGTH]) -> Option<Self> {
        let is_key = matches!(bytes, [IPV6, ..] | [IPV4, _, _, _, _, 0, 0, 0, 0]);
        is_key.then_some(Self(bytes))
    }

    /// The bytes of it in the store and in messages; they sort as the keys do.
    #[must_use]
    pub fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }

    /// The key of the next client; [`LAST`](Self::LAST) if there can be none.
    #[must_use]
    pub fn next(self) -> Self {
        let [family, prefix @ ..] = self.0;
        // An IPv4 address is in the upper half.
        let step = if family == IPV4 { 1 << 32 } else { 1 };
        match (family, u64::from_be_bytes(prefix).checked_add(step)) {
            (IPV4 | IPV6, Some(next)) => Self::of_parts(family, next),
            (IPV4, None) => Self::of_parts(IPV6, 0),
            (..IPV4, _) => Self::of_parts(IPV4, 0),
            _ => Self::LAST,
        }
    }

    fn of_parts(family: u8, prefix: u64) -> Self {
        let mut bytes = [family; LENGTH];
        bytes[1..].copy_from_slice(&prefix.to_be_bytes());
        Self(bytes)
    }

    /// The address, or the first of its /64.
    #[must_use]
    pub fn address(self) -> IpAddr {
        let [family, prefix @ ..] = self.0;
        let prefix = u64::from_be_bytes(prefix);
        match family {
            // No more than 32 bits are left.
            IPV4 => Ipv4Addr::from_bits((prefix >> 32) as u32).into(),
            _ => Ipv6Addr::from_bits(u128::from(prefix) << PREFIX).into(),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            IpAddr::V4(ip) => write!(f, "{ip}"),
            IpAddr::V6(ip) => write!(f, "{}", Ipv6Net::new_assert(ip, PREFIX)),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(ip: &str) -> Key {
        Key::of(ip.parse().unwrap())
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64() {
        assert_eq!(key("192.0.2.7").to_string(), "192.0.2.7");
        assert_eq!(key("::ffff:192.0.2.7"), key("192.0.2.7"));
        assert_ne!(key("192.0.2.7"), key("192.0.2.8"));
        assert_eq!(key("2001:DB8:1:2:3::4").to_string(), "2001:db8:1:2::/64");
        assert_eq!(key("2001:db8:1:2::"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_ne!(key("2001:db8:1:2::"), key("2001:db8:1:3::"));
        assert_eq!(key("::1").to_string(), "::/64");
        assert_ne!(key("::"), key("0.0.0.0"));
    }

    #[test]
    fn bytes_lead_back_to_the_key() {
        for ip in ["0.0.0.0", "255.255.255.255", "::", "2001:db8:1:2::", "ffff::"] {
            let key = key(ip);
            assert_eq!(Key::from_bytes(*key.bytes()), Some(key));
            assert_eq!(Key::of(key.address()), key);
            assert!(Key::FIRST < key && key < Key::LAST);
        }
        assert_eq!(Key::from_bytes([4, 1, 2, 3, 4, 0, 0, 0, 1]), None);
        assert_eq!(Key::from_bytes([5; LENGTH]), None);
        assert_eq!(Key::from_bytes(*Key::LAST.bytes()), None);
    }

    #[test]
    fn keys_are_in_the_order_of_their_addresses() {
        let ips = ["0.0.0.1", "1.0.0.0", "192.0.2.7", "192.0.3.0", "::", "2001:db8::", "fe80::"];
        let keys = ips.map(key);
        assert!(keys.is_sorted());
        assert!(keys.iter().all(|key| *key < key.next()));
    }

    #[test]
    fn behind_a_key_is_that_of_the_next_client() {
        for (ip, next) in [
            ("192.0.2.7", "192.0.2.8"),
            ("192.0.255.255", "192.1.0.0"),
            ("255.255.255.255", "::"),
            ("2001:db8::1", "2001:db8:0:1::"),
            ("2001:db8:ffff:ffff::", "2001:db9::"),
        ] {
            assert_eq!(key(ip).next(), key(next));
        }
        assert_eq!(Key::FIRST.next(), key("0.0.0.0"));
        assert_eq!([key("ffff:ffff:ffff:ffff::").next(), Key::LAST.next()], [Key::LAST; 2]);
    }

    #[test]
    fn a_network_is_a_range_of_keys() {
        let range = |net: &str| Key::range(net.parse().unwrap());
        assert_eq!(range("192.0.2.7/32"), key("192.0.2.7")..=key("192.0.2.7"));
        assert_eq!(range("192.0.2.77/24"), key("192.0.2.0")..=key("192.0.2.255"));
        assert_eq!(range("2001:db8::/48"), key("2001:db8::")..=key("2001:db8:0:ffff::"));
        assert_eq!(range("2001:db8::7/128"), key("2001:db8::")..=key("2001:db8::"));
        assert!(!range("0.0.0.0/0").contains(&key("::")));
    }
}
