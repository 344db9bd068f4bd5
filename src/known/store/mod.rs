//! All that the keeper knows: the store on the disk, and changes that are not on the disk
//! yet.  Without a disk, or if it fails, all is in memory.

pub mod clock;
pub mod disk;
pub mod memory;
mod on_disk;
pub mod order;
mod worker;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::asking::message::{PAGE, Where};
use super::directory::Directory;
use super::entry::Entry;
use super::key::Key;
use super::record::{Record, Time};
use super::rules::{Limits, Pass};
use clock::{Clock, Purge};
use memory::{Changes, Memory};
use on_disk::{BATCH, OnDisk};

pub use on_disk::Event;

/// How long the end waits for a store that is still being opened.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// The most clients in memory: 3 MB.
pub const MOST_IN_MEMORY: usize = 20_000;
/// All that the keeper knows.
pub struct Store {
    memory: Memory,
    /// How many clients there are, as long as some changes are not on the disk yet.
    count: u64,
    disk: Option<OnDisk>,
    limits: Limits,
    clock: Clock,
    purge: Purge,
}

impl Store {
    /// A store in memory only.
    #[must_use]
    pub fn in_memory(limits: Limits) -> Self {
        let size = usize::try_from(limits.size).unwrap_or(MOST_IN_MEMORY);
        Self {
            memory: Memory::new(size.min(MOST_IN_MEMORY)),
            count: 0,
            disk: None,
            limits,
            clock: Clock::new(Time::now(), Instant::now()),
            purge: Purge::Held,
        }
    }

    /// A store that begins to open the one in `directory`, whose lock is held.
    ///
    /// # Errors
    /// No thread.
    pub fn on_disk(directory: Arc<Directory>, limits: Limits) -> io::Result<Self> {
        let disk = Some(OnDisk::open(directory, limits)?);
        let memory = Memory::new(MOST_IN_MEMORY);
        Ok(Self { memory, disk, ..Self::in_memory(limits) })
    }

