//! What is requested from a report: its files, times, and other delays.

use std::ffi::OsString;
use std::path::PathBuf;
use std::{error, fmt};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};

use crate::class::Class;
use crate::error::Usage;
use crate::report::reading::moment::Moment;
use crate::seconds::seconds;

/// Lines of a top list, unless another number is asked for.
pub const TOP: usize = 10;

/// What is asked.
#[derive(Debug, PartialEq)]
pub struct Asked {
    /// Files of log lines; `-` is standard input.
    pub files: Vec<OsString>,
    /// The tag of our lines, if it is not the default (`--tag` of the daemon).
    pub tag: Option<String>,
    /// Lines before this are left out.
    pub since: Option<Moment>,
    /// Lines from this time on are left out.
    pub until: Option<Moment>,
    /// Lines of each top list.
    pub top: usize,
    /// Delays to try, in seconds.
    pub delays: Vec<(Class, f64)>,
    /// Print JSON.
    pub json: bool,
    /// Write a page here.
    pub html: Option<PathBuf>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            tag: None,
            since: None,
            until: None,
            top: TOP,
            delays: Vec::new(),
            json: false,
            html: None,
        }
    }
}

impl Asked {
    /// Whether a line of that time counts; one without a time does only where no time
    /// is asked for.
    #[must_use]
    pub fn is_within(&self, at: Option<Moment>) -> bool {
        let after = self.since.is_none_or(|since| at.is_some_and(|at| at >= since));
        after && self.until.is_none_or(|until| at.is_some_and(|at| at < until))
    }
}

/// What is wrong with delays to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DelaysError {
    /// This is no delay of a class.
    NoDelay(String),
    /// This class has two.
    Twice(Class),
}

impl fmt::Display for DelaysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoDelay(text) => {
                write!(f, "--what-if takes delay-CLASS=SECS,…, not `{}`", text.escape_debug())
            }
            Self::Twice(class) => write!(f, "--what-if has delay-{class} twice"),
        }
    }
}

impl error::Error for DelaysError {}

impl From<DelaysError> for Usage {
    fn from(error: DelaysError) -> Self {
        Self::Unreadable(error.into())
    }
}

/// `delay-none=10,delay-dynamic=6`: each class once, with seconds.
///
/// # Errors
/// What is wrong with it.
pub fn delays(text: &str) -> Result<Vec<(Class, f64)>, DelaysError> {
    let mut delays: Vec<(Class, f64)> = Vec::new();
    for part in text.split(',') {
        let wrong = || DelaysError::NoDelay(part.into());
        let (name, time) = part.trim().split_once('=').ok_or_else(wrong)?;
        let name = name.trim_start_matches('-');
        let class = Class::JUDGED.into_iter().find(|class| name == format!("delay-{class}"));
        let (class, time) = class.zip(seconds(time)).ok_or_else(wrong)?;
        if delays.iter().any(|(other, _)| *other == class) {
            return Err(DelaysError::Twice(class));
        }
        delays.push((class, time.as_secs_f64()));
    }
    Ok(delays)
}

/// A time as it is typed: `2026-11-27`, `2026-11-27 06:50`, with seconds or a zone,
/// `today`, `yesterday`, or so long ago: `90m`, `12h`, `7d`.
#[must_use]
pub fn moment(text: &str, now: &ZonedDateTime) -> Option<Moment> {
    let zone = now.time_zone();
    let found = match text {
        "now" => now.timestamp(),
        "today" => now.start_of_day().ok()?.timestamp(),
        "yesterday" => now.yesterday().ok()?.start_of_day().ok()?.timestamp(),
        text => ago(text, now).or_else(|| text.parse().ok()).or_else(|| local(text, zone))?,
    };
    Some(Moment(found.as_millisecond()))
}

fn ago(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
    let unit = text.chars().last()?;
    let number: i64 = text.strip_suffix(unit)?.parse().ok().filter(|number| *number >= 0)?;
    let span = match unit {
        'm' => Span::new().try_minutes(number),
        'h' => Span::new().try_hours(number),
        'd' => Span::new().try_days(number),
        _ => return None,
    };
    now.checked_sub(span.ok()?).ok().map(|time| time.timestamp())
}

fn local(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let time: DateTime = text.parse().ok()?;
    zone.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_to_try() {
        let expected = vec![(Class::None, 10.0), (Class::Dynamic, 6.5)];
        assert_eq!(delays("delay-none=10,--delay-dynamic=6.5"), Ok(expected));
        let twice = DelaysError::Twice(Class::None);
        assert_eq!(delays("delay-none=1,delay-none=2"), Err(twice));
        for bad in ["", "none=10", "delay-none", "delay-none=x", "delay-=1"] {
            assert!(delays(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_as_they_are_typed() {
        let now: ZonedDateTime = "2026-11-27T06:50:16+01:00[Europe/Berlin]"
            .parse()
            .unwrap_or_else(|_| "2026-11-27T06:50:16+01:00[+01:00]".parse().unwrap());
        let at = |text: &str| {
            moment(text, &now).map(|at| Timestamp::from_millisecond(at.0).unwrap().to_string())
        };
        for (text, expected) in [
            ("2026-11-26", "2026-11-25T23:00:00Z"),
            ("2026-11-26 12:30", "2026-11-26T11:30:00Z"),
            ("2026-11-26T12:30:01", "2026-11-26T11:30:01Z"),
            ("2026-11-26T12:30:00Z", "2026-11-26T12:30:00Z"),
            ("today", "2026-11-26T23:00:00Z"),
            ("yesterday", "2026-11-25T23:00:00Z"),
            ("90m", "2026-11-27T04:20:16Z"),
            ("7d", "2026-11-20T05:50:16Z"),
        ] {
            assert_eq!(at(text).as_deref(), Some(expected), "{text}");
        }
        for bad in ["", "d", "-1d", "2026-13-01", "soon", "7w"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_line_without_a_time_is_in_no_span() {
        let asked = Asked { since: Some(Moment(5)), until: Some(Moment(9)), ..Asked::default() };
        let within =
            [None, Some(4), Some(5), Some(8), Some(9)].map(|at| asked.is_within(at.map(Moment)));
        assert_eq!(within, [false, false, true, true, false]);
        assert!(Asked::default().is_within(None));
    }
}
