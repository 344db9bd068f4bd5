//! The arrangement of a name's letters and digits, whatever they spell: how many digits
//! there are and where, and whether they are a hardware address.

use std::net::IpAddr;

use super::signs::Sign;
use crate::names::runs::{Run, is_separator, runs};

/// Passes to `found` the signs in the shape of `host`, the labels before the registered
/// domain, for a client at `ip`; a sign may be passed more than once.  Returns the number
/// of digits.
pub(super) fn find_signs(host: &str, ip: IpAddr, mut found: impl FnMut(Sign)) -> usize {
    let first = &host[..host.find('.').unwrap_or(host.len())];
    let last_octet = last_octet(ip);
    let (mut letters, mut digits, mut longest, mut numbers) = (0, 0, 0, 0);
    let (mut at, mut alternates) = (0, false);
    for Run { gap, text } in runs(host, u8::is_ascii_digit) {
        let start = at + gap.len();
        at = start + text.len();
        letters += count_letters(gap);
        digits += text.len();
        longest = longest.max(text.len());
        if at > first.len() {
            continue;
        }
        numbers += 1;
        let glued = (1..=3).contains(&gap.len()) && !gap.bytes().any(is_separator);
        alternates = glued && (alternates || start == 1);
        for (sign, is_there) in [
            (Sign::AlternatingNumbers, alternates && numbers > 1 && longest >= 3),
            (Sign::CustomerNumber, numbers == 1 && glued && text.len() >= 3),
            (Sign::PortNumber, text.len() >= 3 && is_port(first, start, at)),
            (
                Sign::LastOctet,
                text.len() >= 2 && last_octet.is_some_and(|it| text.parse() == Ok(it)),
            ),
        ] {
            if is_there {
                found(sign);
            }
        }
    }
    letters += count_letters(&host[at..]);
    for (sign, is_there) in [
        (Sign::HardwareAddress, digits >= 4 && has_hardware_address(host)),
        (Sign::ManyNumbers, numbers >= 3),
        (Sign::LongNumber, longest >= 5),
        (Sign::NumberAsLabel, is_number(first)),
        (Sign::MostlyDigits, digits > 0 && digits >= letters),
        (Sign::DeepName, host.bytes().filter(|byte| *byte == b'.').count() >= 2),
        (Sign::NoDigit, digits == 0),
    ] {
        if is_there {
            found(sign);
        }
    }
    digits
}

fn count_letters(text: &str) -> usize {
    text.bytes().filter(u8::is_ascii_alphabetic).count()
}

/// Whether there are two digits or more, and no letters.
fn is_number(label: &str) -> bool {
    let digits = label.bytes().filter(u8::is_ascii_digit).count();
    digits >= 2 && !label.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether the number between `start` and `end` has one letter before it, and then a
/// word after it or something before it.
fn is_port(label: &str, start: usize, end: usize) -> bool {
    let label = label.as_bytes();
    let is_letter = |at: usize| label.get(at).is_some_and(u8::is_ascii_alphabetic);
    let separates = |at: usize| label.get(at).is_some_and(|byte| is_separator(*byte));
    match start {
        0 => false,
        1 => is_letter(0) && separates(end) && is_letter(end + 1),
        _ => is_letter(start - 1) && separates(start - 2) && end == label.len(),
    }
}

fn last_octet(ip: IpAddr) -> Option<u8> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => Some(ip.octets()[3]),
        IpAddr::V6(_) => None,
    }
}

/// Digits of a hardware address.
const HARDWARE: usize = 12;

/// Whether a hardware address (MAC) of a manufacturer is in `text`, in lower case: as one
/// number, after a word or cable modems' `0106`, or in pairs.
pub(super) fn has_hardware_address(text: &str) -> bool {
    let mut pairs = 0;
    let mut with_letters = false;
    for Run { gap, text } in runs(text, u8::is_ascii_hexdigit) {
        let joined = gap.len() == 1 && gap.bytes().all(is_separator);
        if text.len() != 2 || !(joined && pairs > 0) {
            (pairs, with_letters) = (0, false);
        }
        if text.len() == 2 && (pairs > 0 || is_manufacturers(text)) {
            pairs += 1;
            with_letters |= has_letter(text);
        }
        if (pairs == HARDWARE / 2 && with_letters) || ends_with_one(text) {
            return true;
        }
    }
    false
}

