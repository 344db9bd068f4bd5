//! What is wrong or suspicious in a file of the administrator's, line by line.

/// How much of it is shown.  What is wrong with a file is often wrong with all of its
/// lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// At a start or a reload: the first 20 of each kind.
    Some,
    /// To whoever asks for them, as by `--check`: the first 10,000.
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

    /// What to say of `more` warnings about the file `origin` that are not shown.
    #[must_use]
    pub fn rest(self, origin: &str, more: usize) -> Option<String> {
        let hint = match self {
            Self::Some => ": use --check to see them",
            Self::All => "",
        };
        (more > 0).then(|| format!("{origin}: {more} more warnings{hint}"))
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The file cannot be used.
    Mistake(String),
    /// It can, but may do something else than it seems to.
    Warning(String),
}

/// What was found in a file so far.
#[derive(Debug)]
pub struct Findings {
    extent: Extent,
    mistakes: Lines,
    warnings: Lines,
}

/// What was found on lines; 0 for the file as a whole.
#[derive(Debug, Default)]
struct Lines {
    shown: Vec<(u32, String)>,
    more: usize,
}

impl Lines {
    fn add(&mut self, most: usize, line: u32, text: impl FnOnce() -> String) {
        if self.shown.len() < most {
            self.shown.push((line, text()));
        } else {
            self.more += 1;
        }
    }
}

impl Findings {
    /// Nothing yet.
    #[must_use]
    pub fn new(extent: Extent) -> Self {
        Self { extent, mistakes: Lines::default(), warnings: Lines::default() }
    }

    /// Adds a warning about a line, or with 0 about the whole file.
    pub fn warn(&mut self, line: u32, why: impl FnOnce() -> String) {
        self.warnings.add(self.extent.most(), line, why);
    }

    /// Adds what keeps a line from being used, or with 0 the whole file.
    pub fn reject(&mut self, line: u32, why: impl FnOnce() -> String) {
        self.mistakes.add(self.extent.most(), line, why);
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
        let place = |line| if line == 0 { origin.into() } else { format!("{origin} line {line}") };
        let mistakes = self.mistakes.shown.into_iter().map(|(line, why)| {
            (line, Finding::Mistake(format!("unable to use {}: {why}", place(line))))
        });
        let warnings = self.warnings.shown.into_iter();
        let warnings =
            warnings.map(|(line, why)| (line, Finding::Warning(format!("{}: {why}", place(line)))));
        let mut lines: Vec<(u32, Finding)> = mistakes.chain(warnings).collect();
        lines.sort_by_key(|(line, _)| *line);
        let more = self.mistakes.more;
        let more =
            (more > 0).then(|| format!("unable to use {origin}: {more} more lines are wrong"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_and_warnings_stand_in_the_order_of_their_lines() {
        let mut findings = Findings::new(Extent::All);
        findings.warn(3, || "odd".into());
        findings.reject(2, || "wrong".into());
        findings.reject(4, || "wrong, too".into());
        findings.warn(0, || "old".into());
        let expected = [
            Finding::Warning("f: old".into()),
            Finding::Mistake("unable to use f line 2: wrong".into()),
            Finding::Warning("f line 3: odd".into()),
            Finding::Mistake("unable to use f line 4: wrong, too".into()),
        ];
        assert_eq!(findings.mistakes(), 2);
        assert_eq!(findings.in_order("f"), expected);
    }

    #[test]
    fn what_is_not_shown_is_counted() {
        for (extent, hint) in [(Extent::Some, ": use --check to see them"), (Extent::All, "")] {
            let mut findings = Findings::new(extent);
            for line in 1..=u32::try_from(extent.most()).unwrap() + 3 {
                findings.warn(line, || "odd".into());
                findings.reject(line, || "wrong".into());
            }
            let found = findings.in_order("f");
            assert_eq!(found.len(), 2 * extent.most() + 2);
            let rest = [
                Finding::Mistake("unable to use f: 3 more lines are wrong".into()),
                Finding::Warning(format!("f: 3 more warnings{hint}")),
            ];
            assert_eq!(found[found.len() - 2..], rest);
        }
    }
}
