//! The limits' stages: how many connections an address may have, and who gets
//! in, and waits for how long, when slots run short.

use std::time::{Duration, Instant};

use super::class::Class;
use super::crowd::Admission;
use super::serve::{Connection, Step};
use super::terms::{DelayBy, Offence};
use super::verdict::Verdict;
use super::watch::{Attention, Goal};

/// How long a client waits for a place for its session.
const PLACE_PATIENCE: Duration = Duration::from_secs(10);
/// How often it looks for one.
const PLACE_INTERVAL: Duration = Duration::from_millis(20);

impl Connection<'_> {
    /// Before anything is looked up.  Networks that are trusted are not counted:
    /// webmail hosts have many connections.
    pub(super) fn limit_address(&mut self) -> Step {
        let Some(most) = self.service.options.per_ip().filter(|_| self.is_limited()) else {
            return Ok(());
        };
        self.earlier = self.acceptor.earlier_from(self.client.ip());
        if self.earlier >= most { Err(Verdict::TooMany) } else { Ok(()) }
    }

    /// Whether limits hold for the client, as far as its address tells.
    pub(super) fn is_limited(&self) -> bool {
        self.terms.limits && !self.service.options.trusts(self.client.ip())
    }

    /// Once the class is known: whether there is room for it, and what a crowd
    /// leaves of its delay.
    pub(super) fn admit(&mut self) -> Step {
        let by_class = matches!(self.terms.delay, DelayBy::Class | DelayBy::Trust);
        let (Some(class), Some(delay)) = (self.class, self.delay) else { return Ok(()) };
        let options = &self.service.options;
        let unasked = options.as_tcpserver && options.reserve_percent.is_none();
        if !self.terms.limits || !by_class || unasked {
            return Ok(());
        }
        let class = if self.terms.delay == DelayBy::Trust { Class::Static } else { class };
        let ours = class == Class::Unknown && self.acceptor.name_servers_are_dead();
        match self.acceptor.crowd().admit(class, ours) {
            Admission::Refuse => Err(Verdict::NoRoom),
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
    pub(super) fn take_place(&mut self) -> Step {
        let patience = Instant::now() + PLACE_PATIENCE;
        while !self.acceptor.claim_session() {
            let now = Instant::now();
            if now >= patience {
                return Err(Verdict::NoPlace);
            }
            self.watch_until(now + PLACE_INTERVAL, Goal::Time)?;
        }
        Ok(())
    }

    /// The delay is known, and with it whether early talk is an offence.
    pub(super) fn settle_delay(&mut self, delay: Duration) {
        self.delay = Some(delay);
        if delay.is_zero() {
            self.offence = Offence::Never;
            self.attention = Attention::Off;
        } else {
            self.offence = Offence::Certain;
        }
    }
}
