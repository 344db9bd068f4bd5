//! What an engine has still to be told, while it is away and until it has confirmed it.
//! Bounded; a change replaces any other of its client.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::known::entry::Entry;
use crate::known::key::Key;

/// The most changes: 2 MB.
const MOST: usize = 10_000;

/// A change that an engine is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// What there is about the client now.
    pub entry: Entry,
    /// Whether it is told in any case.
    pub scope: Scope,
}

/// Whether an engine is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// If it has anything about the client: most clients that talk early are nowhere known.
    IfThere,
    /// In any case.
    Always,
}

/// When a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// While the engine was there: nothing can be newer.
    Now,
    /// Earlier: what the engine has may be newer.
    Earlier,
}

/// Which changes are dropped first if there are too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A client was forgotten that we did not know.
    Guess,
    /// A pass, without which the client waits again elsewhere.
    Pass,
    /// A client was forgotten that was known.
    Forgotten,
}

/// The number of a change; later ones have higher numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Number(u64);

struct Item {
    change: Change,
    number: Number,
    made: Made,
}

impl Item {
    fn rank(&self) -> Rank {
        match (self.change.entry, self.change.scope) {
            (Entry::Forgotten(_), Scope::IfThere) => Rank::Guess,
            (Entry::Forgotten(_), Scope::Always) => Rank::Forgotten,
            (Entry::Known(_), _) => Rank::Pass,
        }
    }
}

/// All changes that were not confirmed.
#[derive(Default)]
pub(super) struct Outbound {
    items: HashMap<Key, Item>,
    ranks: BTreeSet<(Rank, Number, Key)>,
    unsent: BTreeMap<Number, Key>,
    last: u64,
}

impl Outbound {
    /// Adds a change.  If there are too many, the one that matters least is dropped.
    pub(super) fn put(&mut self, key: Key, change: Change, made: Made) {
        let before = self.remove(key).map(|item| item.change.scope);
        let scope = before.map_or(change.scope, |before| before.max(change.scope));
        self.last += 1;
        let number = Number(self.last);
        let item = Item { change: Change { scope, ..change }, number, made };
        self.ranks.insert((item.rank(), number, key));
        self.unsent.insert(number, key);
        self.items.insert(key, item);
        while self.items.len() > MOST {
            let Some((_, _, key)) = self.ranks.first().copied() else { break };
            self.remove(key);
        }
    }

    fn remove(&mut self, key: Key) -> Option<Item> {
        let item = self.items.remove(&key)?;
        self.ranks.remove(&(item.rank(), item.number, key));
        self.unsent.remove(&item.number);
        Some(item)
    }

    /// The change of `key` that was not confirmed.
    pub(super) fn get(&self, key: Key) -> Option<Change> {
        self.items.get(&key).map(|item| item.change)
    }

    /// The change of `key` if it is still the one of this number.
    pub(super) fn same(&self, key: Key, number: Number) -> Option<Change> {
        self.items.get(&key).filter(|item| item.number == number).map(|item| item.change)
    }

    /// The oldest change that was not sent.
    pub(super) fn next(&self) -> Option<(Key, Number, Made)> {
        let key = *self.unsent.first_key_value()?.1;
        self.items.get(&key).map(|item| (key, item.number, item.made))
    }

    /// It is sent now.
    pub(super) fn note_sent(&mut self, number: Number) {
        self.unsent.remove(&number);
    }

    /// The engine has it, or something newer.
    pub(super) fn confirm(&mut self, key: Key, number: Number) {
        if self.same(key, number).is_some() {
            self.remove(key);
        }
    }

    /// The engine is away: nothing was sent that was not confirmed.
    pub(super) fn note_loss(&mut self) {
        for (key, item) in &mut self.items {
            item.made = Made::Earlier;
            self.unsent.insert(item.number, *key);
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::known::record::{Record, Time};

    fn key(number: usize) -> Key {
        Key::of(std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into())
    }

    fn pass(time: u32) -> Change {
        let entry = Entry::Known(Record::new(Class::Static, Time(time)));
        Change { entry, scope: Scope::Always }
    }

    fn forgotten(time: u32, scope: Scope) -> Change {
        Change { entry: Entry::Forgotten(Time(time)), scope }
    }

    /// Sends the oldest.
    fn send(outbound: &mut Outbound) -> (Key, Number) {
        let (key, number, _) = outbound.next().unwrap();
        outbound.note_sent(number);
        (key, number)
    }

    #[test]
    fn a_change_is_kept_until_it_is_confirmed() {
        let mut outbound = Outbound::default();
        outbound.put(key(1), pass(1), Made::Now);
        outbound.put(key(2), pass(2), Made::Now);
        let (first, number) = send(&mut outbound);
        assert_eq!(first, key(1));
        assert_eq!(outbound.next().unwrap().0, key(2));
        assert_eq!(outbound.get(first), Some(pass(1)));
        outbound.note_loss();
        assert!(matches!(outbound.next(), Some((key, _, Made::Earlier)) if key == first));
        outbound.confirm(first, number);
        assert_eq!((outbound.get(first), outbound.len()), (None, 1));
    }

    #[test]
    fn a_newer_change_replaces_one_that_was_sent() {
        let mut outbound = Outbound::default();
        outbound.put(key(1), pass(1), Made::Now);
        let (_, number) = send(&mut outbound);
        outbound.put(key(1), forgotten(2, Scope::Always), Made::Now);
        outbound.confirm(key(1), number);
        assert_eq!(outbound.get(key(1)), Some(forgotten(2, Scope::Always)));
        assert_eq!(outbound.same(key(1), number), None);
        // We no longer know it, but others may.
        outbound.put(key(1), forgotten(3, Scope::IfThere), Made::Now);
        assert_eq!(outbound.get(key(1)), Some(forgotten(3, Scope::Always)));
        assert_eq!((outbound.len(), outbound.ranks.len(), outbound.unsent.len()), (1, 1, 1));
    }

    #[test]
    fn what_matters_least_is_dropped_first() {
        let mut outbound = Outbound::default();
        outbound.put(key(0), forgotten(0, Scope::Always), Made::Earlier);
        (1..10).for_each(|number| outbound.put(key(number), pass(1), Made::Earlier));
        for number in 10..3 * MOST {
            outbound.put(key(number), forgotten(2, Scope::IfThere), Made::Earlier);
        }
        assert_eq!(outbound.len(), MOST);
        assert!((0..10).all(|number| outbound.get(key(number)).is_some()), "a flood drops itself");
        for number in 10..3 * MOST {
            outbound.put(key(number), pass(3), Made::Earlier);
        }
        assert_eq!(outbound.get(key(0)), Some(forgotten(0, Scope::Always)));
        assert_eq!((outbound.get(key(1)), outbound.get(key(3 * MOST - 1))), (None, Some(pass(3))));
        assert_eq!((outbound.ranks.len(), outbound.unsent.len()), (MOST, MOST));
    }
}
