//! The stages of limits: how many connections an address may have, and which clients
//! get in, after which delay, if slots run short.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::acceptor::Places;
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
/// The interval at which it checks without being woken: the process that should have
/// woken it may have been killed.
const PLACE_INTERVAL: Duration = Duration::from_secs(1);

/// A client's turn in the queue for places; dropping it leaves the queue, whatever
/// becomes of the client.
struct Turn<'a>(&'a dyn Places);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.leave_line();
    }
}

/// A place for the client's session; dropping it frees the place, unless the session
/// has taken it over.
pub(super) struct SessionPlace<'a>(&'a dyn Places);

impl SessionPlace<'_> {
    /// The session has taken it over.
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
    /// Before anything is looked up.  Trusted networks are not counted: webmail hosts
    /// have many connections.
    pub(super) fn limit_address(&mut self) -> Step {
        let Some(most) = self.service.options.per_ip().filter(|_| self.is_limited()) else {
            return Ok(());
        };
        self.earlier = self.acceptor.limits.earlier_from(self.client.ip());
        if self.earlier >= most { Err(Verdict::TooMany) } else { Ok(()) }
    }

    /// A client that was refused for the reserve a moment ago, and would be again, is
    /// not looked up either.
    pub(super) fn refuse_again(&mut self) -> Step {
        let ip = self.client.ip();
        if !self.is_limited() || self.exemptions.delay != DelayBy::Class || !self.has_reserve() {
            return Ok(());
        }
        let load = self.acceptor.limits.load();
        let class =
            load.is_down_to_reserve().then(|| self.acceptor.limits.recently_refused(ip)).flatten();
        let dead = self.may_be_dead_by(Instant::now());
        let again = |class: &Class| load.refuses_again(*class, dead);
        let Some(class) = class.filter(again) else { return Ok(()) };
        self.class = Some(class);
        self.acceptor.counts.count_class(class);
        Err(Verdict::NoRoom)
    }

    /// Under the name tcpserver there is a limit only if an option sets it.
    fn has_reserve(&self) -> bool {
        let options = &self.service.options;
        !options.as_tcpserver || options.reserve_percent.is_some()
    }

    /// Whether limits apply to the client, as far as its address tells.
    pub(super) fn is_limited(&self) -> bool {
        self.exemptions.limits && !self.service.options.trusts(self.client.ip())
    }

    /// Whether a client of the class `unknown` is trusted: our own dead name servers
    /// must not shut mail out.  A long silence proves that they are dead only if a
    /// look-up has probed them as well: a flood can make us ask questions that no
    /// server answers.
    fn is_our_fault(&self, class: Class) -> bool {
        let dead = self.lookup.has_found_nobody() && self.may_be_dead_by(Instant::now());
        class == Class::Unknown && dead
    }

    /// Whether name servers will have been silent for long enough by `then`, if none
    /// answers before.
    fn may_be_dead_by(&self, then: Instant) -> bool {
        let more = then.saturating_duration_since(Instant::now());
        self.acceptor.findings.silence_of_name_servers() + more >= DEAD_AFTER
    }

    /// Probes the name servers, if that may matter to the look-up, which ends at `end`.
    pub(super) fn probe_name_servers(&mut self, end: Instant) {
        let matters = self.is_limited() && self.has_reserve();
        if matters && !self.lookup.has_heard() && self.may_be_dead_by(end) {
            self.lookup.probe(Instant::now());
        }
    }

    /// A client that is trusted because no name server answered waits like any other; a
    /// late answer is noted at once, so that the next clients are not trusted.
    pub(super) fn wait_for_late_answer(&mut self, delay: Duration) -> Step {
        if self.lookup.has_found_nobody() {
            let deadline = self.client.received + self.service.options.dns_timeout;
            self.watch_until(deadline.min(self.client.accepted + delay), Until::Answer)?;
        }
        self.note_answer();
        Ok(())
    }

    /// Once for each client: the time of the answer counts.
    pub(super) fn note_answer(&mut self) {
        if !self.answer_noted && self.lookup.has_heard() {
            self.answer_noted = true;
            self.acceptor.findings.note_answer();
        }
    }

    /// How long a look-up may take if only the reserve is left.
    pub(super) fn look_up_limit(&self) -> Option<Duration> {
        let load = self.is_limited().then(|| self.acceptor.limits.load());
        load.and_then(Load::look_up_limit)
    }

    /// The deadline for answers of name servers.
    pub(super) fn answers_until(&self) -> Instant {
        let limit = self.look_up_limit().unwrap_or(Duration::MAX);
        self.client.received + self.service.options.dns_timeout.min(limit)
    }

    /// Whether there is room for a client of `class`, and which part of its delay
    /// remains.
    pub(super) fn admission(&self, class: Class) -> Admission {
        let by_class = matches!(self.exemptions.delay, DelayBy::Class | DelayBy::Trust);
        if !self.is_limited() || !by_class || !self.has_reserve() {
            return Admission::Wait(1.0);
        }
        let class = if self.exemptions.delay == DelayBy::Trust { Class::Static } else { class };
        let trusts_unknown = self.is_known_host(class) || self.is_our_fault(class);
        self.acceptor.limits.load().admit(class, trusts_unknown)
    }

    /// Once the class is known: whether there is room for it, and which part of its
    /// delay the load leaves.
    pub(super) fn admit(&mut self) -> Step {
        let (Some(class), Some(delay)) = (self.class, self.delay) else { return Ok(()) };
        match self.admission(class) {
            Admission::Refuse => {
                self.note_answer();
                self.acceptor.limits.remember_refusal(self.client.ip(), class);
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

    /// Waits for one of the places for sessions (`--max-prog`); the client is watched
    /// meanwhile.
    pub(super) fn take_place(&mut self) -> Result<SessionPlace<'a>, Verdict> {
        let _turn = Turn(self.acceptor.places);
        if self.acceptor.places.claim_session() {
            return Ok(SessionPlace(self.acceptor.places));
        }
        // A signal between the check and the wait ends the wait.
        let _wakes = sys::Blocked::block(Signal::SIGURG);
        let patience = Instant::now() + PLACE_PATIENCE;
        while !self.acceptor.places.claim_session() {
            let now = Instant::now();
            if now >= patience {
                return Err(Verdict::NoPlace);
            }
            self.watch_until(patience.min(now + PLACE_INTERVAL), Until::Wake)?;
        }
        Ok(SessionPlace(self.acceptor.places))
    }

    /// The delay is known now, and whether early talk counts.
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
