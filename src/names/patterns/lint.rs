//! Expressions that do not do what they seem to, as lines of another program's table: those
//! that match no host name, and those that match all.

use regex_automata::nfa::thompson::{NFA, pikevm::PikeVM};
use regex_automata::{Input, MatchKind, PatternID, PatternSet};

use super::host_names::{Anchors, has_match};
use super::matcher::{COMPILED, Expression, GROUP, nfa};

/// Host names with little in common, each with a dot and a letter: an expression that
/// matches all of them matches nearly every host name.
const VARIOUS: [&str; 7] = [
    "mx1.mail.example.com",
    "t.co",
    "ns.cz",
    "4.example.net",
    "x.uu",
    "192-0-2-1.dsl.dynamic.provider.example.org",
    "xn--bcher-kva.example",
];

/// Warnings, by line.
pub(super) fn warnings(expressions: &[Expression<'_>]) -> Vec<(u32, &'static str)> {
    let mut warnings = Vec::new();
    expressions.chunks(GROUP).for_each(|group| look_at(group, &mut warnings));
    warnings
}

/// Whether `why`, of [`warnings`], is that the expression matches every host name.
pub(super) fn is_catch_all(why: &str) -> bool {
    why == CATCH_ALL
}

/// Compiles a group together, or in halves if it is too big.
fn look_at(group: &[Expression<'_>], warnings: &mut Vec<(u32, &'static str)>) {
    let compiled = nfa(group, COMPILED).and_then(|nfa| Compiled::new(nfa, group.len()));
    match compiled {
        Some(compiled) => {
            for (expression, pattern) in group.iter().zip(compiled.nfa.patterns()) {
                let why = compiled.why_suspicious(expression.text, pattern);
                warnings.extend(why.map(|why| (expression.line, why)));
            }
        }
        None if group.len() > 1 => {
            let (first, second) = group.split_at(group.len() / 2);
            look_at(first, warnings);
            look_at(second, warnings);
        }
        None => (),
    }
}

/// A group of expressions, and which of them match.
struct Compiled {
    nfa: NFA,
    match_all: PatternSet,
    match_nothing: PatternSet,
}

impl Compiled {
    fn new(nfa: NFA, count: usize) -> Option<Self> {
        let config = PikeVM::config().match_kind(MatchKind::All);
        let vm = PikeVM::builder().configure(config).build_from_nfa(nfa.clone()).ok()?;
        let mut cache = vm.create_cache();
        let mut matching = |text: &str| {
            let mut set = PatternSet::new(count);
            vm.which_overlapping_matches(&mut cache, &Input::new(text), &mut set);
            set
        };
        let match_nothing = matching("");
        let sets = VARIOUS.map(&mut matching);
        let mut match_all = PatternSet::new(count);
        for pattern in nfa.patterns() {
            if sets.iter().all(|set| set.contains(pattern)) {
                match_all.insert(pattern);
            }
        }
        Some(Self { nfa, match_all, match_nothing })
    }

    fn why_suspicious(&self, text: &str, pattern: PatternID) -> Option<&'static str> {
        let matches_with = |anchors| {
            self.nfa.start_pattern(pattern).is_some_and(|at| has_match(&self.nfa, at, anchors))
        };
        let is_postfix = ["/", "!/", "if ", "if/"].iter().any(|begin| text.starts_with(begin));
        match () {
            () if text == "endif" => Some(POSTFIX),
            () if self.match_all.contains(pattern) => {
                let is_empty = text.contains('|') && self.match_nothing.contains(pattern);
                Some(if is_empty { EMPTY_ALTERNATIVE } else { CATCH_ALL })
            }
            () if matches_with(Anchors::Heeded) => None,
            () if is_postfix => Some(POSTFIX),
            () if text.contains([' ', '\t']) => Some(MORE_BEHIND),
            () if matches_with(Anchors::Ignored) => Some(ANCHOR),
            () => Some(NO_NAME),
        }
    }
}

