//! The store on the disk, as the keeper sees it: read here, opened and written by a thread
//! of its own.  If it fails it is tried again.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::Purge;
use super::disk::{Broken, Damage, Disk, Rest};
use super::memory::{Changes, Memory};
use super::worker::{Done, Job, Worker};
use crate::known::directory::Directory;
use crate::known::entry::Entry;
use crate::known::key::Key;
use crate::known::record::{Record, Time};
use crate::known::rules::Limits;

/// How long a change waits to be written.  With the time that writing takes, a crash
/// costs no more than a second.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// How many changes are written at once: the database has all pages that it changes in
/// memory until it has written them.
pub(super) const BATCH: usize = 1000;
/// How often clients are searched for that were remembered for long enough.
const AT_LEAST: Duration = Duration::from_secs(600);
/// How long a disk that has failed is not used.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// What to log.
#[derive(Debug)]
pub enum Event {
    /// The store could not be read, for this reason, and was given this name, if it could
    /// be renamed.
    SetAside(Damage, io::Result<PathBuf>),
    /// The store cannot be used, for this reason; all is in memory meanwhile.
    Failed(Broken),
    /// The disk is full; what is new is in memory meanwhile.
    Full,
    /// It can be used again.
    Recovered,
}

/// The state of the store.
enum State {
    /// It is being opened.
    Opening,
    Open(Arc<Disk>),
    /// It cannot be opened, and is tried again at this time.
    Closed(Instant),
}

/// Changes that are being written.  They take precedence over what is on the disk.
enum Batch {
    None,
    /// The thread has them.
    InFlight(Arc<Changes>),
    /// They could not be written, and are the next to be written.
    Kept(Arc<Changes>),
}

impl Batch {
    fn changes(&self) -> Option<&Arc<Changes>> {
        match self {
            Self::None => None,
            Self::InFlight(changes) | Self::Kept(changes) => Some(changes),
        }
    }
}

/// Whether a failure was logged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Health {
    Good,
    InTrouble,
}

/// The store on the disk.
pub(super) struct OnDisk {
    worker: Worker,
    state: State,
    batch: Batch,
    health: Health,
    /// When the next batch is due.
    due: Option<Instant>,
    events: Vec<Event>,
}

