//! Clients that keepers of several hosts share, by an engine such as Valkey or Redis.  The
//! keeper asks it about every client, and tells it what has changed.  It is never waited
//! for: whatever goes wrong with it, the keeper goes on with what it has itself.

mod dialogue;
pub mod engine;
mod in_flight;
mod link;
mod outbound;
pub mod settings;
mod value;

use std::mem;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::entry::Entry;
use super::key::Key;
use super::record::Time;
use super::rules::Lifetimes;
use super::sharing::{Obstacle, Sharing};
use crate::sys;
use dialogue::{Dialogue, Found, Moment};
use engine::backoff::BackOff;
use engine::connection::Connection;
use engine::credentials::Credentials;
use engine::trouble::Trouble;
use in_flight::Late;
use link::Link;
use outbound::Made;
use settings::Settings;

pub use in_flight::Waiter;
pub use outbound::{Change, Scope};
pub use value::decides;

/// How long the end waits for replies.
const LAST_WAIT: Duration = Duration::from_millis(500);

/// What an engine has led to.
#[derive(Debug)]
pub enum Event {
    /// This is what the engine has about the client.
    Answered(Key, Option<Entry>, Option<Waiter>),
    /// The engine has not answered in time.
    Unanswered(Key, Waiter),
    /// The engine takes longer; an answer follows.
    Late(Waiter),
    /// The engine can be used.
    Up,
    /// It cannot be used; why.
    Down(String),
}

/// One engine.
pub struct Share {
    settings: Settings,
    link: Link,
    dialogue: Dialogue,
    state: Sharing,
    back_off: BackOff,
    events: Vec<Event>,
}

impl Share {
    /// The engine of `settings`, which [`proceed`](Self::proceed) begins to connect to.
    #[must_use]
    pub fn new(settings: Settings, lifetimes: Lifetimes, now: Instant) -> Self {
        Self {
            dialogue: Dialogue::new(settings.prefix.clone(), lifetimes, now),
            settings,
            link: Link::Down(now),
            state: Sharing::Down(Obstacle::Starting),
            back_off: BackOff::default(),
            events: Vec::new(),
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> String {
        self.settings.address.to_string()
    }

    /// Whether it can be used.
    #[must_use]
    pub fn state(&self) -> Sharing {
        self.state
    }

    /// What it has still to be told of a client.
    #[must_use]
    pub fn pending(&self, key: Key) -> Option<Entry> {
        self.dialogue.pending(key)
    }

    /// Asks about a client, on behalf of `waiter`.  One that is known already is not kept
    /// waiting for more than 0.1 s, others longer.  Returns whether an event will follow.
    pub fn ask(&mut self, key: Key, waiter: Waiter, is_known: bool, now: Instant) -> bool {
        let Link::Up(connection, _) = &mut self.link else { return false };
        let late = if is_known { Late::Answered } else { Late::Promised };
        self.dialogue.ask((key, waiter), late, connection, now)
    }

    /// Tells it what has changed, at once or once it can be used.
    pub fn tell(&mut self, key: Key, change: Change) {
        let made = if matches!(self.link, Link::Up(..)) { Made::Now } else { Made::Earlier };
        self.dialogue.add(key, change, made);
    }

    /// What to poll, and for what.
    #[must_use]
    pub fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.link.interest()
    }

    /// When [`proceed`](Self::proceed) is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.link {
            Link::Down(until) => Some(until),
            Link::Resolving(_) => None,
            Link::Greeting(_) | Link::Up(..) => Some(self.dialogue.due()),
        }
    }

    /// Makes progress without waiting.  `time` and `now` are the same moment.
    pub fn proceed(&mut self, time: Time, now: Instant) -> Vec<Event> {
        if let Err(trouble) = self.advance(Moment { time, now }) {
            self.lose(&trouble, now);
        }
        while let Some((key, waiter, late)) = self.dialogue.take_late(now) {
            self.events.push(match late {
                Late::Answered => Event::Unanswered(key, waiter),
                Late::Promised => Event::Late(waiter),
            });
        }
        mem::take(&mut self.events)
    }

    fn advance(&mut self, at: Moment) -> Result<(), Trouble> {
        if self.link.advance(&self.settings.address, at.now)? {
            self.greet(at.now)?;
        }
        self.exchange(at)?;
        if self.dialogue.is_overdue(at.now) {
            return Err(Trouble::Silent);
        }
        if let Link::Greeting(connection) = &mut self.link {
            if self.dialogue.is_proven(connection, at) {
                self.link.set_up(at.now);
                self.state = Sharing::Up;
                self.events.push(Event::Up);
            }
        }
        if let Link::Up(connection, _) = &mut self.link {
            self.dialogue.go_on(connection, at);
        }
        self.link.connection().map_or(Ok(()), Connection::send)
    }

    fn greet(&mut self, now: Instant) -> Result<(), Trouble> {
        let credentials = self.settings.credentials.as_deref().map(Credentials::read);
        let credentials = credentials.transpose().map_err(Trouble::Credentials)?;
        if let Some(connection) = self.link.connection() {
            let database = self.settings.address.database();
            self.dialogue.greet(credentials.as_ref(), database, connection, now);
        }
        Ok(())
    }

    /// Sends what there is to send, and takes the replies.  An engine that closes the
    /// connection may have said why.
    fn exchange(&mut self, at: Moment) -> Result<(), Trouble> {
        let Some(connection) = self.link.connection() else { return Ok(()) };
        let mut replies = Vec::new();
        let sent = connection.send();
        let received = connection.receive(&mut replies);
        for reply in replies {
            let found = self.dialogue.take(reply, connection, at)?;
            self.events.extend(
                found.map(|Found { key, entry, waiter }| Event::Answered(key, entry, waiter)),
            );
        }
        received.and(sent)
    }

    fn lose(&mut self, trouble: &Trouble, now: Instant) {
        if let Link::Up(_, since) = self.link {
            self.back_off.note_use(now.saturating_duration_since(since));
        }
        let pause = self.back_off.pause(sys::random_u16().unwrap_or_default());
        self.link = Link::Down(now + pause);
        let waiting = self.dialogue.note_loss().into_iter();
        self.events.extend(waiting.map(|(key, waiter)| Event::Unanswered(key, waiter)));
        let state = Sharing::Down(trouble.obstacle());
        if mem::replace(&mut self.state, state) != state {
            self.events.push(Event::Down(trouble.to_string()));
        }
    }

    /// Waits a little until the engine has confirmed what it was told; returns how many
    /// changes it has not.
    #[must_use]
    pub fn close(mut self) -> usize {
        let until = Instant::now() + LAST_WAIT;
        while matches!(self.link, Link::Up(..)) && self.dialogue.untold() > 0 {
            self.proceed(Time::now(), Instant::now());
            let left = until.saturating_duration_since(Instant::now());
            let Some((descriptor, events)) = self.interest().filter(|_| !left.is_zero()) else {
                break;
            };
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let _ = poll(&mut [PollFd::new(descriptor, events)], left);
        }
        self.dialogue.untold()
    }
}
