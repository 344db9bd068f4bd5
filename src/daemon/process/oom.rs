//! Which process the kernel kills if memory runs out (`oom_score_adj` in proc(5)): a
//! child, which costs one client, rather than the supervisor, which costs the service.
//! A child raises its score, and restores it before it makes a process for a program.
//! Without the permission to do so, nothing is changed.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Write};

use nix::errno::Errno;
use nix::sys::prctl::{get_dumpable, set_dumpable};

const FILE: &str = "/proc/self/oom_score_adj";
/// How much higher the score of a child is than the supervisor's, in thousandths of all
/// memory: more than the two can differ in size if memory is short with few clients.
const MORE: i32 = 300;
const MOST: i32 = 1000;

/// The scores of this daemon, formatted: nothing is allocated for a client.
#[derive(Debug, PartialEq, Eq)]
pub struct Scores {
    given: String,
    raised: String,
}

impl Scores {
    /// The score with which this process was started; `None` if it cannot be read.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        Self::from(&fs::read_to_string(FILE).ok()?)
    }

    fn from(given: &str) -> Option<Self> {
        let given: i32 = given.trim().parse().ok()?;
        let raised = given.saturating_add(MORE).min(MOST);
        Some(Self { given: given.to_string(), raised: raised.to_string() })
    }

    /// Makes the kernel prefer this process to its parent.
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
    /// The supervisor's score.
    #[must_use]
    pub fn inherited(scores: Option<&'a Scores>) -> Self {
        Self { scores, is_raised: Cell::new(false) }
    }

    /// This process holds nothing but a client that waits, or none.
    pub fn raise(&self) {
        if let Some(scores) = self.scores.filter(|_| !self.is_raised.get()) {
            self.is_raised.set(write(&scores.raised).is_ok());
        }
    }

    /// New processes get the daemon's score.  It stays so until the next client waits,
    /// since a write takes as much time as all else that a client without a delay
    /// needs.
    pub fn restore(&self) {
        if let Some(scores) = self.scores.filter(|_| self.is_raised.get()) {
            self.is_raised.set(write(&scores.given).is_err());
        }
    }
}

fn write(score: &str) -> io::Result<()> {
    open()?.write_all(score.as_bytes())
}

/// A process that has changed its user owns its files in /proc only while it is
/// dumpable.
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