impl OnDisk {
    /// Begins to open the store in `directory`, whose lock is held.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn open(directory: Arc<Directory>, limits: Limits) -> io::Result<Self> {
        let worker = Worker::start(directory, limits)?;
        worker.give(Job::Open(None));
        let (batch, health) = (Batch::None, Health::Good);
        Ok(Self { worker, state: State::Opening, batch, health, due: None, events: Vec::new() })
    }

    /// Readable once the thread has done something.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.worker.descriptor()
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether it was logged that it cannot be used.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.health == Health::InTrouble
    }

    /// Whether a batch is being written.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.batch, Batch::InFlight(_))
    }

    /// The changes that are being written.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = (Key, Entry)> {
        let changes = self.batch.changes().into_iter().flat_map(|changes| changes.iter());
        changes.map(|(key, entry)| (*key, *entry))
    }

    /// What is remembered of `key`; nothing if the store is not open.
    pub(super) fn get(&mut self, key: Key) -> Option<Record> {
        match self.batch.changes().and_then(|changes| changes.get(&key)) {
            Some(entry) => entry.record(),
            None => self.read(|disk| disk.get(key)).flatten(),
        }
    }

    /// Clients that are on the disk already, from `first` on, `most` at most.
    pub(super) fn page(&mut self, first: Key, most: usize) -> Vec<(Key, Record)> {
        self.read(|disk| disk.page(first, most)).unwrap_or_default()
    }

    /// How many clients are on the disk; `None` if it cannot be read.
    pub(super) fn count(&mut self) -> Option<u64> {
        self.read(Disk::count)
    }

    fn read<T>(&mut self, reading: impl FnOnce(&Disk) -> Result<T, Broken>) -> Option<T> {
        let State::Open(disk) = &self.state else { return None };
        reading(disk).map_err(|why| self.fail(why)).ok()
    }

    /// There is a change: a batch is due soon.
    pub(super) fn note_change(&mut self) {
        if self.health == Health::Good {
            let soon = Instant::now() + INTERVAL;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }

    /// When something is due.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Closed(until) => Some(until),
            State::Open(_) if !self.is_writing() => self.due,
            State::Open(_) | State::Opening => None,
        }
    }

    /// Opens a store whose pause is over.
    pub(super) fn retry(&mut self, now: Instant) {
        if matches!(self.state, State::Closed(until) if until <= now) {
            self.reopen(Job::Open(None));
        }
    }

    /// Begins to write what could not be written before, or a batch out of `memory`.
    /// Without changes, clients are removed that were remembered for long enough.
    pub(super) fn write(&mut self, memory: &mut Memory, purge: Purge, now: Time) {
        let State::Open(disk) = &self.state else { return };
        let changes = match mem::replace(&mut self.batch, Batch::None) {
            Batch::InFlight(changes) => return self.batch = Batch::InFlight(changes),
            Batch::Kept(changes) => changes,
            Batch::None => Arc::new(memory.take(BATCH)),
        };
        self.worker.give(Job::Write(Arc::clone(disk), Arc::clone(&changes), purge, now));
        self.batch = Batch::InFlight(changes);
        self.due = (!memory.is_empty()).then(Instant::now);
    }

    fn reopen(&mut self, job: Job) {
        self.worker.give(job);
        self.state = State::Opening;
    }

    /// Takes the results of the thread; returns what to log.
    pub(super) fn events(&mut self) -> Vec<Event> {
        let results: Vec<Done> = self.worker.results().collect();
        for done in results {
            self.take(done);
        }
        mem::take(&mut self.events)
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Opened(Ok(disk)) => {
                self.state = State::Open(disk);
                let pause = if self.health == Health::Good { INTERVAL } else { PAUSE };
                self.due = Some(Instant::now() + pause);
            }
            Done::Opened(Err(why)) => {
                self.state = State::Closed(Instant::now() + PAUSE);
                self.trouble(Event::Failed(why));
            }
            Done::SetAside(why, name) => self.events.push(Event::SetAside(why, name)),
            // The result is of a store that was dropped meanwhile: all is written again.
            Done::Written(..) | Done::NoRoom | Done::Failed(_) if !self.is_open() => (),
            Done::Written(rest, _) => {
                self.batch = Batch::None;
                let next = if rest == Rest::More { INTERVAL } else { AT_LEAST };
                self.due.get_or_insert_with(|| Instant::now() + next);
                if mem::replace(&mut self.health, Health::Good) == Health::InTrouble {
                    self.events.push(Event::Recovered);
                }
            }
            Done::NoRoom => {
                self.keep_batch();
                self.due = Some(Instant::now() + PAUSE);
                self.trouble(Event::Full);
            }
            Done::Failed(why) => self.fail(why),
        }
    }

    fn keep_batch(&mut self) {
        self.batch = match mem::replace(&mut self.batch, Batch::None) {
            Batch::InFlight(changes) => Batch::Kept(changes),
            other => other,
        };
    }

    /// Drops the open store, and opens it again.
    pub(super) fn fail(&mut self, why: Broken) {
        let State::Open(disk) = mem::replace(&mut self.state, State::Opening) else { return };
        self.keep_batch();
        match why {
            Broken::Damaged(why) => self.reopen(Job::SetAside(disk, why)),
            why => {
                self.reopen(Job::Open(Some(disk)));
                self.trouble(Event::Failed(why));
            }
        }
    }

    fn trouble(&mut self, event: Event) {
        if mem::replace(&mut self.health, Health::InTrouble) == Health::Good {
            self.events.push(event);
        }
    }

    /// Writes what is being written and then `rest`, and closes the store; returns how many
    /// changes could not be written.
    pub(super) fn close(self, rest: Vec<Changes>, purge: Purge) -> usize {
        let Self { worker, state, batch, .. } = self;
        let mut left = rest.iter().map(Changes::len).sum();
        left += batch.changes().map_or(0, |changes| changes.len());
        let State::Open(disk) = state else { return left };
        let now = Time::now();
        let write = |changes| worker.give(Job::Write(Arc::clone(&disk), changes, purge, now));
        if let Batch::Kept(changes) = batch {
            write(changes);
        }
        rest.into_iter().map(Arc::new).for_each(write);
        worker.give(Job::Close(disk));
        for done in worker.end() {
            if let Done::Written(_, written) = done {
                left = left.saturating_sub(written);
            }
        }
        left
    }
}
