//! Tables (DFAs) of expressions, also as bytes, which one process hands to another:
//! building them may take seconds, and reading them takes milliseconds.

use regex_automata::Input;
use regex_automata::dfa::Automaton;
use regex_automata::dfa::dense::DFA;

/// The header of a table: how many lines it has, and how many bytes.
const HEADER: usize = 2 * size_of::<u32>();

/// Expressions ready to match.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) dfa: DFA<Vec<u32>>,
    /// The line of each expression in the table.
    pub(super) lines: Box<[u32]>,
}

impl Table {
    /// The line of an expression that matches `name`.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let found = self.dfa.try_search_fwd(&Input::new(name).earliest(true));
        // An error needs a byte that makes the table quit; these have none.
        let found = found.ok().flatten()?;
        Some(self.lines[found.pattern().as_usize()])
    }
}

/// Writes `tables` one after the other, in the byte order of this machine.
pub(super) fn to_bytes<'a>(tables: impl Iterator<Item = &'a Table>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for table in tables {
        let (dfa, padding) = table.dfa.to_bytes_native_endian();
        let dfa = &dfa[padding..];
        for number in [table.lines.len(), dfa.len()] {
            bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_ne_bytes());
        }
        bytes.extend(table.lines.iter().flat_map(|line| line.to_ne_bytes()));
        bytes.extend_from_slice(dfa);
    }
    bytes
}

/// Reads what [`to_bytes`] has written; `None` if it is something else.
pub(super) fn from_bytes(mut bytes: &[u8]) -> Option<Vec<Table>> {
    let mut tables = Vec::new();
    while !bytes.is_empty() {
        let (header, rest) = bytes.split_at_checked(HEADER)?;
        let [lines, length] = [number(&header[..4])?, number(&header[4..])?];
        let (lines, rest) = rest.split_at_checked(lines.checked_mul(4)?)?;
        let (dfa, rest) = rest.split_at_checked(length)?;
        let lines = lines.chunks_exact(4).map(|line| line.try_into().map(u32::from_ne_bytes));
        tables.push(Table { dfa: read(dfa)?, lines: lines.collect::<Result<_, _>>().ok()? });
        bytes = rest;
    }
    Some(tables)
}

fn number(bytes: &[u8]) -> Option<usize> {
    let number = u32::from_ne_bytes(bytes.try_into().ok()?);
    usize::try_from(number).ok()
}

/// The table has to be aligned while it is read.
fn read(bytes: &[u8]) -> Option<DFA<Vec<u32>>> {
    let mut room = vec![0; bytes.len() + size_of::<u32>()];
    let start = room.as_ptr().align_offset(size_of::<u32>());
    let aligned = room.get_mut(start..start + bytes.len())?;
    aligned.copy_from_slice(bytes);
    let (dfa, _) = DFA::from_bytes(aligned).ok()?;
    Some(dfa.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::matcher::{Budget, Expression, Matcher};

    /// The first fills tables, the second fits none.
    const TEXTS: [&str; 3] = ["^n[0-9]+\\.", "a.{20}b", "\\.dyn\\."];

    fn expressions() -> Vec<Expression<'static>> {
        (1..).zip(TEXTS).map(|(line, text)| Expression { line, text }).collect()
    }

    #[test]
    fn tables_find_the_same_in_another_process() {
        let made = Matcher::new(&expressions()).unwrap();
        let read = super::from_bytes(&super::to_bytes(made.all_tables())).unwrap();
        let taken = Matcher::with_tables(&mut Budget::default(), &expressions(), read).unwrap();
        let names = ["n7.example", "a01234567890123456789b", "x.dyn.example", "mx.example"];
        let find = |matcher: &Matcher| names.map(|name| matcher.find(name));
        assert_eq!(find(&taken), [Some(1), Some(2), Some(3), None]);
        assert_eq!(find(&taken), find(&made));
        assert_eq!(taken.slow().collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn what_is_cut_off_is_no_table_and_nothing_panics() {
        let made = Matcher::new(&expressions()[..1]).unwrap();
        let bytes = super::to_bytes(made.all_tables());
        for length in (1..bytes.len()).step_by(7) {
            assert!(super::from_bytes(&bytes[..length]).is_none(), "{length} of {}", bytes.len());
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 0x81;
            let _ = super::from_bytes(&changed);
        }
    }
}
