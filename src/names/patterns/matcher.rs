//! The engines for a list of expressions: tables (DFAs) built beforehand, which a match
//! only reads, so that children share them; and a slow engine for the expressions that fit
//! no table, with a cache that lives for one match.  A cache kept in a child would cost
//! every child its memory.

use regex::bytes::RegexBuilder;
use regex_automata::Input;
use regex_automata::dfa::{StartKind, dense};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures, pikevm::PikeVM};
use regex_automata::util::syntax;

use super::error::ExpressionError;
use super::table_error::TableError;
use super::tables::Table;

/// The most bytes of all tables of one list together.
const TABLES: usize = 4 << 20;
/// The most bytes that building a table may take beside the table.  With more, one
/// expression could exceed the daemon's memory limit.
const DETERMINIZE: usize = 1 << 20;
/// The most expressions in one table: the time to build one grows with the square of their
/// number (half a second for 300, 20 s for 1,600).  Also the most that the slow engine
/// compiles at once, which takes many times the size of the result.
pub(super) const GROUP: usize = 64;
/// The most bytes of a table for each of its expressions, about what one takes in a table
/// of its own.  If a group needs more it is split.
const GROUP_SHARE: usize = 16 << 10;
/// The most bytes of an expression, or a group of them, compiled to build a table of.
pub(super) const COMPILED: usize = 1 << 20;
/// The most bytes of all expressions of the slow engine together.
const SLOW: usize = 2 << 20;

/// The most bytes that the engines of one list may take together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    tables: usize,
    slow: usize,
}

impl Budget {
    /// For a list that is matched once: no tables, which take longer to build.
    pub(super) const WITHOUT_TABLES: Self = Self { tables: 0, slow: SLOW };
}

impl Default for Budget {
    fn default() -> Self {
        Self { tables: TABLES, slow: SLOW }
    }
}

/// One expression of the list, which [`check`] has accepted.
#[derive(Clone, Copy)]
pub(super) struct Expression<'a> {
    /// From 1.
    pub(super) line: u32,
    pub(super) text: &'a str,
}

/// Checks that `text` is an expression of the `regex` crate's syntax, and not too large
/// once it is compiled.
pub(super) fn check(text: &str) -> Result<(), ExpressionError> {
    let mut builder = RegexBuilder::new(text);
    builder.unicode(false).case_insensitive(true).size_limit(COMPILED);
    builder.build().map(drop).map_err(ExpressionError::Refused)
}

/// Checks that `text` is of that syntax, which takes less time than [`check`].
pub(super) fn parses(text: &str) -> Result<(), TableError> {
    let config = syntax::Config::new().unicode(false).utf8(false).case_insensitive(true);
    syntax::parse_with(text, &config).map(drop).map_err(|why| TableError::of_syntax(&why))
}

/// Expressions ready to match.
#[derive(Debug, Default)]
pub(super) struct Matcher {
    tables: Vec<Table>,
    slow: Vec<Slow>,
}

#[derive(Debug)]
struct Slow {
    vm: PikeVM,
    lines: Box<[u32]>,
}

