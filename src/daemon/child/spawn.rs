//! Spawning the program: by a process that shares the child's memory until it execs, so
//! that the child can accept the next client.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::connection::acceptor::{Counter, SpawnOutcome};
use crate::daemon::child::Child;
use crate::daemon::scoreboard::claim::Claim;
use crate::daemon::scoreboard::pool::Pool;
use crate::daemon::scoreboard::stage::Stage;
use crate::daemon::scoreboard::stuck::ProgramStart;
use crate::error::TROUBLE;
use crate::sys::{self, Spawned, Stack};

/// Clients that are handed over at shorter intervals than this belong to one burst.
const REST: Duration = Duration::from_millis(1);

impl Child<'_> {
    /// A slot for a process that execs the program in place of this one: only if this
    /// one is still needed, and the supervisor is there to reap the other.
    fn claim_for_program(&self) -> Option<Claim<'_>> {
        let superfluous = self.pool.starts().ready() >= self.service.options.max_idle();
        // The process that the log names as the client's has to exec the program.
        let announces = self.service.log.announces_processes();
        if announces || superfluous || self.pool.is_stopping() || self.is_orphaned() {
            return None;
        }
        let claim = self.pool.slots().claim(Some(self.slot), self.last_program_slot.get())?;
        self.last_program_slot.set(claim.slot().0);
        Some(claim)
    }

    /// Has another process become the program, as [`Process::spawn_program`] says.
    ///
    /// [`Process::spawn_program`]: crate::connection::acceptor::Process::spawn_program
    pub(super) fn spawn_beside(
        &self,
        work: &mut dyn FnMut() -> Errno,
        announce: &dyn Fn(Pid),
    ) -> Option<SpawnOutcome> {
        let since_last = self.pool.note_hand_over();
        let stack = self.stack.get_or_init(|| Stack::new().ok()).as_ref()?;
        let (pool, transfer) = (self.pool, self.claim_for_program()?.transfer(self.slot));
        let program_slot = transfer.slot();
        let mut panic = None;
        let mut work = || {
            let why = catch_unwind(AssertUnwindSafe(&mut *work)).unwrap_or_else(|payload| {
                panic = Some(payload);
                Errno::ECANCELED
            });
            pool.slots().release(program_slot);
            why
        };
        // In a burst a client would wait longer for its child's processor than the caches of
        // that processor save.
        let stay = is_alone(pool, since_last).then(|| self.binding.stay());
        let start = ProgramStart::begin(pool, self.slot);
        let spawned = sys::spawn_program(stack, pool.slots().pid_word(program_slot), &mut work);
        let Ok(spawned) = spawned else {
            // The client is ours again before the start is over.
            drop(transfer);
            return None;
        };
        transfer.started();
        if spawned == Spawned::Killed {
            self.end_at_once(start);
        }
        drop(stay);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        match spawned {
            Spawned::Program(pid) => {
                announce(pid);
                drop(start);
                Some(SpawnOutcome::Started)
            }
            Spawned::Killed => None,
            Spawned::Failure(why) => Some(SpawnOutcome::Failed(why)),
        }
    }

    /// The process that shares our memory was killed while it used it: only memory that
    /// is shared with all processes is known to be consistent.  The client is ours again,
    /// so that the supervisor logs it.
    fn end_at_once(&self, start: ProgramStart<'_>) -> ! {
        self.pool.slots().count_verdict(self.slot, Counter::Error);
        self.pool.slots().enter(self.slot, Stage::Busy);
        drop(start);
        sys::exit_now(TROUBLE);
    }
}

/// Whether no other client is there, now that one is handed over `since_last` after the
/// last one.
fn is_alone(pool: &Pool, since_last: Duration) -> bool {
    since_last >= REST && pool.count(Stage::Busy) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;
    use crate::daemon::scoreboard::stage::SlotId;

    #[test]
    fn a_client_is_alone_outside_of_bursts_and_beside_no_other() {
        let pool = test_pool(4, 1);
        assert!(is_alone(&pool, REST));
        assert!(!is_alone(&pool, REST / 2), "in a burst");
        pool.slots().enter(SlotId(1), Stage::Busy);
        assert!(!is_alone(&pool, REST), "beside another client");
    }
}
