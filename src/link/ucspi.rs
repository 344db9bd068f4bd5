//! A UCSPI server as the acceptor: it shares no counters with us, and has given the
//! client its place already.

use std::net::IpAddr;

use nix::sys::signal::{SigSet, Signal};

use crate::connection::acceptor::{Counts, Limits, Places, Process, SharedFindings};
use crate::sys;

/// The server that has run us.
pub(super) struct Ucspi {
    /// Our name, if the server tells it (`TCPLOCALHOST`).
    pub(super) local_name: Option<String>,
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
