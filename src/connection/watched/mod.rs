//! A client that is watched while it waits: what has been looked up, which events
//! count, and whether it has talked.

mod reaction;
pub(super) mod watch;

use std::time::{Duration, Instant};

use crate::connection::client::Client;
use crate::connection::client::stream::Look;
use crate::connection::decided::exemptions::EarlyTalkRule;
use crate::connection::decided::verdict::Verdict;
use crate::connection::lookup::Lookup;
use crate::known::asking::Asker;
use crate::known::key::Key;
use crate::log::EarlyBytes;
use crate::options::EarlyTalk;
use reaction::{Next, next};
use watch::{Seen, Until, WatchFor, watch};

/// A client and the look-ups for it, which one poll(2) serves.
pub(super) struct Watched {
    client: Client,
    lookup: Lookup,
    watch_for: WatchFor,
    early: Option<Early>,
    /// Whether other clients know that a name server has answered.
    answer_shared: bool,
}

/// Early talk.
pub(super) struct Early {
    /// What was said.
    pub(super) said: EarlyBytes,
    /// Since the accept.
    pub(super) at: Duration,
    /// Whether the class still decides if it counts.
    is_open: bool,
}

impl Watched {
    /// A client about which nothing is asked yet, and which may still do as it likes.
    pub(super) fn new(client: Client, lookup: Lookup) -> Self {
        Self { client, lookup, watch_for: WatchFor::Off, early: None, answer_shared: false }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    pub(super) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// What the client has said before the greeting, if that counts or may count.
    pub(super) fn early(&self) -> Option<&Early> {
        self.early.as_ref()
    }

    /// When the client talked, if the class decides whether that counts.
    pub(super) fn open_talk(&self) -> Option<Instant> {
        let early = self.early.as_ref().filter(|early| early.is_open)?;
        Some(self.client.accepted + early.at)
    }

    /// Starts the look-ups, in place of what was known without them.
    pub(super) fn look_up(&mut self, lookup: Lookup) {
        self.lookup = lookup;
    }

    /// Asks the keeper whether the client is known.
    pub(super) fn ask_keeper(&mut self, asker: &Asker) {
        self.lookup.ask_keeper(asker, Key::of(self.client.ip()));
    }

    /// Asks all name servers whether they are there.
    pub(super) fn probe_name_servers(&mut self) {
        self.lookup.probe(Instant::now());
    }

    /// Asks the list that decides why it has the client, which is going to be refused
    /// whatever it says meanwhile.
    pub(super) fn ask_reason(&mut self, deadline: Instant) {
        self.lookup.ask_reason(deadline);
        self.watch_for = WatchFor::Off;
    }

    /// What is not known by now is unknown.
    pub(super) fn give_up(&mut self) {
        self.lookup.give_up();
    }

    /// Whether a name server has answered and this is the first call since.
    pub(super) fn take_answer(&mut self) -> bool {
        let is_new = !self.answer_shared && self.lookup.has_heard();
        self.answer_shared |= is_new;
        is_new
    }

    /// Watches the client from now on as `rule` says.  One that has talked is watched as
    /// before, unless nothing counts any more.
    pub(super) fn apply(&mut self, rule: EarlyTalkRule) {
        self.watch_for = match (rule, &self.early) {
            (EarlyTalkRule::Never, _) => WatchFor::Off,
            (_, None) => WatchFor::Talk,
            (_, Some(_)) => self.watch_for,
        };
    }

    /// The client may do as it likes: the program is going to refuse it.
    pub(super) fn stop_watching(&mut self) {
        self.watch_for = WatchFor::Off;
    }

    /// What the client has done by now, if that counts.
    pub(super) fn look(&self) -> Option<Seen> {
        if self.watch_for == WatchFor::Off {
            return None;
        }
        match self.client.look() {
            Look::Silence => None,
            Look::Talk => Some(Seen::Talk),
            Look::Gone => Some(Seen::Gone),
        }
    }

    /// Watches the client until `deadline`, or until `until` is reached.
    pub(super) fn watch(&mut self, deadline: Instant, until: Until) -> Seen {
        watch(&self.client, self.watch_for, &mut self.lookup, deadline, until)
    }

    /// Watches a client that is refused already until `deadline`, for `watch_for` alone.
    pub(super) fn watch_for(&mut self, watch_for: WatchFor, deadline: Instant) -> Seen {
        watch(&self.client, watch_for, &mut self.lookup, deadline, Until::Time)
    }

    /// Takes note of `seen`; returns talk that is only to be logged.
    ///
    /// # Errors
    /// The verdict that follows.
    pub(super) fn react(
        &mut self,
        seen: Seen,
        rule: EarlyTalkRule,
        early_talk: EarlyTalk,
    ) -> Result<Option<&Early>, Verdict> {
        let is_open = rule == EarlyTalkRule::ByClass;
        if seen == Seen::Talk {
            let (said, at) = (self.client.early_bytes(), self.client.waited());
            self.early = Some(Early { said, at, is_open });
        }
        match next(seen, self.watch_for, rule, early_talk) {
            Next::End(verdict) => Err(verdict),
            Next::GoOn(watch_for) => {
                self.watch_for = watch_for;
                Ok(self.early.as_ref().filter(|_| seen == Seen::Talk && !is_open))
            }
        }
    }

    /// Decides about talk that came before the class was known.  It counts only if the
    /// client has a delay: not where a rule exempts it, and not where its class has
    /// none; it is forgotten then.  Returns talk that is only to be logged.
    ///
    /// # Errors
    /// The verdict that follows.
    pub(super) fn settle_talk(
        &mut self,
        rule: EarlyTalkRule,
        early_talk: EarlyTalk,
    ) -> Result<Option<&Early>, Verdict> {
        let Some(early) = self.early.as_mut().filter(|early| early.is_open) else {
            return Ok(None);
        };
        early.is_open = false;
        if rule == EarlyTalkRule::Never {
            self.early = None;
            return Ok(None);
        }
        match next(Seen::Talk, self.watch_for, rule, early_talk) {
            Next::End(verdict) => Err(verdict),
            Next::GoOn(_) => Ok(self.early.as_ref()),
        }
    }
}
