//! What a program takes: its options and operands, and how it introduces itself.

use std::ffi::OsString;

use super::Options;
use super::table::Opt;
use crate::error::Fatal;

/// The command line of a program.
pub struct CommandLine {
    /// The program's name.
    pub program: &'static str,
    /// Its man page, with the section.
    pub page: &'static str,
    /// How it is called.
    pub usage: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its options, in the order of the help text.
    pub options: &'static [&'static [Opt]],
    /// Letters that stand for long options.
    pub letters: &'static [(char, &'static str)],
    /// Puts the operands where they belong.
    pub(super) place: fn(&mut Options, Vec<OsString>) -> Result<(), Fatal>,
    /// Finds options that do not go together.
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