    /// Readable once the thread has done something.
    #[must_use]
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.disk.as_ref().map(OnDisk::descriptor)
    }

    /// Whether the store is being opened.
    #[must_use]
    pub fn is_opening(&self) -> bool {
        self.disk.as_ref().is_some_and(OnDisk::is_opening)
    }

    /// What is remembered of `key`.
    pub fn get(&mut self, key: Key, now: Time) -> Option<Record> {
        let record = self.any(key);
        record.filter(|record| !self.limits.lifetimes.have_ended(record, now))
    }

    /// The same, however old it is.
    fn any(&mut self, key: Key) -> Option<Record> {
        match self.memory.get(key) {
            Some(entry) => entry.record(),
            None => self.disk.as_mut()?.get(key),
        }
    }

    /// The same, with when it was forgotten if that is not on the disk yet.
    pub fn entry(&mut self, key: Key) -> Option<Entry> {
        self.memory.get(key).or_else(|| self.any(key).map(Entry::Known))
    }

    /// Remembers a pass; returns what is remembered now, if the client is known.
    pub fn tell(&mut self, key: Key, pass: Pass, now: Time) -> Option<Record> {
        let there = self.any(key);
        let before = there.filter(|record| !self.limits.lifetimes.have_ended(record, now));
        let record = pass.remembered(before, now)?;
        self.put(key, Entry::Known(record), there.is_some());
        Some(record)
    }

    /// Remembers what another host does, unless that is too old to count.
    pub fn adopt(&mut self, key: Key, record: Record, now: Time) {
        if !self.limits.lifetimes.have_ended(&record, now) {
            let is_there = self.any(key).is_some();
            self.put(key, Entry::Known(record), is_there);
        }
    }

    /// Forgets `key`; returns what was remembered.
    pub fn forget(&mut self, key: Key, now: Time) -> Option<Record> {
        let before = self.any(key);
        match &self.disk {
            None => self.memory.remove(key),
            // A store that is not open cannot tell that it does not have a client.
            Some(disk) if before.is_some() || !disk.is_open() => {
                self.put(key, Entry::Forgotten(now), before.is_some());
            }
            Some(_) => (),
        }
        before.filter(|record| !self.limits.lifetimes.have_ended(record, now))
    }

    fn put(&mut self, key: Key, entry: Entry, was_there: bool) {
        self.memory.put(key, entry);
        let difference = i64::from(entry.record().is_some()) - i64::from(was_there);
        self.count = self.count.saturating_add_signed(difference);
        if let Some(disk) = &mut self.disk {
            disk.note_change();
        }
    }

    /// Clients from `first` on, and where the next page begins, if there is one.
    pub fn page(&mut self, first: Key, now: Time) -> (Vec<(Key, Record)>, Option<Key>) {
        let on_disk = self.disk.as_mut().map(|disk| disk.page(first, PAGE)).unwrap_or_default();
        let last = on_disk.get(PAGE - 1).map_or(Key::LAST, |(key, _)| *key);
        let mut page: BTreeMap<Key, Entry> =
            on_disk.into_iter().map(|(key, record)| (key, Entry::Known(record))).collect();
        let unwritten = self.disk.iter().flat_map(OnDisk::unwritten).chain(self.memory.iter());
        page.extend(unwritten.filter(|(key, _)| (first..=last).contains(key)));
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
        let Some(disk) = &mut self.disk else {
            return (self.memory.len() as u64, Where::Memory);
        };
        if self.memory.is_empty() && disk.unwritten().next().is_none() {
            self.count = disk.count().unwrap_or(self.count);
        }
        (self.count, if disk.is_open() { Where::Disk } else { Where::Memory })
    }

    /// When [`tick`](Self::tick) is due.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.disk.as_ref().and_then(OnDisk::due)
    }

    /// Begins what is due.  `now` and `instant` are the same moment.
    pub fn tick(&mut self, now: Time, instant: Instant) {
        self.purge = self.clock.look(now, instant);
        let Some(disk) = &mut self.disk else {
            self.memory.correct(now);
            if self.purge == Purge::Due {
                self.memory.purge(&self.limits.lifetimes, now);
            }
            return;
        };
        disk.retry(instant);
        let is_enough = self.memory.len() >= BATCH && !disk.is_in_trouble();
        if is_enough || disk.due().is_some_and(|due| due <= instant) {
            disk.write(&mut self.memory, self.purge, now);
        }
    }

    /// Takes the results of the thread; returns what to log.
    pub fn events(&mut self) -> Vec<Event> {
        let Some(disk) = &mut self.disk else { return Vec::new() };
        let was_open = disk.is_open();
        let events = disk.events();
        if disk.is_open() && !was_open {
            let unwritten = disk.unwritten().chain(self.memory.iter());
            let new = unwritten.filter(|(_, entry)| entry.record().is_some()).count();
            self.count = disk.count().unwrap_or_default() + new as u64;
        }
        events
    }

    /// Writes all that is not on the disk yet, and closes the store; returns how many
    /// clients could not be written.
    #[must_use]
    pub fn close(mut self) -> usize {
        let until = Instant::now() + LAST_WAIT;
        while self.is_opening() && self.wait(until) {
            self.events();
        }
        let Some(disk) = self.disk else { return 0 };
        let mut rest: Vec<Changes> = Vec::new();
        while !self.memory.is_empty() {
            rest.push(self.memory.take(BATCH));
        }
        disk.close(rest, self.purge)
    }

    /// Waits for the thread until then; returns whether it has done something.
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
    use std::path::{Path, PathBuf};

    use super::disk::{Broken, Damage};
    use super::on_disk::{INTERVAL, PAUSE};
    use super::*;
    use crate::class::Class;
    use crate::known::rules::Lifetimes;

    /// A directory that is removed on drop.
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
            assert!(events.is_empty(), "{events:?}");
            store
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    impl Store {
        fn is_writing(&self) -> bool {
            self.disk.as_ref().is_some_and(OnDisk::is_writing)
        }
    }

    /// Continues until `condition` holds; returns the events meanwhile.
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
        assert!(store.is_writing());
        settled(store, |store| !store.is_writing() && !store.is_opening())
    }

    fn key(number: u32) -> Key {
        Key::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    const STATIC: Pass = Pass::Full(Class::Static);

    #[test]
    fn a_pass_is_known_at_once_and_afterwards() {
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
        assert!(write(&mut store, now).is_empty());
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
    fn a_clock_an_hour_back_or_a_year_ahead_costs_no_client() {
        let home = Home::new("clock");
        let now = Time::now();
        let (back, ahead) = (Time(now.0 - 3600), Time(now.0 + 365 * 86_400));
        let mut store = home.store();
        store.tell(key(1), STATIC, now);
        assert!(write(&mut store, now).is_empty());
        store.tell(key(2), STATIC, back);
        assert!(write(&mut store, back).is_empty());
        let known = |store: &mut Store, now| [1, 2, 3].map(|of| store.get(key(of), now).is_some());
        assert_eq!(known(&mut store, back), [true, true, false]);
        // As old as they seem to be now, they count as new until the clock is right again.
        assert_eq!(known(&mut store, ahead), [false; 3]);
        store.tell(key(3), STATIC, ahead);
        assert!(write(&mut store, ahead).is_empty());
        assert_eq!(known(&mut store, ahead), [false, false, true]);
        assert_eq!(known(&mut store, now), [true; 3]);
        store.tell(key(1), Pass::Renewal, now);
        assert!(write(&mut store, now).is_empty());
        assert_eq!(store.get(key(1), now).map(|record| record.count), Some(2));
        assert_eq!(store.get(key(3), now).map(|record| record.last), Some(now));
        assert_eq!((store.status(), store.close()), ((3, Where::Disk), 0));
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
        for number in 0..3000 {
            store.tell(key(number), STATIC, now);
        }
        assert_eq!(store.close(), 0);
        let file = fs::File::options().write(true).open(home.0.join("store")).unwrap();
        file.set_len(20_000).unwrap();
        let directory = Arc::new(Directory::open(&home.0).unwrap());
        let mut store = Store::on_disk(directory, Limits::default()).unwrap();
        store.tell(key(10_000), STATIC, now);
        let events = settled(&mut store, |store| !store.is_opening());
        let [Event::SetAside(_, Ok(name))] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(*name, home.0.join("store.bad"));
        assert!(store.get(key(10_000), now).is_some());
        assert!(write(&mut store, now).is_empty());
        assert_eq!(store.close(), 0);
        assert!(home.store().get(key(10_000), now).is_some());
    }

    #[test]
    fn a_batch_on_its_way_when_the_store_breaks_is_written_to_the_next() {
        let home = Home::new("in-flight");
        let now = Time::now();
        let mut store = home.store();
        store.tell(key(1), STATIC, now);
        store.tick(now, Instant::now() + INTERVAL);
        store.disk.as_mut().unwrap().fail(Broken::Damaged(Damage::Contradiction));
        assert!(store.get(key(1), now).is_some());
        let events = settled(&mut store, |store| !store.is_opening());
        assert!(matches!(events.as_slice(), [Event::SetAside(..)]), "{events:?}");
        assert!(write(&mut store, now).is_empty());
        assert_eq!((store.status(), store.close()), ((1, Where::Disk), 0));
        assert!(home.store().get(key(1), now).is_some());
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
        let [Event::Failed(why)] = events.as_slice() else { panic!("{events:?}") };
        assert!(why.to_string().contains("directory"), "{why}");
        store.tell(key(1), STATIC, now);
        assert!(store.get(key(1), now).is_some());
        assert_eq!(store.status(), (1, Where::Memory));
        fs::remove_dir(&store_file).unwrap();
        store.tick(now, Instant::now() + PAUSE);
        assert!(settled(&mut store, |store| !store.is_opening()).is_empty());
        store.tick(now, Instant::now() + 2 * PAUSE);
        let events = settled(&mut store, |store| !store.is_writing());
        assert!(matches!(events.as_slice(), [Event::Recovered]), "{events:?}");
        assert_eq!(store.close(), 0);
        assert!(home.store().get(key(1), now).is_some());
    }
}
