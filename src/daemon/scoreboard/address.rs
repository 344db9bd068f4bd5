//! Addresses as words of the scoreboard.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU64;

use crate::daemon::scoreboard::words::Packed;

/// An address as the scoreboard has it; IPv4 in its mapped form.
pub(in crate::daemon) fn address_words(ip: IpAddr) -> [u64; 2] {
    let bits = match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let [high, low] = [bits >> 64, bits & u128::from(u64::MAX)];
    [high, low].map(|word| u64::try_from(word).unwrap_or_default())
}

/// The key by which connections are counted: an IPv4 address, mapped into IPv6 or not,
/// or an IPv6 /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Network(NonZeroU64);

impl Network {
    /// That of a client with this address.
    pub(super) fn of(ip: IpAddr) -> Self {
        let ip = ip.to_canonical();
        let [high, low] = address_words(ip);
        // The mark distinguishes networks from addresses.
        let key = if ip.is_ipv4() { low } else { high ^ 1 << 63 };
        Self(NonZeroU64::new(key).unwrap_or(NonZeroU64::MIN))
    }

    /// A number below `count`, of which adjacent networks have different ones (Fibonacci
    /// hashing).
    pub(super) fn index(self, count: usize) -> usize {
        let mixed = self.0.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        usize::try_from(mixed).unwrap_or_default() % count
    }
}

impl Packed for Option<Network> {
    fn encode(self) -> u64 {
        self.map_or(0, |network| network.0.get())
    }

    fn decode(word: u64) -> Self {
        NonZeroU64::new(word).map(Network)
    }
}

/// The address in these words.
pub(in crate::daemon) fn ip_of(words: [u64; 2]) -> IpAddr {
    let bits = u128::from(words[0]) << 64 | u128::from(words[1]);
    IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::words::assert_packs;

    #[test]
    fn an_address_comes_back_from_its_words() {
        for ip in ["192.0.2.7", "0.0.0.0", "255.255.255.255", "::1", "2001:db8::1:2"] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(ip_of(address_words(ip)), ip);
        }
    }

    #[test]
    fn every_network_has_a_word_of_its_own() {
        let ips = ["192.0.2.7", "0.0.0.1", "2001:db8::1", "2001:db8:0:1::1", "ffff::"];
        let networks = ips.map(|ip| Some(Network::of(ip.parse().unwrap())));
        assert_packs(&[&[None], &networks[..]].concat());
    }

    #[test]
    fn an_ipv4_address_is_the_same_where_it_is_mapped_into_ipv6() {
        let of = |ip: &str| Network::of(ip.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::ffff:192.0.2.8"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::1"));
    }
}
