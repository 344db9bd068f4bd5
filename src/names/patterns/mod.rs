//! The administrator's own expressions: a file of them, one a line, in the `regex` crate's
//! syntax, matched on ASCII without regard to case; or a table of Postfix's, which is
//! recognised by its first line.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

mod error;
mod host_names;
mod line;
mod lint;
mod matcher;
mod postfix;
mod program;
mod table_error;
mod tables;

use crate::file;
use crate::findings::{Extent, Finding, Findings};
use error::TooBig;
use line::expression;
use matcher::{Budget, Expression, check, find_once};
use postfix::{Entry, Kind};
use program::Program;

pub use error::{Origin, PatternsError};
pub use postfix::Action;

/// The most expressions in a file.
const MAX_EXPRESSIONS: usize = 4_000;

/// The expressions of one file; none by default.
#[derive(Debug, Default)]
pub struct Patterns {
    file: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    /// Ready to match.
    Compiled(Program),
    /// Read when there are names to judge; this is the result.
    OnDemand { path: PathBuf, found: RefCell<Found> },
}

impl Default for Source {
    fn default() -> Self {
        Self::Compiled(Program::default())
    }
}

impl Patterns {
    /// The most bytes of a file.
    pub const LARGEST_FILE: usize = 1 << 20;

    /// Reads and compiles a file of up to 1 MiB and 4,000 expressions, each of up to 1,000
    /// bytes.  Blank lines and lines that start with `#` are ignored.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or an expression that cannot be used.
    pub fn read(path: &Path) -> Result<Self, PatternsError> {
        Self::parse(&path.display().to_string(), &contents(path)?)
    }

    /// The same for a process that judges one client: the file is read and compiled only
    /// for the names that it is [prepared](Patterns::prepare) for, and matches no others.
    #[must_use]
    pub fn on_demand(path: &Path) -> Self {
        let source = Source::OnDemand { path: path.into(), found: RefCell::default() };
        Self { file: path.display().to_string(), source }
    }

    /// Whether it is read on demand.
    pub(super) fn is_on_demand(&self) -> bool {
        matches!(self.source, Source::OnDemand { .. })
    }

    /// Reads a file that is read on demand, if `names` are to be judged by it.
    ///
    /// # Errors
    /// A file that cannot be read, which matches nothing, or an expression that cannot be
    /// used, which is ignored.
    pub fn prepare(&self, names: &[&str]) -> Result<(), PatternsError> {
        let Source::OnDemand { path, found } = &self.source else { return Ok(()) };
        if names.is_empty() {
            return Ok(());
        }
        let (text, file) = (contents(path)?, path.display().to_string());
        let too_big = || PatternsError::unusable(&file, TooBig::Compiled);
        if postfix::is_table(&text) {
            let entries = entries(&file, &text)?;
            let program = Program::new(&entries, Budget::WITHOUT_TABLES).map_err(|_| too_big())?;
            let find = |name: &&str| (String::from(*name), program.find(name));
            *found.borrow_mut() = names.iter().map(find).collect();
            return Ok(());
        }
        let expressions = expressions(&file, &text)?;
        let matcher::Findings { lines, wrong } = find_once(&expressions, names);
        let listed = |line: Option<u32>| line.map(|line| (line, Action::Listed));
        *found.borrow_mut() =
            lines.into_iter().map(|(name, line)| (name.into(), listed(line))).collect();
        wrong.map_or(Ok(()), |wrong| Err(check_all(&file, &[wrong]).err().unwrap_or_else(too_big)))
    }

    /// Compiles `text`, which came from the file `origin`.
    ///
    /// # Errors
    ///
    /// An expression that cannot be used.
    pub fn parse(origin: &str, text: &[u8]) -> Result<Self, PatternsError> {
        let entries = entries(origin, text)?;
        check_all(origin, &as_expressions(&entries))?;
        match Program::new(&entries, Budget::default()) {
            Ok(program) => Ok(Self { file: origin.into(), source: Source::Compiled(program) }),
            Err(_) => Err(PatternsError::unusable(origin, TooBig::Compiled)),
        }
    }

    /// The tables that were built, as bytes for [`Self::with_tables`].
    #[must_use]
    pub fn tables(&self) -> Vec<u8> {
        match &self.source {
            Source::Compiled(program) => program.tables(),
            Source::OnDemand { .. } => Vec::new(),
        }
    }

