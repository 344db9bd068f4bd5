//! The stages of DNS lists: which clients they are asked about, and what follows.

use std::time::{Duration, Instant};

use super::exemptions::{DelayBy, delay};
use super::load::Admission;
use super::serve::{Connection, Step};
use super::verdict::Verdict;
use super::watch::{Until, WatchFor};
use crate::class::Class;
use crate::dns::list::WantedLists;

impl Connection<'_> {
    /// Lists are not asked about clients that are known to be exempt, nor about those
    /// of trusted networks.
    pub(super) fn wanted_lists(&self) -> WantedLists {
        let options = &self.service.options;
        if self.exemptions.lists && !options.trusts(self.client.ip()) {
            options.lists.clone()
        } else {
            WantedLists::default()
        }
    }

    /// An allowlist makes a client `static` whatever its name.  The answer is awaited
    /// only if the delay depends on it, and no longer than that delay.
    pub(super) fn apply_allowlists(&mut self, class: Class) -> Result<Class, Verdict> {
        if !self.exemptions.lists {
            return Ok(class);
        }
        if self.needs_allowlists(class) && self.lookup.lists().allowed().is_none() {
            let until = self.worth_waiting_until(class);
            self.watch_until(until, Until::Allowed(self.service.options.dnsbl_threshold))?;
            self.apply_lists()?;
        }
        let allowed = self.lookup.lists().allowed() == Some(true);
        let changes = allowed && class != Class::NotLookedUp;
        Ok(if changes { Class::Static } else { class })
    }

    /// Whether an allowlist would shorten the delay.
    pub(super) fn needs_allowlists(&self, class: Class) -> bool {
        self.exemptions.delay == DelayBy::Class
            && !matches!(class, Class::Static | Class::NotLookedUp)
    }

    fn worth_waiting_until(&self, class: Class) -> Instant {
        let delay = delay(class, self.exemptions.delay, &self.service.options.delays);
        match self.admission(class) {
            Admission::Wait(part) => {
                self.answers_until().min(self.client.accepted + delay.mul_f64(part))
            }
            Admission::Refuse => self.answers_until(),
        }
    }

    /// What lists say by now, once the rules have decided whether they apply.
    pub(super) fn apply_lists(&mut self) -> Step {
        let enough = self.service.options.dnsbl_threshold;
        if !self.exemptions.lists || self.lookup.lists().score() < enough {
            return Ok(());
        }
        self.find_reason();
        Err(Verdict::Listed)
    }

    /// Waits as long as the client has to wait anyway; for a client without a delay, as
    /// long as a look-up may take.
    pub(super) fn wait_for_lists(&mut self, delay: Duration) -> Step {
        if !self.exemptions.lists || self.lookup.lists().know_score() {
            return self.apply_lists();
        }
        let deadline = self.client.received + self.service.options.dns_timeout;
        let waits = self.client.accepted + delay;
        let until = if delay.is_zero() { deadline } else { waits.min(deadline) };
        self.watch_until(until, Until::Score(self.service.options.dnsbl_threshold))?;
        self.apply_lists()
    }

    /// The client is going to be refused, whatever it says meanwhile.
    fn find_reason(&mut self) {
        let deadline = self.answers_until();
        self.lookup.ask_reason(deadline.max(Instant::now()));
        self.watch_for = WatchFor::Off;
        let _ = self.watch_until(deadline, Until::Reason);
    }
}
