//! The scoreboard: what each child is doing, in memory that the supervisor, its children
//! and smtp-delayctl share.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::daemon::scoreboard::keeper::{KeeperRecord, KeeperState};
use crate::daemon::scoreboard::layout::{Columns, Header, NoScoreboard, Parts, Signature, Slot};
use crate::daemon::scoreboard::stage::{SlotId, SlotSet, Stage, Stages};
use crate::daemon::scoreboard::words::ClaimedBy;
use crate::sys::{self, monotonic_micros as now};

/// A scoreboard, by its parts.
pub struct Scoreboard<'a> {
    pub(super) header: &'a Header,
    pub(super) stages: Stages<'a>,
    /// The slots whose child is moving a client to another slot.
    pub(super) movers: SlotSet<'a>,
    pub(super) columns: Columns<'a>,
    pub(super) slots: &'a [Slot],
    pub(super) counters: &'a [AtomicU32],
}

impl<'a> Scoreboard<'a> {
    /// Initialises zeroed memory for so many slots, [`size`](super::layout::size) bytes of
    /// it, aligned for words.  `None` if it is not so.
    pub(in crate::daemon) fn initialise(
        memory: &'a mut [u8],
        slots: usize,
        port: u16,
    ) -> Option<Self> {
        let parts = Parts::of(memory, slots)?;
        parts.header.initialise(slots, port);
        Some(Self::from(parts))
    }

    /// A scoreboard that another process has initialised.
    ///
    /// # Errors
    /// As [`NoScoreboard`] says.
    pub fn open(memory: &'a mut [u8]) -> Result<Self, NoScoreboard> {
        let slots = Signature::slots_of(memory)?;
        Ok(Self::from(Parts::of(memory, slots).ok_or(NoScoreboard::CutOff)?))
    }

    /// What the keeper of known clients says of itself.
    pub(in crate::daemon) fn keeper_record(&self) -> &'a KeeperRecord {
        &self.header.keeper
    }

    /// The state of the keeper of known clients.
    #[must_use]
    pub fn keeper(&self) -> KeeperState {
        self.header.keeper.get()
    }

    /// How many slots there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.slots.len()
    }

    /// All slots.
    pub(super) fn ids(&self) -> impl Iterator<Item = SlotId> + use<> {
        (0..self.size()).map(SlotId)
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u64 {
        self.header.port.load(Ordering::Acquire)
    }

    /// Time since it was initialised.
    #[must_use]
    pub fn age(&self) -> Duration {
        since(&self.header.started_at)
    }

    /// Log lines that were lost: no syslog daemon, or no reader of standard error took
    /// them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.header.lost_lines.load(Ordering::Acquire)
    }

    /// For how long every line has been lost, if the last one was.
    #[must_use]
    pub fn losing_for(&self) -> Option<Duration> {
        let is_losing = self.header.losing_since.load(Ordering::Acquire) > 0;
        is_losing.then(|| since(&self.header.losing_since))
    }

    /// How many processes are at `stage`.
    #[must_use]
    pub fn count(&self, stage: Stage) -> usize {
        self.stages.at(stage).count()
    }

    /// Clients that are present: waiting, or handed over.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.count(Stage::Busy) + self.count(Stage::Prog)
    }

    pub(super) fn slot(&self, slot: SlotId) -> &'a Slot {
        &self.slots[slot.0]
    }

    /// The process that has `slot`, if there is one.
    pub(super) fn pid(&self, slot: SlotId) -> Option<u32> {
        Some(sys::pid_in(&self.columns.pids[slot.0])).filter(|pid| *pid > 0)
    }

    /// Who has claimed `slot`.
    pub(super) fn claimed_by(&self, slot: SlotId) -> ClaimedBy {
        self.columns.claimed_by[slot.0].load(Ordering::SeqCst)
    }

    /// The slots that the child of `child` has claimed for program processes.
    pub(super) fn claims_of(&self, child: SlotId) -> impl Iterator<Item = SlotId> {
        self.ids().filter(move |slot| self.claimed_by(*slot) == ClaimedBy::Child(child))
    }

    /// The client that the child of `slot` has accepted, and how long ago.
    pub(super) fn client(&self, slot: SlotId) -> Option<(IpAddr, Duration)> {
        self.slot(slot).client.get()
    }

    /// Whether what `slot` tells of a client is about the last one that the child of
    /// `child` has accepted.
    pub(super) fn is_about_client_of(&self, slot: SlotId, child: SlotId) -> bool {
        let number = self.slot(slot).client.number();
        number != 0 && number == self.slot(child).tally.accepted()
    }
}

