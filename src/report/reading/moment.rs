//! When a line was written, in the formats of logs: syslog's two, journalctl's, multilog's
//! TAI64N, svlogd's.

use std::str;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

/// How far a clock may be ahead of the one that set a file's time, in milliseconds.
const AHEAD: i64 = 86_400_000;
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
/// `@` and a TAI64N label: 24 hexadecimal digits.
const TAI64N: usize = 25;
/// The label of 1970: 2 to the 62nd, and the 10 seconds between TAI and UTC in libtai.
const TAI_1970: u64 = (1 << 62) + 10;

/// Reads times, and caches the last minute: most lines are of the same minute as the line
/// before.
pub struct Clock {
    zone: TimeZone,
    /// The time before which lines without a year were written.
    written: Moment,
    minute: Vec<u8>,
    minute_at: i64,
}

impl Clock {
    /// For a file that was last written at `written`; times without a zone are in `zone`.
    #[must_use]
    pub fn new(written: Moment, zone: TimeZone) -> Self {
        Self { zone, written, minute: Vec::new(), minute_at: 0 }
    }

    /// The time at the start of `line`, and what follows the blank after it.
    pub fn split<'a>(&mut self, line: &'a [u8]) -> Option<(Moment, &'a [u8])> {
        let (moment, rest) = match line {
            [b'@', ..] => tai64n(line)?,
            [digit, ..] if digit.is_ascii_digit() => self.iso(line)?,
            _ => self.rfc_3164(line)?,
        };
        Some((moment, rest.strip_prefix(b" ")?))
    }

    /// `Nov  7 06:50:16`, RFC 3164, 4.1.2.
    fn rfc_3164<'a>(&mut self, line: &'a [u8]) -> Option<(Moment, &'a [u8])> {
        let (head, rest) = line.split_at_checked(15)?;
        if head[3] != b' ' || head[6] != b' ' || head[9] != b':' || head[12] != b':' {
            return None;
        }
        let second = two(&head[13..]).filter(|second| *second <= 60)?;
        if self.minute != head[..12] {
            let month = (1..).zip(MONTHS).find(|(_, month)| head[..3] == month[..])?.0;
            let day = two(&head[4..6])?;
            let at = self.in_nearest_year(month, day, two(&head[7..9])?, two(&head[10..12])?)?;
            self.keep(&head[..12], at);
        }
        Some((Moment(self.minute_at + second * 1000), rest))
    }

    /// The newest such day that is not in the future.
    fn in_nearest_year(&self, month: i64, day: i64, hour: i64, minute: i64) -> Option<i64> {
        let newest = Timestamp::from_millisecond(self.written.0).ok()?;
        let year = newest.to_zoned_datetime(self.zone.clone()).year();
        // The last 29th of February may be eight years ago.
        (year - 8..=year + 1).rev().find_map(|year| {
            let at = self.local(at_minute(year, month, day, hour, minute)?);
            at.filter(|at| *at <= self.written.0 + AHEAD)
        })
    }

    /// `2026-11-27T06:50:16.123+01:00` (RFC 3339), with a blank or `_` instead of `T`
    /// (tai64nlocal, svlogd), without the colon in the zone (journalctl), or without
    /// a zone.
    fn iso<'a>(&mut self, line: &'a [u8]) -> Option<(Moment, &'a [u8])> {
        let (head, rest) = line.split_at_checked(19)?;
        let blank = matches!(head[10], b'T' | b' ' | b'_' | b't');
        if head[4] != b'-' || head[7] != b'-' || !blank || head[13] != b':' || head[16] != b':' {
            return None;
        }
        let (millis, rest) = fraction(rest);
        let (offset, rest) = zone(rest);
        let second = two(&head[17..]).filter(|second| *second <= 60)?;
        let same = self.minute.len() == 16 + offset.len()
            && self.minute[..16] == head[..16]
            && self.minute[16..] == *offset;
        if !same {
            let at = self.civil(&head[..16], offset)?;
            self.keep(&[&head[..16], offset].concat(), at);
        }
        Some((Moment(self.minute_at + second * 1000 + millis), rest))
    }

    fn civil(&self, minute: &[u8], offset: &[u8]) -> Option<i64> {
        let year = i16::try_from(two(minute)? * 100 + two(&minute[2..])?).ok()?;
        let (month, day) = (two(&minute[5..])?, two(&minute[8..])?);
        let time = at_minute(year, month, day, two(&minute[11..])?, two(&minute[14..])?)?;
        match offset {
            [] => self.local(time),
            offset => {
                let offset = Offset::from_seconds(i32::try_from(offset_seconds(offset)?).ok()?);
                offset.ok()?.to_timestamp(time).ok().map(Timestamp::as_millisecond)
            }
        }
    }

    fn local(&self, time: DateTime) -> Option<i64> {
        self.zone.to_timestamp(time).ok().map(Timestamp::as_millisecond)
    }

    fn keep(&mut self, minute: &[u8], at: i64) {
        self.minute.clear();
        self.minute.extend_from_slice(minute);
        self.minute_at = at;
    }
}

/// `None` if it is not a date or not a time.
fn at_minute(year: i16, month: i64, day: i64, hour: i64, minute: i64) -> Option<DateTime> {
    let small = |number: i64| i8::try_from(number).ok();
    let date = Date::new(year, small(month)?, small(day)?).ok()?;
    let time = Time::new(small(hour)?, small(minute)?, 0, 0).ok()?;
    Some(date.to_datetime(time))
}

