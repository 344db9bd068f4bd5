//! Errors and warnings about a file of the administrator's, line by line.

use std::{error, fmt};

use crate::error::{Cause, Fatal};

/// How many are shown.  What is wrong with a file is often wrong with all of its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// At a start or a reload: the first 20 of each kind.
    Some,
    /// If they are asked for, as by `--check`: the first 10,000.
    All,
}

impl Extent {
    /// The most findings of a kind that are shown.
    #[must_use]
    pub fn most(self) -> usize {
        match self {
            Self::Some => 20,
            Self::All => 10_000,
        }
    }

    /// What a message says about `more` warnings about the file `origin` that are not
    /// shown.
    #[must_use]
    pub fn rest(self, origin: &str, more: usize) -> Option<String> {
        let hint = match self {
            Self::Some => ": use --check to see them",
            Self::All => "",
        };
        (more > 0).then(|| format!("{origin}: {more} more warnings{hint}"))
    }
}

/// The kind of a finding.
#[derive(Debug)]
pub enum Finding {
    /// The file cannot be used.
    Mistake(Fatal),
    /// It can be used, but may not do what it seems to.
    Warning(String),
}

/// The findings in a file so far.
#[derive(Debug)]
pub struct Findings {
    extent: Extent,
    mistakes: Lines<Cause>,
    warnings: Lines<String>,
}

/// What was found on lines; 0 for the file as a whole.
#[derive(Debug)]
struct Lines<T> {
    shown: Vec<(u32, T)>,
    more: usize,
}

impl<T> Lines<T> {
    const NONE: Self = Self { shown: Vec::new(), more: 0 };

    fn add(&mut self, most: usize, line: u32, what: impl FnOnce() -> T) {
        if self.shown.len() < most {
            self.shown.push((line, what()));
        } else {
            self.more += 1;
        }
    }
}

impl Findings {
    /// No findings.
    #[must_use]
    pub fn new(extent: Extent) -> Self {
        Self { extent, mistakes: Lines::NONE, warnings: Lines::NONE }
    }

    /// Adds a warning about a line, or with 0 about the whole file.
    pub fn warn(&mut self, line: u32, why: impl FnOnce() -> String) {
        self.warnings.add(self.extent.most(), line, why);
    }

    /// Adds what keeps a line from being used, or with 0 the whole file.
    pub fn reject<E: Into<Cause>>(&mut self, line: u32, why: impl FnOnce() -> E) {
        self.mistakes.add(self.extent.most(), line, || why().into());
    }

    /// How many lines were rejected.
    #[must_use]
    pub fn mistakes(&self) -> usize {
        self.mistakes.shown.len() + self.mistakes.more
    }

    /// Mistakes and warnings in the order of their lines, and how many there are besides;
    /// `origin` is what messages call the file.
    #[must_use]
    pub fn in_order(self, origin: &str) -> Vec<Finding> {
        let mistakes = self.mistakes.shown.into_iter().map(|(line, why)| {
            let mistake = match line {
                0 => Fatal::Unusable { what: origin.into(), why },
                _ => Fatal::At { file: origin.into(), line: line as usize, why },
            };
            (line, Finding::Mistake(mistake))
        });
        let warnings = self.warnings.shown.into_iter().map(|(line, why)| {
            let place = if line == 0 { String::new() } else { format!(" line {line}") };
            (line, Finding::Warning(format!("{origin}{place}: {why}")))
        });
        let mut lines: Vec<(u32, Finding)> = mistakes.chain(warnings).collect();
        lines.sort_by_key(|(line, _)| *line);
        let more = (self.mistakes.more > 0).then(|| Fatal::Unusable {
            what: origin.into(),
            why: MoreLines(self.mistakes.more).into(),
        });
        let rest = self.extent.rest(origin, self.warnings.more).map(Finding::Warning);
        let rest = more.map(Finding::Mistake).into_iter().chain(rest);
        lines.into_iter().map(|(_, finding)| finding).chain(rest).collect()
    }

    /// The warnings alone.
    #[must_use]
    pub fn warnings(self, origin: &str) -> Vec<String> {
        let found = self.in_order(origin).into_iter();
        let warnings = found.filter_map(|finding| match finding {
            Finding::Warning(why) => Some(why),
            Finding::Mistake(_) => None,
        });
        warnings.collect()
    }
}

/// So many lines are wrong besides those that are shown.
#[derive(Clone, Copy, Debug)]
struct MoreLines(usize);

impl fmt::Display for MoreLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more lines are wrong", self.0)
    }
}

impl error::Error for MoreLines {}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with its kind in front.
    fn told(findings: Findings) -> Vec<String> {
        let found = findings.in_order("f").into_iter();
        let told = found.map(|finding| match finding {
            Finding::Mistake(why) => format!("mistake: {why}"),
            Finding::Warning(why) => format!("warning: {why}"),
        });
        told.collect()
    }

    #[test]
    fn mistakes_and_warnings_stand_in_the_order_of_their_lines() {
        let mut findings = Findings::new(Extent::All);
        findings.warn(3, || "odd".into());
        findings.reject(2, || "wrong");
        findings.reject(4, || "wrong, too");
        findings.warn(0, || "old".into());
        let expected = [
            "warning: f: old",
            "mistake: unable to use f line 2: wrong",
            "warning: f line 3: odd",
            "mistake: unable to use f line 4: wrong, too",
        ];
        assert_eq!(findings.mistakes(), 2);
        assert_eq!(told(findings), expected);
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        for (extent, hint) in [(Extent::Some, ": use --check to see them"), (Extent::All, "")] {
            let mut findings = Findings::new(extent);
            for line in 1..=u32::try_from(extent.most()).unwrap() + 3 {
                findings.warn(line, || "odd".into());
                findings.reject(line, || "wrong");
            }
            let found = told(findings);
            assert_eq!(found.len(), 2 * extent.most() + 2);
            let rest = [
                "mistake: unable to use f: 3 more lines are wrong".into(),
                format!("warning: f: 3 more warnings{hint}"),
            ];
            assert_eq!(found[found.len() - 2..], rest);
        }
    }
}