/// Whether the last digits of a run are a hardware address, with nothing before them that
/// could be a part of a longer number.
fn ends_with_one(run: &str) -> bool {
    let Some(start) = run.len().checked_sub(HARDWARE) else { return false };
    let (before, address) = run.split_at(start);
    let is_alone = before == "0106" || before.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_alone && is_manufacturers(address) && has_letter(address) && has_digits(address)
}

/// Not a group's address, nor one that an administrator chose (IEEE 802, the two lowest
/// bits of the first octet).
fn is_manufacturers(address: &str) -> bool {
    matches!(address.as_bytes().get(1), Some(b'0' | b'4' | b'8' | b'c'))
}

fn has_letter(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Words of these letters contain no digits.
fn has_digits(address: &str) -> bool {
    address.bytes().filter(u8::is_ascii_digit).count() >= HARDWARE / 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(host: &str) -> Vec<Sign> {
        let mut signs = Vec::new();
        find_signs(host, "192.0.2.77".parse().unwrap(), |sign| signs.push(sign));
        signs
    }

    #[test]
    fn numbers_and_how_they_stand() {
        for (host, sign, expected) in [
            ("p684-x", Sign::PortNumber, true),
            ("x-p684", Sign::PortNumber, true),
            ("r220-1", Sign::PortNumber, false),
            ("x.p684-x", Sign::PortNumber, false),
            ("c12345", Sign::CustomerNumber, true),
            ("user1234", Sign::CustomerNumber, false),
            ("m-123", Sign::CustomerNumber, false),
            ("h115n1", Sign::AlternatingNumbers, true),
            ("h53n2fls32o828", Sign::AlternatingNumbers, true),
            ("r00l04", Sign::AlternatingNumbers, false),
            ("mail115n1", Sign::AlternatingNumbers, false),
            ("h77", Sign::LastOctet, true),
            ("h077", Sign::LastOctet, true),
            ("h777", Sign::LastOctet, false),
            ("h.77", Sign::LastOctet, false),
            ("a1-2-3", Sign::ManyNumbers, true),
            ("a1-2.3", Sign::ManyNumbers, false),
            ("x.12345", Sign::LongNumber, true),
            ("12-34.x", Sign::NumberAsLabel, true),
            ("1.x", Sign::NumberAsLabel, false),
            ("ab12", Sign::MostlyDigits, true),
            ("abc12", Sign::MostlyDigits, false),
            ("a.b.c", Sign::DeepName, true),
            ("a.b", Sign::DeepName, false),
            ("a.b", Sign::NoDigit, true),
        ] {
            assert_eq!(signs(host).contains(&sign), expected, "{host} {sign:?}");
        }
    }

    #[test]
    fn an_octet_of_one_digit_and_ipv6_have_no_last_octet() {
        for (ip, host) in [("192.0.2.7", "h7"), ("::1", "h11"), ("::4d", "h77")] {
            find_signs(host, ip.parse().unwrap(), |sign| assert_ne!(sign, Sign::LastOctet));
        }
    }

    #[test]
    fn hardware_addresses() {
        for text in [
            "s0106000cf16f58b1.wp",
            "cpe0004e2372711",
            "cm000a73666706.x",
            "h0002a5d76857",
            "x-00-0c-f1-6f-58-b1",
            "00_0c_f1_6f_58_b1.x",
        ] {
            assert!(has_hardware_address(text), "{text}");
        }
        for text in [
            "",
            "123456789012",
            "26b5c8bc02f060b",
            "126b5c8bc02f060b7",
            "feedfacecafe",
            "00-0c-f1-6f-58",
            "12-34-56-78-90-12",
            "010203-0c-f1",
        ] {
            assert!(!has_hardware_address(text), "{text}");
        }
    }
}
