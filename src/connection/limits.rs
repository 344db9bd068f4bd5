//! The limits' stages: how many connections an address may have, and who gets
//! in, and waits for how long, when slots run short.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::acceptor::Acceptor;
use super::exemptions::{DelayBy, EarlyTalkRule};
use super::load::{Admission, Load};
use super::serve::{Connection, Step};
use super::verdict::Verdict;
use super::watch::{Until, WatchFor};
use crate::class::Class;
use crate::sys;

/// How long name servers may be silent before they count as dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);
/// How long a client waits for a place for its session.
const PLACE_PATIENCE: Duration = Duration::from_secs(10);
/// How long it waits to be woken before it looks by itself: whoever should have
/// woken it may have been killed.
const PLACE_INTERVAL: Duration = Duration::from_secs(1);

/// A client's turn in the line of those that wait for a place for their sessions:
/// it ends with this, whatever becomes of the client.
struct Turn<'a>(&'a dyn Acceptor);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.leave_line();
    }
}

/// A place for the client's session.  It is free again with this, unless the session
/// has it by then.
pub(super) struct SessionPlace<'a>(&'a dyn Acceptor);

impl SessionPlace<'_> {
    /// The session has it.
    pub(super) fn transfer(self) {
        std::mem::forget(self);
    }
}

impl Drop for SessionPlace<'_> {
    fn drop(&mut self) {
        self.0.release_session();
    }
}

impl<'a> Connection<'a> {
    /// Before anything is looked up.  Networks that are trusted are not counted:
    /// webmail hosts have many connections.
    pub(super) fn limit_address(&mut self) -> Step {
        let Some(most) = self.service.options.per_ip().filter(|_| self.is_limited()) else {
            return Ok(());
        };
        self.earlier = self.acceptor.earlier_from(self.client.ip());
        if self.earlier >= most { Err(Verdict::TooMany) } else { Ok(()) }
    }

    /// Nor is one looked up that was refused a moment ago, and would be again.
    pub(super) fn refuse_again(&mut self) -> Step {
        let ip = self.client.ip();
        if !self.is_limited() || self.exemptions.delay != DelayBy::Class || !self.has_reserve() {
            return Ok(());
        }
        let load = self.acceptor.load();
        let class = load.is_down_to_reserve().then(|| self.acceptor.recently_refused(ip)).flatten();
        let dead = self.may_be_dead_by(Instant::now());
        let again = |class: &Class| load.refuses_again(*class, dead);
        let Some(class) = class.filter(again) else { return Ok(()) };
        self.class = Some(class);
        self.acceptor.count_class(class);
        Err(Verdict::NoRoom)
    }

    /// As tcpserver we have one only where it is asked for.
    fn has_reserve(&self) -> bool {
        let options = &self.service.options;
        !options.as_tcpserver || options.reserve_percent.is_some()
    }

    /// Whether limits hold for the client, as far as its address tells.
    pub(super) fn is_limited(&self) -> bool {
        self.exemptions.limits && !self.service.options.trusts(self.client.ip())
    }

    /// Nobody is to be refused because our own name servers are dead.  That none has
    /// answered for long shows it only together with a look-up that has asked whether
    /// they are there: nobody may have an answer to what a flood gives rise to.
    fn is_our_fault(&self, class: Class) -> bool {
        let dead = self.lookup.has_found_nobody() && self.may_be_dead_by(Instant::now());
        class == Class::Unknown && dead
    }

    /// Whether name servers will have been silent for so long by `then`, if none
    /// answers before.
    fn may_be_dead_by(&self, then: Instant) -> bool {
        let more = then.saturating_duration_since(Instant::now());
        self.acceptor.silence_of_name_servers() + more >= DEAD_AFTER
    }

    /// Asks whether name servers are there, where that may matter to the look-up, which
    /// ends at `end`.
    pub(super) fn probe_name_servers(&mut self, end: Instant) {
        let matters = self.is_limited() && self.has_reserve();
        if matters && !self.lookup.has_heard() && self.may_be_dead_by(end) {
            self.lookup.probe(Instant::now());
        }
    }

    /// A client that is trusted because nobody answered waits like any other; a late
    /// answer is noted at once, so that those who come next are not.
    pub(super) fn wait_for_late_answer(&mut self, delay: Duration) -> Step {
        if self.lookup.has_found_nobody() {
            let deadline = self.client.received + self.service.options.dns_timeout;
            self.watch_until(deadline.min(self.client.accepted + delay), Until::Answer)?;
        }
        self.note_answer();
        Ok(())
    }

    /// Once a client: it is the time of the answer that counts.
    pub(super) fn note_answer(&mut self) {
        if !self.answer_noted && self.lookup.has_heard() {
            self.answer_noted = true;
            self.acceptor.note_answer();
        }
    }

    /// How long a look-up may take where only the reserve is left.
    pub(super) fn look_up_limit(&self) -> Option<Duration> {
        let load = self.is_limited().then(|| self.acceptor.load());
        load.and_then(Load::look_up_limit)
    }

    /// Until when name servers may answer.
    pub(super) fn answers_until(&self) -> Instant {
        let limit = self.look_up_limit().unwrap_or(Duration::MAX);
        self.client.received + self.service.options.dns_timeout.min(limit)
    }

    /// Whether there is room for a client of `class`, and for what part of its
    /// delay.
    pub(super) fn admission(&self, class: Class) -> Admission {
        let by_class = matches!(self.exemptions.delay, DelayBy::Class | DelayBy::Trust);
        if !self.is_limited() || !by_class || !self.has_reserve() {
            return Admission::Wait(1.0);
        }
        let class = if self.exemptions.delay == DelayBy::Trust { Class::Static } else { class };
        self.acceptor.load().admit(class, self.is_our_fault(class))
    }

    /// Once the class is known: whether there is room for it, and what the load
    /// leaves of its delay.
    pub(super) fn admit(&mut self) -> Step {
        let (Some(class), Some(delay)) = (self.class, self.delay) else { return Ok(()) };
        match self.admission(class) {
            Admission::Refuse => {
                self.note_answer();
                self.acceptor.remember_refusal(self.client.ip(), class);
                Err(Verdict::NoRoom)
            }
            Admission::Wait(part) => {
                if part < 1.0 {
                    self.shrunk = Some(part);
                    self.settle_delay(delay.mul_f64(part));
                }
                Ok(())
            }
        }
    }

    /// Of those that bound sessions (`--max-prog`); the client is watched while it
    /// waits for one.
    pub(super) fn take_place(&mut self) -> Result<SessionPlace<'a>, Verdict> {
        let _turn = Turn(self.acceptor);
        if self.acceptor.claim_session() {
            return Ok(SessionPlace(self.acceptor));
        }
        // One that comes between a look for a place and the wait ends the wait.
        let _wakes = sys::Blocked::block(Signal::SIGURG);
        let patience = Instant::now() + PLACE_PATIENCE;
        while !self.acceptor.claim_session() {
            let now = Instant::now();
            if now >= patience {
                return Err(Verdict::NoPlace);
            }
            self.watch_until(patience.min(now + PLACE_INTERVAL), Until::Wake)?;
        }
        Ok(SessionPlace(self.acceptor))
    }

    /// The delay is known, and with it whether early talk counts.
    pub(super) fn settle_delay(&mut self, delay: Duration) {
        self.delay = Some(delay);
        if delay.is_zero() {
            self.early_talk_rule = EarlyTalkRule::Never;
            self.watch_for = WatchFor::Off;
        } else {
            self.early_talk_rule = EarlyTalkRule::Certain;
        }
    }
}