/// Two digits; the first may be a blank.
fn two(text: &[u8]) -> Option<i64> {
    let ten = match text.first()? {
        b' ' => 0,
        ten => digit(*ten)?,
    };
    Some(ten * 10 + digit(*text.get(1)?)?)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

/// Milliseconds after a point, and what follows.
fn fraction(text: &[u8]) -> (i64, &[u8]) {
    let [b'.' | b',', digits @ ..] = text else { return (0, text) };
    let length = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let millis = (0..3).fold(0, |sum, place| {
        sum * 10 + digits[..length].get(place).and_then(|byte| digit(*byte)).unwrap_or(0)
    });
    (millis, &digits[length..])
}

/// `Z`, `+01:00`, `+0100`, or nothing, and what follows.
fn zone(text: &[u8]) -> (&[u8], &[u8]) {
    let length = match text {
        [b'Z' | b'z', ..] => 1,
        [b'+' | b'-', _, _, b':', _, _, ..] => 6,
        [b'+' | b'-', _, _, _, _, ..] => 5,
        _ => 0,
    };
    text.split_at(length)
}

fn offset_seconds(offset: &[u8]) -> Option<i64> {
    let [sign, digits @ ..] = offset else { return None };
    let sign = match sign {
        b'Z' | b'z' => return Some(0),
        b'-' => -1,
        _ => 1,
    };
    let minutes = &digits[digits.len() - 2..];
    Some(sign * (two(digits)? * 3600 + two(minutes)? * 60))
}

/// multilog's and svlogd's label.
fn tai64n(line: &[u8]) -> Option<(Moment, &[u8])> {
    let (label, rest) = line.split_at_checked(TAI64N)?;
    let hex = |digits: &[u8]| u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    let seconds = hex(&label[1..17])?.checked_sub(TAI_1970)?;
    let millis = hex(&label[17..])? / 1_000_000;
    let at =
        i64::try_from(seconds).ok()?.checked_mul(1000)?.checked_add(i64::try_from(millis).ok()?);
    Some((Moment(at?), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(written: &str) -> Clock {
        let written: Timestamp = written.parse().unwrap();
        Clock::new(Moment(written.as_millisecond()), TimeZone::UTC)
    }

    fn read(written: &str, line: &str) -> Option<(String, String)> {
        let mut clock = clock(written);
        let (moment, rest) = clock.split(line.as_bytes())?;
        let at = Timestamp::from_millisecond(moment.0).unwrap();
        Some((at.to_string(), String::from_utf8(rest.to_vec()).unwrap()))
    }

    #[test]
    fn the_forms_that_logs_have() {
        let expected = "2026-11-07T05:50:16.123Z";
        for line in [
            "2026-11-07T06:50:16.123456+01:00 x",
            "2026-11-07T06:50:16.123+0100 x",
            "2026-11-07T05:50:16,123Z x",
            "2026-11-07T05:50:16.123 x",
            "2026-11-07 05:50:16.123456789 x",
            "2026-11-07_05:50:16.12345 x",
            "@40000000690d89120755bd40 x",
        ] {
            let line = line.replace("690d8912", &format!("{:08x}", 1_794_030_616 + 10));
            let (at, rest) = read("2026-11-27T00:00:00Z", &line).expect(&line);
            assert_eq!((at.as_str(), rest.as_str()), (expected, "x"), "{line}");
        }
        let (at, _) = read("2026-11-27T00:00:00Z", "Nov  7 05:50:16 x").unwrap();
        assert_eq!(at, "2026-11-07T05:50:16Z");
    }

    #[test]
    fn a_missing_year_is_the_nearest_and_not_in_the_future() {
        let year = |written, line| read(written, line).unwrap().0[..10].to_string();
        assert_eq!(year("2026-01-03T00:00:00Z", "Dec 31 23:59:59 x"), "2025-12-31");
        assert_eq!(year("2026-01-03T00:00:00Z", "Jan  3 12:00:00 x"), "2026-01-03");
        assert_eq!(year("2026-01-03T00:00:00Z", "Jan  5 12:00:00 x"), "2025-01-05");
        assert_eq!(year("2025-12-31T23:59:59Z", "Jan  1 00:00:01 x"), "2026-01-01");
        assert_eq!(year("2026-03-01T00:00:00Z", "Feb 29 00:00:01 x"), "2024-02-29");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for line in [
            "",
            "Nov",
            "pass ip=192.0.2.7",
            "Nov 99 05:50:16 x",
            "2026-13-01T00:00:00Z x",
            "2026-11-07T24:00:00Z x",
            "2026-11-07T23:60:00Z x",
            "2026-11-07T23:59:61Z x",
            "2026-11-07T23:59:00+99:99 x",
            "Nov  7 24:50:16 x",
            "Feb 30 05:50:16 x",
            "@4000 x",
            "@zzzz000000000000000000000 x",
            "Nov  7 05:50:16x",
        ] {
            assert_eq!(read("2026-11-27T00:00:00Z", line), None, "{line}");
        }
    }

    #[test]
    fn lines_of_one_minute_are_told_apart() {
        let mut clock = clock("2026-11-27T00:00:00Z");
        let mut at = |line: &str| clock.split(line.as_bytes()).unwrap().0.0;
        let first = at("2026-11-07T05:50:16Z x");
        assert_eq!(at("2026-11-07T05:50:17.5Z x") - first, 1500);
        assert_eq!(at("2026-11-07T05:50:16+01:00 x") - first, -3_600_000);
        assert_eq!(at("2026-11-07T05:51:16Z x") - first, 60_000);
    }
}
