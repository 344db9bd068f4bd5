//! Options that do not exist: what may have been meant, and which word comes next.

use std::ffi::OsString;

use super::command_line::CommandLine;
use super::suggest::{hint, nearest};
use super::table::Opt;
use crate::databases::services::tcp_port;
use crate::error::{Hint, Usage};

/// An option as it was typed.
pub(super) enum Name {
    Letter(char),
    Long(String),
}

impl Name {
    /// The option, if there is one of this name.
    pub(super) fn find(&self, line: &CommandLine) -> Option<&'static Opt> {
        match self {
            Self::Letter(letter) => line.by_letter(*letter),
            Self::Long(name) => line.by_name(name),
        }
    }

    /// Reports that there is none.
    pub(super) fn mistake(&self, line: &CommandLine, arguments: &[OsString]) -> Usage {
        match self {
            Self::Letter(letter) => {
                let hint = hint_for_letters(line, arguments);
                Usage::UnknownOption { option: format!("-{letter}"), hint }
            }
            Self::Long(name) => {
                let hint = hint(name, "--", line.names());
                Usage::UnknownOption { option: format!("--{name}"), hint }
            }
        }
    }

    /// Whether the word after it is its argument, and not an option or an operand, as far
    /// as that can be told.  `rest` begins with that word.
    pub(super) fn takes(&self, line: &CommandLine, rest: &[OsString]) -> bool {
        let is_option = rest.first().is_none_or(|word| word.as_encoded_bytes().starts_with(b"-"));
        let meant = match self {
            Self::Letter(_) => None,
            Self::Long(name) => {
                nearest(name, line.names()).first().and_then(|name| line.by_name(name))
            }
        };
        !is_option && meant.map_or_else(|| !starts_with_host(rest), |opt| opt.argument.is_some())
    }
}

/// A long option that was typed with one dash.
fn hint_for_letters(line: &CommandLine, arguments: &[OsString]) -> Hint {
    let long = |word: &OsString| {
        let name = word.to_str()?.strip_prefix('-')?;
        line.names().find(|known| *known == name)
    };
    let meant = arguments.iter().find_map(long);
    Hint(meant.map(|name| format!("--{name}")).into_iter().collect())
}

/// Whether the operands begin with the first of these words: then the second is a port, and
/// the third is not.
fn starts_with_host(words: &[OsString]) -> bool {
    let is_port = |at: usize| {
        let word = words.get(at).and_then(|word| word.to_str());
        word.is_some_and(|word| {
            word.parse::<u16>().is_ok() || matches!(tcp_port(word), Ok(Some(_)))
        })
    };
    is_port(1) && !is_port(2)
}
