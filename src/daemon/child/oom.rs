//! Whom the kernel kills where memory runs out (`oom_score_adj` in proc(5)): a child,
//! which costs one client, rather than the supervisor, which costs the service.  A
//! child raises its score, and takes that back before it makes a process that becomes
//! a program.  Where it may not, all is left as it is.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};

use nix::errno::Errno;
use nix::sys::prctl::{get_dumpable, set_dumpable};

const FILE: &str = "/proc/self/oom_score_adj";
/// What a child has more than the supervisor, in thousandths of the memory that there
/// may be: more than it can be smaller by, where memory is short with few clients.
const MORE: i32 = 300;
const MOST: i32 = 1000;

/// The scores of this daemon, as they are written: nothing is allocated for a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Scores {
    given: String,
    raised: String,
}

impl Scores {
    /// As this process was started; `None` where it cannot be told.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        Self::from(&fs::read_to_string(FILE).ok()?)
    }

    fn from(given: &str) -> Option<Self> {
        let given: i32 = given.trim().parse().ok()?;
        let raised = given.saturating_add(MORE).min(MOST);
        Some(Self { given: given.to_string(), raised: raised.to_string() })
    }

    /// Lets this process be killed rather than the one that forked it.
    pub fn raise(&self) {
        let _ = write(&self.raised);
    }
}

/// The score of a child of the pool.
pub struct ChildScore<'a> {
    scores: Option<&'a Scores>,
    is_raised: Cell<bool>,
}

impl<'a> ChildScore<'a> {
    /// The supervisor's, from which it has been forked.
    #[must_use]
    pub fn inherited(scores: Option<&'a Scores>) -> Self {
        Self { scores, is_raised: Cell::new(false) }
    }

    /// This process holds nothing but a client that waits, or may come.
    pub fn raise(&self) {
        if let Some(scores) = self.scores.filter(|_| !self.is_raised.get()) {
            self.is_raised.set(write(&scores.raised).is_ok());
        }
    }

    /// What is made from now on is as the daemon was started.  It stays so until the
    /// next client waits, since that takes as much time as all that a client without a
    /// delay needs otherwise.
    pub fn restore(&self) {
        if let Some(scores) = self.scores.filter(|_| self.is_raised.get()) {
            self.is_raised.set(write(&scores.given).is_err());
        }
    }
}

fn write(score: &str) -> io::Result<()> {
    open()?.write_all(score.as_bytes())
}

/// A process that has changed its user owns its files in /proc only while it may be
/// dumped.
fn open() -> io::Result<File> {
    let open = || File::options().write(true).open(FILE);
    let opened = open();
    let denied = opened.as_ref().is_err_and(|why| why.kind() == io::ErrorKind::PermissionDenied);
    if !denied || get_dumpable() != Ok(false) {
        return opened;
    }
    set_dumpable(true)?;
    let opened = open();
    set_dumpable(false).map_err(Errno::into).and(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_has_more_and_no_score_is_above_the_greatest() {
        let of = |given: &str| Scores::from(given).map(|scores| scores.raised);
        assert_eq!(of("0\n").as_deref(), Some("300"));
        assert_eq!(of("-1000\n").as_deref(), Some("-700"));
        assert_eq!(of("900\n").as_deref(), Some("1000"));
        assert_eq!(of(""), None);
    }
}
