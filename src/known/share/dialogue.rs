//! What is said to an engine over one connection after another: questions, changes, and
//! what follows from the replies.  No I/O.

use std::time::{Duration, Instant};

use super::engine::connection::Connection;
use super::engine::credentials::Credentials;
use super::engine::resp::Reply;
use super::engine::trouble::Trouble;
use super::in_flight::{self, InFlight, Late, Sent, Waiter};
use super::outbound::{Change, Made, Number, Outbound, Scope};
use super::value::{self, decides};
use crate::known::entry::Entry;
use crate::known::key::Key;
use crate::known::record::Time;
use crate::known::rules::Lifetimes;

/// How long an engine may take for any reply.
const SILENCE: Duration = Duration::from_secs(3);
/// How long a connection is idle before the engine is asked something.
const IDLE: Duration = Duration::from_secs(10);
/// The most changes of [`Made::Earlier`] that are told at once, so that questions are not
/// kept waiting.
const EARLIER_AT_ONCE: usize = 256;

/// A moment, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) time: Time,
    pub(super) now: Instant,
}

/// What an engine has about a client, and who has asked.
pub(super) struct Found {
    pub(super) key: Key,
    pub(super) entry: Option<Entry>,
    pub(super) waiter: Option<Waiter>,
}

/// What was said, and what has to be said.
pub(super) struct Dialogue {
    /// What keys begin with.
    prefix: String,
    lifetimes: Lifetimes,
    in_flight: InFlight,
    outbound: Outbound,
    /// Whether the engine has taken a change since the connection began.
    has_taken: bool,
    last_reply: Instant,
}

impl Dialogue {
    pub(super) fn new(prefix: String, lifetimes: Lifetimes, now: Instant) -> Self {
        let (in_flight, outbound) = (InFlight::default(), Outbound::default());
        Self { prefix, lifetimes, in_flight, outbound, has_taken: false, last_reply: now }
    }

    /// Begins the conversation.  The last command is one that an engine refuses that
    /// cannot be used.
    pub(super) fn greet(
        &mut self,
        credentials: Option<&Credentials>,
        database: Option<u16>,
        connection: &mut Connection,
        now: Instant,
    ) {
        if let Some(credentials) = credentials {
            connection.put(&credentials.command());
            self.in_flight.push(Sent::Greeting, now);
        }
        if let Some(database) = database {
            connection.put(&[b"SELECT", database.to_string().as_bytes()]);
            self.in_flight.push(Sent::Greeting, now);
        }
        self.has_taken = false;
        self.probe(connection, now);
    }

    fn probe(&mut self, connection: &mut Connection, now: Instant) {
        connection.put(&[b"GET", self.prefix.as_bytes()]);
        self.in_flight.push(Sent::Greeting, now);
    }

    /// Asks about a client, if there is room.
    pub(super) fn ask(
        &mut self,
        (key, waiter): (Key, Waiter),
        late: Late,
        connection: &mut Connection,
        now: Instant,
    ) -> bool {
        let has_room = self.in_flight.len() < in_flight::MOST;
        if has_room {
            connection.put(&[b"GET", self.name(key).as_bytes()]);
            self.in_flight.push_question(key, waiter, late, now);
        }
        has_room
    }

    /// Adds a change that is to be told.
    pub(super) fn add(&mut self, key: Key, change: Change, made: Made) {
        self.outbound.put(key, change, made);
    }

    /// What is to be told of a client.
    pub(super) fn pending(&self, key: Key) -> Option<Entry> {
        self.outbound.get(key).map(|change| change.entry)
    }

    /// How many changes were not confirmed.
    pub(super) fn untold(&self) -> usize {
        self.outbound.len()
    }

    /// Whether the engine has shown that it can be used.  It has to take one of the
    /// changes that it has not taken before: otherwise one that takes none would come and
    /// go.
    pub(super) fn is_proven(&mut self, connection: &mut Connection, at: Moment) -> bool {
        if !self.in_flight.is_empty() {
            return false;
        }
        match self.outbound.next() {
            Some((key, number, made)) if !self.has_taken => {
                self.send_change(key, number, made, connection, at);
                false
            }
            _ => true,
        }
    }

