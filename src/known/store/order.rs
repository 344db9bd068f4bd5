//! Which client is forgotten first if there is no room for all, and which has been
//! remembered for long enough.

use crate::class::Class;
use crate::known::key::{self, Key};
use crate::known::record::{Record, Time};
use crate::known::rules::Lifetimes;

/// Bytes of a place.
pub const LENGTH: usize = 5 + key::LENGTH;

/// The place of a record among all: those of a queue are forgotten from its front.  Its
/// bytes sort as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The queue.
    pub queue: Queue,
    /// When the client passed last.
    pub last: Time,
    /// The client.
    pub key: Key,
}

/// Records that are forgotten in the order of their last passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// A single pass, and not of class static.
    Single = 0,
    /// A single pass, of class static.
    SingleStatic = 1,
    /// Several passes, and not of class static.
    Repeated = 2,
    /// Several passes, of class static.
    RepeatedStatic = 3,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Single, Self::SingleStatic, Self::Repeated, Self::RepeatedStatic];

    fn of(record: &Record) -> Self {
        match (record.count, record.class) {
            (1, Class::Static) => Self::SingleStatic,
            (1, _) => Self::Single,
            (_, Class::Static) => Self::RepeatedStatic,
            _ => Self::Repeated,
        }
    }

    fn is_single(self) -> bool {
        matches!(self, Self::Single | Self::SingleStatic)
    }
}

impl Place {
    /// The place of `record`, which is about `key`.
    #[must_use]
    pub fn of(key: Key, record: &Record) -> Self {
        Self { queue: Queue::of(record), last: record.last, key }
    }

    /// The lowest that can be in `queue`.
    #[must_use]
    pub fn front(queue: Queue) -> Self {
        Self { queue, last: Time(0), key: Key::FIRST }
    }

    /// The highest that can be in `queue`.
    #[must_use]
    pub fn back(queue: Queue) -> Self {
        Self { queue, last: Time(u32::MAX), key: Key::LAST }
    }

    /// The bytes of it in the store.
    #[must_use]
    pub fn bytes(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[0] = self.queue as u8;
        bytes[1..5].copy_from_slice(&self.last.0.to_be_bytes());
        bytes[5..].copy_from_slice(self.key.bytes());
        bytes
    }

    /// The place in these bytes, as [`bytes`](Self::bytes) returns them.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; LENGTH]) -> Option<Self> {
        let queue = Queue::ALL.into_iter().find(|queue| *queue as u8 == bytes[0])?;
        let last = bytes[1..].first_chunk().map(|four| Time(u32::from_be_bytes(*four)))?;
        let key = Key::from_bytes(*bytes[5..].first_chunk()?)?;
        Some(Self { queue, last, key })
    }
}

/// Which of the places at the fronts of the queues is forgotten first: one of a single
/// pass, and of these the oldest.
#[must_use]
pub fn first_to_go(fronts: impl IntoIterator<Item = Place>) -> Option<Place> {
    fronts.into_iter().min_by_key(|place| (!place.queue.is_single(), place.last))
}

/// Whether the record at `place` has been remembered for long enough.
#[must_use]
pub fn is_over(place: &Place, lifetimes: &Lifetimes, now: Time) -> bool {
    let is_static = matches!(place.queue, Queue::SingleStatic | Queue::RepeatedStatic);
    let class = if is_static { Class::Static } else { Class::Dynamic };
    place.last.until(now) > lifetimes.of(class)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(class: Class, count: u32, last: u32) -> Place {
        let record = Record { first: Time(0), last: Time(last), count, class };
        Place::of(Key::of([192, 0, 2, 7].into()), &record)
    }

    #[test]
    fn single_passes_go_first_and_the_oldest_of_them() {
        let old = place(Class::Static, 2, 1);
        let single = place(Class::Static, 1, 50);
        let older = place(Class::Dynamic, 1, 40);
        let newer = place(Class::None, 1, 60);
        assert_eq!(first_to_go([old, single, older]), Some(older));
        assert_eq!(first_to_go([old, single, newer]), Some(single));
        assert_eq!(first_to_go([old, place(Class::None, 9, 2)]), Some(old));
        assert_eq!(first_to_go([]), None);
    }

    #[test]
    fn bytes_sort_as_places_do() {
        let mut places: Vec<Place> = Queue::ALL.map(Place::front).into();
        places.extend(Queue::ALL.map(Place::back));
        places.extend([place(Class::Static, 1, 256), place(Class::Static, 1, 255)]);
        places.extend([place(Class::Dynamic, 3, 7), place(Class::Unknown, 1, 1 << 30)]);
        places.sort();
        assert!(places.iter().map(Place::bytes).is_sorted());
        let real = place(Class::Static, 1, 256);
        assert_eq!(Place::from_bytes(&real.bytes()), Some(real));
        assert_eq!(Place::from_bytes(&[9; LENGTH]), None);
    }

    #[test]
    fn a_queue_ends_where_its_class_does() {
        let lifetimes = Lifetimes::days(36);
        let over =
            |class, days: u32| is_over(&place(class, 1, 0), &lifetimes, Time(days * 86_400 + 1));
        assert!(over(Class::Dynamic, 1) && over(Class::Unknown, 1) && !over(Class::Static, 35));
        assert!(
            over(Class::Static, 36) && !is_over(&place(Class::None, 1, 9), &lifetimes, Time(1))
        );
    }
}