    /// [`Self::parse`], with the tables that another process has built of the same text.
    ///
    /// # Errors
    ///
    /// An expression that cannot be used.
    pub fn with_tables(origin: &str, text: &[u8], tables: &[u8]) -> Result<Self, PatternsError> {
        match Program::with_tables(&entries(origin, text)?, tables) {
            Some(program) => Ok(Self { file: origin.into(), source: Source::Compiled(program) }),
            None => Self::parse(origin, text),
        }
    }

    /// All errors and warnings in `text`, which came from the file `origin`.
    #[must_use]
    pub fn examine(origin: &str, text: &[u8]) -> Vec<Finding> {
        let mut findings = Findings::new(Extent::All);
        if postfix::is_table(text) {
            warn_of_table(&postfix::read(text), &mut findings);
        } else {
            examine_lines(text, &mut findings);
        }
        // Warnings about all of them together.
        let whole = (findings.mistakes() == 0).then(|| Self::parse(origin, text));
        let whole = whole.and_then(|parsed| match parsed {
            Ok(patterns) => patterns.slow_warning().map(Finding::Warning),
            Err(why) => Some(Finding::Mistake(why.into())),
        });
        findings.in_order(origin).into_iter().chain(whole).collect()
    }

    /// Expressions in `text`, which came from the file `origin`, that do not do what they
    /// seem to.
    #[must_use]
    pub fn warnings(origin: &str, text: &[u8]) -> Vec<String> {
        let mut findings = Findings::new(Extent::Some);
        if postfix::is_table(text) {
            warn_of_table(&postfix::read(text), &mut findings);
        } else if let Ok(expressions) = expressions(origin, text) {
            warn_of_suspicious(&expressions, &mut findings);
        }
        findings.warnings(origin)
    }

    /// The line that decides about `name`, and how; of successive lines with the same
    /// result not always the first that matches.
    #[must_use]
    pub fn decide(&self, name: &str) -> Option<(Origin<'_>, Action)> {
        let found = match &self.source {
            Source::Compiled(program) => program.find(name),
            Source::OnDemand { found, .. } => {
                let found = found.borrow();
                found.iter().find(|(known, _)| known == name).and_then(|(_, found)| *found)
            }
        };
        found.map(|(line, action)| (Origin { file: &self.file, line }, action))
    }

    /// Warns of expressions that fit no table, if there are any.
    #[must_use]
    pub fn slow_warning(&self) -> Option<String> {
        let (first, count) = (self.slow().next()?, self.slow().count());
        Some(format!("{count} expressions fit no table and are slow, first: {first}"))
    }

    /// The expressions that did not fit into 4 MiB of tables.  They cost memory and time in
    /// every match, of which the start warns.
    pub fn slow(&self) -> impl Iterator<Item = Origin<'_>> {
        let program = match &self.source {
            Source::Compiled(program) => Some(program),
            Source::OnDemand { .. } => None,
        };
        let lines = program.into_iter().flat_map(Program::slow);
        lines.map(|line| Origin { file: &self.file, line })
    }
}

fn examine_lines(text: &[u8], findings: &mut Findings) {
    let mut usable = Vec::new();
    for (line, text) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let checked = expression(text)
            .and_then(|text| text.map(|text| check(text).map(|()| text)).transpose());
        match checked {
            Ok(text) => usable.extend(text.map(|text| Expression { line, text })),
            Err(why) => findings.reject(line, || why),
        }
    }
    warn_of_suspicious(&usable, findings);
}

fn warn_of_table(table: &postfix::Table, findings: &mut Findings) {
    for (line, why) in &table.skipped {
        findings.warn(*line, || format!("{why}: the line is skipped"));
    }
    let unconditional = unconditional(&table.entries);
    for (line, why) in lint::warnings(&as_expressions(&table.entries)) {
        if !lint::is_catch_all(why) || unconditional.iter().any(|entry| entry.line == line) {
            findings.warn(line, || why.into());
        }
    }
}

/// The entries before the first exception; after one, a line that matches every name may be
/// intended.
fn unconditional(entries: &[Entry]) -> &[Entry] {
    let refuses = Kind::Rule { negated: false, action: Action::Refused };
    let count = entries.iter().take_while(|entry| entry.kind == refuses).count();
    &entries[..count]
}

