//! The stages of known clients: who is asked about, what a client that is known need
//! not wait for, and what the keeper is told afterwards.

use std::time::Duration;

use super::exemptions::{DelayBy, EarlyTalkRule};
use super::memory::Memory;
use super::serve::{Connection, Step};
use super::watch::Until;
use crate::class::Class;
use crate::known::asker::Outcome;
use crate::known::key::Key;
use crate::known::message::{Request, Why};
use crate::known::record::{Record, Time};
use crate::known::rules::{KnownDelays, Pass, Waited};

/// How long a keeper that has answered is waited for if it has no room for what it is
/// told.
const PATIENCE: Duration = Duration::from_millis(20);

impl Connection<'_> {
    /// Asks about a client that waits for the delay of its class, and that is looked up
    /// for it: nothing else of it depends on the memory.
    pub(super) fn ask_keeper(&mut self) {
        let Some(asker) = &self.service.known else { return };
        let is_classified = self.client.host.is_some() || self.service.options.look_up;
        if is_classified && self.may_be_remembered() {
            self.lookup.ask_keeper(asker, Key::of(self.client.ip()));
        }
    }

    fn may_be_remembered(&self) -> bool {
        self.exemptions.delay == DelayBy::Class
            && self.early_talk_rule != EarlyTalkRule::Never
            && !self.service.options.trusts(self.client.ip())
    }

    /// What is remembered of the client, if that counts.
    pub(super) fn record(&self) -> Option<Record> {
        self.lookup.memory().record().filter(|_| self.exemptions.delay == DelayBy::Class)
    }

    /// Shortens the delay of a client that is known.  It is watched as before.
    pub(super) fn shorten(&mut self) {
        let (Some(class), Some(delay), Some(record)) = (self.class, self.delay, self.record())
        else {
            return;
        };
        let options = &self.service.options;
        let delays = KnownDelays { known: options.delay_known, ordinary: options.delays.ordinary };
        let wait = delays.wait(delay, class, record.class);
        if wait < delay {
            self.shortened = true;
            self.delay = Some(wait);
        }
    }

    /// Waits for the keeper's answer, no longer than for the delay.
    pub(super) fn wait_for_keeper(&mut self) -> Step {
        if self.exemptions.delay == DelayBy::Class && !self.lookup.memory().is_settled() {
            let until = self.client.accepted + self.delay.unwrap_or_default();
            self.watch_until(until, Until::Remembered)?;
            self.shorten();
        }
        self.log_keeper_failure();
        Ok(())
    }

    fn log_keeper_failure(&self) {
        let failure = self.lookup.memory().failure();
        if let Some(why) = failure.filter(|_| self.acceptor.findings.may_log_keeper()) {
            let error = std::io::Error::from(why);
            self.service.log.warning(format_args!(
                "unable to ask the keeper of known clients: {error}: every client counts as new"
            ));
        }
    }

    /// Tells the keeper of a client that is handed over.
    pub(super) fn tell_pass(&self) {
        let (Some(asker), Some(class)) = (&self.service.known, self.class) else { return };
        if !self.may_be_remembered() {
            return;
        }
        if let Some(pass) = Pass::of(class, self.way_of_waiting()) {
            let _ = asker.tell(Request::Tell(self.key(), pass), self.patience());
        }
    }

    fn way_of_waiting(&self) -> Waited {
        match self.delay {
            _ if self.early.is_some() || self.shrunk.is_some() => Waited::Otherwise,
            _ if self.shortened => Waited::Shortened,
            Some(delay) if !delay.is_zero() => Waited::InFull,
            _ => Waited::Otherwise,
        }
    }

    /// Makes the keeper forget a client, unless it has said that it does not know it.
    pub(super) fn forget(&self, why: Why) {
        let Some(asker) = &self.service.known else { return };
        if !matches!(self.lookup.memory(), Memory::Settled(Outcome::NotKnown)) {
            let _ = asker.tell(Request::Forget(self.key(), why), self.patience());
        }
    }

    fn key(&self) -> Key {
        Key::of(self.client.ip())
    }

    /// One that has not answered is not waited for.
    fn patience(&self) -> Duration {
        match self.lookup.memory() {
            Memory::Settled(Outcome::Known(_) | Outcome::NotKnown) => PATIENCE,
            _ => Duration::ZERO,
        }
    }

    /// How long ago the client passed last, if it is known.
    pub(super) fn last_pass(&self) -> Option<Duration> {
        self.record().map(|record| record.last.until(Time::now()))
    }

    /// Whether a client of the class `unknown` is one that we know: dead name servers
    /// must not shut it out.
    pub(super) fn is_known_host(&self, class: Class) -> bool {
        class == Class::Unknown && self.record().is_some()
    }
}
