//! The layout of the scoreboard's memory, and of its file.
//!
//! A `Header`; the sets of slots, a bit for each; the columns, one word for each slot,
//! for what is searched for among all of them; the `Slot`s; and the counters of networks.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::{error, fmt};

use zerocopy::{FromBytes, FromZeros, IntoBytes, KnownLayout};

use crate::class::Class;
use crate::daemon::scoreboard::address::Network;
use crate::daemon::scoreboard::client::ClientRecord;
use crate::daemon::scoreboard::keeper::KeeperRecord;
use crate::daemon::scoreboard::local_names::NameTable;
use crate::daemon::scoreboard::refusals::RefusalTable;
use crate::daemon::scoreboard::stage::{SlotSet, Stage};
use crate::daemon::scoreboard::tally::Tally;
use crate::daemon::scoreboard::words::{ClaimedBy, QueueState, StartState, Word};
use crate::options::daemon::MOST_SLOTS;
use crate::sys::monotonic_micros as now;

/// The magic number of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"smtpdely");
/// The version of the layout; smtp-delayctl reads no other.
pub const VERSION: u64 = 14;

/// Sets of slots: one for each stage, and the slots that move a client.
const SETS: usize = Stage::ALL.len() + 1;
/// Columns: those of [`Columns`].
const COLUMNS: usize = 5;
/// Counters of networks for each slot: so many that with all slots taken one client in 16
/// shares its counter with another network, and causes a needless search.
const COUNTERS: usize = 16;

/// Why memory or a file is not a scoreboard that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoScoreboard {
    /// It does not begin as a scoreboard does.
    Other,
    /// It has this version of the layout.
    Version(u64),
    /// It has so many slots, more than there can be.
    Slots(usize),
    /// It has fewer bytes than its slots take.
    CutOff,
}

impl fmt::Display for NoScoreboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other => f.write_str("it is no scoreboard"),
            Self::Version(version) => {
                write!(f, "it has version {version}, and this program reads {VERSION}")
            }
            Self::Slots(slots) => {
                write!(f, "it has {slots} slots, and {MOST_SLOTS} is the most there can be")
            }
            Self::CutOff => f.write_str("it is cut off"),
        }
    }
}

impl error::Error for NoScoreboard {}

/// What identifies a scoreboard, at its start: the same in all versions.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub struct Signature {
    magic: AtomicU64,
    version: AtomicU64,
    slots: AtomicU64,
}

/// What there is once.  Times are in microseconds of the monotonic clock.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    signature: Signature,
    pub(super) started_at: AtomicU64,
    supervisor: AtomicU64,
    pub(super) port: AtomicU64,
    /// Log lines that were lost, and since when all have been, or 0.
    pub(super) lost_lines: AtomicU64,
    pub(super) losing_since: AtomicU64,
    /// Whether a process has woken the supervisor, which has not taken note yet.
    pub(super) is_woken: Word<bool>,
    pub(super) is_stopping: Word<bool>,
    /// Which set of files new children have.
    pub(super) generation: AtomicU64,
    /// When a name server last answered.
    pub(super) answered_at: AtomicU64,
    /// When a client was last handed over.
    pub(super) handed_over_at: AtomicU64,
    /// When the supervisor last looked after the pool.
    pub(super) heartbeat_at: AtomicU64,
    /// When messages were last logged that are so once a second or once a minute.
    pub(super) last_logged: [AtomicU64; 5],
    /// When checks of proxies were last logged, by a hash of the proxy's address.
    pub(super) checks_logged: [AtomicU64; 16],
    /// Clients by class, in the order of [`Class::ALL`] without the last.
    pub(super) classes: [AtomicU64; Class::JUDGED.len()],
    /// Clients that would have been refused, but for `--dry-run`.
    pub(super) would_refuse: AtomicU64,
    /// Idle children that wait for a program to start, or are stopped.
    pub(super) stuck: AtomicU64,
    /// How many clients have moved from slot to slot.
    pub(super) moves: AtomicU64,
    /// How many clients are queued for a place, or were killed as they joined or left.
    pub(super) waiting: AtomicU64,
    /// Whether a client in that queue has ever been passed over.
    pub(super) ever_passed_over: Word<bool>,
    pub(super) keeper: KeeperRecord,
    pub(super) local_names: NameTable,
    pub(super) refusals: RefusalTable,
}

/// What there is for each slot and only looked at there.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct Slot {
    /// The set of files that its child was started with.
    pub(super) files: AtomicU64,
    pub(super) client: ClientRecord,
    pub(super) tally: Tally,
}

const _: () = assert!(size_of::<Header>() % align_of::<u64>() == 0);
const _: () = assert!(align_of::<Header>() == align_of::<u64>());
const _: () = assert!(align_of::<Slot>() == align_of::<u64>());

/// The number of bytes of a scoreboard with this many slots, a multiple of eight.
#[must_use]
pub fn size(slots: usize) -> usize {
    let words = SETS * SlotSet::words(slots) + COLUMNS * slots;
    let of_slots = size_of::<Slot>() + COUNTERS * size_of::<AtomicU32>();
    size_of::<Header>() + size_of::<AtomicU64>() * words + of_slots * slots
}

