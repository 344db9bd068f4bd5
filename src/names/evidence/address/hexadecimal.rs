//! The hexadecimal digits of an address in a name.

use std::array;
use std::ops::Range;

use super::spelling::{Share, Spelling};
use crate::names::runs::is_separator;

/// What of an IPv4 address is spelled in pairs of digits.
pub(super) fn hexadecimal(text: &str, octets: [u8; 4]) -> Option<(Share, Spelling)> {
    let text = text.as_bytes();
    let pairs = octets.map(|octet| nibbles::<2>(&[octet]));
    let mut best = None;
    for (start, window) in text.windows(2).enumerate() {
        // Most of a name is skipped here.
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

/// Whether the digits in `place` are all that stands between two separators, except for a
/// word before them; and not letters alone, which are a word.
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
pub(super) fn nibbles<const N: usize>(bytes: &[u8]) -> [u8; N] {
    array::from_fn(|i| {
        let byte = bytes[i / 2];
        let nibble = if i % 2 == 0 { byte >> 4 } else { byte & 15 };
        b"0123456789abcdef"[usize::from(nibble)]
    })
}

/// Whether `digits` are in `text`, joined or with a separator between every `GROUP`
/// of them; there is one group at least.
pub(super) fn contains<const GROUP: usize>(text: &str, digits: &[u8]) -> bool {
    let text = text.as_bytes();
    starts::<GROUP>(text, digits).any(|start| end_of::<GROUP>(text, start, digits).is_some())
}

/// Where the first group of `digits` occurs in `text`.
fn starts<const GROUP: usize>(text: &[u8], digits: &[u8]) -> impl Iterator<Item = usize> {
    // Most of a name is skipped here: a comparison of constant size.
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
