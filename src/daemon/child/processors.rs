//! The processor on which a program starts.  In a burst the kernel's choice is best.
//! For a client that is alone it often chooses a sleeping processor, though all that is
//! needed is in the caches of the one that the child runs on.

use std::cell::Cell;
use std::fs;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The calling process, for the scheduler.
const SELF: Pid = Pid::from_raw(0);

/// All processors that there can be, if we may run on each of them: then it is safe to
/// ask for all of them afterwards.  Otherwise no affinity is changed.
pub struct Processors {
    all: Option<CpuSet>,
}

impl Processors {
    /// As this process finds them (`proc_pid_status(5)`, and the kernel's cputopology).
    #[must_use]
    pub fn find() -> Self {
        let [possible, online] = ["possible", "online"]
            .map(|name| fs::read_to_string(format!("/sys/devices/system/cpu/{name}")).ok());
        let possible = possible.filter(|list| Some(list) == online.as_ref());
        let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let is_free = |(possible, allowed): (String, &str)| possible.trim() == allowed.trim();
        // With one processor there is no choice.
        let several = possible.as_ref().is_some_and(|list| list.trim() != "0");
        let free = several && possible.zip(allowed).is_some_and(is_free);
        Self { all: free.then(|| sched_getaffinity(SELF).ok()).flatten() }
    }

    /// Binds this process, and those that it makes, to the processor that it runs on;
    /// `false` if an affinity was set and nothing is changed.
    #[must_use]
    pub fn stay(&self) -> bool {
        let mut one = CpuSet::new();
        self.all.is_some()
            && sched_getaffinity(SELF).ok() == self.all
            && sched_getcpu().and_then(|here| one.set(here)).is_ok()
            && sched_setaffinity(SELF, &one).is_ok()
    }

    /// Releases the binding.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn leave(&self) -> nix::Result<()> {
        self.all.as_ref().map_or(Ok(()), |all| sched_setaffinity(SELF, all))
    }

    /// Whether [`Self::stay`] may change anything.
    #[cfg(test)]
    pub(in crate::daemon) fn are_free(&self) -> bool {
        self.all.is_some()
    }
}

/// Whether a child is bound to the processor that it runs on.
pub struct Binding<'a> {
    processors: &'a Processors,
    is_bound: Cell<bool>,
}

impl<'a> Binding<'a> {
    /// It is not.
    #[must_use]
    pub fn none(processors: &'a Processors) -> Self {
        Self { processors, is_bound: Cell::new(false) }
    }

    /// Keeps the child, and the process that it makes, where their client's data is in the
    /// caches, for as long as the guard lives.
    pub fn stay(&self) -> Stay<'_> {
        if !self.is_bound.get() {
            self.is_bound.set(self.processors.stay());
        }
        Stay(self)
    }

    /// Lets the calling process run on all processors again, if it is bound.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn leave(&self) -> nix::Result<()> {
        if self.is_bound.get() { self.processors.leave() } else { Ok(()) }
    }
}

/// The time for which a child may be bound to a processor.
pub struct Stay<'a>(&'a Binding<'a>);

impl Drop for Stay<'_> {
    /// If it fails now it is tried again with the next client.
    fn drop(&mut self) {
        self.0.is_bound.set(self.0.leave().is_err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // An affinity is a thread's own, and each test has a thread.
    #[test]
    fn a_process_stays_where_it_is_and_may_go_anywhere_again() {
        let (processors, before) = (Processors::find(), sched_getaffinity(SELF).unwrap());
        if !processors.are_free() {
            assert!(!processors.stay());
            return eprintln!("skipped: it takes two processors, and leave to run on all");
        }
        assert!(processors.stay());
        let mut here = CpuSet::new();
        here.set(sched_getcpu().unwrap()).unwrap();
        assert_eq!(sched_getaffinity(SELF), Ok(here));
        assert!(!processors.stay(), "what was there could not be given back");
        assert!(!Processors::find().are_free(), "nor is it to be taken for all");
        processors.leave().unwrap();
        assert_eq!(sched_getaffinity(SELF), Ok(before));
        assert!(Processors::find().are_free());
    }

    #[test]
    fn a_child_is_bound_for_as_long_as_it_stays() {
        let processors = Processors::find();
        let binding = Binding::none(&processors);
        let stay = binding.stay();
        // Not with one processor, or if an affinity was set.
        assert_eq!(binding.is_bound.get(), processors.are_free());
        drop(stay);
        assert!(!binding.is_bound.get());
    }
}
