//! An address as one run of decimal digits in a name.

use std::ops::Range;

use super::spelling::{Share, Spelling};
use crate::names::runs::runs;

/// Parts of the address that one run of digits may be, the longest first.
const PARTS: [(Share, Range<usize>); 5] = [
    (Share::Whole, 0..4),
    (Share::Three, 0..3),
    (Share::Three, 1..4),
    (Share::Two, 2..4),
    (Share::Two, 0..2),
];
/// A shorter run may be a serial number.
const JOINED_DIGITS: usize = 6;

/// What of an address is one run of digits.
pub(super) fn joined(text: &str, orders: [[u8; 4]; 2]) -> Option<(Share, Spelling)> {
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
