//! The contents of a scoreboard for the administrator: each child, and the counters.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::class::Class;
use crate::daemon::scoreboard::layout::{
    Board, CLASS, COUNTED, COUNTERS, HOST, HOST_BYTES, Slot, Stage, TALLY,
};
use crate::log::Stats;

/// A child, as the scoreboard shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// What it is doing.
    pub stage: Stage,
    /// Its process id.
    pub pid: u64,
    /// Its client's address, and how long ago it accepted the client.
    pub client: Option<(IpAddr, Duration)>,
    /// The client's class, once it is known.
    pub class: Option<Class>,
    /// The first bytes of the client's name.
    pub host: Option<Vec<u8>>,
}

impl Board<'_> {
    /// All children.
    pub fn children(&self) -> impl Iterator<Item = Child> {
        (0..self.slots()).filter_map(|number| self.child(Slot(number)))
    }

    fn child(&self, slot: Slot) -> Option<Child> {
        let stage = self.stage(slot)?;
        let words = self.slot_words(slot);
        let word = |place: usize| words[place].load(Ordering::Acquire);
        let client = self.client(slot).filter(|_| stage != Stage::Idle);
        let class = usize::try_from(word(CLASS)).ok().and_then(|number| number.checked_sub(1));
        let length = usize::try_from(word(HOST)).unwrap_or(0).min(HOST_BYTES);
        let host = words[HOST + 1..TALLY]
            .iter()
            .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        Some(Child {
            stage,
            pid: self.pid(slot).unwrap_or_default().into(),
            class: class
                .and_then(|index| Class::ALL.get(index))
                .copied()
                .filter(|_| client.is_some()),
            host: (length > 0 && client.is_some()).then(|| host.take(length).collect()),
            client,
        })
    }

    /// All counters, and the children.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counters = &self.words[COUNTERS..][..COUNTED];
        let count = |index: usize| counters[index].load(Ordering::Relaxed);
        Stats {
            verdicts: self.verdicts(),
            classes: std::array::from_fn(count),
            idle: self.count(Stage::Idle),
            busy: self.clients(),
            max: self.slots(),
        }
    }
}