    /// Tells what has still to be told, as far as there is room, and asks something after
    /// a while of silence.
    pub(super) fn go_on(&mut self, connection: &mut Connection, at: Moment) {
        while let Some((key, number, made)) = self.outbound.next() {
            let most = match made {
                Made::Now => in_flight::MOST,
                Made::Earlier => EARLIER_AT_ONCE,
            };
            if self.in_flight.len() >= most {
                break;
            }
            self.send_change(key, number, made, connection, at);
        }
        if self.in_flight.is_empty() && self.last_reply + IDLE <= at.now {
            self.probe(connection, at.now);
        }
    }

    /// Takes a reply; returns what it says about a client.
    ///
    /// # Errors
    /// A command that was refused, or a reply to nothing.
    pub(super) fn take(
        &mut self,
        reply: Reply,
        connection: &mut Connection,
        at: Moment,
    ) -> Result<Option<Found>, Trouble> {
        let command = self.in_flight.pop().ok_or(Trouble::NotAnEngine)?;
        self.last_reply = at.now;
        let entry = match reply {
            Reply::Value(text) => value::entry(&text, at.time),
            Reply::Done | Reply::Missing => None,
            // Somebody has put a list where a text is to be.
            Reply::Refused(message) if message.starts_with("WRONGTYPE") => None,
            Reply::Refused(message) => return Err(Trouble::Refused(message)),
        };
        match command {
            Sent::Greeting => Ok(None),
            Sent::Ask(key, waiter) => Ok(Some(Found { key, entry, waiter })),
            Sent::Compare(key, number) => Ok(self.compare(key, number, entry, connection, at)),
            Sent::Tell(key, number) => {
                self.outbound.confirm(key, number);
                self.has_taken = true;
                Ok(None)
            }
        }
    }

    /// Tells the engine a change from the time before, unless what it has is newer.
    fn compare(
        &mut self,
        key: Key,
        number: Number,
        entry: Option<Entry>,
        connection: &mut Connection,
        at: Moment,
    ) -> Option<Found> {
        let change = self.outbound.same(key, number)?;
        match entry {
            Some(found) if decides(found, Some(change.entry)) => {
                self.outbound.confirm(key, number);
                return Some(Found { key, entry, waiter: None });
            }
            None if change.scope == Scope::IfThere => self.outbound.confirm(key, number),
            _ => self.send_change(key, number, Made::Now, connection, at),
        }
        None
    }

    fn send_change(
        &mut self,
        key: Key,
        number: Number,
        made: Made,
        connection: &mut Connection,
        at: Moment,
    ) {
        self.outbound.note_sent(number);
        let Some(change) = self.outbound.same(key, number) else { return };
        let name = self.name(key);
        if made == Made::Earlier {
            connection.put(&[b"GET", name.as_bytes()]);
            return self.in_flight.push(Sent::Compare(key, number), at.now);
        }
        let text = value::text(change.entry);
        let seconds = value::seconds_left(change.entry, &self.lifetimes, at.time).to_string();
        let words = [b"SET", name.as_bytes(), text.as_bytes(), b"EX", seconds.as_bytes(), b"XX"];
        let used = if change.scope == Scope::IfThere { 6 } else { 5 };
        connection.put(&words[..used]);
        self.in_flight.push(Sent::Tell(key, number), at.now);
    }

    fn name(&self, key: Key) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Whether a reply is overdue.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.in_flight.since().is_some_and(|since| since + SILENCE <= now)
    }

    /// A client whose waiter has waited for long enough, and what becomes of the waiter.
    pub(super) fn take_late(&mut self, now: Instant) -> Option<(Key, Waiter, Late)> {
        self.in_flight.take_late(now)
    }

    /// When something is due, as long as there is a connection.
    pub(super) fn due(&self) -> Instant {
        let idle = self.last_reply + IDLE;
        let reply = self.in_flight.since().map_or(idle, |since| since + SILENCE);
        self.in_flight.due().map_or(reply, |late| late.min(reply))
    }

    /// The connection is lost: returns all who wait.
    pub(super) fn note_loss(&mut self) -> Vec<(Key, Waiter)> {
        self.outbound.note_loss();
        self.in_flight.take_all()
    }
}
