//! Suffixes below which a registry sells names, such as `co.uk`: the public suffix list
//! without its private entries.
//!
//! `suffixes.txt` is derived from <https://publicsuffix.org/list/>, and like it under the
//! Mozilla Public License 2.0.  Each line is a suffix of two labels or more, or the
//! beginning of one, its labels in reverse, and a mark:
//!
//! | mark | meaning |
//! | --- | --- |
//! | `=` | it is a suffix |
//! | `*` | each label below it makes one |
//! | `!` | except this one |
//! | `-` | it is the beginning of others alone |
//!
//! The lines are sorted by their bytes.  A table as code, as the crate `psl` has it, is
//! six times as big; the tests hold this one against it.

use std::cmp::Ordering;

static TABLE: &[u8] = include_bytes!("suffixes.txt");

/// More bytes than a line of the table has.
const LONGEST: usize = 32;

/// What the table says of the labels so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Suffix,
    Below,
    Except,
    Beginning,
}

/// The number of bytes of the suffix of `name`, which is lower-case.  A top-level domain
/// is one, on the list or not.
pub(super) fn suffix_length(name: &str) -> usize {
    let mut key = Key::default();
    let mut suffix = 0;
    let mut length = 0;
    let mut below = false;
    for label in name.rsplit('.') {
        let with_label = length + label.len() + usize::from(length > 0);
        let mark = key.push(label).and_then(|()| find(key.bytes()));
        match mark {
            Some(Mark::Except) => return length,
            _ if length == 0 || below => suffix = with_label,
            Some(Mark::Suffix) => suffix = with_label,
            Some(Mark::Below | Mark::Beginning) | None => (),
        }
        let Some(mark) = mark else { return suffix };
        below = mark == Mark::Below;
        length = with_label;
    }
    suffix
}

/// The labels of a name from its end, as the table has them.
#[derive(Default)]
struct Key {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Key {
    /// Adds a label; `None` if no line is as long.
    fn push(&mut self, label: &str) -> Option<()> {
        let dot = usize::from(self.length > 0);
        let end = self.length + dot + label.len();
        let room = self.bytes.get_mut(self.length..end)?;
        let (before, rest) = room.split_at_mut(dot);
        before.fill(b'.');
        rest.copy_from_slice(label.as_bytes());
        self.length = end;
        Some(())
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// A binary search by bytes, of which each step finds the line that it has met.
fn find(key: &[u8]) -> Option<Mark> {
    let (mut start, mut end) = (0, TABLE.len());
    while start < end {
        let (from, to) = line_around(start.midpoint(end));
        let (mark, labels) = TABLE[from..to].split_last()?;
        match labels.cmp(key) {
            Ordering::Less => start = to + 1,
            Ordering::Greater => end = from,
            Ordering::Equal => return mark_of(*mark),
        }
    }
    None
}

/// Where the line starts that has the byte at `place`, and where its line feed is.
fn line_around(place: usize) -> (usize, usize) {
    let is_end = |byte: &u8| *byte == b'\n';
    let from = TABLE[..place].iter().rposition(is_end).map_or(0, |end| end + 1);
    let to = TABLE[place..].iter().position(is_end).map_or(TABLE.len(), |length| place + length);
    (from, to)
}

fn mark_of(byte: u8) -> Option<Mark> {
    match byte {
        b'=' => Some(Mark::Suffix),
        b'*' => Some(Mark::Below),
        b'!' => Some(Mark::Except),
        b'-' => Some(Mark::Beginning),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use psl::{List, Psl, Type};

    use super::*;

    /// The same by the crate `psl`, which has private entries as well: what is below one
    /// is asked again.
    fn by_psl(name: &str) -> usize {
        let mut name = name;
        loop {
            let Some(suffix) = List.suffix(name.as_bytes()) else { return name.len() };
            let start = name.len() - suffix.as_bytes().len();
            match name[start..].split_once('.') {
                Some((_, rest)) if suffix.typ() == Some(Type::Private) => name = rest,
                _ => return name.len() - start,
            }
        }
    }

    fn lines() -> impl Iterator<Item = (String, u8)> {
        let lines = TABLE.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| {
            let (mark, labels) = line.split_last().unwrap();
            let labels = std::str::from_utf8(labels).unwrap();
            let name: Vec<&str> = labels.rsplit('.').collect();
            (name.join("."), *mark)
        })
    }

    #[test]
    fn the_table_is_sorted_and_its_lines_are_short() {
        let lines: Vec<&[u8]> = TABLE.split(|byte| *byte == b'\n').collect();
        let labels = |line: &[u8]| line.split_last().map(|(_, labels)| labels.to_vec());
        assert!(
            lines
                .windows(2)
                .all(|pair| { pair[1].is_empty() || labels(pair[0]) < labels(pair[1]) })
        );
        assert!(lines.iter().all(|line| line.len() <= LONGEST));
        assert!(lines.len() > 5000 && lines.last().unwrap().is_empty());
    }

    #[test]
    fn every_suffix_is_found_as_another_table_has_it() {
        for (name, _) in lines() {
            for before in ["", "a.", "mx.a.", "city.", "www.a.b."] {
                let name = format!("{before}{name}");
                assert_eq!(suffix_length(&name), by_psl(&name), "{name}");
            }
        }
    }

    #[test]
    fn names_without_an_entry_end_in_a_top_level_domain() {
        for (name, suffix) in [
            ("mx.example.com", 3),
            ("a.example", 7),
            ("example", 7),
            ("", 0),
            ("a..b", 1),
            ("x.a-label-that-is-longer-than-any-line-of-the-table", 49),
        ] {
            assert_eq!(suffix_length(name), suffix, "{name}");
        }
    }
}
