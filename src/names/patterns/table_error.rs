//! Why a line of a Postfix table is skipped.

use std::fmt;

/// Why a line of a Postfix table is skipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableError {
    /// There is no expression between slashes.
    NoLine,
    /// There is nothing after the expression.
    NoResult,
    /// An `endif` without its `if`.
    NoIf,
    /// This flag after the expression is not known.
    Flag(char),
    /// The engine has no look-around.
    LookAround,
    /// The engine has no back-references.
    BackReferences,
    /// The expression is wrong, as its parser says.
    Syntax(String),
}

impl TableError {
    /// The parser tells its errors apart by their texts alone, as far as other crates see.
    pub(super) fn of_syntax(error: &dyn fmt::Display) -> Self {
        let error = error.to_string();
        if error.contains("look-around") {
            Self::LookAround
        } else if error.contains("backreferences") {
            Self::BackReferences
        } else {
            Self::Syntax(error.rsplit("error: ").next().unwrap_or(&error).to_owned())
        }
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLine => f.write_str("this is no line of a Postfix table, as the first line is"),
            Self::NoResult => f.write_str("there is no result behind the expression"),
            Self::NoIf => f.write_str("there is no `if' for it"),
            Self::Flag(flag) => write!(f, "the flag `{}' is not known", flag.escape_debug()),
            Self::LookAround => f.write_str("look-around is not supported"),
            Self::BackReferences => f.write_str("back-references are not supported"),
            Self::Syntax(why) => f.write_str(why),
        }
    }
}