fn warn_of_suspicious(expressions: &[Expression<'_>], findings: &mut Findings) {
    for (line, why) in lint::warnings(expressions) {
        findings.warn(line, || why.into());
    }
}

fn contents(path: &Path) -> Result<Vec<u8>, PatternsError> {
    let unreadable = |why| PatternsError::Unreadable { file: path.display().to_string(), why };
    file::read(path, Patterns::LARGEST_FILE).map_err(unreadable)
}

type Found = Vec<(String, Option<(u32, Action)>)>;

/// The entries of `text`, in order.
fn entries(file: &str, text: &[u8]) -> Result<Vec<Entry>, PatternsError> {
    if postfix::is_table(text) {
        let entries = postfix::read(text).entries;
        if entries.len() > MAX_EXPRESSIONS {
            return Err(PatternsError::unusable(file, TooBig::Expressions));
        }
        return Ok(entries);
    }
    let expressions = expressions(file, text)?;
    let kind = Kind::Rule { negated: false, action: Action::Listed };
    let entry = |it: &Expression<'_>| Entry { line: it.line, expression: it.text.into(), kind };
    Ok(expressions.iter().map(entry).collect())
}

fn as_expressions(entries: &[Entry]) -> Vec<Expression<'_>> {
    let named = entries.iter().filter(|entry| entry.kind != Kind::EndIf);
    named.map(Entry::as_expression).collect()
}

fn expressions<'a>(file: &str, text: &'a [u8]) -> Result<Vec<Expression<'a>>, PatternsError> {
    if text.len() > Patterns::LARGEST_FILE {
        return Err(PatternsError::unusable(file, TooBig::Bytes));
    }
    let mut expressions = Vec::new();
    for (line, text) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let text = expression(text);
        let text =
            text.map_err(|why| PatternsError::Expression { file: file.into(), line, why })?;
        expressions.extend(text.map(|text| Expression { line, text }));
    }
    if expressions.len() > MAX_EXPRESSIONS {
        return Err(PatternsError::unusable(file, TooBig::Expressions));
    }
    Ok(expressions)
}

