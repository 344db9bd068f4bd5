//! Errors in a file of expressions, and their places.

use std::iter::repeat;
use std::{error, fmt, io};

use crate::error::{Advice, Fatal, Reason};
use crate::escape::Printable;

/// The place of an expression; displayed as `FILE line N`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The file, as it was named to [`super::Patterns::read`].
    pub file: &'a str,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}", self.file, self.line)
    }
}

/// Why a file of expressions cannot be used.
#[derive(Debug)]
pub enum PatternsError {
    /// The file cannot be read.
    Unreadable {
        /// The file, as it was named.
        file: String,
        /// What the system said.
        why: io::Error,
    },
    /// The file exceeds a limit.
    Unusable {
        /// The file, as it was named.
        file: String,
        /// In which way.
        why: TooBig,
    },
    /// An expression is wrong.
    Expression {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What is wrong with it.
        why: ExpressionError,
    },
}

/// In which way a file is too big.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooBig {
    /// In bytes.
    Bytes,
    /// It has too many expressions.
    Expressions,
    /// Those that fit no table are too big together when compiled.
    Compiled,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionError {
    /// It is too long.
    TooLong,
    /// It has a NUL byte.
    Nul,
    /// It is not UTF-8.
    NotUtf8,
    /// The `regex` crate does not take it.  Displayed as the crate's reason in a few
    /// words; a wrong expression follows on lines of its own, with a caret below.
    Refused(regex::Error),
}

/// The longest expression, in bytes.
pub(super) const MAX_EXPRESSION: usize = 1_000;

impl PatternsError {
    pub(super) fn unusable(file: &str, why: TooBig) -> Self {
        Self::Unusable { file: file.into(), why }
    }
}

impl From<PatternsError> for Fatal {
    fn from(error: PatternsError) -> Self {
        match error {
            PatternsError::Unreadable { file, why } => {
                Self::Unreadable { path: file.into(), why, advice: Advice::None }
            }
            PatternsError::Unusable { file, why } => Self::Unusable { what: file, why: why.into() },
            PatternsError::Expression { file, line, why } => {
                Self::At { file, line: line as usize, why: why.into() }
            }
        }
    }
}

impl fmt::Display for TooBig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "it is over 1 MiB",
            Self::Expressions => "it has over 4000 expressions",
            Self::Compiled => "its expressions are too big together",
        })
    }
}

impl error::Error for TooBig {}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the expression is over {MAX_EXPRESSION} bytes"),
            Self::Nul => f.write_str("the expression has a NUL byte"),
            Self::NotUtf8 => f.write_str("the expression is not UTF-8"),
            Self::Refused(error) => f.write_str(&explain(error)),
        }
    }
}

impl error::Error for ExpressionError {}

impl fmt::Display for PatternsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { file, why } => write!(f, "unable to read {file}: {}", Reason(why)),
            Self::Unusable { file, why } => write!(f, "unable to use {file}: {why}"),
            Self::Expression { file, line, why } => {
                write!(f, "unable to use {file} line {line}: {why}")
            }
        }
    }
}

impl error::Error for PatternsError {}

/// `why`, and below it the expression with a caret, if the crate shows one.
fn explain(error: &regex::Error) -> String {
    let regex::Error::Syntax(message) = error else {
        return "the expression is too big when compiled".into();
    };
    let body = message.strip_prefix("regex parse error:\n").unwrap_or(message);
    match body.rsplit_once("\nerror: ") {
        Some((marked, why)) => format!("{why}\n{}", printable(marked)),
        None => body.to_owned(),
    }
}

/// An expression and the carets below it, aligned.
fn printable(marked: &str) -> String {
    let Some((expression, carets)) = marked.split_once('\n') else { return marked.to_owned() };
    let shown = expression.chars().map(|letter| {
        let mut utf8 = [0; 4];
        Printable(letter.encode_utf8(&mut utf8).as_bytes()).to_string()
    });
    let shown: Vec<String> = shown.collect();
    let widths = shown.iter().map(|text| text.chars().count()).chain(repeat(1));
    let carets = carets.chars().zip(widths).map(|(mark, width)| mark.to_string().repeat(width));
    format!("{}\n{}", shown.concat(), carets.collect::<String>())
}
