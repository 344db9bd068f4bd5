//! The store on the disk: a database with all clients, and the queues in which they are
//! forgotten.  It is written in batches, each of which takes effect in full or not at all.

mod backend;
mod broken;
mod tables;

use std::fs::File;
use std::sync::Arc;

use redb::{Builder, Database, ReadableTableMetadata, TableHandle};

use super::clock::Purge;
use super::memory::Changes;
use crate::known::key::{self, Key};
use crate::known::record::{Record, Time};
use crate::known::rules::Limits;
use backend::Backend;
use broken::contained;
use tables::{CLIENTS, Tables};

pub(in crate::known) use broken::panics_are_contained;
pub use broken::{Broken, Damage};
pub use tables::Rest;

/// Bytes of pages that are cached in memory.
const CACHE: usize = 1 << 20;

/// The store.
pub struct Disk(Database);

impl Disk {
    /// Opens the store in `file`; an empty file becomes a store.
    ///
    /// # Errors
    /// A file that is not a store of this version, or an error of the system.
    pub fn open(file: File) -> Result<Self, Broken> {
        contained(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE);
            let database = builder.create_with_backend(Backend(file))?;
            let reading = database.begin_read()?;
            let tables: Vec<String> = reading.list_tables()?.map(|it| it.name().into()).collect();
            drop(reading);
            if !tables.is_empty() && !tables.iter().any(|name| name == CLIENTS.name()) {
                return Err(Broken::Damaged(Damage::OtherVersion));
            }
            if tables.is_empty() {
                let writing = database.begin_write()?;
                Tables::open(&writing)?;
                writing.commit()?;
            }
            Ok(Self(database))
        })
    }

    /// What is remembered of `key`.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn get(&self, key: Key) -> Result<Option<Record>, Broken> {
        contained(|| {
            let clients = self.0.begin_read()?.open_table(CLIENTS)?;
            Ok(clients.get(key.bytes())?.and_then(|bytes| Record::from_bytes(bytes.value())))
        })
    }

    /// Clients from `first` on, `most` at most, in the order of their keys.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn page(&self, first: Key, most: usize) -> Result<Vec<(Key, Record)>, Broken> {
        contained(|| {
            let clients = self.0.begin_read()?.open_table(CLIENTS)?;
            let mut page = Vec::new();
            for entry in clients.range::<&[u8; key::LENGTH]>(first.bytes()..)?.take(most) {
                let (key, record) = entry?;
                let record = Record::from_bytes(record.value());
                page.extend(Key::from_bytes(*key.value()).zip(record));
            }
            Ok(page)
        })
    }

    /// How many clients there are.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn count(&self) -> Result<u64, Broken> {
        contained(|| Ok(self.0.begin_read()?.open_table(CLIENTS)?.len()?))
    }

    /// Writes `changes`, and forgets clients that exceed `limits`: 10,000 at most.  Then
    /// all is on the disk.
    ///
    /// # Errors
    /// A file that cannot be read or written; nothing in it is changed then.  It has to be
    /// opened again.
    pub fn write(
        &self,
        changes: &Changes,
        limits: &Limits,
        purge: Purge,
        now: Time,
    ) -> Result<Rest, Broken> {
        contained(|| {
            let writing = self.0.begin_write()?;
            let mut tables = Tables::open(&writing)?;
            for (key, entry) in changes {
                tables.put(*key, *entry)?;
            }
            let mut rests = vec![tables.correct(now)?, tables.evict(limits.size)?];
            if purge == Purge::Due {
                rests.push(tables.purge(&limits.lifetimes, now)?);
            }
            drop(tables);
            writing.commit()?;
            Ok(if rests.contains(&Rest::More) { Rest::More } else { Rest::None })
        })
    }
}

