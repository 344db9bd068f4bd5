//! Postfix tables of expressions, as `regexp_table(5)` and `pcre_table(5)` describe them:
//! read as they are, so that a list for Postfix need not be rewritten.

use super::matcher::{Expression, parses};
use super::table_error::TableError;

/// What an entry of a list says about the names that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A plain list of expressions: the option that names the list says what a match means.
    Listed,
    /// A Postfix table refuses or delays the client.
    Refused,
    /// A Postfix table accepts it (`OK`, `DUNNO`), and ends the search.
    Passed,
}

/// A line of a list.
#[derive(Debug)]
pub(super) struct Entry {
    /// The line, from 1.
    pub(super) line: u32,
    /// In the syntax of the `regex` crate; empty for [`Kind::EndIf`].
    pub(super) expression: String,
    pub(super) kind: Kind,
}

impl Entry {
    pub(super) fn as_expression(&self) -> Expression<'_> {
        Expression { line: self.line, text: &self.expression }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Names that match; with `!` those that do not.
    Rule {
        negated: bool,
        action: Action,
    },
    /// The entries up to [`Kind::EndIf`] are for names that match; with `!` for those
    /// that do not.
    If {
        negated: bool,
    },
    EndIf,
}

/// What was read of a table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
    /// Lines that cannot be used, and why. They are skipped, as Postfix does.
    pub(super) skipped: Vec<(u32, TableError)>,
}

/// Whether `text` is such a table: its first line has an expression between slashes.
pub(super) fn is_table(text: &[u8]) -> bool {
    let first = logical_lines(text).next();
    first.is_some_and(|(_, line)| {
        let line = line.trim_ascii_start();
        let line = line.strip_prefix(b"if ".as_slice()).unwrap_or(line).trim_ascii_start();
        let line = line.strip_prefix(b"!".as_slice()).unwrap_or(line);
        line.strip_prefix(b"/".as_slice()).is_some_and(|rest| rest.contains(&b'/'))
    })
}

/// Lines with those that continue them, without comments: their number and text.
fn logical_lines(text: &[u8]) -> impl Iterator<Item = (u32, Vec<u8>)> {
    let mut lines = (1..).zip(text.split(|&byte| byte == b'\n')).filter(|(_, line)| {
        let line = line.trim_ascii();
        !line.is_empty() && !line.starts_with(b"#")
    });
    let mut next = lines.next();
    std::iter::from_fn(move || {
        let (number, line) = next.take()?;
        let mut whole = line.to_vec();
        next = lines.next();
        while let Some((_, more)) = next.filter(|(_, line)| line[0].is_ascii_whitespace()) {
            whole.extend_from_slice(more);
            next = lines.next();
        }
        Some((number, whole))
    })
}

/// Reads a table.  If an `if` is skipped its block is skipped with it.
pub(super) fn read(text: &[u8]) -> Table {
    let mut reader = Reader::default();
    for (line, text) in logical_lines(text) {
        match parse(&text) {
            Ok((kind, expression)) => reader.take(Entry { line, expression, kind }),
            Err(Refusal { why, is_if }) => {
                reader.table.skipped.push((line, why));
                reader.skip(is_if);
            }
        }
    }
    reader.table
}

#[derive(Default)]
struct Reader {
    table: Table,
    /// Blocks that are open.
    open: usize,
    /// How many blocks were open outside the one that is skipped.
    skipped_in: Option<usize>,
}

impl Reader {
    fn take(&mut self, entry: Entry) {
        let is_skipped = self.skipped_in.is_some();
        match entry.kind {
            Kind::If { .. } => self.open += 1,
            Kind::EndIf => {
                let Some(outer) = self.open.checked_sub(1) else {
                    self.table.skipped.push((entry.line, TableError::NoIf));
                    return;
                };
                self.open = outer;
                self.skipped_in = self.skipped_in.filter(|open| *open != outer);
            }
            Kind::Rule { .. } => (),
        }
        if !is_skipped {
            self.table.entries.push(entry);
        }
    }

    fn skip(&mut self, is_if: bool) {
        if is_if {
            self.skipped_in = self.skipped_in.or(Some(self.open));
            self.open += 1;
        }
    }
}

/// Why a line cannot be used.
struct Refusal {
    why: TableError,
    is_if: bool,
}