impl Matcher {
    #[cfg(test)]
    pub(super) fn new(expressions: &[Expression<'_>]) -> Result<Self, TooBig> {
        Self::within(&mut Budget::default(), expressions)
    }

    /// Takes memory from `budget`.  Fails if the expressions for the slow engine are too
    /// big for it as well.
    pub(super) fn within(
        budget: &mut Budget,
        expressions: &[Expression<'_>],
    ) -> Result<Self, TooBig> {
        let mut builder = Builder { tables: Vec::new(), left: budget.tables, slow: Vec::new() };
        for group in expressions.chunks(GROUP) {
            builder.add(group);
        }
        budget.tables = builder.left;
        let slow = Slow::groups(&builder.slow, &mut budget.slow)?;
        Ok(Self { tables: builder.tables, slow })
    }

    /// The tables.
    pub(super) fn all_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter()
    }

    /// Uses the tables that another process has built of the same expressions; only
    /// expressions that are in none are compiled.
    pub(super) fn with_tables(
        budget: &mut Budget,
        expressions: &[Expression<'_>],
        tables: Vec<Table>,
    ) -> Result<Self, TooBig> {
        let mut held: Vec<u32> = tables.iter().flat_map(|table| table.lines.to_vec()).collect();
        held.sort_unstable();
        let slow = expressions.iter().filter(|it| held.binary_search(&it.line).is_err());
        let slow: Vec<Expression<'_>> = slow.copied().collect();
        Ok(Self { tables, slow: Slow::groups(&slow, &mut budget.slow)? })
    }

    /// The line of an expression that matches `name`.  Allocates only if the slow engine is
    /// used.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let table = self.tables.iter().find_map(|table| table.find(name));
        table.or_else(|| self.slow.iter().find_map(|slow| slow.find(name)))
    }

    /// The lines of the expressions that are in no table.
    pub(super) fn slow(&self) -> impl Iterator<Item = u32> {
        self.slow.iter().flat_map(|slow| slow.lines.iter().copied())
    }
}

impl Slow {
    fn new(group: &[Expression<'_>]) -> Option<Self> {
        let vm = PikeVM::new_from_nfa(nfa(group, SLOW)?).ok()?;
        Some(Self { vm, lines: lines(group) })
    }

    fn groups(expressions: &[Expression<'_>], left: &mut usize) -> Result<Vec<Self>, TooBig> {
        let mut groups = Vec::new();
        for group in expressions.chunks(GROUP) {
            let nfa = nfa(group, *left).ok_or(TooBig)?;
            *left = left.saturating_sub(nfa.memory_usage());
            let vm = PikeVM::new_from_nfa(nfa).map_err(|_| TooBig)?;
            groups.push(Self { vm, lines: lines(group) });
        }
        Ok(groups)
    }

    fn find(&self, name: &str) -> Option<u32> {
        let mut cache = self.vm.create_cache();
        let input = Input::new(name).earliest(true);
        let found = self.vm.search_slots(&mut cache, &input, &mut [])?;
        Some(self.lines[found.as_usize()])
    }
}

/// The result of [`find_once`].
pub(super) struct Findings<'n, 'e> {
    /// Each name, and the line of an expression that matches it.
    pub(super) lines: Vec<(&'n str, Option<u32>)>,
    /// The first expression that cannot be compiled; [`check`] tells why.
    pub(super) wrong: Option<Expression<'e>>,
}

/// Finds expressions that match `names`, for a process that judges them once: no table is
/// built, and nothing is kept.
pub(super) fn find_once<'n, 'e>(
    expressions: &[Expression<'e>],
    names: &[&'n str],
) -> Findings<'n, 'e> {
    let lines = names.iter().map(|name| (*name, None)).collect();
    let mut findings = Findings { lines, wrong: None };
    expressions.chunks(GROUP).for_each(|group| findings.look_in(group));
    findings
}

impl<'e> Findings<'_, 'e> {
    /// Compiles a group together, or in halves if one of its expressions is wrong or it is
    /// too big.
    fn look_in(&mut self, group: &[Expression<'e>]) {
        if self.lines.iter().all(|(_, line)| line.is_some()) {
            return;
        }
        if let Some(slow) = Slow::new(group) {
            let open = self.lines.iter_mut().filter(|(_, line)| line.is_none());
            return open.for_each(|(name, line)| *line = slow.find(name));
        }
        let (first, second) = group.split_at(group.len() / 2);
        if first.is_empty() {
            self.wrong = self.wrong.or(second.first().copied());
        } else {
            self.look_in(first);
            self.look_in(second);
        }
    }
}

/// The expressions that fit no table are too big together.
#[derive(Debug)]
pub(super) struct TooBig;

struct Builder<'a> {
    tables: Vec<Table>,
    /// Bytes left for tables.
    left: usize,
    slow: Vec<Expression<'a>>,
}

impl<'a> Builder<'a> {
    /// One table for the group, or one for each half if that is too big.
    fn add(&mut self, group: &[Expression<'a>]) {
        let share = if group.len() == 1 { TABLES } else { GROUP_SHARE * group.len() };
        if let Some(dfa) = table(group, self.left.min(share)) {
            self.left = self.left.saturating_sub(dfa.memory_usage());
            self.tables.push(Table { dfa, lines: lines(group) });
        } else if group.len() == 1 {
            self.slow.extend_from_slice(group);
        } else {
            let (first, second) = group.split_at(group.len() / 2);
            self.add(first);
            self.add(second);
        }
    }
}

fn table(group: &[Expression<'_>], limit: usize) -> Option<dense::DFA<Vec<u32>>> {
    let config = dense::Config::new()
        .start_kind(StartKind::Unanchored)
        .dfa_size_limit(Some(limit))
        .determinize_size_limit(Some(DETERMINIZE.min(limit)));
    dense::Builder::new().configure(config).build_from_nfa(&nfa(group, COMPILED)?).ok()
}

pub(super) fn nfa(expressions: &[Expression<'_>], limit: usize) -> Option<NFA> {
    let texts: Vec<&str> = expressions.iter().map(|expression| expression.text).collect();
    NFA::compiler()
        .syntax(syntax::Config::new().unicode(false).utf8(false).case_insensitive(true))
        .configure(
            thompson::Config::new()
                .utf8(false)
                .which_captures(WhichCaptures::None)
                .nfa_size_limit(Some(limit)),
        )
        .build_many(&texts)
        .ok()
}

fn lines(expressions: &[Expression<'_>]) -> Box<[u32]> {
    expressions.iter().map(|expression| expression.line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Needs a state for every set of the last 20 letters.
    const EXPLODES: &str = "a.{20}b";

    fn within(tables: usize, texts: &[impl AsRef<str>]) -> Result<Matcher, TooBig> {
        let texts = (1..).zip(texts);
        let expressions = texts.map(|(line, text)| Expression { line, text: text.as_ref() });
        let mut budget = Budget { tables, slow: SLOW };
        Matcher::within(&mut budget, &expressions.collect::<Vec<_>>())
    }

    fn matcher(texts: &[impl AsRef<str>]) -> Matcher {
        within(TABLES, texts).unwrap()
    }

    fn bytes(matcher: &Matcher) -> usize {
        matcher.tables.iter().map(|table| table.dfa.memory_usage()).sum()
    }

    #[test]
    fn a_short_list_is_one_table() {
        let matcher = matcher(&["^a", "b$", "\\bc\\b"]);
        assert_eq!((matcher.tables.len(), matcher.slow().count()), (1, 0));
        for (name, line) in [("ax", Some(1)), ("xb", Some(2)), ("x-c-x", Some(3)), ("xcx", None)] {
            assert_eq!(matcher.find(name), line, "{name}");
        }
    }

    #[test]
    fn a_long_list_keeps_its_lines() {
        let texts: Vec<_> = (1..=200).map(|line| format!("^n{line}\\.")).collect();
        for (tables, expected) in [(TABLES, (4, 0)), (0, (0, 200))] {
            let matcher = within(tables, &texts).unwrap();
            assert_eq!((matcher.tables.len(), matcher.slow().count()), expected);
            for line in 1..=200 {
                assert_eq!(matcher.find(&format!("n{line}.example")), Some(line));
            }
            assert_eq!(matcher.find("n201.example"), None);
        }
    }

    #[test]
    fn a_big_expression_has_a_table_of_its_own() {
        let big = matcher(&["a.{9}b"]);
        assert_eq!((big.tables.len(), big.slow().count()), (1, 0));
        assert!(bytes(&big) > 2 * GROUP_SHARE, "{}", bytes(&big));
        assert_eq!(matcher(&["a.{9}b", "c.{9}d"]).tables.len(), 2);
    }

    #[test]
    fn what_fits_no_table_is_slow_and_alone() {
        let texts = ["^one", "^two", EXPLODES, "^four", "^five"];
        let matcher = matcher(&texts);
        assert_eq!(matcher.slow().collect::<Vec<_>>(), [3]);
        for (name, line) in [("one", 1), ("two", 2), ("four", 4), ("five", 5)] {
            assert_eq!(matcher.find(name), Some(line), "{name}");
        }
        assert_eq!(matcher.find("A01234567890123456789B"), Some(3));
        assert_eq!(matcher.find("a0123456789012345678b"), None);
    }

    #[test]
    fn all_tables_together_are_bounded() {
        let texts: Vec<_> = (10..60).map(|n| format!("a.{{6}}b{n}")).collect();
        let limit = 100_000;
        let matcher = within(limit, &texts).unwrap();
        assert!((limit / 2..=limit).contains(&bytes(&matcher)), "{}", bytes(&matcher));
        let slow = matcher.slow().count();
        assert!((1..texts.len()).contains(&slow), "{slow}");
        for (line, n) in (1..).zip(10..60) {
            assert_eq!(matcher.find(&format!("a123456b{n}")), Some(line));
        }
    }

    #[test]
    fn the_slow_engine_is_bounded_too() {
        assert!(within(0, &["a.{400}"; GROUP]).is_ok());
        assert!(within(0, &["a.{400}"; 2 * GROUP]).is_err());
        assert!(within(0, &["a(.{100}){100}"; 5]).is_err());
    }

    #[test]
    fn one_name_is_judged_as_by_the_tables() {
        let texts: Vec<String> = (0..200).map(|n| format!("^h{n}\\.|{EXPLODES}{n}$")).collect();
        let expressions: Vec<_> =
            (1..).zip(&texts).map(|(line, text)| Expression { line, text }).collect();
        let tables = matcher(&["^h7\\.", "^h199\\."]);
        for (name, line) in [("h7.x", Some(8)), ("H199.x", Some(200)), ("h200.x", None)] {
            let findings = find_once(&expressions, &[name, "x"]);
            assert_eq!(findings.lines, [(name, line), ("x", None)]);
            assert!(findings.wrong.is_none());
            assert_eq!(tables.find(name).is_some(), line.is_some(), "{name}");
        }
        let wrong = find_once(&[Expression { line: 7, text: "(" }], &["x"]).wrong;
        assert_eq!(wrong.map(|wrong| wrong.line), Some(7));
        let big: Vec<String> = (0..GROUP).map(|n| format!("^x[ab]{{600}}N{n}$")).collect();
        let big: Vec<_> = (1..).zip(&big).map(|(line, text)| Expression { line, text }).collect();
        assert!(find_once(&big, &["x"]).wrong.is_none(), "each is small enough");
    }

    #[test]
    fn check_takes_the_crates_syntax() {
        for good in ["", "a|b", "(?i)a", "(?P<x>a)", "[[:digit:]]", "\\x41", "(?x) a # b"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let refused = |text| match check(text) {
            Err(ExpressionError::Refused(why)) => why,
            other => panic!("{text}: {other:?}"),
        };
        assert!(matches!(refused("("), regex::Error::Syntax(_)));
        assert!(matches!(refused("(a{900}){900}"), regex::Error::CompiledTooBig(_)));
    }
}
