//! What the keeper has in memory: changes that are not on the disk yet, or, if there is no
//! disk, all that it knows.  Bounded.

use std::collections::{BTreeSet, HashMap};

use super::order::{Place, Queue, first_to_go, is_over};
use crate::known::entry::Entry;
use crate::known::key::Key;
use crate::known::record::{Record, Time};
use crate::known::rules::Lifetimes;

/// A change of a client since the last batch.
pub type Changes = HashMap<Key, Entry>;

/// The place of an entry.  A client that was forgotten must not be remembered again because
/// memory is full.
fn place(entry: Entry, key: Key) -> Place {
    match entry {
        Entry::Known(record) => Place::of(key, &record),
        Entry::Forgotten(last) => Place { queue: Queue::RepeatedStatic, last, key },
    }
}

/// Up to `most` entries.
#[derive(Debug)]
pub struct Memory {
    entries: Changes,
    places: BTreeSet<Place>,
    most: usize,
}

impl Memory {
    /// No entries, and room for `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), places: BTreeSet::new(), most }
    }

    /// The entry of `key`.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<Entry> {
        self.entries.get(&key).copied()
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (Key, Entry)> {
        self.entries.iter().map(|(key, entry)| (*key, *entry))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds an entry, which replaces any other of `key`.  If there is no room, the entry
    /// that is forgotten first is removed, which may be this one.
    pub fn put(&mut self, key: Key, entry: Entry) {
        self.remove(key);
        self.entries.insert(key, entry);
        self.places.insert(place(entry, key));
        while self.len() > self.most {
            let Some(place) = first_to_go(self.fronts()) else { break };
            self.remove(place.key);
        }
    }

    /// Removes the entry of `key`.
    pub fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.places.remove(&place(entry, key));
        }
    }

    /// Removes and returns so many entries, or all.
    #[must_use]
    pub fn take(&mut self, most: usize) -> Changes {
        if self.len() <= most {
            self.places.clear();
            return std::mem::take(&mut self.entries);
        }
        let taken: Changes = self.iter().take(most).collect();
        for key in taken.keys() {
            self.remove(*key);
        }
        taken
    }

    /// Removes clients that were remembered for long enough.
    pub fn purge(&mut self, lifetimes: &Lifetimes, now: Time) {
        loop {
            let over = self.fronts().find(|place| is_over(place, lifetimes, now));
            let Some(place) = over else { break };
            self.remove(place.key);
        }
    }

    /// Sets clients whose last pass is in the future to now.
    pub fn correct(&mut self, now: Time) {
        loop {
            let ahead = self.backs().find(|place| place.last > now);
            let Some(Place { key, .. }) = ahead else { break };
            match self.get(key) {
                Some(Entry::Known(record)) => {
                    self.put(key, Entry::Known(Record { last: now, ..record }));
                }
                Some(Entry::Forgotten(_)) => self.put(key, Entry::Forgotten(now)),
                None => break,
            }
        }
    }

    fn fronts(&self) -> impl Iterator<Item = Place> {
        Queue::ALL.into_iter().filter_map(|queue| {
            self.places.range(Place::front(queue)..=Place::back(queue)).next().copied()
        })
    }

    fn backs(&self) -> impl Iterator<Item = Place> {
        Queue::ALL.into_iter().filter_map(|queue| {
            self.places.range(Place::front(queue)..=Place::back(queue)).next_back().copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;

    fn key(number: u32) -> Key {
        Key::of(std::net::Ipv4Addr::from_bits(number).into())
    }

    fn known(class: Class, count: u32, last: u32) -> Entry {
        Entry::Known(Record { first: Time(0), last: Time(last), count, class })
    }

    #[test]
    fn a_flood_of_new_clients_evicts_none_that_came_back() {
        let mut memory = Memory::new(100);
        for number in 0..50 {
            memory.put(key(number), known(Class::Dynamic, 2, 1));
        }
        for number in 1000..11_000 {
            memory.put(key(number), known(Class::Static, 1, number));
        }
        assert_eq!((memory.len(), memory.places.len()), (100, 100));
        assert!((0..50).all(|number| memory.get(key(number)).is_some()));
        assert!((10_950..11_000).all(|number| memory.get(key(number)).is_some()));
    }

    #[test]
    fn what_was_forgotten_goes_last() {
        let mut memory = Memory::new(2);
        memory.put(key(1), Entry::Forgotten(Time(5)));
        memory.put(key(2), known(Class::Static, 3, 4));
        memory.put(key(3), known(Class::Static, 3, 6));
        assert_eq!(memory.get(key(1)), Some(Entry::Forgotten(Time(5))));
        assert_eq!(memory.get(key(2)), None);
    }

    #[test]
    fn an_entry_has_one_place() {
        let mut memory = Memory::new(10);
        for count in 1..5 {
            memory.put(key(1), known(Class::Static, count, count));
        }
        memory.put(key(1), Entry::Forgotten(Time(9)));
        assert_eq!((memory.len(), memory.places.len()), (1, 1));
        memory.remove(key(1));
        assert_eq!((memory.len(), memory.places.len()), (0, 0));
    }

    #[test]
    fn those_who_were_remembered_for_long_enough_are_removed() {
        let mut memory = Memory::new(10);
        memory.put(key(1), known(Class::Static, 1, 100));
        memory.put(key(2), known(Class::None, 1, 100));
        memory.put(key(3), known(Class::None, 2, 86_600));
        memory.purge(&Lifetimes::days(36), Time(100 + 86_401));
        let left = [1, 2, 3].map(|number| memory.get(key(number)).is_some());
        assert_eq!(left, [true, false, true]);
    }

    #[test]
    fn who_passed_in_the_future_has_passed_now() {
        let mut memory = Memory::new(10);
        memory.put(key(1), known(Class::Static, 1, 5000));
        memory.put(key(2), known(Class::None, 2, 90));
        memory.put(key(3), Entry::Forgotten(Time(6000)));
        memory.correct(Time(100));
        assert_eq!(memory.get(key(1)), Some(known(Class::Static, 1, 100)));
        assert_eq!(memory.get(key(2)), Some(known(Class::None, 2, 90)));
        assert_eq!(memory.get(key(3)), Some(Entry::Forgotten(Time(100))));
    }

    #[test]
    fn what_is_taken_is_no_longer_there() {
        let mut memory = Memory::new(10);
        (1..4).for_each(|number| memory.put(key(number), known(Class::Static, 1, 1)));
        assert_eq!((memory.take(1).len(), memory.len(), memory.places.len()), (1, 2, 2));
        assert_eq!(memory.take(10).len(), 2);
        assert!(memory.is_empty() && memory.places.is_empty());
    }
}