impl Signature {
    /// The number of slots of a scoreboard that starts with these bytes.
    ///
    /// # Errors
    /// As [`NoScoreboard`] says, except for its size.
    pub fn slots_of(start: &[u8]) -> Result<usize, NoScoreboard> {
        let mut signature = Self::new_zeroed();
        // What is cut off is told by what there is of it.
        let length = start.len().min(size_of::<Self>());
        signature.as_mut_bytes()[..length].copy_from_slice(&start[..length]);
        signature.slots()
    }

    fn slots(&self) -> Result<usize, NoScoreboard> {
        if self.magic.load(Ordering::Acquire) != MAGIC {
            return Err(NoScoreboard::Other);
        }
        let version = self.version.load(Ordering::Acquire);
        if version != VERSION {
            return Err(NoScoreboard::Version(version));
        }
        let slots = usize::try_from(self.slots.load(Ordering::Acquire)).unwrap_or(usize::MAX);
        if slots > MOST_SLOTS as usize {
            return Err(NoScoreboard::Slots(slots));
        }
        Ok(slots)
    }
}

impl Header {
    /// Initialises a zeroed one.
    pub(super) fn initialise(&self, slots: usize, port: u16) {
        self.started_at.store(now(), Ordering::Release);
        self.answered_at.store(now(), Ordering::Release);
        self.supervisor.store(std::process::id().into(), Ordering::Release);
        self.port.store(port.into(), Ordering::Release);
        self.signature.slots.store(slots as u64, Ordering::Release);
        self.signature.version.store(VERSION, Ordering::Release);
        self.signature.magic.store(MAGIC, Ordering::Release);
    }
}

/// What is searched for among all slots: a word for each of them.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    /// Who has claimed it.
    pub(super) claimed_by: &'a [Word<ClaimedBy>],
    /// The process that has it: a process id, which the kernel writes, or 0.
    pub(super) pids: &'a [AtomicU64],
    /// The network that its client counts for.
    pub(super) networks: &'a [Word<Option<Network>>],
    /// Whether its client is queued for a place.
    pub(super) queue: &'a [Word<QueueState>],
    /// Whether its child waits for a program to start.
    pub(super) starts: &'a [Word<StartState>],
}

/// The parts of a scoreboard's memory.
pub(super) struct Parts<'a> {
    pub(super) header: &'a Header,
    pub(super) sets: [&'a [AtomicU64]; SETS],
    pub(super) columns: Columns<'a>,
    pub(super) slots: &'a [Slot],
    pub(super) counters: &'a [AtomicU32],
}

impl<'a> Parts<'a> {
    /// Those of a scoreboard with so many slots, unless there are too few bytes, or they
    /// are not where a word may be.
    pub(super) fn of(memory: &'a mut [u8], slots: usize) -> Option<Self> {
        let (header, mut rest) = Header::mut_from_prefix(memory).ok()?;
        let mut sets: [&[AtomicU64]; SETS] = [&[]; SETS];
        for set in &mut sets {
            (*set, rest) = split(rest, SlotSet::words(slots))?;
        }
        let (claimed_by, rest) = split(rest, slots)?;
        let (pids, rest) = split(rest, slots)?;
        let (networks, rest) = split(rest, slots)?;
        let (queue, rest) = split(rest, slots)?;
        let (starts, rest) = split(rest, slots)?;
        let columns = Columns { claimed_by, pids, networks, queue, starts };
        let (slot_records, rest) = split(rest, slots)?;
        let (counters, _) = split(rest, COUNTERS * slots)?;
        Some(Self { header, sets, columns, slots: slot_records, counters })
    }
}

fn split<T>(bytes: &mut [u8], count: usize) -> Option<(&[T], &mut [u8])>
where
    T: FromBytes + IntoBytes,
{
    let (part, rest) = <[T]>::mut_from_prefix_with_elems(bytes, count).ok()?;
    Some((part, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_layout_of_this_version_does_not_change() {
        assert_eq!(offset_of!(Header, started_at), 24);
        assert_eq!(offset_of!(Header, port), 40);
        assert_eq!(offset_of!(Header, lost_lines), 48);
        assert_eq!(offset_of!(Header, last_logged), 112);
        assert_eq!(offset_of!(Header, classes), 280);
        assert_eq!(offset_of!(Header, keeper), 352);
        assert_eq!(offset_of!(Header, local_names), 384);
        assert_eq!(offset_of!(Header, refusals), 384 + 16 * 38 * 8);
        assert_eq!(size_of::<Header>(), 384 + (16 * 38 + 4096) * 8);
        assert_eq!((offset_of!(Slot, client), offset_of!(Slot, tally)), (8, 136));
        assert_eq!(size_of::<Slot>(), 208);
        assert_eq!(size(100), size_of::<Header>() + 8 * (4 * 2 + 5 * 100) + (208 + 64) * 100);
    }
}
