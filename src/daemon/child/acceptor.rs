//! A child of the pool as the acceptor of its connections.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, raise};
use nix::unistd::Pid;

use crate::class::Class;
use crate::connection::acceptor::{
    Counter, Counts, Limits, Places, Process, SharedFindings, SpawnOutcome,
};
use crate::connection::decided::load::{Load, is_under_pressure};
use crate::connection::lookup::LocalName;
use crate::daemon::child::Child;
use crate::daemon::relay::StandardError;
use crate::daemon::scoreboard::pool::Throttled;
use crate::daemon::scoreboard::stage::Stage;
use crate::sys;

impl Counts for Child<'_> {
    fn count_verdict(&self, counter: Counter) {
        self.pool.slots().count_verdict(self.slot, counter);
    }

    fn count_would_refuse(&self) {
        self.pool.count_would_refuse();
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

impl Limits for Child<'_> {
    fn earlier_from(&self, ip: IpAddr) -> usize {
        self.pool.networks().earlier_from(self.slot, ip)
    }

    fn name_client(&self, ip: IpAddr) {
        self.pool.slots().set_client(self.slot, ip);
    }

    fn load(&self) -> Load {
        let others = self.pool.clients().saturating_sub(1);
        Load { slots: self.pool.size(), reserve: self.service.options.reserve(), others }
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

impl Places for Child<'_> {
    /// After the supervisor's death no process tells which places are free again: the
    /// remaining clients do not wait for one.
    fn claim_session(&self) -> bool {
        self.pool.queue().claim(self.slot, self.service.options.max_prog())
            || (self.is_orphaned() && self.pool.queue().claim(self.slot, self.pool.size()))
    }

    /// The next client may find a place.
    fn leave_queue(&self) {
        if self.pool.queue().leave(self.slot) {
            self.pool.queue().wake_next();
        }
    }

    fn release_session(&self) {
        self.pool.slots().enter(self.slot, Stage::Busy);
        self.pool.queue().wake_next();
    }

    fn sessions(&self) -> usize {
        self.pool.count(Stage::Prog)
    }
}

impl SharedFindings for Child<'_> {
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

    fn may_log_check(&self, ip: IpAddr) -> bool {
        self.pool.may_log_check(ip)
    }

    fn may_log_shortage(&self) -> bool {
        self.pool.may_log(Throttled::Shortage)
    }
}

impl Process for Child<'_> {
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

    fn restore_oom_score(&self) {
        self.score.restore();
    }

    fn set_standard_error(&self, client: SocketAddr) {
        if let Some(standard_error) = self.standard_error {
            standard_error.set_up(client);
        }
    }

    fn reset_affinity(&self) -> nix::Result<()> {
        self.binding.leave()
    }

    /// exec resets handlers, but not ignored signals; a child blocks none.
    fn reset_signals(&self) -> nix::Result<()> {
        sys::reset(Signal::SIGPIPE)
    }

    fn clear_death_signal(&self) -> nix::Result<()> {
        set_pdeathsig(None)
    }

    fn exec_failed(&self) {
        self.pool.slots().note_not_becoming_program(self.slot);
        self.standard_error.into_iter().for_each(StandardError::share);
        let _ = set_pdeathsig(Signal::SIGURG);
        // The supervisor may have died meanwhile; the handler checks that.
        let _ = raise(Signal::SIGURG);
        let _ = sys::ignore(Signal::SIGPIPE);
    }
}
