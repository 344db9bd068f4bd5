//! The thread that opens and writes the store, so that no answer waits for what takes long:
//! fsync(2) on a busy disk may take seconds.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::clock::Purge;
use super::disk::{Broken, Damage, Disk, Rest, close};
use super::memory::Changes;
use crate::known::directory::{Directory, Unfit};
use crate::known::record::Time;
use crate::known::rules::Limits;

/// Bytes of its stack: the default would be half of a small memory limit.
const STACK: usize = 256 << 10;
/// Bytes that a change may need on the disk: two pages that are copied, and those above
/// them.
const BYTES_OF_A_CHANGE: u64 = 16 << 10;
/// Bytes that any batch may need.
const BYTES_OF_A_BATCH: u64 = 4 << 20;

/// A task of the thread; tasks are done in order.
pub(super) enum Job {
    /// Drop this store, if there is one, and open the store.
    Open(Option<Arc<Disk>>),
    /// The same, but the present file cannot be used.
    SetAside(Arc<Disk>, Damage),
    /// Write this, at this time.
    Write(Arc<Disk>, Arc<Changes>, Purge, Time),
    /// Drop this store, so that it is closed.
    Close(Arc<Disk>),
}

/// The result of a task.
pub(super) enum Done {
    /// The store is open, or cannot be opened.
    Opened(Result<Arc<Disk>, Broken>),
    /// A store that could not be read, for this reason, was given this name.
    SetAside(Damage, io::Result<PathBuf>),
    /// The batch is on the disk; whether there are more clients to forget, and how many
    /// changes it had.
    Written(Rest, usize),
    /// The batch was not tried: the disk is full.
    NoRoom,
    /// The batch could not be written.
    Failed(Broken),
}

/// The thread, as the keeper sees it.
pub(super) struct Worker {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    is_done: Arc<EventFd>,
    thread: JoinHandle<()>,
}

impl Worker {
    /// Starts the thread; signals that are blocked now are blocked in it.
    ///
    /// # Errors
    /// EAGAIN, ENOMEM.
    pub(super) fn start(directory: Arc<Directory>, limits: Limits) -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let is_done = Arc::new(EventFd::from_value_and_flags(0, flags)?);
        let (jobs, to_do) = channel();
        let (tell, done) = channel();
        let side = Side { directory, limits, tell, is_done: Arc::clone(&is_done) };
        let thread = thread::Builder::new().name("store".into()).stack_size(STACK);
        let thread = thread.spawn(move || to_do.into_iter().for_each(|job| side.work(job)))?;
        Ok(Self { jobs, done, is_done, thread })
    }

    pub(super) fn give(&self, job: Job) {
        let _ = self.jobs.send(job);
    }

    /// Readable once a task is done.
    pub(super) fn descriptor(&self) -> BorrowedFd<'_> {
        self.is_done.as_fd()
    }

    /// The results since the last call.
    pub(super) fn results(&self) -> impl Iterator<Item = Done> {
        let _ = self.is_done.read();
        self.done.try_iter()
    }

    /// Waits until all tasks are done.
    pub(super) fn end(self) -> impl Iterator<Item = Done> {
        drop(self.jobs);
        let _ = self.thread.join();
        self.done.into_iter()
    }
}

/// The state of the thread.
struct Side {
    directory: Arc<Directory>,
    limits: Limits,
    tell: Sender<Done>,
    is_done: Arc<EventFd>,
}

impl Side {
    fn work(&self, job: Job) {
        match job {
            Job::Open(before) => {
                close(before);
                let opened = self.open();
                self.tell(Done::Opened(opened));
            }
            Job::SetAside(disk, why) => {
                close(Some(disk));
                self.set_aside(why);
                let opened = self.open();
                self.tell(Done::Opened(opened));
            }
            Job::Write(disk, changes, purge, now) => {
                let done = self.write(&disk, &changes, purge, now);
                // The receiver is the only owner.
                drop((disk, changes));
                self.tell(done);
            }
            Job::Close(disk) => close(Some(disk)),
        }
    }

    fn tell(&self, done: Done) {
        let _ = self.tell.send(done);
        let _ = self.is_done.write(1);
    }

    fn open(&self) -> Result<Arc<Disk>, Broken> {
        let try_it = || Disk::open(self.file()?);
        let opened = match try_it() {
            Err(Broken::Damaged(why)) => {
                self.set_aside(why);
                try_it()
            }
            opened => opened,
        };
        opened.map(Arc::new)
    }

    fn file(&self) -> Result<File, Broken> {
        self.directory.store().map_err(|why| match why {
            Unfit::Refused(why) => Broken::Refused(why),
            why => Broken::Unfit(why),
        })
    }

    fn set_aside(&self, why: Damage) {
        self.tell(Done::SetAside(why, self.directory.set_store_aside()));
    }

    fn write(&self, disk: &Disk, changes: &Changes, purge: Purge, now: Time) -> Done {
        if self.lacks_room(changes.len()) {
            return Done::NoRoom;
        }
        match disk.write(changes, &self.limits, purge, now) {
            Ok(rest) => Done::Written(rest, changes.len()),
            Err(why) => Done::Failed(why),
        }
    }

    /// Checked before: a database that runs out of room in the middle of a batch cannot be
    /// read until it is opened again, which takes room.
    fn lacks_room(&self, changes: usize) -> bool {
        let needed = BYTES_OF_A_BATCH + BYTES_OF_A_CHANGE * changes as u64;
        self.directory.room().is_ok_and(|room| room < needed)
    }
}
