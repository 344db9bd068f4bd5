//! A UCSPI server as the acceptor: it shares no counters with us, and has given the
//! client its place already.

use std::net::IpAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;

use crate::class::Class;
use crate::connection::acceptor::{Acceptor, Counter, SpawnOutcome};
use crate::connection::load::Load;
use crate::connection::lookup::LocalName;
use crate::sys;

/// The server that has run us.
pub(super) struct Ucspi {
    /// Our name, if the server tells it (`TCPLOCALHOST`).
    pub(super) local_name: Option<String>,
}

impl Acceptor for Ucspi {
    fn count_verdict(&self, _: Counter) {}

    fn count_class(&self, _: Class) {}

    /// What the server does not tell is not looked up: at most the text of a refusal
    /// needs it.
    fn local_name(&self, _: IpAddr) -> Option<Option<String>> {
        Some(self.local_name.clone())
    }

    fn learn_local_name(&self, _: IpAddr, _: &LocalName) {}

    fn describe(&self, _: Class, _: Option<&str>) {}

    fn earlier_from(&self, _: IpAddr) -> usize {
        0
    }

    fn note_refusal(&self) {}

    fn load(&self) -> Load {
        Load::NONE
    }

    fn recently_refused(&self, _: IpAddr) -> Option<Class> {
        None
    }

    fn remember_refusal(&self, _: IpAddr, _: Class) {}

    fn may_log_lists(&self) -> bool {
        true
    }

    fn begin_wait(&self) {}

    fn may_log_shortage(&self) -> bool {
        true
    }

    fn note_answer(&self) {}

    fn silence_of_name_servers(&self) -> Duration {
        Duration::ZERO
    }

    fn is_under_pressure(&self) -> bool {
        false
    }

    fn claim_session(&self) -> bool {
        true
    }

    fn leave_line(&self) {}

    fn release_session(&self) {}

    fn sessions(&self) -> usize {
        0
    }

    /// The server waits for this process.
    fn spawn_program(&self, _: &mut dyn FnMut() -> Errno, _: &dyn Fn(Pid)) -> Option<SpawnOutcome> {
        None
    }

    fn prepare_exec(&self) -> nix::Result<()> {
        sys::reset_all_signals(&SigSet::empty());
        Ok(())
    }

    fn exec_failed(&self) {
        let _ = sys::ignore(Signal::SIGPIPE);
    }
}
