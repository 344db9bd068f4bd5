//! Expressions that do something else than they seem to, as lines of another
//! program's table do: those that match no host name, and those that match all
//! because an alternative is empty.

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::primitives::StateID;

use super::matcher::{COMPILED, Expression, GROUP, nfa};

/// What is worth a warning, by line.
pub(super) fn warnings(expressions: &[Expression<'_>]) -> Vec<(u32, &'static str)> {
    let mut warnings = Vec::new();
    expressions.chunks(GROUP).for_each(|group| look_at(group, &mut warnings));
    warnings
}

/// Compiles a group at once, or in halves where all are too big together.
fn look_at(group: &[Expression<'_>], warnings: &mut Vec<(u32, &'static str)>) {
    match nfa(group, COMPILED) {
        Some(nfa) => {
            let starts = nfa.patterns().filter_map(|pattern| nfa.start_pattern(pattern));
            for (expression, start) in group.iter().zip(starts) {
                let why = why_suspicious(expression.text, &nfa, start);
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

fn why_suspicious(text: &str, nfa: &NFA, start: StateID) -> Option<&'static str> {
    let is_postfix = ["/", "!/", "if ", "if/"].iter().any(|begin| text.starts_with(begin));
    match () {
        () if text == "endif" => Some(POSTFIX),
        () if leads_to_match(nfa, start, Over::Names) => {
            let is_empty = text.contains('|') && leads_to_match(nfa, start, Over::Nothing);
            is_empty.then_some("matches every name: an alternative is empty")
        }
        () if is_postfix => Some(POSTFIX),
        () if text.contains([' ', '\t']) => {
            Some("matches no host name: a line has an expression and nothing behind it")
        }
        () => Some("matches no host name: a name has lower-case letters, digits, `-', `_' and `.'"),
    }
}

const POSTFIX: &str = "this is a line of a Postfix table: write the expression alone, without \
                       slashes and action";

/// What may be read on the way to a match.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// The bytes of host names; whether a place in the name is right is not
    /// looked at.
    Names,
    /// Nothing, in whatever place.
    Nothing,
}

fn leads_to_match(nfa: &NFA, start: StateID, over: Over) -> bool {
    let mut seen = vec![false; nfa.states().len()];
    let mut open = vec![start];
    while let Some(state) = open.pop() {
        if std::mem::replace(&mut seen[state.as_usize()], true) {
            continue;
        }
        if matches!(nfa.state(state), State::Match { .. }) {
            return true;
        }
        next(nfa.state(state), over, &mut open);
    }
    false
}

fn next(state: &State, over: Over, open: &mut Vec<StateID>) {
    let reads = |start: u8, end: u8| over == Over::Names && is_of_names(start, end);
    match state {
        State::ByteRange { trans } => {
            open.extend(reads(trans.start, trans.end).then_some(trans.next));
        }
        State::Sparse(sparse) => {
            let read = sparse.transitions.iter().filter(|trans| reads(trans.start, trans.end));
            open.extend(read.map(|trans| trans.next));
        }
        State::Dense(dense) => {
            let read = (0..=255).filter(|byte| reads(*byte, *byte));
            let read = read.map(|byte| dense.transitions[usize::from(byte)]);
            open.extend(read.filter(|next| *next != StateID::ZERO));
        }
        State::Look { next, .. } => open.extend((over == Over::Names).then_some(*next)),
        State::Union { alternates } => open.extend(alternates.iter()),
        State::BinaryUnion { alt1, alt2 } => open.extend([alt1, alt2]),
        State::Capture { next, .. } => open.push(*next),
        State::Fail | State::Match { .. } => (),
    }
}

/// Whether a byte from `start` to `end` may stand in a host name.
fn is_of_names(start: u8, end: u8) -> bool {
    let overlaps = |(first, last): (u8, u8)| start <= last && first <= end;
    [(b'a', b'z'), (b'0', b'9'), (b'-', b'.'), (b'_', b'_')].into_iter().any(overlaps)
}

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
            ".*",
            "",
            "x?",
            "[^/]",
            "\\W",
            "(?x) a # b",
            "^.{3}$",
            "\\bppp\\b",
            "(a|/)b",
            "if-a",
            "a.{400}",
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
    fn an_empty_alternative_is_warned_of() {
        for text in ["||ads.example.com^", "a|", "(dsl|)"] {
            let why = warning(text);
            assert_eq!(why, Some("matches every name: an alternative is empty"), "{text}");
        }
    }
}
