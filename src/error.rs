//! Fatal errors, and their exit codes.

use std::fmt;
use std::io;
use std::{iter, vec};

use crate::djb;

/// Exit code for wrong usage or configuration, as in ucspi-tcp.
pub const USAGE: u8 = 100;
/// Exit code for system trouble that may pass, as in ucspi-tcp.
pub const TROUBLE: u8 = 111;

/// A system error, and what to do about a limit of memory or open files.
#[derive(Clone, Copy, Debug)]
pub struct Reason<'a>(pub &'a io::Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = match self.0.raw_os_error() {
            _ if self.0.kind() == io::ErrorKind::OutOfMemory => {
                ": raise the memory limit (softlimit -m)"
            }
            Some(libc::EMFILE) => ": raise the limit of open files (ulimit -n, softlimit -o)",
            _ => "",
        };
        write!(f, "{}{hint}", self.0)
    }
}

/// Why the program cannot go on.
#[derive(Debug)]
pub struct Fatal {
    /// The exit code: [`USAGE`] or [`TROUBLE`].
    pub code: u8,
    /// The message, without the program's name.
    pub message: String,
    /// tcpserver's message for the same, if it differs.
    pub tcpserver_message: Option<String>,
}

impl Fatal {
    /// Wrong usage or configuration: exit 100.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into(), tcpserver_message: None }
    }

    /// System trouble: exit 111.
    #[must_use]
    pub fn trouble(message: impl Into<String>) -> Self {
        Self { code: TROUBLE, message: message.into(), tcpserver_message: None }
    }

    /// System trouble: `unable to <what>: <why>`, exit 111.
    #[must_use]
    pub fn unable(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::trouble(format!("unable to {what}: {why}"))
    }

    /// Sets tcpserver's message: `what`, and djb's text for `why`.
    #[must_use]
    pub fn or_tcpserver(mut self, what: &str, why: &io::Error) -> Self {
        self.tcpserver_message = Some(format!("unable to {what}: {}", djb::words(why)));
        self
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;
    use nix::errno::Errno;

    #[test]
    fn what_a_limit_refuses_names_the_limit() {
        let told = |why: io::Error| Reason(&why).to_string();
        for memory in [Errno::ENOMEM.into(), io::ErrorKind::OutOfMemory.into()] {
            assert!(told(memory).ends_with(": raise the memory limit (softlimit -m)"));
        }
        let files = told(Errno::EMFILE.into());
        assert!(files.ends_with(": raise the limit of open files (ulimit -n, softlimit -o)"));
        assert!(!told(Errno::ENOENT.into()).contains("raise"));
    }
}