const CATCH_ALL: &str = "matches every host name, or nearly every one";
const EMPTY_ALTERNATIVE: &str = "matches every name: an alternative is empty";
const POSTFIX: &str = "this is a line of a Postfix table: write the expression alone, without \
                       slashes and action";
const MORE_BEHIND: &str = "matches no host name: a line has an expression and nothing behind it";
const ANCHOR: &str = "matches no host name: a name begins at `^' and ends at `$', with no dot \
                      at either end";
const NO_NAME: &str = "matches no host name: a name has up to 253 lower-case letters, digits, \
                       `-', `_' and `.'";

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(text: &str) -> Option<&'static str> {
        let told = warnings(&[Expression { line: 1, text: "a" }, Expression { line: 7, text }]);
        assert!(told.iter().all(|(line, _)| *line == 7));
        told.first().map(|(_, why)| *why)
    }

    #[test]
    fn expressions_for_host_names_are_not_warned_of() {
        for text in [
            "^dsl-",
            "\\.dyn\\.",
            "DSL",
            "[A-Z]+\\d",
            "a|b",
            "x?-",
            "[^/]_",
            "\\W\\W\\w",
            "^[a-z]",
            "[0-9]",
            "[aeiou]",
            "-$|^-",
            "^[^.]+$",
            "\\.(com|net|org)$",
            "^.{1,40}$",
            "^.{253}$",
            "\\.$|^a",
            "(?x) a # b",
            "^.{3}$",
            "\\bppp\\b",
            "(a|/)b",
            "if-a",
            "a.{200}",
            "(?:dsl|)-\\d",
        ] {
            assert_eq!(warning(text), None, "{text}");
        }
    }

    #[test]
    fn lines_of_other_tables_are_warned_of() {
        for text in [
            "/^dsl-/ REJECT",
            "/dsl|ppp/i 450 no",
            "!/\\.example$/",
            "if /^dsl/",
            "if !/^mx/",
            "endif",
        ] {
            assert_eq!(warning(text), Some(POSTFIX), "{text}");
        }
        for text in [".example.com REJECT", "From:spam.example\tREJECT", "dsl- # comment", "^a b$"]
        {
            assert!(warning(text).is_some_and(|why| why.ends_with("nothing behind it")), "{text}");
        }
        for text in ["a@b", "(?-i)DSL", "[^a-z0-9_.-]", "^\\[192", "=.example.com", "x,y|/"] {
            assert!(warning(text).is_some_and(|why| why.ends_with("and `.'")), "{text}");
        }
    }

    #[test]
    fn expressions_that_match_every_host_name_are_warned_of() {
        for text in [
            ".*",
            ".+",
            "^",
            "$",
            ".",
            "x*",
            "()",
            "^.*$",
            "[a-z]+",
            "[^x]",
            "",
            "x?",
            "[^/]",
            "\\W",
            "\\w",
            "\\.",
            "\\b",
            "..",
            "[a-z]$",
            "^[a-z0-9.-]+$",
            "\\.[a-z]+$",
            "[a-z]|[0-9]",
            "(?i)\\S+",
        ] {
            assert_eq!(warning(text), Some(CATCH_ALL), "{text}");
        }
    }

    #[test]
    fn anchors_and_lengths_that_no_host_name_has_are_warned_of() {
        for text in [
            "foo$bar",
            "foo^bar",
            "^$",
            "\\.example\\.org\\.$",
            "^\\.",
            "a$b|c$d",
            "a\\bb",
            "-\\b$",
            "\\.$",
            "(?m)a$^b",
        ] {
            assert_eq!(warning(text), Some(ANCHOR), "{text}");
        }
        for text in [".{254}", "^.{254,}$", "a.{400}", "\\.\\.", "(x{200}){2}"] {
            assert_eq!(warning(text), Some(NO_NAME), "{text}");
        }
    }

    #[test]
    fn an_empty_alternative_is_warned_of() {
        for text in ["||ads.example.com^", "a|", "(dsl|)"] {
            let why = warning(text);
            assert_eq!(why, Some("matches every name: an alternative is empty"), "{text}");
        }
    }
}
