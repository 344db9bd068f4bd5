//! All that the keeper knows: what is on the disk, and before it what is not there yet.
//! Where there is no disk, or it fails, the memory goes on.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::clock::Clock;
use super::directory::Directory;
use super::disk::{Broken, Disk, Limits, Purge, Rest};
use super::key::Key;
use super::memory::{Changes, Entry, Memory};
use super::message::{PAGE, Where};
use super::record::{Record, Time};
use super::rules::Pass;
use super::worker::{Done, Job, Worker};

/// How long a change waits to be written.  With the time that writing takes, a crash
/// costs no more than a second.
const INTERVAL: Duration = Duration::from_millis(500);
/// How often those are looked for who were remembered for long enough.
const AT_LEAST: Duration = Duration::from_secs(600);
/// How long a disk that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(60);
/// How long the end of a start is waited for at the end.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// How many clients there are in memory at most: 3 MB.
pub const MOST_IN_MEMORY: usize = 20_000;
/// How many changes are written at once: the database has all that it touches in memory
/// until it is written.
const BATCH: usize = 1000;

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

/// The disk, as far as it can be used.
enum State {
    /// There is none.
    None,
    /// It is being opened.
    Opening,
    /// It is open.
    Open(Arc<Disk>),
    /// It cannot be opened, and is tried again then.
    Closed(Instant),
}

/// All that the keeper knows.
pub struct Store {
    memory: Memory,
    /// What is being written.
    in_flight: Option<Arc<Changes>>,
    /// How many clients there are, as long as something is not on the disk yet.
    count: u64,
    state: State,
    worker: Option<Worker>,
    limits: Limits,
    clock: Clock,
    purge: Purge,
    /// When the next batch is due, if there is anything to write.
    due: Option<Instant>,
    /// When something was last told of trouble that is not over.
    in_trouble: bool,
    events: Vec<Event>,
}

impl Store {
    /// One that has nothing but its memory.
    #[must_use]
    pub fn in_memory(limits: Limits) -> Self {
        let size = usize::try_from(limits.size).unwrap_or(MOST_IN_MEMORY);
        Self {
            memory: Memory::new(size.min(MOST_IN_MEMORY)),
            in_flight: None,
            count: 0,
            state: State::None,
            worker: None,
            limits,
            clock: Clock::new(Time::now(), Instant::now()),
            purge: Purge::Held,
            due: None,
            in_trouble: false,
            events: Vec::new(),
        }
    }

    /// One that begins to open the store in `directory`, of which the lock is held.
    ///
    /// # Errors
    /// No thread.
    pub fn on_disk(directory: Arc<Directory>, limits: Limits) -> io::Result<Self> {
        let worker = Worker::start(directory, limits)?;
        worker.give(Job::Open(None));
        let memory = Memory::new(MOST_IN_MEMORY);
        let state = State::Opening;
        Ok(Self { memory, state, worker: Some(worker), ..Self::in_memory(limits) })
    }

