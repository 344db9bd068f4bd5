//! The stages of DNS lists: who is asked about, and what follows.

use std::time::{Duration, Instant};

use super::class::Class;
use super::lists::WantedLists;
use super::serve::{Connection, Step};
use super::verdict::Verdict;
use super::watch::{Attention, Goal};

impl Connection<'_> {
    /// Nobody asks about clients that are exempt, as far as that is known, nor
    /// about those of networks that are trusted.
    pub(super) fn wanted_lists(&self) -> WantedLists {
        let options = &self.service.options;
        if self.terms.lists && !options.trusts(self.client.ip()) {
            options.lists.clone()
        } else {
            WantedLists::default()
        }
    }

    /// A list of good clients makes one `static` whatever its name.
    pub(super) fn heed_welcome(&mut self, class: Class) -> Result<Class, Verdict> {
        if class == Class::Static || self.lookup.lists().welcome() == Some(false) {
            return Ok(class);
        }
        let deadline = self.client.received + self.service.options.dns_timeout;
        self.watch_until(deadline, Goal::Welcome)?;
        let welcome = self.lookup.lists().welcome() == Some(true);
        Ok(if welcome { Class::Static } else { class })
    }

    /// What lists say by now, once the rules have said whom they are for.
    pub(super) fn heed_lists(&mut self) -> Step {
        let enough = self.service.options.dnsbl_threshold;
        if !self.terms.lists || self.lookup.lists().score() < enough {
            return Ok(());
        }
        self.find_reason();
        Err(Verdict::Listed)
    }

    /// Waits for as long as the client has to wait anyway; one that has no delay
    /// for as long as a look-up may take.
    pub(super) fn wait_for_lists(&mut self, delay: Duration) -> Step {
        if !self.terms.lists || self.lookup.lists().know_score() {
            return Ok(());
        }
        let deadline = self.client.received + self.service.options.dns_timeout;
        let waits = self.client.accepted + delay;
        let until = if delay.is_zero() { deadline } else { waits.min(deadline) };
        self.watch_until(until, Goal::Score(self.service.options.dnsbl_threshold))?;
        self.heed_lists()
    }

    /// The client is lost already, whatever it says meanwhile.
    fn find_reason(&mut self) {
        let deadline = self.client.received + self.service.options.dns_timeout;
        self.lookup.ask_reason(deadline.max(Instant::now()));
        self.attention = Attention::Off;
        let _ = self.watch_until(deadline, Goal::Reason);
    }
}