impl<'a> From<Parts<'a>> for Scoreboard<'a> {
    fn from(Parts { header, sets, columns, slots, counters }: Parts<'a>) -> Self {
        let [idle, busy, prog, movers] = sets.map(SlotSet);
        let stages = Stages::new([idle, busy, prog]);
        Self { header, stages, movers, columns, slots, counters }
    }
}

/// Time since a time that was written.
pub(super) fn since(time: &AtomicU64) -> Duration {
    Duration::from_micros(now().saturating_sub(time.load(Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::daemon::scoreboard::client::ClientRecord;
    use crate::daemon::scoreboard::layout::{VERSION, size};
    use crate::daemon::scoreboard::slots::Slots;
    use crate::daemon::scoreboard::status::{ChildStatus, children};

    /// Aligned as the memory of a scoreboard is.
    fn memory(bytes: usize) -> Vec<u64> {
        vec![0; bytes / size_of::<u64>()]
    }

    fn bytes(words: &mut [u64]) -> &mut [u8] {
        zerocopy::IntoBytes::as_mut_bytes(words)
    }

    #[test]
    fn a_board_is_read_as_it_was_laid_out() {
        let mut memory = memory(size(70));
        let board = Scoreboard::initialise(bytes(&mut memory), 70, 2525).unwrap();
        let (slots, slot) = (Slots(&board), SlotId(69));
        slots.set_client(slot, "192.0.2.7".parse().unwrap());
        sys::put_pid(slots.pid_word(slot), 4711);
        let long = format!("{}.example.org", "a".repeat(80));
        slots.describe(slot, Class::Dynamic, Some(&long));
        let read = Scoreboard::open(bytes(&mut memory)).unwrap();
        assert_eq!((read.size(), read.port(), read.clients()), (70, 2525, 1));
        let children: Vec<ChildStatus> = children(&read).collect();
        let [child] = children.as_slice() else { panic!("{children:?}") };
        assert_eq!(
            (child.stage, child.pid, child.class),
            (Stage::Busy, 4711, Some(Class::Dynamic))
        );
        assert_eq!(child.client.unwrap().0.to_string(), "192.0.2.7");
        assert_eq!(child.host.as_deref(), Some(&long.as_bytes()[..ClientRecord::HOST_BYTES]));
    }

    #[test]
    fn what_is_no_board_is_refused() {
        let why = |words: &mut [u64]| Scoreboard::open(bytes(words)).err().unwrap().to_string();
        assert_eq!(why(&mut []), "it is no scoreboard");
        assert_eq!(why(&mut vec![0; 9999]), "it is no scoreboard");
        let mut memory = memory(size(9));
        assert!(Scoreboard::initialise(bytes(&mut memory), 10, 25).is_none(), "too small");
        assert!(Scoreboard::initialise(bytes(&mut memory), 9, 25).is_some());
        let last = memory.len() - 1;
        assert_eq!(why(&mut memory[..last]), "it is cut off");
        memory[2] = u64::MAX;
        assert!(why(&mut memory).ends_with(" slots, and 100000 is the most there can be"));
        memory[1] = 1;
        assert_eq!(why(&mut memory), format!("it has version 1, and this program reads {VERSION}"));
    }
}
