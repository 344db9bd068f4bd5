//! The command line of a program: its options and operands, and its help text.

use std::ffi::OsString;
use std::fmt::Write as _;

use super::Options;
use super::table::Opt;
use crate::error::Fatal;

/// The command line of a program.
pub struct CommandLine {
    /// The program's name.
    pub program: &'static str,
    /// Its man page, with the section.
    pub page: &'static str,
    /// Its synopsis.
    pub usage: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its options, in the order of the help text.
    pub options: &'static [&'static [Opt]],
    /// Letters that stand for long options.
    pub letters: &'static [(char, &'static str)],
    /// Stores the operands.
    pub(super) place: fn(&mut Options, Vec<OsString>) -> Result<(), Fatal>,
    /// Finds options that exclude each other.
    pub(super) check: fn(&mut Options) -> Vec<Fatal>,
}

impl CommandLine {
    /// All options.
    pub fn all(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().flat_map(|options| options.iter())
    }

    /// The letter that stands for a long option.
    #[must_use]
    pub fn letter_of(&self, long: &str) -> Option<char> {
        self.letters.iter().find(|(_, name)| *name == long).map(|(letter, _)| *letter)
    }

    pub(super) fn by_letter(&self, letter: char) -> Option<&'static Opt> {
        let long = self.letters.iter().find(|(known, _)| *known == letter).map(|(_, long)| *long);
        self.all().find(|opt| opt.letter == Some(letter) || (long.is_some() && opt.long == long))
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&'static Opt> {
        self.all().find(|opt| opt.long == Some(name))
    }

    /// All long names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.all().filter_map(|opt| opt.long)
    }
}

/// The help text of a program.
#[must_use]
pub fn help(line: &CommandLine) -> String {
    let mut text = format!("usage: {}\n\n{}\n\n", line.usage, line.about);
    for opt in line.all() {
        let names = match opt.long.and_then(|long| line.letter_of(long)) {
            Some(letter) => format!("-{letter}, {}", opt.written()),
            None => opt.written(),
        };
        let left = format!("{names}{}", opt.argument.map(|a| format!(" {a}")).unwrap_or_default());
        let gap = if left.len() > 22 { format!("\n{:26}", "") } else { String::new() };
        let _ = writeln!(text, "  {left:<22}  {gap}{}", opt.help);
    }
    let _ = writeln!(text, "\nSee {}.", line.page);
    text
}

#[cfg(test)]
mod tests {
    use super::super::daemon::DAEMON;
    use super::super::link::LINK;
    use super::*;

    #[test]
    fn every_option_stands_in_the_help_text_once() {
        for line in [&DAEMON, &LINK] {
            let help = help(line);
            for opt in line.all() {
                let lines = help.lines().filter_map(|line| line.strip_prefix("  "));
                let heads = lines.filter_map(|line| line.split("  ").next());
                let named =
                    heads.filter(|head| head.split([' ', ',']).any(|word| word == opt.written()));
                assert_eq!(named.count(), 1, "{}", opt.written());
                assert!(help.contains(opt.help), "{}", opt.written());
            }
            assert!(help.lines().all(|line| line.len() <= 96), "{help}");
        }
        assert!(help(&LINK).contains("  -d, --delay-static SECS"));
    }

    #[test]
    fn names_are_unique() {
        for line in [&DAEMON, &LINK] {
            let mut names: Vec<String> = line.all().map(Opt::written).collect();
            names.extend(line.letters.iter().map(|(letter, _)| format!("-{letter}")));
            names.sort();
            let all = names.len();
            names.dedup();
            assert_eq!(names.len(), all, "{}", line.program);
        }
    }

    #[test]
    fn every_letter_stands_for_a_long_option() {
        for (letter, long) in LINK.letters {
            assert!(LINK.all().any(|opt| opt.long == Some(long)), "-{letter}");
        }
    }
}
