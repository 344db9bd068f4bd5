//! Whether a host name contains the client's address.  Providers name residential
//! connections this way; an administrator does not name a mail server so.

mod chains;
mod hexadecimal;
mod joined;
mod spelling;

use std::array;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::names::runs::runs;
use chains::{Chain, GROUPS, OCTETS, longest};
use hexadecimal::{contains, hexadecimal, nibbles};
use joined::joined;

pub(super) use spelling::{Share, Spelling};

/// How much of `ip` is in `text`, in lower case, which should not contain the top-level
/// domain.
pub(super) fn spelled(text: &str, ip: IpAddr) -> Option<(Share, Spelling)> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => v4(text, ip),
        IpAddr::V6(ip) => v6(text, ip),
    }
}

fn v4(text: &str, ip: Ipv4Addr) -> Option<(Share, Spelling)> {
    let orders = both_orders(ip.octets());
    let wanted = orders.map(|octets| octets.map(u16::from));
    let chains = longest(text, &wanted, &OCTETS, u8::is_ascii_digit);
    let Chain { links, digits } = chains.into_iter().max().unwrap_or_default();
    // Small numbers match by coincidence: a version, a rack and a slot.
    match (links, digits) {
        (4, _) => return Some((Share::Whole, Spelling::Decimal)),
        (3, 4..) => return Some((Share::Three, Spelling::Decimal)),
        _ => (),
    }
    let other = joined(text, orders).or_else(|| hexadecimal(text, ip.octets()));
    let separated = || {
        let two = (links >= 2 && digits >= 3) || has_both(text, ip);
        two.then_some((Share::Two, Spelling::Decimal))
    };
    other.or_else(separated)
}

/// Whether the last two octets are numbers of the name, wherever they stand:
/// `cm12.omega139` has 139.12.
fn has_both(text: &str, ip: Ipv4Addr) -> bool {
    let [_, _, third, last] = ip.octets();
    let has = |octet: u8| {
        octet >= 10 && runs(text, u8::is_ascii_digit).any(|run| run.text.parse() == Ok(octet))
    };
    third != last && has(third) && has(last)
}

fn v6(text: &str, ip: Ipv6Addr) -> Option<(Share, Spelling)> {
    let chains = longest(text, &both_orders(ip.segments()), &GROUPS, u8::is_ascii_hexdigit);
    if chains.iter().any(|chain| chain.links >= 3 && chain.digits >= 6) {
        return Some((Share::Whole, Spelling::Groups));
    }
    let mut orders = both_orders(nibbles::<32>(&ip.octets())).into_iter();
    let found = orders.any(|order| order.chunks(16).any(|half| contains::<1>(text, half)));
    found.then_some((Share::Whole, Spelling::Nibbles))
}

fn both_orders<T: Copy, const N: usize>(forward: [T; N]) -> [[T; N]; 2] {
    [forward, array::from_fn(|i| forward[N - 1 - i])]
}
