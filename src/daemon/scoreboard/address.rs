//! Addresses as words of the scoreboard.

use std::net::{IpAddr, Ipv6Addr};

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
/// or an IPv6 /64.  Never 0.
pub(in crate::daemon) fn network(ip: IpAddr) -> u64 {
    let ip = ip.to_canonical();
    let [high, low] = address_words(ip);
    // The mark distinguishes networks from addresses.
    if ip.is_ipv4() { low } else { high ^ 1 << 63 }.max(1)
}

pub(in crate::daemon) fn ip_of(words: [u64; 2]) -> IpAddr {
    let bits = u128::from(words[0]) << 64 | u128::from(words[1]);
    IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
}
