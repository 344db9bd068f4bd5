//! What an engine has about one client, as text that an administrator can read and write:
//! `FIRST LAST COUNT CLASS`, or `forgotten TIME`.  Times are seconds since 1970.

use crate::class::Class;
use crate::known::entry::Entry;
use crate::known::record::{Record, Time};
use crate::known::rules::Lifetimes;

/// What a client is called that was forgotten.
const FORGOTTEN: &str = "forgotten";

/// The text of an entry.
pub(super) fn text(entry: Entry) -> String {
    match entry {
        Entry::Known(Record { first, last, count, class }) => {
            format!("{} {} {count} {class}", first.0, last.0)
        }
        Entry::Forgotten(time) => format!("{FORGOTTEN} {}", time.0),
    }
}

/// The entry of a text; `None` if it is not understood.  A time in the future counts as
/// `now`: clocks of hosts differ.
pub(super) fn entry(text: &[u8], now: Time) -> Option<Entry> {
    let words: Vec<&str> = std::str::from_utf8(text).ok()?.split_ascii_whitespace().collect();
    match words.as_slice() {
        [FORGOTTEN, at] => Some(Entry::Forgotten(time(at, now)?)),
        [first, last, count, class] => {
            let (first, last) = (time(first, now)?, time(last, now)?);
            let count = count.parse().ok().filter(|count| *count > 0)?;
            let class = Class::JUDGED.into_iter().find(|known| known.to_string() == *class)?;
            Some(Entry::Known(Record { first, last, count, class }))
        }
        _ => None,
    }
}

fn time(text: &str, now: Time) -> Option<Time> {
    text.parse().ok().map(|time| Time(time).min(now))
}

/// When something was last seen of the client.
pub(super) fn time_of(entry: Entry) -> Time {
    match entry {
        Entry::Known(record) => record.last,
        Entry::Forgotten(time) => time,
    }
}

/// How many seconds from `now` on an engine has to keep an entry: 1 or more.  A client that
/// was forgotten may have been known by others for as long as any.
pub(super) fn seconds_left(entry: Entry, lifetimes: &Lifetimes, now: Time) -> u64 {
    let whole = match entry {
        Entry::Known(record) => lifetimes.of(record.class),
        Entry::Forgotten(_) => lifetimes.of_static,
    };
    whole.saturating_sub(time_of(entry).until(now)).as_secs().max(1)
}

/// Whether what an engine has decides, rather than an own entry: the newer one does.  Of
/// two that are of the same second the one that forgets does.
#[must_use]
pub fn decides(engines: Entry, own: Option<Entry>) -> bool {
    let Some(own) = own else { return true };
    let forgets = |entry| matches!(entry, Entry::Forgotten(_));
    let rank = |entry| (time_of(entry), forgets(entry));
    rank(engines) > rank(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000);

    fn known(class: Class, last: u32) -> Entry {
        Entry::Known(Record { first: Time(7), last: Time(last), count: 3, class })
    }

    #[test]
    fn texts_lead_back_to_their_entries() {
        for class in Class::JUDGED {
            let known = known(class, 1_700_000_000);
            assert_eq!(entry(text(known).as_bytes(), NOW), Some(known));
        }
        assert_eq!(text(known(Class::Static, 1_700_000_000)), "7 1700000000 3 static");
        let forgotten = Entry::Forgotten(Time(1_700_000_000));
        assert_eq!(text(forgotten), "forgotten 1700000000");
        assert_eq!(entry(b"forgotten 1700000000", NOW), Some(forgotten));
    }

    #[test]
    fn what_an_administrator_writes_is_understood_or_ignored() {
        let record = known(Class::Static, 9);
        assert_eq!(entry(b" 7  9 3 static\n", NOW), Some(record));
        for text in [
            &b""[..],
            b"7 9 3",
            b"7 9 0 static",
            b"7 9 -1 static",
            b"7 9 3 good",
            b"7 9 3 -",
            b"7 9 3 static more",
            b"7 99999999999 3 static",
            b"forgotten",
            b"forgotten yesterday",
            b"\xff 9 3 static",
        ] {
            assert_eq!(entry(text, NOW), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn the_future_counts_as_now() {
        let ahead = format!("{0} {0} 1 static", NOW.0 + 3600);
        let Some(Entry::Known(record)) = entry(ahead.as_bytes(), NOW) else { panic!("{ahead}") };
        assert_eq!((record.first, record.last), (NOW, NOW));
        let ahead = format!("forgotten {}", NOW.0 + 3600);
        assert_eq!(entry(ahead.as_bytes(), NOW), Some(Entry::Forgotten(NOW)));
    }

    #[test]
    fn an_engine_forgets_by_itself() {
        let lifetimes = Lifetimes::days(36);
        let left = |entry, now| seconds_left(entry, &lifetimes, Time(now));
        assert_eq!(left(known(Class::Static, 100), 100), 36 * 86_400);
        assert_eq!(left(known(Class::Static, 100), 3700), 36 * 86_400 - 3600);
        assert_eq!(left(known(Class::Dynamic, 100), 100), 86_400);
        assert_eq!(left(known(Class::Dynamic, 100), 1_000_000), 1);
        assert_eq!(left(Entry::Forgotten(Time(100)), 160), 36 * 86_400 - 60);
    }

    #[test]
    fn the_newer_entry_decides() {
        let forgotten = |time| Entry::Forgotten(Time(time));
        let known = |last| known(Class::Static, last);
        for (engines, own, expected) in [
            (known(5), None, true),
            (forgotten(5), None, true),
            (known(6), Some(known(5)), true),
            (known(5), Some(known(6)), false),
            (known(5), Some(known(5)), false),
            (forgotten(6), Some(known(5)), true),
            (forgotten(5), Some(known(5)), true),
            (forgotten(4), Some(known(5)), false),
            (known(6), Some(forgotten(5)), true),
            (known(5), Some(forgotten(5)), false),
            (forgotten(5), Some(forgotten(5)), false),
        ] {
            assert_eq!(decides(engines, own), expected, "{engines:?} {own:?}");
        }
    }
}
