//! Where a program starts.  Beside other clients the kernel knows best.  For a
//! client that is alone it often chooses a processor that sleeps, though all that
//! is needed is in the caches of the one that its child runs on.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, SysconfVar, sysconf};

/// The caller, to the scheduler.
const SELF: Pid = Pid::from_raw(0);

/// The processors that there are.
pub struct Processors {
    count: usize,
    all: CpuSet,
}

impl Processors {
    /// Those that are online by now, or none where nobody knows.
    #[must_use]
    pub fn online() -> Self {
        let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten().unwrap_or_default();
        let mut all = CpuSet::new();
        for number in 0..CpuSet::count() {
            let _ = all.set(number);
        }
        Self { count: usize::try_from(count).unwrap_or_default(), all }
    }

    /// Binds this process, and those that it makes, to the processor that it runs
    /// on.  Only where it may run on all of them, so that [`Self::leave`] gives back
    /// what was there; `false` where not, or where there is one alone.
    #[must_use]
    pub fn stay(&self) -> bool {
        let (Ok(allowed), Ok(here)) = (sched_getaffinity(SELF), sched_getcpu()) else {
            return false;
        };
        let mut one = CpuSet::new();
        self.count > 1
            && (0..self.count).all(|number| allowed.is_set(number) == Ok(true))
            && one.set(here).and_then(|()| sched_setaffinity(SELF, &one)).is_ok()
    }

    /// Lets it run on all of them again, and on those that are yet to come: as if it
    /// had never been bound.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn leave(&self) -> nix::Result<()> {
        sched_setaffinity(SELF, &self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed() -> Vec<usize> {
        let set = sched_getaffinity(SELF).unwrap();
        (0..CpuSet::count()).filter(|number| set.is_set(*number) == Ok(true)).collect()
    }

    // The affinity is the test's thread's own.
    #[test]
    fn a_process_stays_where_it_is_and_may_go_anywhere_again() {
        let (processors, before) = (Processors::online(), allowed());
        if before.len() < 2 || before.len() < processors.count {
            assert!(!processors.stay());
            return eprintln!("skipped: it takes two processors, and leave to run on all");
        }
        assert!(processors.stay());
        assert_eq!(allowed().len(), 1);
        assert!(!processors.stay(), "what was there could not be given back");
        processors.leave().unwrap();
        assert_eq!(allowed(), before);
    }
}
