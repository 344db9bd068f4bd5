//! Is the client's address spelled in its name? Providers number the lines of
//! their customers this way; nobody names a mail server so by hand.

use std::array;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::names::runs::{is_separator, runs};

/// How the address is spelled in the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// As separated decimal numbers, in either order.
    Decimal,
    /// As one run of decimal digits, padded with zeros or not.
    Joined,
    /// In hexadecimal.
    Hexadecimal,
    /// As the decimal number that the whole address is.
    Number,
    /// Three or more groups of an IPv6 address.
    Groups,
    /// The network or the host half of an IPv6 address, digit by digit.
    Nibbles,
}

/// How much of the address is in the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// All four octets; or half of an IPv6 address, or three of its groups.
    Whole,
    /// Three octets.
    Three,
    /// Two octets, the network's or the host's. Separated decimal numbers are too
    /// little to go by alone: `m42-4.mailgun.net` is 69.72.42.4.
    Two,
}

/// What of `ip` is in `text`, lower-case, in which the top-level domain is best left
/// out.
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
    // Small numbers meet by chance: a version, a rack and a slot.
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
/// `cm12.omega139` is 139.12.
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

/// How the numbers of an address are written.
struct Numerals {
    radix: u32,
    /// The most digits of one number.
    widest: usize,
    /// The most separators between two numbers.
    gap: usize,
    /// May numbers that are zero be left out?
    skips_zeros: bool,
}

const OCTETS: Numerals = Numerals { radix: 10, widest: 3, gap: 1, skips_zeros: false };
const GROUPS: Numerals = Numerals { radix: 16, widest: 4, gap: 2, skips_zeros: true };

impl Numerals {
    fn value(&self, run: &str) -> Option<u16> {
        (run.len() <= self.widest).then(|| u16::from_str_radix(run, self.radix).ok())?
    }
}

/// Neighbouring numbers of the address that are neighbours in the name.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Chain {
    links: usize,
    /// The digits as written: short numbers prove little.
    digits: usize,
}

/// The longest chain of the numbers of each order, in that order.  `digit` is what the
/// radix of the numerals asks for; the compiler builds it into the loop.
fn longest<const N: usize>(
    text: &str,
    orders: &[[u16; N]; 2],
    numerals: &Numerals,
    digit: impl Fn(&u8) -> bool + Copy,
) -> [Chain; 2] {
    // ends[i] is the chain that ends at the i-th number of an order with the run just
    // seen.
    let none = [[Chain::default(); N]; 2];
    let mut ends = none;
    let mut best = [Chain::default(); 2];
    for run in runs(text, digit) {
        let value = numerals.value(run.text).filter(|value| orders[0].contains(value));
        let Some(value) = value else {
            ends = none;
            continue;
        };
        let before = if run.follows(numerals.gap) { ends } else { none };
        ends = none;
        for (order, wanted) in orders.iter().enumerate() {
            for i in (0..N).filter(|&i| wanted[i] == value) {
                let Chain { links, digits } = predecessor(&before[order][..i], wanted, numerals);
                let end = Chain { links: links + 1, digits: digits + run.text.len() };
                ends[order][i] = end;
                best[order] = best[order].max(end);
            }
        }
    }
    best
}

fn predecessor(before: &[Chain], wanted: &[u16], numerals: &Numerals) -> Chain {
    for (chain, &number) in before.iter().zip(wanted).rev() {
        if chain.links > 0 || !(numerals.skips_zeros && number == 0) {
            return *chain;
        }
    }
    Chain::default()
}

/// Parts of the address that one run of digits may be, the longest first.
const PARTS: [(Share, Range<usize>); 5] = [
    (Share::Whole, 0..4),
    (Share::Three, 0..3),
    (Share::Three, 1..4),
    (Share::Two, 2..4),
    (Share::Two, 0..2),
];
/// Below this many digits a serial number would do.
const JOINED_DIGITS: usize = 6;

fn joined(text: &str, orders: [[u8; 4]; 2]) -> Option<(Share, Spelling)> {
    let mut long = runs(text, u8::is_ascii_digit).filter(|run| run.text.len() >= JOINED_DIGITS);
    long.find_map(|run| joined_in(run.text, orders))
}

fn joined_in(run: &str, orders: [[u8; 4]; 2]) -> Option<(Share, Spelling)> {
    let is_number = |octets: &[u8; 4]| run.parse() == Ok(u32::from_be_bytes(*octets));
    if orders.iter().any(is_number) {
        return Some((Share::Whole, Spelling::Number));
    }
    let is_part = |range: &Range<usize>| {
        orders.iter().any(|octets| {
            let part = &octets[range.clone()];
            is_joined(run, part, true) || is_joined(run, part, false)
        })
    };
    let part = PARTS.iter().find(|(_, range)| is_part(range))?;
    Some((part.0, Spelling::Joined))
}

