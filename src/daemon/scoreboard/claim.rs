//! Slots that are claimed for processes to come.  Both claims are guards: whatever keeps
//! the process from being there, the slot is free again, and its client is where it was.

use std::mem;
use std::sync::atomic::Ordering;

use crate::daemon::scoreboard::slots::Slots;
use crate::daemon::scoreboard::stage::SlotId;
use crate::daemon::scoreboard::words::{ClaimedBy, Word};

impl<'a> Slots<'a> {
    /// Claims a free slot, the first after `from` if there is one, for the supervisor or
    /// for the program process of a child.
    #[must_use]
    pub fn claim(self, child: Option<SlotId>, from: usize) -> Option<Claim<'a>> {
        let (nobody, us) =
            (ClaimedBy::Nobody, child.map_or(ClaimedBy::Supervisor, ClaimedBy::Child));
        let claim = |word: &Word<ClaimedBy>| {
            word.load(Ordering::Relaxed) == nobody
                && word.compare_exchange(nobody, us, Ordering::SeqCst, Ordering::Relaxed).is_ok()
        };
        let words = self.0.columns.claimed_by;
        let (before, behind) = words.split_at(from.min(words.len()));
        let found = behind.iter().position(claim).map(|number| before.len() + number);
        let found = found.or_else(|| before.iter().position(claim));
        found.map(|number| Claim { slots: self, slot: SlotId(number) })
    }

    /// The same for a process that is there.
    #[cfg(test)]
    pub(super) fn occupy(self, child: Option<SlotId>, from: usize) -> Option<SlotId> {
        self.claim(child, from).map(Claim::started)
    }
}

/// A slot that is claimed for a process to come.  Dropped, it is free again.
#[must_use]
pub struct Claim<'a> {
    slots: Slots<'a>,
    slot: SlotId,
}

impl<'a> Claim<'a> {
    /// The slot.
    #[must_use]
    pub fn slot(&self) -> SlotId {
        self.slot
    }

    /// The process is there.  From now on only the supervisor frees the slot, once it has
    /// reaped the process.
    #[allow(clippy::must_use_candidate)]
    pub fn started(self) -> SlotId {
        let slot = self.slot;
        mem::forget(self);
        slot
    }

    /// Hands the client of `child`, which has a place for its session, to the process to
    /// come; the child is idle then.
    pub fn transfer(self, child: SlotId) -> Transfer<'a> {
        self.slots.transfer(child, self.slot);
        Transfer { claim: self, child }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.slots.vacate(self.slot);
    }
}

/// A client that is handed over to a process to come.  Dropped, its child has it again,
/// with its place, and the slot is free.
#[must_use]
pub struct Transfer<'a> {
    claim: Claim<'a>,
    child: SlotId,
}

impl Transfer<'_> {
    /// The slot of the process.
    #[must_use]
    pub fn slot(&self) -> SlotId {
        self.claim.slot
    }

    /// The process is there, and the client is its own, even if it ends at once.
    #[allow(clippy::must_use_candidate)]
    pub fn started(self) -> SlotId {
        let slot = self.slot();
        mem::forget(self);
        slot
    }
}

/// The claim, which frees the slot, is dropped behind this.
impl Drop for Transfer<'_> {
    fn drop(&mut self) {
        self.claim.slots.take_back(self.child, self.claim.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::*;
    use crate::daemon::scoreboard::pool::{Pool, test_pool};
    use crate::daemon::scoreboard::stage::Stage;

    const CHILD: SlotId = SlotId(0);

    /// Slots that are taken, and processes at each stage.
    fn counts(pool: &Pool) -> (usize, [usize; 3]) {
        (pool.slots().taken(), Stage::ALL.map(|stage| pool.count(stage)))
    }

    /// Drops what `claim` returns at its end, and where a panic unwinds; nothing may be
    /// left of it.
    #[track_caller]
    fn assert_given_back<'a, T>(pool: &'a Pool, claim: impl Fn(&'a Pool) -> T) {
        let before = counts(pool);
        let held = claim(pool);
        assert_ne!(counts(pool), before);
        drop(held);
        assert_eq!(counts(pool), before, "at its end");
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _held = claim(pool);
            resume_unwind(Box::new("on the way"))
        }));
        assert!(unwound.is_err());
        assert_eq!(counts(pool), before, "by a panic");
    }

    #[test]
    fn a_slot_is_free_again_if_no_process_is_started_in_it() {
        let pool = test_pool(2, 1);
        assert_given_back(&pool, |pool| {
            let claim = pool.slots().claim(None, 0).unwrap();
            pool.slots().set_files(claim.slot(), 7);
            pool.slots().enter(claim.slot(), Stage::Idle);
            claim
        });
    }

    #[test]
    fn a_client_goes_back_to_its_child_with_its_place_if_no_process_is_started_for_it() {
        let pool = test_pool(3, 1);
        let ip = "192.0.2.7".parse().unwrap();
        assert_eq!(pool.slots().occupy(None, 0), Some(CHILD));
        pool.slots().set_client(CHILD, ip);
        assert!(pool.queue().claim(CHILD, 1));
        assert_given_back(&pool, |pool| {
            let transfer = pool.slots().claim(Some(CHILD), 1).unwrap().transfer(CHILD);
            assert_eq!(pool.slots().stage(CHILD), Some(Stage::Idle));
            assert_eq!(pool.slots().client(transfer.slot()).unwrap().0, ip);
            transfer
        });
        assert_eq!(pool.slots().stage(CHILD), Some(Stage::Prog));
        assert_eq!(pool.slots().client(CHILD).unwrap().0, ip);
        let later = pool.slots().occupy(None, 0).unwrap();
        pool.slots().set_client(later, ip);
        assert_eq!(pool.networks().earlier_from(later, ip), 1, "counted once");
    }

    #[test]
    fn a_slot_stays_with_the_process_that_is_started_in_it() {
        let pool = test_pool(2, 1);
        let child = pool.slots().claim(None, 0).unwrap().started();
        pool.slots().set_client(child, "192.0.2.7".parse().unwrap());
        let program = pool.slots().claim(Some(child), 0).unwrap().transfer(child).started();
        assert!(pool.slots().claim(None, 0).is_none());
        assert_eq!(pool.slots().stage(program), Some(Stage::Prog));
        pool.slots().vacate(child);
        assert_eq!(pool.slots().claim(None, 0).unwrap().slot(), child);
    }
}