    /// Readable once something has come of what was begun.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.worker.as_ref().map(Worker::descriptor)
    }

    /// Whether the store is being opened.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        matches!(self.state, State::Opening)
    }

    /// What is remembered of `key`.
    pub fn get(&mut self, key: Key, now: Time) -> Option<Record> {
        let record = self.any(key);
        record.filter(|record| !self.limits.lifetimes.have_ended(record, now))
    }

    /// The same, however old.
    fn any(&mut self, key: Key) -> Option<Record> {
        let written = || self.in_flight.as_ref().and_then(|changes| changes.get(&key).copied());
        if let Some(entry) = self.memory.get(key).or_else(written) {
            return entry.record();
        }
        let State::Open(disk) = &self.state else { return None };
        let found = disk.get(key);
        found.unwrap_or_else(|why| {
            self.fail(why);
            None
        })
    }

    /// Remembers a pass.
    pub fn tell(&mut self, key: Key, pass: Pass, now: Time) {
        let there = self.any(key);
        let before = there.filter(|record| !self.limits.lifetimes.have_ended(record, now));
        if let Some(record) = pass.remembered(before, now) {
            self.put(key, Entry::Known(record), there.is_some());
        }
    }

    /// Remembers nothing of `key` any more; what was remembered.
    pub fn forget(&mut self, key: Key, now: Time) -> Option<Record> {
        let before = self.any(key);
        match (&self.state, before) {
            (State::None, _) => self.memory.remove(key),
            // What is not open cannot say that it has nothing.
            (State::Open(_), None) => (),
            _ => self.put(key, Entry::Forgotten(now), before.is_some()),
        }
        before.filter(|record| !self.limits.lifetimes.have_ended(record, now))
    }

    fn put(&mut self, key: Key, entry: Entry, was_there: bool) {
        self.memory.put(key, entry);
        let difference = i64::from(entry.record().is_some()) - i64::from(was_there);
        self.count = self.count.saturating_add_signed(difference);
        if !self.in_trouble {
            let soon = Instant::now() + INTERVAL;
            self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
        }
    }

    /// Clients from `first` on, and where the next page begins, if there is one.
    pub fn page(&mut self, first: Key, now: Time) -> (Vec<(Key, Record)>, Option<Key>) {
        let on_disk = match &self.state {
            State::Open(disk) => disk.page(first, PAGE),
            _ => Ok(Vec::new()),
        };
        let on_disk = on_disk.unwrap_or_else(|why| {
            self.fail(why);
            Vec::new()
        });
        let last = on_disk.get(PAGE - 1).map_or(Key::LAST, |(key, _)| *key);
        let mut page: std::collections::BTreeMap<Key, Entry> =
            on_disk.into_iter().map(|(key, record)| (key, Entry::Known(record))).collect();
        let written = self.in_flight.iter().flat_map(|changes| changes.iter());
        let changes = written.map(|(key, entry)| (*key, *entry)).chain(self.memory.iter());
        page.extend(changes.filter(|(key, _)| (first..=last).contains(key)));
        let next = page.keys().nth(PAGE).copied();
        let next = next.or_else(|| (last != Key::LAST).then(|| last.next()));
        let page = page.into_iter().take(PAGE);
        let known = page.filter_map(|(key, entry)| Some((key, entry.record()?)));
        let lifetimes = self.limits.lifetimes;
        let known = known.filter(|(_, record)| !lifetimes.have_ended(record, now));
        (known.collect(), next)
    }

    /// How many clients there are, and where.
    pub fn status(&mut self) -> (u64, Where) {
        let is_written = self.memory.is_empty() && self.in_flight.is_none();
        let on_disk = match &self.state {
            State::None => return (self.memory.len() as u64, Where::Memory),
            State::Opening | State::Closed(_) => return (self.count, Where::Memory),
            State::Open(disk) if is_written => disk.count(),
            State::Open(_) => return (self.count, Where::Disk),
        };
        let on_disk = on_disk.unwrap_or_else(|why| {
            self.fail(why);
            0
        });
        (on_disk, Where::Disk)
    }

    /// When [`tick`](Self::tick) has something to do.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match self.state {
            State::Closed(until) => Some(until),
            State::Open(_) if self.in_flight.is_none() => self.due,
            _ => None,
        }
    }

    /// Begins what is due.  `now` and `instant` are the same moment.
    pub fn tick(&mut self, now: Time, instant: Instant) {
        self.purge = self.clock.look(now, instant);
        let is_enough = self.memory.len() >= BATCH && !self.in_trouble;
        let is_due = is_enough || self.due().is_some_and(|due| due <= instant);
        match &self.state {
            State::None => {
                self.memory.correct(now);
                if self.purge == Purge::Due {
                    self.memory.purge(&self.limits.lifetimes, now);
                }
            }
            State::Closed(until) if *until <= instant => self.open(None),
            State::Open(_) if is_due => self.write(),
            State::Open(_) | State::Opening | State::Closed(_) => (),
        }
    }

    fn write(&mut self) {
        if let (State::Open(disk), None, Some(worker)) =
            (&self.state, &self.in_flight, &self.worker)
        {
            let changes = Arc::new(self.memory.take(BATCH));
            worker.give(Job::Write(Arc::clone(disk), Arc::clone(&changes), self.purge));
            self.in_flight = Some(changes);
            self.due = (!self.memory.is_empty()).then(Instant::now);
        }
    }

    fn open(&mut self, before: Option<Arc<Disk>>) {
        if let Some(worker) = &self.worker {
            worker.give(Job::Open(before));
            self.state = State::Opening;
        }
    }

    /// What has come of what was begun: what the log is to tell.
    pub fn events(&mut self) -> Vec<Event> {
        let results: Vec<Done> = self.worker.iter().flat_map(Worker::results).collect();
        for done in results {
            self.take(done);
        }
        std::mem::take(&mut self.events)
    }

    fn take(&mut self, done: Done) {
        match done {
            Done::Opened(Ok(disk)) => {
                let new = self.memory.iter().filter(|(_, entry)| entry.record().is_some());
                self.count = disk.count().unwrap_or_default() + new.count() as u64;
                self.state = State::Open(disk);
                let pause = if self.in_trouble { PAUSE } else { INTERVAL };
                self.due = Some(Instant::now() + pause);
            }
            Done::Opened(Err(why)) => {
                self.state = State::Closed(Instant::now() + PAUSE);
                self.trouble(why);
            }
            Done::SetAside(name, why) => self.events.push(Event::SetAside(why, name)),
            Done::Written(rest, _) => {
                self.in_flight = None;
                if let (true, State::Open(disk)) = (self.memory.is_empty(), &self.state) {
                    self.count = disk.count().unwrap_or(self.count);
                }
                let next = if rest == Rest::More { INTERVAL } else { AT_LEAST };
                self.due.get_or_insert_with(|| Instant::now() + next);
                if std::mem::take(&mut self.in_trouble) {
                    self.events.push(Event::Recovered);
                }
            }
            Done::NoRoom => {
                self.take_back();
                self.due = Some(Instant::now() + PAUSE);
                self.trouble("the disk is full".into());
            }
            Done::Failed(why) => {
                self.take_back();
                self.fail(why);
            }
        }
    }

    fn take_back(&mut self) {
        if let Some(changes) = self.in_flight.take() {
            self.memory.put_back(&changes);
        }
    }

    /// Gives up the disk as it is.
    fn fail(&mut self, why: Broken) {
        let State::Open(disk) = std::mem::replace(&mut self.state, State::Opening) else { return };
        self.take_back();
        let Some(worker) = &self.worker else { return };
        match why {
            Broken::Damaged(why) => worker.give(Job::SetAside(disk, why)),
            Broken::Refused(why) => {
                worker.give(Job::Open(Some(disk)));
                self.trouble(why.to_string());
            }
        }
    }

    fn trouble(&mut self, why: String) {
        if !std::mem::replace(&mut self.in_trouble, true) {
            self.events.push(Event::Failed(why));
        }
    }

    /// Writes all that is not on the disk yet, and closes the store; how many clients
    /// could not be written.
    #[must_use]
    pub fn close(mut self) -> usize {
        let until = Instant::now() + LAST_WAIT;
        while self.is_opening() && self.wait(until) {
            self.events();
        }
        let Some(worker) = self.worker.take() else { return 0 };
        let State::Open(disk) = std::mem::replace(&mut self.state, State::None) else {
            return self.memory.len();
        };
        self.take_back();
        let mut left = self.memory.len();
        while !self.memory.is_empty() {
            let changes = Arc::new(self.memory.take(BATCH));
            worker.give(Job::Write(Arc::clone(&disk), changes, self.purge));
        }
        worker.give(Job::Close(disk));
        for done in worker.end() {
            if let Done::Written(_, written) = done {
                left = left.saturating_sub(written);
            }
        }
        left
    }

    /// Waits for what was begun, until then; whether something has come of it.
    #[must_use]
    pub fn wait(&self, until: Instant) -> bool {
        let Some(descriptor) = self.descriptor() else { return false };
        let left = until.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        matches!(poll(&mut [PollFd::new(descriptor, PollFlags::POLLIN)], left), Ok(1..))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::class::Class;
    use crate::known::rules::Lifetimes;

    /// A directory that is removed with this.
    struct Home(PathBuf);

    impl Home {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("known.{name}.{}", std::process::id()));
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(&path).unwrap();
            Self(path)
        }

        fn store(&self) -> Store {
            let directory = Arc::new(Directory::open(&self.0).unwrap());
            let mut store = Store::on_disk(directory, Limits::default()).unwrap();
            let events = settled(&mut store, |store| !store.is_opening());
            assert_eq!(events, []);
            store
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Goes on until `condition` holds; the events on the way.
    fn settled(store: &mut Store, condition: impl Fn(&Store) -> bool) -> Vec<Event> {
        let until = Instant::now() + Duration::from_secs(20);
        let mut events = Vec::new();
        while !condition(store) {
            assert!(store.wait(until), "waited in vain");
            events.extend(store.events());
        }
        events
    }

    /// Writes what is due, and waits until that is done.
    fn write(store: &mut Store, now: Time) -> Vec<Event> {
        store.tick(now, Instant::now() + INTERVAL);
        assert!(store.in_flight.is_some());
        settled(store, |store| store.in_flight.is_none() && !store.is_opening())
    }

    fn key(number: u32) -> Key {
        Key::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    const STATIC: Pass = Pass::Full(Class::Static);

    #[test]
    fn what_is_told_is_known_at_once_and_afterwards() {
        let home = Home::new("store");
        let now = Time::now();
        let mut store = home.store();
        store.tell(key(1), STATIC, now);
        store.tell(key(1), Pass::Renewal, now);
        store.tell(key(2), Pass::Renewal, now);
        store.tell(key(3), STATIC, now);
        let count = |store: &mut Store, number| store.get(key(number), now).map(|it| it.count);
        assert_eq!([1, 2, 3].map(|number| count(&mut store, number)), [Some(2), None, Some(1)]);
        assert_eq!(store.status(), (2, Where::Disk));
        assert_eq!(write(&mut store, now), []);
        assert_eq!(store.status(), (2, Where::Disk));
        assert!(store.forget(key(3), now).is_some() && store.forget(key(9), now).is_none());
        assert_eq!(store.status(), (1, Where::Disk));
        assert_eq!([1, 3].map(|number| count(&mut store, number)), [Some(2), None]);
        assert_eq!(store.close(), 0);
        let mut store = home.store();
        assert_eq!([1, 2, 3].map(|number| count(&mut store, number)), [Some(2), None, None]);
        assert_eq!(store.status(), (1, Where::Disk));
    }

    #[test]
    fn an_old_record_is_no_longer_known_and_begins_anew() {
        let mut store = Store::in_memory(Limits { size: 10, lifetimes: Lifetimes::days(2) });
        store.tell(key(1), STATIC, Time(1000));
        let later = Time(1000 + 2 * 86_400 + 1);
        assert_eq!(store.get(key(1), later), None);
        store.tell(key(1), STATIC, later);
        assert_eq!(store.get(key(1), later), Some(Record::new(Class::Static, later)));
        assert_eq!(store.status(), (1, Where::Memory));
    }

    #[test]
    fn a_list_comes_in_pages_with_what_is_not_written_yet() {
        let home = Home::new("pages");
        let now = Time::now();
        let mut store = home.store();
        for number in 0..250 {
            store.tell(key(number * 2), STATIC, now);
        }
        write(&mut store, now);
        for number in 0..250 {
            store.tell(key(number * 2 + 1), STATIC, now);
        }
        store.forget(key(100), now);
        let (mut found, mut next) = (Vec::new(), Some(Key::FIRST));
        while let Some(first) = next {
            let (page, after) = store.page(first, now);
            assert!(page.len() <= PAGE);
            found.extend(page.into_iter().map(|(key, _)| key));
            next = after;
        }
        let expected: Vec<Key> = (0..500).filter(|number| *number != 100).map(key).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_store_that_breaks_is_set_aside_and_the_memory_goes_on() {
        let home = Home::new("broken");
        let now = Time::now();
        let mut store = home.store();
        (0..3000).for_each(|number| store.tell(key(number), STATIC, now));
        assert_eq!(store.close(), 0);
        let file = fs::File::options().write(true).open(home.0.join("store")).unwrap();
        file.set_len(20_000).unwrap();
        let directory = Arc::new(Directory::open(&home.0).unwrap());
        let mut store = Store::on_disk(directory, Limits::default()).unwrap();
        store.tell(key(10_000), STATIC, now);
        let events = settled(&mut store, |store| !store.is_opening());
        let [Event::SetAside(_, Some(name))] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(*name, home.0.join("store.bad"));
        assert!(store.get(key(10_000), now).is_some());
        assert_eq!(write(&mut store, now), []);
        assert_eq!(store.close(), 0);
        assert!(home.store().get(key(10_000), now).is_some());
    }

    #[test]
    fn a_store_that_cannot_be_opened_is_tried_again() {
        let home = Home::new("refused");
        let now = Time::now();
        let store_file = home.0.join("store");
        fs::create_dir(&store_file).unwrap();
        let directory = Arc::new(Directory::open(Path::new(&home.0)).unwrap());
        let mut store = Store::on_disk(directory, Limits::default()).unwrap();
        let events = settled(&mut store, |store| !store.is_opening());
        assert!(matches!(events.as_slice(), [Event::Failed(why)] if why.contains("directory")));
        store.tell(key(1), STATIC, now);
        assert!(store.get(key(1), now).is_some());
        assert_eq!(store.status(), (1, Where::Memory));
        fs::remove_dir(&store_file).unwrap();
        store.tick(now, Instant::now() + PAUSE);
        assert_eq!(settled(&mut store, |store| !store.is_opening()), []);
        store.due = Some(Instant::now());
        assert_eq!(write(&mut store, now), [Event::Recovered]);
        assert_eq!(store.close(), 0);
        assert!(home.store().get(key(1), now).is_some());
    }
}