fn is_joined(run: &str, octets: &[u8], padded: bool) -> bool {
    let rest = octets.iter().try_fold(run.as_bytes(), |rest, &octet| {
        let digits = [b'0' + octet / 100, b'0' + octet / 10 % 10, b'0' + octet % 10];
        let zeros = usize::from(octet < 100) + usize::from(octet < 10);
        rest.strip_prefix(&digits[if padded { 0 } else { zeros }..])
    });
    rest.is_some_and(<[u8]>::is_empty)
}

fn hexadecimal(text: &str, octets: [u8; 4]) -> Option<(Share, Spelling)> {
    let text = text.as_bytes();
    let pairs = octets.map(|octet| nibbles::<2>(&[octet]));
    let mut best = None;
    for (start, window) in text.windows(2).enumerate() {
        // Most of a name is passed by here.
        if !pairs.iter().any(|pair| pair == window) {
            continue;
        }
        for first in (0..pairs.len()).filter(|&first| pairs[first] == window) {
            let forward = chain_of_pairs(text, start, pairs[first..].iter());
            let backward = chain_of_pairs(text, start, pairs[..=first].iter().rev());
            match forward.max(backward) {
                (4, _) => return Some((Share::Whole, Spelling::Hexadecimal)),
                (3, end) if stands_alone(text, start..end) => best = Some(Share::Three),
                _ => (),
            }
            let two = [forward, backward].iter().any(|&(pairs, end)| {
                pairs == 2 && end - start == 4 && ends_a_word(text, start..end)
            });
            if two {
                best = best.or(Some(Share::Two));
            }
        }
    }
    Some((best?, Spelling::Hexadecimal))
}

/// How many of `pairs` follow each other from `start` on, joined or with a separator
/// between them, and where the last one ends.
fn chain_of_pairs<'a>(
    text: &[u8],
    start: usize,
    pairs: impl Iterator<Item = &'a [u8; 2]>,
) -> (usize, usize) {
    let mut chain = (0, start);
    for pair in pairs {
        let (count, end) = chain;
        let separated = count > 0 && text.get(end).is_some_and(|&byte| is_separator(byte));
        let at = end + usize::from(separated);
        if !text[at..].starts_with(pair) {
            break;
        }
        chain = (count + 1, at + pair.len());
    }
    chain
}

/// Whether the digits in `place` are all between two separators, but for a word before
/// them; and not letters alone, which are a word themselves.
fn ends_a_word(text: &[u8], place: Range<usize>) -> bool {
    let ends = text.get(place.end).is_none_or(|&byte| is_separator(byte));
    let before = text[..place.start].iter().rev().take_while(|byte| !is_separator(**byte));
    ends && text[place].iter().any(u8::is_ascii_digit)
        && before.copied().all(|byte| byte.is_ascii_alphabetic())
}

fn stands_alone(text: &[u8], place: Range<usize>) -> bool {
    let (before, after) = (&text[..place.start], &text[place.end..]);
    !before.last().is_some_and(u8::is_ascii_hexdigit)
        && !after.first().is_some_and(u8::is_ascii_hexdigit)
}

/// The hexadecimal digits of `bytes`, in lower case.
fn nibbles<const N: usize>(bytes: &[u8]) -> [u8; N] {
    array::from_fn(|i| {
        let byte = bytes[i / 2];
        let nibble = if i % 2 == 0 { byte >> 4 } else { byte & 15 };
        b"0123456789abcdef"[usize::from(nibble)]
    })
}

/// Whether `digits` stand in `text`, joined or with a separator between every `GROUP`
/// of them; there is one group at least.
fn contains<const GROUP: usize>(text: &str, digits: &[u8]) -> bool {
    let text = text.as_bytes();
    starts::<GROUP>(text, digits).any(|start| end_of::<GROUP>(text, start, digits).is_some())
}

/// Where the first group of `digits` stands in `text`.
fn starts<const GROUP: usize>(text: &[u8], digits: &[u8]) -> impl Iterator<Item = usize> {
    // Most of a name is passed by here: a comparison of a size that the compiler knows.
    let first: [u8; GROUP] = array::from_fn(|i| digits[i]);
    let windows = text.windows(GROUP).enumerate();
    windows.filter(move |(_, window)| **window == first).map(|(start, _)| start)
}

/// Where `digits` end that start there.
fn end_of<const GROUP: usize>(text: &[u8], start: usize, digits: &[u8]) -> Option<usize> {
    let mut at = start;
    for (i, digit) in digits.iter().enumerate() {
        if i % GROUP == 0 && i > 0 && text.get(at).is_some_and(|&byte| is_separator(byte)) {
            at += 1;
        }
        if text.get(at) != Some(digit) {
            return None;
        }
        at += 1;
    }
    Some(at)
}

impl fmt::Display for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decimal => "decimal",
            Self::Joined => "decimal, joined",
            Self::Hexadecimal => "hexadecimal",
            Self::Number => "one decimal number",
            Self::Groups => "in groups",
            Self::Nibbles => "digit by digit",
        })
    }
}