fn parse(line: &[u8]) -> Result<(Kind, String), Refusal> {
    let line = String::from_utf8_lossy(line);
    let line = line.trim();
    if line.eq_ignore_ascii_case("endif") {
        return Ok((Kind::EndIf, String::new()));
    }
    let behind_if = line.strip_prefix("if").filter(|rest| rest.starts_with([' ', '\t', '/', '!']));
    let is_if = behind_if.is_some();
    let rest = behind_if.unwrap_or(line).trim_start();
    let (negated, rest) = match rest.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, rest),
    };
    let refuse = |why| Refusal { why, is_if };
    let Some((expression, flags, result)) = split(rest) else {
        return Err(refuse(TableError::NoLine));
    };
    let expression = translate(expression, flags).map_err(refuse)?;
    let kind = match (is_if, action(result)) {
        (true, _) => Kind::If { negated },
        (false, Some(action)) => Kind::Rule { negated, action },
        (false, None) => return Err(refuse(TableError::NoResult)),
    };
    Ok((kind, expression))
}

/// The expression in the syntax of the `regex` crate.
fn translate(expression: &str, flags: &str) -> Result<String, TableError> {
    let expression = with_plain_classes(expression);
    parses(&expression)?;
    with_flags(&expression, flags)
}

/// In a bracket expression `[` and pairs of `&`, `~` and `-` stand for themselves, and are
/// operators in the crate's syntax.
fn with_plain_classes(expression: &str) -> String {
    let mut plain = String::new();
    // Where in a bracket expression we are: at its start, where `]` stands for itself, or
    // further on.
    let (mut class, mut escaped, mut before): (Option<bool>, _, _) = (None, false, ' ');
    let mut letters = expression.chars().peekable();
    while let Some(letter) = letters.next() {
        let is_named = letter == '[' && matches!(letters.peek(), Some(':' | '.' | '='));
        match class {
            _ if escaped => class = class.map(|_| false),
            None if letter == '[' => class = Some(true),
            Some(true) if letter == '^' && before == '[' => (),
            Some(false) if letter == ']' => class = None,
            Some(_) if is_named => {
                plain.push(letter);
                plain.extend(letters.by_ref().take_while(|letter| *letter != ']'));
                plain.push(']');
                (class, before) = (Some(false), ' ');
                continue;
            }
            Some(_) => {
                let pairs = before == letter && matches!(letter, '&' | '~' | '-');
                plain.extend((letter == '[' || pairs).then_some('\\'));
                class = Some(false);
            }
            None => (),
        }
        escaped = letter == '\\' && !escaped;
        before = letter;
        plain.push(letter);
    }
    plain
}

/// `/expression/flags result`; a slash in the expression has a backslash before it.
fn split(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix('/')?;
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'/' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (expression, rest) = (&rest[..end], &rest[end + 1..]);
    let (flags, result) = rest.split_at(rest.find([' ', '\t']).unwrap_or(rest.len()));
    Some((expression, flags, result.trim()))
}

/// Letter case is ignored until `i` toggles that.  Flags that only change how much is
/// matched, and not whether, are ignored.
fn with_flags(expression: &str, flags: &str) -> Result<String, TableError> {
    let (mut case, mut lines, mut spaced, mut anchored) = (false, false, false, false);
    for flag in flags.chars() {
        match flag {
            'i' => case = !case,
            'm' => lines = !lines,
            'x' => spaced = !spaced,
            'A' => anchored = !anchored,
            's' | 'E' | 'U' | 'X' => (),
            other => return Err(TableError::Flag(other)),
        }
    }
    let set: String = [(lines, "m"), (spaced, "x"), (case, "-i")]
        .into_iter()
        .filter_map(|(is_set, flag)| is_set.then_some(flag))
        .collect();
    let end = if spaced { "\n" } else { "" };
    let grouped = match (set.as_str(), anchored) {
        ("", false) => expression.to_owned(),
        (set, false) => format!("(?{set}:{expression}{end})"),
        (set, true) => format!("\\A(?{set}:{expression}{end})"),
    };
    Ok(grouped)
}

