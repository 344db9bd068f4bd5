//! All mistakes, for a reader that does not stop at the first one.

use std::{iter, vec};

use crate::error::Fatal;

/// One or more mistakes.
#[derive(Debug)]
pub struct Mistakes {
    first: Fatal,
    others: Vec<Fatal>,
}

impl Mistakes {
    /// The mistakes found, in order; `None` if there are none.
    #[must_use]
    pub fn of(found: Vec<Fatal>) -> Option<Self> {
        let mut found = found.into_iter();
        Some(Self { first: found.next()?, others: found.collect() })
    }

    /// The same, and another.
    #[must_use]
    pub fn and(mut self, other: Fatal) -> Self {
        self.others.push(other);
        self
    }
}

/// The value of `result`; a mistake is added to `mistakes`.
pub fn keep<T>(result: Result<T, impl Into<Mistakes>>, mistakes: &mut Vec<Fatal>) -> Option<T> {
    result.map_err(|mistake| mistakes.extend(mistake.into())).ok()
}

impl From<Fatal> for Mistakes {
    fn from(first: Fatal) -> Self {
        Self { first, others: Vec::new() }
    }
}

/// For a caller that stops at the first mistake.
impl From<Mistakes> for Fatal {
    fn from(mistakes: Mistakes) -> Self {
        mistakes.first
    }
}

impl IntoIterator for Mistakes {
    type Item = Fatal;
    type IntoIter = iter::Chain<iter::Once<Fatal>, vec::IntoIter<Fatal>>;

    fn into_iter(self) -> Self::IntoIter {
        iter::once(self.first).chain(self.others)
    }
}
