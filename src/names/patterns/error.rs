//! What is wrong with a file of expressions, and where.

use std::iter::repeat;
use std::{error, fmt, io};

use crate::error::Reason;
use crate::escape::Printable;

/// Where an expression stands. Displayed as `FILE line N`.
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
    /// The file is too big in one way or another.
    Unusable {
        /// The file, as it was named.
        file: String,
        /// In a few words.
        why: &'static str,
    },
    /// An expression is wrong.
    Expression {
        /// The file, as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
        /// In a few words; a wrong expression follows on lines of its own, with
        /// a caret below.
        why: String,
    },
}

impl PatternsError {
    pub(super) fn unusable(file: &str, why: &'static str) -> Self {
        Self::Unusable { file: file.into(), why }
    }
}

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

/// `why`, and below it the expression with a caret where the crate shows one.
pub(super) fn explain(error: &regex::Error) -> String {
    let regex::Error::Syntax(message) = error else {
        return "the expression is too big when compiled".into();
    };
    let body = message.strip_prefix("regex parse error:\n").unwrap_or(message);
    match body.rsplit_once("\nerror: ") {
        Some((marked, why)) => format!("{why}\n{}", printable(marked)),
        None => body.to_owned(),
    }
}

/// An expression and the carets below it, which stay below what they point at.
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
