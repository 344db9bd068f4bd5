//! The tables of the database: clients, and the queues in which they are forgotten.

use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use super::broken::Broken;
use crate::known::entry::Entry;
use crate::known::key::{self, Key};
use crate::known::record::{self, Record, Time};
use crate::known::rules::Lifetimes;
use crate::known::store::order::{self, Place, Queue, first_to_go, is_over};

/// Clients.  The names of the tables stand for their format: a program with another format
/// uses other names.
pub(super) const CLIENTS: TableDefinition<&[u8; key::LENGTH], &[u8; record::LENGTH]> =
    TableDefinition::new("clients.1");
/// Their places in the queues.
pub(super) const PLACES: TableDefinition<&[u8; order::LENGTH], ()> =
    TableDefinition::new("places.1");

/// How many clients are removed, or set back in time, for each batch at most: a batch takes
/// no longer than a second.
const MOST_AT_ONCE: usize = 10_000;

/// Whether a batch has forgotten all clients that it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It has.
    None,
    /// There are more: the next batch is due.
    More,
}

/// Both tables, which belong together.
pub(super) struct Tables<'a> {
    clients: Table<'a, &'static [u8; key::LENGTH], &'static [u8; record::LENGTH]>,
    places: Table<'a, &'static [u8; order::LENGTH], ()>,
}

impl<'a> Tables<'a> {
    /// Both, created if they do not exist.
    pub(super) fn open(writing: &'a WriteTransaction) -> Result<Self, Broken> {
        Ok(Self { clients: writing.open_table(CLIENTS)?, places: writing.open_table(PLACES)? })
    }

    pub(super) fn put(&mut self, key: Key, entry: Entry) -> Result<(), Broken> {
        self.remove(key)?;
        if let Some(record) = entry.record() {
            self.clients.insert(key.bytes(), &record.bytes())?;
            self.places.insert(&Place::of(key, &record).bytes(), ())?;
        }
        Ok(())
    }

    fn remove(&mut self, key: Key) -> Result<Option<Record>, Broken> {
        let removed = self.clients.remove(key.bytes())?;
        let removed = removed.and_then(|bytes| Record::from_bytes(bytes.value()));
        if let Some(record) = removed {
            self.places.remove(&Place::of(key, &record).bytes())?;
        }
        Ok(removed)
    }

    /// Removes the client at a place.  A place without a client is removed alone, so that
    /// no loop finds it again.
    fn remove_at(&mut self, place: Place) -> Result<Option<Record>, Broken> {
        let removed = self.remove(place.key)?;
        self.places.remove(&place.bytes())?;
        Ok(removed)
    }

    /// Sets clients whose last pass is in the future to now.
    pub(super) fn correct(&mut self, now: Time) -> Result<Rest, Broken> {
        for _ in 0..MOST_AT_ONCE {
            let backs = self.ends(End::Back)?;
            let ahead = backs.into_iter().find(|place| place.last > now);
            let Some(place) = ahead else { return Ok(Rest::None) };
            if let Some(record) = self.remove_at(place)? {
                self.put(place.key, Entry::Known(Record { last: now, ..record }))?;
            }
        }
        Ok(Rest::More)
    }

    pub(super) fn purge(&mut self, lifetimes: &Lifetimes, now: Time) -> Result<Rest, Broken> {
        for _ in 0..MOST_AT_ONCE {
            let fronts = self.ends(End::Front)?;
            let over = fronts.into_iter().find(|place| is_over(place, lifetimes, now));
            let Some(place) = over else { return Ok(Rest::None) };
            self.remove_at(place)?;
        }
        Ok(Rest::More)
    }

    pub(super) fn evict(&mut self, size: u64) -> Result<Rest, Broken> {
        for _ in 0..MOST_AT_ONCE {
            if self.clients.len()? <= size {
                return Ok(Rest::None);
            }
            let Some(place) = first_to_go(self.ends(End::Front)?) else { return Ok(Rest::None) };
            self.remove_at(place)?;
        }
        Ok(Rest::More)
    }

    /// One place of each queue that is not empty.
    fn ends(&self, end: End) -> Result<Vec<Place>, Broken> {
        let mut found = Vec::with_capacity(Queue::ALL.len());
        for queue in Queue::ALL {
            let (front, back) = (Place::front(queue).bytes(), Place::back(queue).bytes());
            let mut queue = self.places.range::<&[u8; order::LENGTH]>(&front..=&back)?;
            let entry = match end {
                End::Front => queue.next(),
                End::Back => queue.next_back(),
            };
            if let Some(entry) = entry {
                found.extend(Place::from_bytes(entry?.0.value()));
            }
        }
        Ok(found)
    }
}

/// Either end of a queue.
#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}
