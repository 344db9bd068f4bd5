//! The stores, each behind the same four operations.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use smtp_delay::known::entry::Entry;
use smtp_delay::known::key::{self, Key};
use smtp_delay::known::record::{self, Record, Time};
use smtp_delay::known::rules::Limits;
use smtp_delay::known::store::clock::Purge;
use smtp_delay::known::store::disk::Disk;
use smtp_delay::known::store::order::Place;

/// A store of clients.
pub(crate) trait Store {
    /// What it is called.
    const NAME: &'static str;

    /// Opens the store in the directory `home`, which is empty or has one.
    fn open(home: &Path) -> Self;

    /// What is remembered of a client.
    fn get(&self, key: Key) -> Option<Record>;

    /// Writes a batch; it is on the disk when this returns.
    fn write(&mut self, batch: &[(Key, Record)]);

    /// How many clients there are.
    fn count(&self) -> u64;
}

/// The store of the keeper, with its cache.
pub(crate) struct Redb(Disk);

impl Store for Redb {
    const NAME: &'static str = "redb";

    fn open(home: &Path) -> Self {
        let mut how = File::options();
        how.read(true).write(true).create(true).truncate(false);
        Self(Disk::open(how.open(home.join("store")).unwrap()).unwrap())
    }

    fn get(&self, key: Key) -> Option<Record> {
        self.0.get(key).unwrap()
    }

    fn write(&mut self, batch: &[(Key, Record)]) {
        let changes = batch.iter().map(|(key, record)| (*key, Entry::Known(*record))).collect();
        let limits = Limits { size: u64::MAX, ..Limits::default() };
        self.0.write(&changes, &limits, Purge::Held, Time::now()).unwrap();
    }

    fn count(&self) -> u64 {
        self.0.count().unwrap()
    }
}

/// `SQLite` with a write-ahead log that is synced, and 4 MB of cache.
pub(crate) struct Sqlite(Connection);

/// The places are an index, in the order in which clients are forgotten.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -4000;
    CREATE TABLE IF NOT EXISTS clients
        (key BLOB PRIMARY KEY, record BLOB NOT NULL, place BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS places ON clients (place);";

impl Store for Sqlite {
    const NAME: &'static str = "SQLite";

    fn open(home: &Path) -> Self {
        let database = Connection::open(home.join("store")).unwrap();
        database.execute_batch(SCHEMA).unwrap();
        Self(database)
    }

    fn get(&self, key: Key) -> Option<Record> {
        let mut get = self.0.prepare_cached("SELECT record FROM clients WHERE key = ?").unwrap();
        let found = get.query_row([key.bytes()], |row| row.get::<_, [u8; record::LENGTH]>(0));
        found.optional().unwrap().and_then(|bytes| Record::from_bytes(&bytes))
    }

    fn write(&mut self, batch: &[(Key, Record)]) {
        let writing = self.0.transaction().unwrap();
        for (key, record) in batch {
            let mut put =
                writing.prepare_cached("INSERT OR REPLACE INTO clients VALUES (?, ?, ?)").unwrap();
            put.execute(params![key.bytes(), record.bytes(), Place::of(*key, record).bytes()])
                .unwrap();
        }
        writing.commit().unwrap();
    }

    fn count(&self) -> u64 {
        let count = self.0.query_row("SELECT count(*) FROM clients", [], |row| row.get(0));
        count.unwrap()
    }
}

/// All clients in memory, and a file to which each change is added: the least code.
pub(crate) struct Log {
    file: File,
    clients: HashMap<Key, Record>,
    places: BTreeSet<Place>,
}

const ENTRY: usize = key::LENGTH + record::LENGTH;

impl Log {
    fn put(&mut self, key: Key, record: Record) {
        if let Some(before) = self.clients.insert(key, record) {
            self.places.remove(&Place::of(key, &before));
        }
        self.places.insert(Place::of(key, &record));
    }
}

impl Store for Log {
    const NAME: &'static str = "a log";

    /// A change that was cut short is not there.
    fn open(home: &Path) -> Self {
        let mut how = File::options();
        let file = how.read(true).append(true).create(true).open(home.join("store")).unwrap();
        let mut reading = BufReader::new(file.try_clone().unwrap());
        let mut log = Self { file, clients: HashMap::new(), places: BTreeSet::new() };
        let (mut entry, mut whole) = ([0; ENTRY], 0);
        while reading.read_exact(&mut entry).is_ok() {
            let (key, record) = entry.split_first_chunk().unwrap();
            let record = record.try_into().ok().and_then(Record::from_bytes);
            if let (Some(key), Some(record)) = (Key::from_bytes(*key), record) {
                log.put(key, record);
            }
            whole += ENTRY as u64;
        }
        log.file.set_len(whole).unwrap();
        log
    }

    fn get(&self, key: Key) -> Option<Record> {
        self.clients.get(&key).copied()
    }

    fn write(&mut self, batch: &[(Key, Record)]) {
        let entry = |(key, record): &(Key, Record)| [&key.bytes()[..], &record.bytes()].concat();
        self.file.write_all(&batch.iter().flat_map(entry).collect::<Vec<u8>>()).unwrap();
        self.file.sync_data().unwrap();
        for (key, record) in batch {
            self.put(*key, *record);
        }
    }

    fn count(&self) -> u64 {
        self.clients.len() as u64
    }
}