/// Drops a store; it is closed if nothing else uses it.  A damaged one may panic once more.
pub(super) fn close(disk: Option<Arc<Disk>>) {
    let _ = contained(|| {
        drop(disk);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::Ipv4Addr;
    use std::panic::{set_hook, take_hook};
    use std::sync::Once;

    use redb::TableDefinition;

    use super::tables::PLACES;
    use super::*;
    use crate::class::Class;
    use crate::known::entry::Entry;
    use crate::known::rules::Lifetimes;
    use crate::known::store::order::Place;

    const DAYS: std::time::Duration = std::time::Duration::from_secs(36 * 86_400);
    const LIMITS: Limits = Limits { size: 100, lifetimes: Lifetimes { of_static: DAYS } };

    /// Bytes that the database reads and writes at once.
    const PAGE: u64 = 4096;

    /// A file that is removed on drop.
    struct TestFile(std::path::PathBuf);

    impl TestFile {
        fn new(name: &str) -> Self {
            let name = format!("known.{name}.{}", std::process::id());
            Self(std::env::temp_dir().join(name))
        }

        fn file(&self) -> File {
            let mut how = File::options();
            how.read(true).write(true).create(true).truncate(false).open(&self.0).unwrap()
        }
    }

    impl Drop for TestFile {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn key(number: u32) -> Key {
        Key::of(Ipv4Addr::from_bits(number).into())
    }

    fn record(class: Class, count: u32, last: u32) -> Record {
        Record { first: Time(0), last: Time(last), count, class }
    }

    fn known(numbers: std::ops::Range<u32>, record: Record) -> Changes {
        numbers.map(|number| (key(number), Entry::Known(record))).collect()
    }

    fn write(disk: &Disk, changes: &Changes, purge: Purge, now: u32) -> Rest {
        disk.write(changes, &LIMITS, purge, Time(now)).unwrap()
    }

    /// As many places as clients, each where it should be.
    fn assert_consistent(disk: &Disk) {
        let clients = disk.page(Key::FIRST, usize::MAX).unwrap();
        let reading = disk.0.begin_read().unwrap();
        let places = reading.open_table(PLACES).unwrap();
        assert_eq!(places.len().unwrap(), clients.len() as u64);
        for (key, record) in clients {
            assert!(places.get(&Place::of(key, &record).bytes()).unwrap().is_some(), "{key}");
        }
    }

    #[test]
    fn what_is_written_is_there_when_it_is_opened_again() {
        let place = TestFile::new("again");
        let disk = Disk::open(place.file()).unwrap();
        write(&disk, &known(0..10, record(Class::Static, 1, 5)), Purge::Held, 5);
        write(&disk, &known(5..10, record(Class::None, 2, 6)), Purge::Held, 6);
        write(&disk, &[(key(0), Entry::Forgotten(Time(7)))].into(), Purge::Held, 7);
        drop(disk);
        let disk = Disk::open(place.file()).unwrap();
        let got = [0, 1, 5, 10].map(|number| disk.get(key(number)).unwrap());
        let expected =
            [None, Some(record(Class::Static, 1, 5)), Some(record(Class::None, 2, 6)), None];
        assert_eq!(got, expected);
        assert_eq!(disk.count().unwrap(), 9);
        let page: Vec<Key> =
            disk.page(key(3), 4).unwrap().into_iter().map(|(key, _)| key).collect();
        assert_eq!(page, [3, 4, 5, 6].map(key));
        assert_consistent(&disk);
    }

    #[test]
    fn the_oldest_with_a_single_pass_make_room() {
        let place = TestFile::new("evict");
        let disk = Disk::open(place.file()).unwrap();
        write(&disk, &known(0..60, record(Class::Dynamic, 2, 1)), Purge::Held, 1);
        write(&disk, &known(100..120, record(Class::Static, 1, 2)), Purge::Held, 2);
        write(&disk, &known(200..230, record(Class::Dynamic, 1, 3)), Purge::Held, 3);
        assert_eq!(disk.count().unwrap(), 100);
        write(&disk, &known(300..310, record(Class::Dynamic, 1, 4)), Purge::Held, 4);
        assert_eq!(disk.count().unwrap(), 100);
        let left = |numbers: std::ops::Range<u32>| {
            numbers.filter(|number| disk.get(key(*number)).unwrap().is_some()).count()
        };
        assert_eq!((left(0..60), left(100..120), left(200..230), left(300..310)), (60, 0, 30, 10));
        write(&disk, &known(1000..1100, record(Class::None, 1, 5)), Purge::Held, 5);
        assert_eq!((left(0..60), left(300..310), left(1000..1100)), (60, 0, 40));
        assert_consistent(&disk);
    }

    #[test]
    fn time_goes_by_and_back() {
        let place = TestFile::new("time");
        let disk = Disk::open(place.file()).unwrap();
        write(&disk, &known(0..5, record(Class::Static, 1, 100)), Purge::Due, 100);
        write(&disk, &known(5..9, record(Class::None, 3, 100)), Purge::Due, 100);
        let year = 365 * 86_400;
        write(&disk, &Changes::new(), Purge::Held, year);
        assert_eq!(disk.count().unwrap(), 9, "a clock that has jumped removes no client");
        write(&disk, &Changes::new(), Purge::Held, 50);
        assert_eq!(disk.get(key(1)).unwrap(), Some(record(Class::Static, 1, 50)));
        write(&disk, &Changes::new(), Purge::Due, 50 + 86_401);
        assert_eq!(disk.count().unwrap(), 5);
        assert_consistent(&disk);
        write(&disk, &Changes::new(), Purge::Due, year);
        assert_eq!(disk.count().unwrap(), 0);
        assert_consistent(&disk);
    }

    #[test]
    fn a_smaller_size_is_reached() {
        let place = TestFile::new("smaller");
        let disk = Disk::open(place.file()).unwrap();
        let large = Limits { size: 20_000, ..LIMITS };
        let all = known(0..11_000, record(Class::Static, 1, 1));
        disk.write(&all, &large, Purge::Held, Time(1)).unwrap();
        assert_eq!(write(&disk, &Changes::new(), Purge::Held, 1), Rest::More);
        assert_eq!(disk.count().unwrap(), 1000);
        assert_eq!(write(&disk, &Changes::new(), Purge::Held, 1), Rest::None);
        assert_eq!(disk.count().unwrap(), 100);
    }

    /// A store with 2,000 clients, as bytes.
    fn bytes_of_a_store(place: &TestFile) -> Vec<u8> {
        let disk = Disk::open(place.file()).unwrap();
        let large = Limits { size: 20_000, ..LIMITS };
        let all = known(0..2000, record(Class::Static, 1, 1));
        disk.write(&all, &large, Purge::Held, Time(1)).unwrap();
        drop(disk);
        fs::read(&place.0).unwrap()
    }

    /// Reads and writes a store of these bytes: it works, or returns an error.
    fn use_store(place: &TestFile, bytes: &[u8]) -> Result<Option<Record>, Broken> {
        fs::write(&place.0, bytes).unwrap();
        let disk = Disk::open(place.file())?;
        let changes = known(3000..3010, record(Class::Static, 1, 1));
        let large = Limits { size: 20_000, ..LIMITS };
        disk.write(&changes, &large, Purge::Due, Time(1))?;
        disk.get(key(7))
    }

    #[test]
    fn a_store_that_was_cut_short_says_so() {
        let place = TestFile::new("cut");
        let whole = bytes_of_a_store(&place);
        assert!(use_store(&place, &whole).unwrap().is_some());
        let around = [0, 1, 8, 64, 320, 4095, 4096, 4097, 8192];
        let steps = (1..60).map(|part| whole.len() * part / 60);
        for length in around.into_iter().chain(steps) {
            match use_store(&place, &whole[..length]) {
                Ok(found) => assert!(found.is_some() || length == 0, "{length}"),
                Err(Broken::Damaged(_)) => (),
                Err(other) => panic!("{length}: {other}"),
            }
        }
    }

    /// Panics that are contained print nothing, as in the keeper.
    fn print_no_contained_panics() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let usual = take_hook();
            set_hook(Box::new(move |panic| {
                if !panics_are_contained() {
                    usual(panic);
                }
            }));
        });
    }

    /// Every byte of the header, and both sides of the end of every page: the database
    /// reads its file in pages.
    #[test]
    fn a_store_that_was_cut_anywhere_says_so() {
        print_no_contained_panics();
        let place = TestFile::new("anywhere");
        let disk = Disk::open(place.file()).unwrap();
        write(&disk, &known(0..20, record(Class::Static, 1, 1)), Purge::Held, 1);
        drop(disk);
        let file = place.file();
        let whole = file.metadata().unwrap().len();
        let pages =
            (2..=whole / PAGE).flat_map(|page| [page * PAGE - 1, page * PAGE, page * PAGE + 1]);
        // What is damaged is not written to, so that it can be cut once more.
        for length in (1..=PAGE + 1).chain(pages).filter(|length| *length < whole).rev() {
            file.set_len(length).unwrap();
            let opened = Disk::open(place.file()).map(drop);
            assert!(matches!(opened, Err(Broken::Damaged(_))), "{length}: {opened:?}");
        }
        file.set_len(0).unwrap();
        assert_eq!(Disk::open(place.file()).unwrap().count().unwrap(), 0);
    }

    /// The file has the size that a batch needed which was not finished.
    #[test]
    fn a_store_that_was_killed_while_it_grew_is_whole() {
        print_no_contained_panics();
        let place = TestFile::new("growing");
        let disk = Disk::open(place.file()).unwrap();
        write(&disk, &known(0..50, record(Class::Static, 1, 1)), Purge::Held, 1);
        let before = place.file().metadata().unwrap().len();
        let writing = disk.0.begin_write().unwrap();
        let mut tables = Tables::open(&writing).unwrap();
        for number in 0..20_000 {
            tables.put(key(number), Entry::Known(record(Class::None, 1, 1))).unwrap();
        }
        let bytes = fs::read(&place.0).unwrap();
        drop(tables);
        drop(writing);
        drop(disk);
        let grown = bytes.len() as u64;
        assert!(grown > before);
        for length in [before, before + 1, before + PAGE, grown - PAGE, grown - 1, grown] {
            fs::write(&place.0, &bytes[..usize::try_from(length).unwrap()]).unwrap();
            let disk = match Disk::open(place.file()) {
                Ok(disk) => disk,
                // No crash leaves a part of a page.
                Err(Broken::Damaged(_)) if length % PAGE != 0 => continue,
                Err(why) => panic!("{length}: {why}"),
            };
            assert_eq!(disk.count().unwrap(), 50);
            write(&disk, &known(100..120, record(Class::Static, 1, 1)), Purge::Held, 1);
            assert_consistent(&disk);
        }
    }

    #[test]
    fn what_is_no_store_says_so() {
        let place = TestFile::new("other");
        let whole = bytes_of_a_store(&place);
        for start in [0, 9, 12, 64, 100, 128, 300, 4096, 8200] {
            let mut bytes = whole.clone();
            bytes[start..start + 8].fill(0xa5);
            if let Err(Broken::Refused(why)) = use_store(&place, &bytes) {
                panic!("{start}: {why}");
            }
        }
        for text in [b"no store".as_slice(), &[0; 5000], &[0xff; 9000]] {
            assert!(matches!(use_store(&place, text), Err(Broken::Damaged(_))));
        }
    }

    #[test]
    fn a_store_of_another_version_says_so() {
        let place = TestFile::new("version");
        let database = Builder::new().create_with_backend(Backend(place.file())).unwrap();
        let writing = database.begin_write().unwrap();
        writing.open_table(TableDefinition::<u64, u64>::new("clients.2")).unwrap();
        writing.commit().unwrap();
        drop(database);
        let why = Disk::open(place.file()).err().unwrap();
        assert_eq!(why.to_string(), "another version has written it");
    }

    #[test]
    fn a_batch_that_is_killed_in_the_middle_is_not_there() {
        let place = TestFile::new("killed");
        let disk = Disk::open(place.file()).unwrap();
        write(&disk, &known(0..50, record(Class::Static, 1, 1)), Purge::Held, 1);
        // What another process finds at this moment.
        let writing = disk.0.begin_write().unwrap();
        writing.open_table(CLIENTS).unwrap().remove(key(1).bytes()).unwrap();
        let copy = TestFile::new("killed.copy");
        fs::copy(&place.0, &copy.0).unwrap();
        let found = Disk::open(copy.file()).unwrap();
        assert_eq!(found.get(key(1)).unwrap(), Some(record(Class::Static, 1, 1)));
        assert_eq!(found.count().unwrap(), 50);
        assert_consistent(&found);
        drop(writing);
    }
}
