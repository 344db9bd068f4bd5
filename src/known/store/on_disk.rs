//! The store on the disk, as the keeper sees it: read here, opened and written by a
//! thread of its own.  Where it fails, it is tried again.

use std::io;
use std::mem;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::Purge;
use super::disk::{Broken, Disk, Rest};
use super::memory::{Changes, Entry, Memory};
use super::worker::{Done, Job, Worker};
use crate::known::directory::Directory;
use crate::known::key::Key;
use crate::known::record::Record;
use crate::known::rules::Limits;

/// How long a change waits to be written.  With the time that writing takes, a crash
/// costs no more than a second.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// How many changes are written at once: the database has all that it touches in memory
/// until it is written.
pub(super) const BATCH: usize = 1000;
/// How often those are looked for who were remembered for long enough.
const AT_LEAST: Duration = Duration::from_secs(600);
/// How long a disk that has failed is left alone.
pub(super) const PAUSE: Duration = Duration::from_secs(60);

/// What the log is to tell.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// The store could not be read, for this reason, and has this name now, if it could
    /// be renamed.
    SetAside(String, Option<PathBuf>),
    /// The store cannot be used, for this reason; the memory goes on.
    Failed(String),
    /// It can be used again.
    Recovered,
}

/// How far the store can be used.
enum State {
    /// It is being opened.
    Opening,
    Open(Arc<Disk>),
    /// It cannot be opened, and is tried again then.
    Closed(Instant),
}

/// Changes that are on their way to the disk.  They come before what is there.
enum Batch {
    None,
    /// The thread has them.
    InFlight(Arc<Changes>),
    /// They could not be written, and are the next to be.
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

/// Whether the log was told of trouble.
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
    /// Begins to open the store in `directory`, of which the lock is held.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn open(directory: Arc<Directory>, limits: Limits) -> io::Result<Self> {
        let worker = Worker::start(directory, limits)?;
        worker.give(Job::Open(None));
        let (batch, health) = (Batch::None, Health::Good);
        Ok(Self { worker, state: State::Opening, batch, health, due: None, events: Vec::new() })
    }

    /// Readable once something has come of what was begun.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.worker.descriptor()
    }

    pub(super) fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening)
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the log was told that it cannot be used.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.health == Health::InTrouble
    }

    /// Whether a batch is on its way.
    pub(super) fn is_writing(&self) -> bool {
        matches!(self.batch, Batch::InFlight(_))
    }

    /// What is on its way to the disk.
    pub(super) fn unwritten(&self) -> impl Iterator<Item = (Key, Entry)> {
        let changes = self.batch.changes().into_iter().flat_map(|changes| changes.iter());
        changes.map(|(key, entry)| (*key, *entry))
    }

    /// What is remembered of `key`; a store that is not open knows nothing.
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

    /// When there is something to begin.
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
    /// With nothing at all, those are removed whose time is over.
    pub(super) fn write(&mut self, memory: &mut Memory, purge: Purge) {
        let State::Open(disk) = &self.state else { return };
        let changes = match mem::replace(&mut self.batch, Batch::None) {
            Batch::InFlight(changes) => return self.batch = Batch::InFlight(changes),
            Batch::Kept(changes) => changes,
            Batch::None => Arc::new(memory.take(BATCH)),
        };
        self.worker.give(Job::Write(Arc::clone(disk), Arc::clone(&changes), purge));
        self.batch = Batch::InFlight(changes);
        self.due = (!memory.is_empty()).then(Instant::now);
    }

    fn reopen(&mut self, job: Job) {
        self.worker.give(job);
        self.state = State::Opening;
    }

    /// What has come of what was begun: what the log is to tell.
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
                self.trouble(why.to_string());
            }
            Done::SetAside(name, why) => self.events.push(Event::SetAside(why, name)),
            // Of a store that was given up in the meantime: all is written again.
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
                self.trouble("the disk is full".into());
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

    /// Gives up the store as it is open, and opens it anew.
    pub(super) fn fail(&mut self, why: Broken) {
        let State::Open(disk) = mem::replace(&mut self.state, State::Opening) else { return };
        self.keep_batch();
        match why {
            Broken::Damaged(why) => self.reopen(Job::SetAside(disk, why)),
            Broken::Refused(why) => {
                self.reopen(Job::Open(Some(disk)));
                self.trouble(why.to_string());
            }
        }
    }

    fn trouble(&mut self, why: String) {
        if mem::replace(&mut self.health, Health::InTrouble) == Health::Good {
            self.events.push(Event::Failed(why));
        }
    }

    /// Writes what is on its way and then `rest`, and closes the store; how many changes
    /// could not be written.
    pub(super) fn close(self, rest: Vec<Changes>, purge: Purge) -> usize {
        let Self { worker, state, batch, .. } = self;
        let mut left = rest.iter().map(Changes::len).sum();
        left += batch.changes().map_or(0, |changes| changes.len());
        let State::Open(disk) = state else { return left };
        let write = |changes| worker.give(Job::Write(Arc::clone(&disk), changes, purge));
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