fn check_all(file: &str, expressions: &[Expression<'_>]) -> Result<(), PatternsError> {
    expressions.iter().try_for_each(|expression| {
        check(expression.text).map_err(|why| {
            let (file, line) = (file.into(), expression.line);
            PatternsError::Expression { file, line, why }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::error::MAX_EXPRESSION;
    use super::*;

    fn parse(text: &[u8]) -> Patterns {
        Patterns::parse("/etc/x", text).unwrap()
    }

    fn error(text: &[u8]) -> String {
        Patterns::parse("/etc/x", text).unwrap_err().to_string()
    }

    #[test]
    fn lists_of_other_programs_are_read_as_they_are() {
        let sqlgrey: &[u8] = include_bytes!("../../../tests/data/lists/sqlgrey.regexp");
        let s25r: &[u8] = include_bytes!("../../../tests/data/lists/s25r");
        for (list, name, line) in [
            (sqlgrey, "12.dsl-3.isp.example", Some(1)),
            (sqlgrey, "cabcdef1.cablenet.example", Some(1)),
            (sqlgrey, "s0106abcdefabcdef.wp.isp.example", Some(1)),
            (sqlgrey, "mx.example.org", None),
            (sqlgrey, "pdsl.isp.example", None),
            (s25r, "p1-2.isp.example", Some(3)),
            (s25r, "a12345.isp.example", Some(5)),
            (s25r, "4.a.b.isp.example", Some(7)),
            (s25r, "h1.pool2-3.isp.example", Some(9)),
            (s25r, "h1.p2.a.isp.example", Some(11)),
            (s25r, "adsl7.isp.example", Some(13)),
            (s25r, "mx1.example.org", None),
        ] {
            let patterns = parse(list);
            assert_eq!(patterns.decide(name).map(|(origin, _)| origin.line), line, "{name}");
            assert_eq!(Patterns::warnings("/etc/x", list), [""; 0]);
        }
    }

    #[test]
    fn all_lines_that_are_wrong_are_found() {
        let mistakes = Patterns::examine("/etc/x", b"good\nfoo(\n# x\n[\na\0b\n");
        let start = |finding: &Finding| match finding {
            Finding::Mistake(why) => String::from(why.to_string().split(':').next().unwrap()),
            Finding::Warning(why) => panic!("{why}"),
        };
        let starts: Vec<String> = mistakes.iter().map(start).collect();
        assert_eq!(starts, [2, 4, 5].map(|line| format!("unable to use /etc/x line {line}")));
        let Finding::Mistake(first) = &mistakes[0] else { panic!("{mistakes:?}") };
        assert_eq!(first.to_string(), error(b"good\nfoo(\n"));
        let both = Patterns::examine("/etc/x", b"foo(\n/^a/ REJECT\n[\n");
        let [Finding::Mistake(_), Finding::Warning(odd), Finding::Mistake(_)] = both.as_slice()
        else {
            panic!("{both:?}")
        };
        assert!(odd.starts_with("/etc/x line 2: this is a line of a Postfix table"), "{odd}");
        assert_eq!(Patterns::examine("/etc/x", &b"a b\n".repeat(500)).len(), 500);
        assert!(Patterns::examine("/etc/x", b"good\n").is_empty());
        assert_eq!(Patterns::examine("/etc/x", &b"a\n".repeat(4001)).len(), 1);
    }

    fn line(patterns: &Patterns, name: &str) -> Option<u32> {
        patterns.decide(name).map(|(origin, _)| origin.line)
    }

    #[test]
    fn one_expression_a_line() {
        let patterns = parse(b"# (comment\r\n\r\n  ^a\\d+\\. \t\r\n\t# another\n\nb#c\n\\.DSL\\.");
        assert_eq!(line(&patterns, "a12.example"), Some(3));
        assert_eq!(line(&patterns, "xb#cx"), Some(6));
        assert_eq!(line(&patterns, "x.dsl.example"), Some(7));
        assert_eq!(line(&patterns, "A12.example"), Some(3));
        assert_eq!(line(&patterns, "xa12.example"), None);
        assert_eq!(line(&patterns, "(comment"), None);
        assert_eq!(patterns.decide("a1.b").unwrap().0.to_string(), "/etc/x line 3");
        assert_eq!(patterns.slow().count(), 0);
    }

    #[test]
    fn nothing_matches_nothing() {
        assert_eq!(Patterns::default().decide("a.example"), None);
        assert_eq!(parse(b"# only\n\n").decide(""), None);
    }

    #[test]
    fn slow_expressions_are_named() {
        let patterns = parse(b"# names\na.{20}b\nc");
        let slow: Vec<_> = patterns.slow().map(|origin| origin.to_string()).collect();
        assert_eq!(slow, ["/etc/x line 2"]);
    }

    #[test]
    fn ascii_rules() {
        let patterns = parse(b"^\\w\\.x$\n^.{3}\\.y$\n^z\\b");
        assert_eq!(line(&patterns, "\u{e9}.x"), None);
        assert_eq!(line(&patterns, "\u{20ac}.y"), Some(2));
        assert_eq!(line(&patterns, "z\u{e9}"), Some(3));
    }

    #[test]
    fn a_wrong_expression_is_shown_with_its_caret() {
        assert_eq!(
            error(b"ok\n\n  foo(bar\n"),
            "unable to use /etc/x line 3: unclosed group\n    foo(bar\n       ^"
        );
        assert_eq!(
            error(b"a**\n(?P<n>.)(?P<n>.)"),
            "unable to use /etc/x line 2: duplicate capture group name\n    \
             (?P<n>.)(?P<n>.)\n        ^       ^"
        );
        for wrong in ["\\pL", "(?u:\\b)x", "(?i", "x{3,2}", "\\", "a{9999999999}"] {
            let message = error(wrong.as_bytes());
            assert!(message.starts_with("unable to use /etc/x line 1: "), "{message}");
            assert!(!message.contains("regex parse error"), "{message}");
        }
    }

    #[test]
    fn a_caret_stays_below_what_it_points_at() {
        assert_eq!(
            error(b"\x1bcaf\xc3\xa9(bar\x07"),
            "unable to use /etc/x line 1: unclosed group\n    \\033caf\u{e9}(bar\\007\n            ^"
        );
    }

    #[test]
    fn bytes_that_no_expression_has() {
        let start = "unable to use /etc/x line 2: the expression ";
        assert_eq!(error(b"a\nb\0c"), format!("{start}has a NUL byte"));
        assert_eq!(error(b"a\n\xff"), format!("{start}is not UTF-8"));
        assert_eq!(line(&parse(b"# caf\xe9\na"), "a"), Some(2));
    }

    #[test]
    fn limits() {
        let longest = [b'a'; MAX_EXPRESSION];
        assert_eq!(line(&parse(&longest), "a"), None);
        assert_eq!(
            error(&[b'a'; MAX_EXPRESSION + 1]),
            "unable to use /etc/x line 1: the expression is over 1000 bytes"
        );
        assert_eq!(
            error(b"((a{500}){500}){500}"),
            "unable to use /etc/x line 1: the expression is too big when compiled"
        );
        assert_eq!(
            error(&b"a\n".repeat(MAX_EXPRESSIONS + 1)),
            "unable to use /etc/x: it has over 4000 expressions"
        );
        assert_eq!(
            error(&b"#\n".repeat(Patterns::LARGEST_FILE / 2 + 1)),
            "unable to use /etc/x: it is over 1 MiB"
        );
        assert!(parse(&b"#\n".repeat(Patterns::LARGEST_FILE / 2)).decide("a").is_none());
    }

    #[test]
    fn a_file_that_is_read_on_demand_says_the_same() {
        let path = std::env::temp_dir().join(format!("patterns.{}", std::process::id()));
        std::fs::write(&path, "# names\n^a\n\nb$\n").unwrap();
        let read = Patterns::read(&path).unwrap();
        let on_demand = Patterns::on_demand(&path);
        let names = ["ax", "xb", "x"];
        on_demand.prepare(&names).unwrap();
        for name in names {
            assert_eq!(on_demand.decide(name), read.decide(name), "{name}");
        }
        std::fs::write(&path, "^a\nfoo(bar\n^b\n").unwrap();
        let on_demand = Patterns::on_demand(&path);
        let why = on_demand.prepare(&["ax", "bx"]).unwrap_err().to_string();
        assert!(why.contains(" line 2: unclosed group"), "{why}");
        assert_eq!((line(&on_demand, "ax"), line(&on_demand, "bx")), (Some(1), Some(3)));
        std::fs::remove_file(&path).unwrap();
        assert!(on_demand.prepare(&[]).is_ok(), "it is not read without names");
        assert!(on_demand.prepare(&["ax"]).is_err());
        assert_eq!(on_demand.slow().count(), 0);
    }

    #[test]
    fn a_file_name_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, "^a\n").unwrap();
        assert!(Patterns::read(&path).unwrap().decide("a").is_some());
        assert!(Patterns::on_demand(&path).prepare(&["a"]).is_ok());
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn files() {
        let missing = Patterns::read(Path::new("/nonexistent/x")).unwrap_err();
        assert_eq!(
            missing.to_string(),
            "unable to read /nonexistent/x: No such file or directory (os error 2)"
        );
        let directory = Patterns::read(Path::new("/")).unwrap_err();
        assert!(matches!(directory, PatternsError::Unreadable { .. }), "{directory}");
        let endless = Patterns::read(Path::new("/dev/zero")).unwrap_err();
        let expected = "unable to read /dev/zero: it is a device, not a regular file";
        assert_eq!(endless.to_string(), expected);
        let here = Patterns::read(Path::new("/dev/null")).unwrap();
        assert!(here.decide("a").is_none());
    }

    /// What would take long, or could not be done at all, has been done elsewhere.
    #[test]
    fn what_is_in_a_table_is_not_compiled_again() {
        let tables = Patterns::parse("made", b"^mx[0-9]\n").unwrap().tables();
        let taken = Patterns::with_tables("taken", b"(no expression\n", &tables).unwrap();
        let origin = Origin { file: "taken", line: 1 };
        assert_eq!(taken.decide("mx1.example"), Some((origin, Action::Listed)));
        let made_anew = Patterns::with_tables("anew", b"^b\n", b"no tables").unwrap();
        assert!(
            made_anew.decide("b.example").is_some() && made_anew.decide("mx1.example").is_none()
        );
    }

    #[test]
    fn a_table_may_end_in_a_line_for_all_other_names() {
        let warned = |text: &str| Patterns::warnings("f", text.as_bytes());
        for text in ["/^mx/ OK\n/./ REJECT\n", "if /^a/\n/./ REJECT\nendif\n", "!/^a/ OK\n/./ OK\n"]
        {
            assert_eq!(warned(text), [""; 0], "{text}");
        }
        let told = warned("/^dsl/ REJECT\n/./ REJECT\n");
        assert_eq!(told, ["f line 2: matches every host name, or nearly every one"]);
        assert!(warned("/^mx/ OK\n/a|/ REJECT\n")[0].ends_with("an alternative is empty"));
    }

    #[test]
    fn warnings_name_file_and_line() {
        let told = Patterns::warnings("f", b"^dsl\n# x\n/^a/ REJECT\n");
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("f line 3: this is a line of a Postfix table"), "{told:?}");
        let told = Patterns::warnings("f", &b"a b\n".repeat(25));
        assert_eq!(
            (told.len(), told[20].as_str()),
            (21, "f: 5 more warnings: use --check to see them")
        );
    }
}
