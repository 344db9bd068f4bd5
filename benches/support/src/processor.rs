//! Processor time that we take, and all that we start.  What other processes and
//! the kernel's own threads take meanwhile is not in it.

use std::io;
use std::time::Duration;

use crate::cgroup::{Cgroup, Kind};

/// Counts for as long as it lives.
pub struct Meter {
    group: Cgroup,
}

impl Meter {
    /// Counts from now on.
    ///
    /// # Errors
    /// Those of [`Cgroup::new`].
    pub fn start() -> io::Result<Self> {
        let group = Cgroup::new("smtp-delay-bench-time", Kind::Time)?;
        group.enter(own_pid());
        Ok(Self { group })
    }

    /// Processor time since then, including processes that have ended.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.group.usage() as u64)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.group.leave(own_pid());
    }
}

fn own_pid() -> i32 {
    nix::unistd::getpid().as_raw()
}
