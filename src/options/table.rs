//! Options, and the help text that is made of a table of them.  The command line, `--help`
//! and the tests that compare the man pages with the code all read the tables.

use std::ffi::OsStr;

use super::Options;
use super::values::Value;

/// What an option does.
#[derive(Clone, Copy)]
pub enum Setter {
    /// It takes no argument.
    Flag(fn(&mut Options)),
    /// It takes an argument.
    Value(fn(&mut Options, &OsStr) -> Value<()>),
    /// It is answered at once, and nothing runs (`--help`).
    Answer,
}

/// One option.
pub struct Opt {
    /// The long name, without dashes.
    pub long: Option<&'static str>,
    /// The letter.
    pub letter: Option<char>,
    /// The name of its argument.
    pub argument: Option<&'static str>,
    /// What it does, in a few words; the default in brackets.
    pub help: &'static str,
    /// How it is stored.
    pub setter: Setter,
    /// Whether it may be given more than once, and adds up.
    pub repeats: bool,
    /// Whether it is not allowed in a file.
    pub typed: bool,
    /// Whether the daemon takes a change of it over only when it is restarted.
    pub restart: bool,
}

impl Opt {
    /// The name as it is typed: `-c` or `--delay`.
    #[must_use]
    pub fn written(&self) -> String {
        match (self.letter, self.long) {
            (Some(letter), _) => format!("-{letter}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => String::new(),
        }
    }

    /// The same, for one that may be given more than once and adds up.
    pub(super) const fn repeated(mut self) -> Self {
        self.repeats = true;
        self
    }

    /// The same, for one that SIGHUP leaves as it is.
    pub(super) const fn restart(mut self) -> Self {
        self.restart = true;
        self
    }

    /// The same, for the command line only.
    pub(super) const fn typed(mut self) -> Self {
        self.typed = true;
        self
    }
}

type SetFlag = fn(&mut Options);
type SetValue = fn(&mut Options, &OsStr) -> Value<()>;

const fn opt(
    long: Option<&'static str>,
    letter: Option<char>,
    argument: Option<&'static str>,
    help: &'static str,
    setter: Setter,
) -> Opt {
    Opt { long, letter, argument, help, setter, repeats: false, typed: false, restart: false }
}

pub(super) const fn letter(letter: char, help: &'static str, set: SetFlag) -> Opt {
    opt(None, Some(letter), None, help, Setter::Flag(set))
}

pub(super) const fn letter_with(
    letter: char,
    argument: &'static str,
    help: &'static str,
    set: SetValue,
) -> Opt {
    opt(None, Some(letter), Some(argument), help, Setter::Value(set))
}

pub(super) const fn flag(long: &'static str, help: &'static str, set: SetFlag) -> Opt {
    opt(Some(long), None, None, help, Setter::Flag(set))
}

pub(super) const fn with(
    long: &'static str,
    argument: &'static str,
    help: &'static str,
    set: SetValue,
) -> Opt {
    opt(Some(long), None, Some(argument), help, Setter::Value(set))
}

pub(super) const fn answer(long: &'static str, help: &'static str) -> Opt {
    opt(Some(long), None, None, help, Setter::Answer).typed()
}

/// Stores what `reader` makes of the argument.
macro_rules! store {
    ($reader:expr => $($field:ident).+) => {
        |options, value| {
            options.$($field).+ = $reader(value)?.into();
            Ok(())
        }
    };
}
pub(super) use store;

/// The options that every program answers.
pub(super) static ANSWERS: &[Opt] =
    &[answer("help", "print this text"), answer("version", "print the version")];
