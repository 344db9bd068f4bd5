//! A UCSPI server as the acceptor: it shares no counters with us, and has given the
//! client its place already.

use std::net::IpAddr;
use std::path::PathBuf;

use nix::sys::signal::{SigSet, Signal};

use crate::connection::acceptor::{Counts, Limits, Places, Process, SharedFindings};
use crate::known::unanswered::may_log;
use crate::sys;

/// The server that has run us.
pub(super) struct Ucspi {
    /// Our name, if the server tells it (`TCPLOCALHOST`).
    pub(super) local_name: Option<String>,
    /// The directory of the keeper that is asked.
    pub(super) known: Option<PathBuf>,
}

impl Counts for Ucspi {}

impl Limits for Ucspi {}

impl Places for Ucspi {}

impl SharedFindings for Ucspi {
    /// What the server does not tell is not looked up: at most the text of a refusal
    /// needs it.
    fn local_name(&self, _: IpAddr) -> Option<Option<String>> {
        Some(self.local_name.clone())
    }

    fn may_log_keeper(&self) -> bool {
        self.known.as_deref().is_some_and(may_log)
    }
}

/// The server waits for this process, which execs the program itself.
impl Process for Ucspi {
    fn reset_signals(&self) -> nix::Result<()> {
        sys::reset_all_signals(&SigSet::empty());
        Ok(())
    }

    fn exec_failed(&self) {
        let _ = sys::ignore(Signal::SIGPIPE);
    }
}
