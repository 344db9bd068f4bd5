//! A child of the pool as the acceptor of its connections.

use std::cell::{Cell, OnceCell};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, raise};
use nix::unistd::{Pid, getppid};

use crate::class::Class;
use crate::connection::acceptor::{
    Counter, Counts, Findings, Limits, Places, Process, SpawnOutcome,
};
use crate::connection::load::Load;
use crate::connection::lookup::LocalName;
use crate::connection::verdict::is_under_pressure;
use crate::daemon::child::oom::ChildScore;
use crate::daemon::child::processors::Processors;
use crate::daemon::scoreboard::pool::{Pool, Throttled};
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::stuck::Start;
use crate::daemon::supervisor::relay::part_from_others;
use crate::error::TROUBLE;
use crate::sys::{self, Spawned, Stack};

/// Clients that are handed over at shorter intervals than this belong to one burst.
const REST: Duration = Duration::from_millis(1);

/// A child and its place in the pool.
pub struct Worker<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// The child's slot in it.
    pub slot: SlotId,
    /// The child's parent.
    pub supervisor: Pid,
    /// Places for sessions (`--max-prog`).
    pub max_prog: usize,
    /// Slots reserved for clients of the class `static` (`--reserve`).
    pub reserve: usize,
    /// Whether standard error is read by a relay.
    pub relayed: bool,
    /// Children that may be idle at once (`--max-idle`).
    pub max_idle: usize,
    /// Whether the log names the process that has a client: then that process has to
    /// exec the program.
    pub announces: bool,
    /// Where program processes run until they exec.
    pub stack: OnceCell<Option<Stack>>,
    /// The number of the slot that the last program process had.
    pub last_program_slot: Cell<usize>,
    /// Where program processes start.
    pub processors: &'a Processors,
    /// Whether this process is bound to one of them.
    pub bound: Cell<bool>,
    /// Whether the kernel kills it first if memory runs out.
    pub score: ChildScore<'a>,
}

impl Worker<'_> {
    /// Whether the supervisor has died.
    #[must_use]
    pub fn is_orphaned(&self) -> bool {
        getppid() != self.supervisor
    }

    /// A slot for a process that execs the program in place of this one: only if this
    /// one is still needed, and the supervisor is there to reap the other.
    fn claim_for_program(&self) -> Option<SlotId> {
        let superfluous = self.pool.starts().ready() >= self.max_idle;
        if self.announces || superfluous || self.pool.is_stopping() || self.is_orphaned() {
            return None;
        }
        let program_slot =
            self.pool.slots().claim(Some(self.slot), self.last_program_slot.get())?;
        self.last_program_slot.set(program_slot.0);
        Some(program_slot)
    }

    /// Keeps a program process on the processor that has its client's data in its
    /// caches, if the client is alone: in a burst waiting for that processor takes
    /// longer.
    fn stay_if_alone(&self, since_last: Duration) -> Stay<'_> {
        let alone = since_last >= REST && self.pool.count(Stage::Busy) == 0;
        if alone && !self.bound.get() {
            self.bound.set(self.processors.stay());
        }
        Stay(self)
    }

    /// Has another process become the program, as [`Acceptor::spawn_program`] says.
    fn spawn_beside(
        &self,
        work: &mut dyn FnMut() -> Errno,
        announce: &dyn Fn(Pid),
    ) -> Option<SpawnOutcome> {
        let since_last = self.pool.note_hand_over();
        self.score.restore();
        let stack = self.stack.get_or_init(|| Stack::new().ok()).as_ref()?;
        let (pool, program_slot) = (self.pool, self.claim_for_program()?);
        pool.slots().transfer(self.slot, program_slot);
        let mut panic = None;
        let mut work = || {
            let why = catch_unwind(AssertUnwindSafe(&mut *work)).unwrap_or_else(|payload| {
                panic = Some(payload);
                Errno::ECANCELED
            });
            pool.slots().release(program_slot);
            why
        };
        let stay = self.stay_if_alone(since_last);
        let start = Start::begin(pool, self.slot);
        let spawned = sys::spawn_program(stack, pool.slots().pid_word(program_slot), &mut work);
        if spawned == Ok(Spawned::Killed) {
            self.end_at_once(start);
        }
        drop(stay);
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        match spawned {
            Ok(Spawned::Program(pid)) => {
                announce(pid);
                drop(start);
                Some(SpawnOutcome::Started)
            }
            Ok(Spawned::Killed) => None,
            Ok(Spawned::Failure(why)) => Some(SpawnOutcome::Failed(why)),
            Err(_) => {
                pool.slots().take_back(self.slot, program_slot);
                None
            }
        }
    }

    /// The process that shares our memory was killed while it used it: only memory that
    /// is shared with all processes is known to be consistent.  The client is ours again,
    /// so that the supervisor logs it.
    fn end_at_once(&self, start: Start<'_>) -> ! {
        self.pool.slots().count_verdict(self.slot, Counter::Error);
        self.pool.slots().enter(self.slot, Stage::Busy);
        drop(start);
        sys::exit_now(TROUBLE);
    }
}

/// The time for which a child may be bound to a processor.
struct Stay<'a>(&'a Worker<'a>);

