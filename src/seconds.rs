//! Durations as an administrator writes them.

use std::str::FromStr;
use std::time::Duration;

/// The longest, in seconds: a day.
const LONGEST: f64 = 86_400.0;

/// Seconds with decimals, such as `2` or `0.5`, up to a day; `None` for anything else.
#[must_use]
pub fn seconds(text: &str) -> Option<Duration> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number = f64::from_str(text).ok().filter(|number| plain && *number <= LONGEST)?;
    Duration::try_from_secs_f64(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_plain_decimals() {
        assert_eq!(seconds("2"), Some(Duration::from_secs(2)));
        assert_eq!(seconds("0.25"), Some(Duration::from_millis(250)));
        assert_eq!(seconds("0"), Some(Duration::ZERO));
        for bad in ["", "-1", "1e3", "inf", "nan", "+2", "2s", "86401", " 2", "1.2.3", "."] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }
}
