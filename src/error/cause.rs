//! What an error was caused by.

use std::{error, fmt, io};

/// What is wrong, as the part of the program says that has found it: its error is of a
/// type that is not known here.
pub type Cause = Box<dyn error::Error + Send + Sync>;

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

/// Why fork(2) has failed, and what to do about a limit of processes.
#[derive(Debug)]
pub struct NotForked(io::Error);

impl<T: Into<io::Error>> From<T> for NotForked {
    fn from(why: T) -> Self {
        Self(why.into())
    }
}

impl fmt::Display for NotForked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(libc::EAGAIN) => {
                write!(f, "{}: raise the limit of processes (ulimit -u, softlimit -p)", self.0)
            }
            _ => Reason(&self.0).fmt(f),
        }
    }
}

impl error::Error for NotForked {}

/// An argument that is not an IP address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAddress;

impl fmt::Display for NotAnAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is not a valid address")
    }
}

impl error::Error for NotAnAddress {}

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
        let processes = NotForked::from(Errno::EAGAIN).to_string();
        assert!(processes.ends_with(": raise the limit of processes (ulimit -u, softlimit -p)"));
        assert_eq!(NotForked::from(Errno::ENOMEM).to_string(), told(Errno::ENOMEM.into()));
        assert!(!told(Errno::ENOENT.into()).contains("raise"));
    }
}