impl Drop for Stay<'_> {
    /// What fails now is tried again with the next client.
    fn drop(&mut self) {
        if self.0.bound.get() {
            self.0.bound.set(self.0.processors.leave().is_err());
        }
    }
}

impl Counts for Worker<'_> {
    fn count_verdict(&self, counter: Counter) {
        self.pool.slots().count_verdict(self.slot, counter);
    }

    fn count_class(&self, class: Class) {
        self.pool.count_class(class);
    }

    fn describe(&self, class: Class, host: Option<&str>) {
        self.pool.slots().describe(self.slot, class, host);
    }

    fn note_refusal(&self) {
        self.pool.slots().note_refusal(self.slot);
    }
}

impl Limits for Worker<'_> {
    fn earlier_from(&self, ip: IpAddr) -> usize {
        self.pool.networks().earlier_from(self.slot, ip)
    }

    fn load(&self) -> Load {
        let others = self.pool.clients().saturating_sub(1);
        Load { slots: self.pool.size(), reserve: self.reserve, others }
    }

    fn is_under_pressure(&self) -> bool {
        is_under_pressure(self.pool.clients(), self.pool.size())
    }

    fn recently_refused(&self, ip: IpAddr) -> Option<Class> {
        self.pool.recently_refused(ip)
    }

    fn remember_refusal(&self, ip: IpAddr, class: Class) {
        self.pool.remember_refusal(ip, class);
    }
}

impl Places for Worker<'_> {
    /// After the supervisor's death no process tells which places are free again: the
    /// remaining clients do not wait for one.
    fn claim_session(&self) -> bool {
        self.pool.line().claim(self.slot, self.max_prog)
            || (self.is_orphaned() && self.pool.line().claim(self.slot, self.pool.size()))
    }

    /// The next client may find a place.
    fn leave_line(&self) {
        if self.pool.line().leave(self.slot) {
            self.pool.line().wake_next();
        }
    }

    fn release_session(&self) {
        self.pool.slots().enter(self.slot, Stage::Busy);
        self.pool.line().wake_next();
    }

    fn sessions(&self) -> usize {
        self.pool.count(Stage::Prog)
    }
}

impl Findings for Worker<'_> {
    fn local_name(&self, ip: IpAddr) -> Option<Option<String>> {
        self.pool.local_names().get(ip)
    }

    fn learn_local_name(&self, ip: IpAddr, name: &LocalName) {
        let names = self.pool.local_names();
        match name {
            LocalName::Learnt(name) => names.put(ip, name.as_deref()),
            LocalName::Failed => names.put_failure(ip),
            LocalName::Known(_) => (),
        }
    }

    fn note_answer(&self) {
        self.pool.note_answer();
    }

    fn silence_of_name_servers(&self) -> Duration {
        self.pool.since_answer()
    }

    fn may_log_lists(&self) -> bool {
        self.pool.may_log(Throttled::List)
    }

    fn may_log_keeper(&self) -> bool {
        self.pool.may_log(Throttled::Keeper)
    }

    fn may_log_shortage(&self) -> bool {
        self.pool.may_log(Throttled::Shortage)
    }
}

impl Process for Worker<'_> {
    fn begin_wait(&self) {
        self.score.raise();
    }

    fn spawn_program(
        &self,
        work: &mut dyn FnMut() -> Errno,
        announce: &dyn Fn(Pid),
    ) -> Option<SpawnOutcome> {
        let outcome = self.spawn_beside(work, announce);
        if outcome.is_none() {
            self.pool.slots().note_becoming_program(self.slot);
        }
        outcome
    }

    fn prepare_exec(&self) -> nix::Result<()> {
        if self.relayed {
            part_from_others();
        }
        if self.bound.get() {
            self.processors.leave()?;
        }
        // exec resets handlers, but not ignored signals.
        sys::reset(Signal::SIGPIPE)?;
        set_pdeathsig(None)
    }

    fn exec_failed(&self) {
        self.pool.slots().note_not_becoming_program(self.slot);
        let _ = set_pdeathsig(Signal::SIGURG);
        // The supervisor may have died meanwhile; the handler checks that.
        let _ = raise(Signal::SIGURG);
        let _ = sys::ignore(Signal::SIGPIPE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;

    #[test]
    fn a_program_process_stays_on_the_processor_of_a_client_that_is_alone() {
        let (pool, processors) = (test_pool(4, 1), Processors::find());
        let [slot, other] = [(); 2].map(|()| pool.slots().claim(None, 0).unwrap());
        let worker = Worker {
            pool: &pool,
            slot,
            supervisor: getppid(),
            max_prog: 4,
            reserve: 0,
            relayed: false,
            max_idle: 4,
            announces: false,
            stack: OnceCell::new(),
            last_program_slot: Cell::new(0),
            processors: &processors,
            bound: Cell::new(false),
            score: ChildScore::inherited(None),
        };
        let stays = |since_last| {
            let stay = worker.stay_if_alone(since_last);
            let bound = worker.bound.get();
            drop(stay);
            assert!(!worker.bound.get());
            bound
        };
        // Not with one processor, or if an affinity was set.
        assert_eq!(stays(REST), processors.are_free());
        assert!(!stays(REST / 2), "in a burst");
        pool.slots().enter(other, Stage::Busy);
        assert!(!stays(REST), "beside another client");
    }
}
