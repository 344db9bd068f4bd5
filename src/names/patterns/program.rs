//! The entries of a list in the order in which they are tried: successive ones with the
//! same result are one step, and any of them decides.

use super::matcher::{Budget, Expression, Matcher, TooBig};
use super::postfix::{Action, Entry, Kind};
use super::tables::{self, Table};

/// A list, compiled.
#[derive(Debug, Default)]
pub(super) struct Program {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    matcher: Matcher,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Any expression that matches decides.
    Any(Action),
    /// This line decides, unless its expression matches.
    Unless { line: u32, action: Action },
    /// Goes on at `end` unless the expression matches, or, without `unless_matched`, if it
    /// does.
    Skip { unless_matched: bool, end: usize },
}

impl Program {
    /// Fails if the expressions that fit no table are too big together.
    pub(super) fn new(entries: &[Entry], mut budget: Budget) -> Result<Self, TooBig> {
        Self::build(entries, |expressions| Matcher::within(&mut budget, expressions))
    }

    /// Uses the tables that another process has built of the same entries.  `None` if they
    /// are not tables.
    pub(super) fn with_tables(entries: &[Entry], bytes: &[u8]) -> Option<Self> {
        let (mut tables, mut budget) = (tables::from_bytes(bytes)?, Budget::default());
        let build = |expressions: &[Expression<'_>]| {
            let is_own = |table: &Table| {
                expressions.iter().any(|expression| table.lines.contains(&expression.line))
            };
            let (own, others) = tables.drain(..).partition(is_own);
            tables = others;
            Matcher::with_tables(&mut budget, expressions, own)
        };
        Self::build(entries, build).ok()
    }

    fn build(
        entries: &[Entry],
        mut matcher: impl FnMut(&[Expression<'_>]) -> Result<Matcher, TooBig>,
    ) -> Result<Self, TooBig> {
        let (mut steps, mut open, mut at): (Vec<Step>, Vec<usize>, _) = Default::default();
        while let Some(entry) = entries.get(at) {
            let together = entries[at..].iter().take_while(|other| is_same_step(entry, other));
            let count = together.count().max(1);
            let what = match entry.kind {
                Kind::Rule { negated: false, action } => Some(What::Any(action)),
                Kind::Rule { negated: true, action } => {
                    Some(What::Unless { line: entry.line, action })
                }
                Kind::If { negated } => {
                    open.push(steps.len());
                    Some(What::Skip { unless_matched: !negated, end: 0 })
                }
                Kind::EndIf => {
                    close(&mut steps, open.pop());
                    None
                }
            };
            if let Some(what) = what {
                let expressions = entries[at..at + count].iter().map(Entry::as_expression);
                steps.push(Step { matcher: matcher(&expressions.collect::<Vec<_>>())?, what });
            }
            at += count;
        }
        Ok(Self { steps })
    }

    /// The line that decides about `name`, and how.
    pub(super) fn find(&self, name: &str) -> Option<(u32, Action)> {
        let mut at = 0;
        while let Some(Step { matcher, what }) = self.steps.get(at) {
            at += 1;
            match (*what, matcher.find(name)) {
                (What::Any(action), Some(line)) | (What::Unless { line, action }, None) => {
                    return Some((line, action));
                }
                (What::Skip { unless_matched, end }, found)
                    if unless_matched != found.is_some() =>
                {
                    at = at.max(end);
                }
                _ => (),
            }
        }
        None
    }

    /// All tables as bytes, for another process.
    pub(super) fn tables(&self) -> Vec<u8> {
        tables::to_bytes(self.steps.iter().flat_map(|step| step.matcher.all_tables()))
    }

    /// The lines of the expressions that are in no table.
    pub(super) fn slow(&self) -> impl Iterator<Item = u32> {
        self.steps.iter().flat_map(|step| step.matcher.slow())
    }
}

/// Sets the end of the block that the step at `start` opens to this place.
fn close(steps: &mut [Step], start: Option<usize>) {
    let here = steps.len();
    let step = start.and_then(|start| steps.get_mut(start));
    if let Some(Step { what: What::Skip { end, .. }, .. }) = step {
        *end = here;
    }
}

fn is_same_step(first: &Entry, other: &Entry) -> bool {
    matches!(first.kind, Kind::Rule { negated: false, .. }) && first.kind == other.kind
}

#[cfg(test)]
mod tests {
    use super::super::postfix;
    use super::*;

    const TABLE: &[u8] = b"/^mx/ OK\n/^a/ REJECT\n/^b/ REJECT\nif /^c/\n/1/ REJECT\nif !/2/\n\
        /3/ OK\nendif\n/./ 450 x\nendif\n!/[a-z]/ REJECT\n/a.{20}b/ DUNNO\n/^d/ REJECT";

    fn found(program: &Program) -> Vec<Option<(u32, Action)>> {
        let names = ["mxa.x", "a.mx", "b.x", "c1.x", "c3.x", "c23.x", "1.2", "d.x", "z.x"];
        names.iter().map(|name| program.find(name)).collect()
    }

    #[test]
    fn the_first_line_that_matches_decides() {
        use Action::{Passed, Refused};
        let entries = postfix::read(TABLE).entries;
        let program = Program::new(&entries, Budget::default()).unwrap();
        let expected = [
            Some((1, Passed)),
            Some((2, Refused)),
            Some((3, Refused)),
            Some((5, Refused)),
            Some((7, Passed)),
            Some((9, Refused)),
            Some((11, Refused)),
            Some((13, Refused)),
            None,
        ];
        assert_eq!(found(&program), expected);
        let taken = Program::with_tables(&entries, &program.tables()).unwrap();
        assert_eq!(found(&taken), expected);
        assert_eq!(taken.slow().collect::<Vec<_>>(), program.slow().collect::<Vec<_>>());
    }
}