/// What a result of access(5) does to the client; `None` if there is none.
fn action(result: &str) -> Option<Action> {
    let word = result.split_ascii_whitespace().next()?.to_ascii_lowercase();
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    let refuses = word.len() == 3 && (word.starts_with('4') || word.starts_with('5'));
    let passes = ["ok", "dunno", "prepend"].contains(&word.as_str()) || word.starts_with("permit");
    Some(if passes || (is_number && !refuses) { Action::Passed } else { Action::Refused })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_recognised_by_their_first_line() {
        for text in ["/a/ OK", "# x\n\n!/a/ 450", "if /a/\n", "if !/a/", "/a/i REJECT no"] {
            assert!(is_table(text.as_bytes()), "{text}");
        }
        for text in ["", "# /a/", "^a", "a/b/", "if-a", "/a", "^x\n/a/ OK"] {
            assert!(!is_table(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn lines_are_read_as_postfix_does() {
        let table =
            read(b"/^a\\/b/ REJECT no\n  and more\nif !/x/i\n!/y/ OK\nendif\n/z/m 450 4.7.1 x");
        let rows: Vec<_> =
            table.entries.iter().map(|it| (it.line, it.expression.as_str(), it.kind)).collect();
        assert_eq!(
            rows,
            [
                (1, "^a\\/b", Kind::Rule { negated: false, action: Action::Refused }),
                (3, "(?-i:x)", Kind::If { negated: true }),
                (4, "y", Kind::Rule { negated: true, action: Action::Passed }),
                (5, "", Kind::EndIf),
                (6, "(?m:z)", Kind::Rule { negated: false, action: Action::Refused }),
            ]
        );
        assert!(table.skipped.is_empty());
    }

    #[test]
    fn what_results_mean() {
        for (result, expected) in [
            ("REJECT", Action::Refused),
            ("450 4.7.1 no", Action::Refused),
            ("554", Action::Refused),
            ("check_greylist", Action::Refused),
            ("OK", Action::Passed),
            ("dunno", Action::Passed),
            ("permit_sasl", Action::Passed),
            ("PREPEND X: y", Action::Passed),
            ("1", Action::Passed),
        ] {
            assert_eq!(action(result), Some(expected), "{result}");
        }
        assert_eq!(action(""), None);
    }

    #[test]
    fn what_the_engine_lacks_is_skipped_with_its_block() {
        let text = b"/a(?=b)/ REJECT\n/(x)\\1/ REJECT\nif /a(?!b)/\n/c/ REJECT\nif /d/\n/e/ OK\nendif\nendif\n/f/ OK";
        let table = read(text);
        let skipped = [TableError::LookAround, TableError::BackReferences, TableError::LookAround];
        let skipped: Vec<(u32, TableError)> = (1..).zip(skipped).collect();
        assert_eq!(table.skipped, skipped);
        let lines: Vec<u32> = table.entries.iter().map(|it| it.line).collect();
        assert_eq!(lines, [9]);
    }

    #[test]
    fn what_is_no_line_of_a_table_is_skipped() {
        let table = read(b"/a/ OK\n^plain\n/b/\n/c/q OK\nendif\n/d( OK\n/e(/ OK\n/\\elekta/ OK");
        let lines: Vec<u32> = table.skipped.iter().map(|(line, _)| *line).collect();
        assert_eq!((lines, table.entries.len()), (vec![2, 3, 4, 5, 6, 7, 8], 1));
        let why: Vec<&TableError> = table.skipped.iter().map(|(_, why)| why).collect();
        let [plain, no_result, flag, no_if, open, unclosed, _] = why.as_slice() else {
            panic!("{why:?}")
        };
        assert_eq!([plain, open], [&&TableError::NoLine; 2]);
        assert_eq!(
            [no_result, flag, no_if],
            [&&TableError::NoResult, &&TableError::Flag('q'), &&TableError::NoIf]
        );
        assert_eq!(unclosed.to_string(), "unclosed group");
    }

    #[test]
    fn classes_hold_what_they_hold_for_postfix() {
        for (expression, plain) in [
            ("[12?[0-9]{1,2}", "[12?\\[0-9]{1,2}"),
            ("[[:alnum:].]x[a]", "[[:alnum:].]x[a]"),
            ("[]a[]\\[[^]b]", "[]a\\[]\\[[^]b]"),
            ("[.--]", "[.-\\-]"),
            ("a[\\]b]c[", "a[\\]b]c["),
        ] {
            assert_eq!(with_plain_classes(expression), plain, "{expression}");
        }
    }
}
