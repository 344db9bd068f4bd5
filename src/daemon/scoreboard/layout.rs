//! The layout of the scoreboard, and what can be read from it: by the supervisor and
//! its children, which share it, and by smtp-delayctl, which reads the file.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::class::Class;
use crate::daemon::scoreboard::address::ip_of;
use crate::daemon::scoreboard::local_names;
use crate::daemon::scoreboard::refusals;
use crate::options::daemon::MOST_SLOTS;
use crate::sys;

/// The magic word of the file.
pub const MAGIC: u64 = u64::from_le_bytes(*b"smtpdely");
/// The version of the layout; smtp-delayctl reads no other.
pub const VERSION: u64 = 9;

/// Words that identify a file, at its start.
pub const HEADER: usize = 3;

/// Indices of single words: since when all log lines have been lost, or 0.
pub(in crate::daemon) const LOSING: usize = 7;
pub(in crate::daemon) const WAKE: usize = 8;
/// When a shortage of sockets was last logged; the times of other messages follow each
/// other.
pub(in crate::daemon) const LAST_SHORTAGE: usize = 9;
pub(in crate::daemon) const GENERATION: usize = 10;
pub(in crate::daemon) const LAST_COMPLAINT: usize = 11;
pub(in crate::daemon) const STOPPING: usize = 14;
pub(in crate::daemon) const LOST: usize = 15;
pub(in crate::daemon) const ANSWERED: usize = 16;
pub(in crate::daemon) const COUNTERS: usize = 17;
/// Classes that are counted.
pub(in crate::daemon) const COUNTED: usize = 4;
pub(in crate::daemon) const HANDED_OVER: usize = COUNTERS + COUNTED;
pub(in crate::daemon) const STUCK: usize = HANDED_OVER + 1;
/// How many clients have moved from slot to slot.
pub(in crate::daemon) const MOVED: usize = STUCK + 1;
/// How many clients are queued for a place, or were killed while they were.
pub(in crate::daemon) const WAITING: usize = MOVED + 1;
/// When the supervisor last looked after the pool.
pub(in crate::daemon) const BEAT: usize = WAITING + 1;
/// Whether a client in the line has ever been passed over.
pub(in crate::daemon) const EVER_PASSED_OVER: usize = BEAT + 1;
/// When it was last logged that the keeper of known clients does not answer.
pub(in crate::daemon) const LAST_KEEPER: usize = EVER_PASSED_OVER + 1;
pub(in crate::daemon) const NAMES: usize = 40;
pub(in crate::daemon) const RECENT: usize = NAMES + local_names::WORDS;
const SETS: usize = RECENT + refusals::WORDS;
/// Sets of slots, a bit each: one for each stage, and the slots that move a client.
const BITS: usize = Stage::ALL.len() + 1;
/// A slot: the client's address in two words, when it was accepted, the set of
/// files that its child has, the class, whether it is being refused, whether its
/// child becomes the program, the length of the name, its first bytes, the number of
/// the client that all this is about, and how many there were, by verdict.
const SLOT_WORDS: usize = NUMBER + 1;
pub(in crate::daemon) const ADDRESS: usize = 0;
pub(in crate::daemon) const ACCEPTED: usize = 2;
pub(in crate::daemon) const FILES: usize = 3;
pub(in crate::daemon) const CLASS: usize = 4;
pub(in crate::daemon) const REFUSED: usize = 5;
/// Whether its child becomes the program, or has.
pub(in crate::daemon) const IN_PLACE: usize = 6;
pub(in crate::daemon) const HOST: usize = 7;
/// Bytes of a name that are stored.
pub(in crate::daemon) const HOST_BYTES: usize = (TALLY - HOST - 1) * 8;
/// How many clients the children of the slot have accepted; how many of each verdict
/// stand behind it.
pub(in crate::daemon) const TALLY: usize = 16;
pub(in crate::daemon) const VERDICTS: usize = 7;
/// Which of the clients that its child has accepted this is.
pub(in crate::daemon) const NUMBER: usize = TALLY + 1 + VERDICTS;

/// The time of the accept as long as it is not written.
pub(in crate::daemon) const UNPLACED: u64 = u64::MAX;

/// Columns: what is searched for among all slots, one word for each slot.
#[derive(Clone, Copy, Debug)]
pub(in crate::daemon) enum Column {
    /// The slot of the process that took it, or 0.
    Owner,
    /// The process that has it.
    Pid,
    /// The address or network that its client counts for.
    Network,
    /// Since when its client has been queued for a place.
    Line,
    /// Since when its child has been waiting for a program to start, until that is
    /// logged.
    Start,
}

const COLUMNS: usize = 5;
/// The counters of networks follow the slots, two in a word, 16 for each slot: so many
/// that with all slots taken one client in 16 shares its counter with another network,
/// and causes a needless search.
const COUNTER_WORDS: usize = 8;

/// The number of a child's place on the scoreboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub(in crate::daemon) usize);

/// What a child is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It blocks in accept(2), or is about to.
    Idle,
    /// It has a client that has not been handed over.
    Busy,
    /// It is about to become the program, or has become it.
    Prog,
}

impl Stage {
    pub(in crate::daemon) const ALL: [Self; 3] = [Self::Idle, Self::Busy, Self::Prog];
}

/// A scoreboard.
#[derive(Clone, Copy)]
pub struct Board<'a> {
    pub(in crate::daemon) words: &'a [AtomicU64],
    slots: usize,
}

/// The number of words of a scoreboard with this many slots.
#[must_use]
pub fn size(slots: usize) -> usize {
    SETS + BITS * slots.div_ceil(64) + (COLUMNS + SLOT_WORDS + COUNTER_WORDS) * slots
}

/// Microseconds of the monotonic clock.
pub(in crate::daemon) fn now() -> u64 {
    sys::monotonic_micros()
}

/// The number of slots of a scoreboard that starts with these words, [`HEADER`] or
/// more.
///
/// # Errors
/// As [`Board::over`].
pub fn slots_in(words: &[AtomicU64]) -> Result<usize, String> {
    let header = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Acquire));
    if header(0) != MAGIC {
        return Err("it is no scoreboard".into());
    }
    if header(1) != VERSION {
        let version = header(1);
        return Err(format!("it has version {version}, and this program reads {VERSION}"));
    }
    let slots = usize::try_from(header(2)).unwrap_or(usize::MAX);
    if slots > MOST_SLOTS as usize {
        return Err(format!("it has {slots} slots, and {MOST_SLOTS} is the most there can be"));
    }
    Ok(slots)
}

/// Adds a slot to a set, or removes it.
pub(in crate::daemon) fn mark(set: &[AtomicU64], slot: Slot, on: bool) {
    let (word, bit) = (&set[slot.0 / 64], 1 << (slot.0 % 64));
    if on {
        word.fetch_or(bit, Ordering::SeqCst);
    } else {
        word.fetch_and(!bit, Ordering::SeqCst);
    }
}

impl<'a> Board<'a> {
    /// Initialises zeroed words, as many as [`size`] returns.
    pub(in crate::daemon) fn lay_out(words: &'a [AtomicU64], slots: usize, port: u16) -> Self {
        let pid = u64::from(std::process::id());
        let header = [MAGIC, VERSION, slots as u64, now(), pid, u64::from(port)];
        for (word, value) in words.iter().zip(header) {
            word.store(value, Ordering::Release);
        }
        words[ANSWERED].store(now(), Ordering::Release);
        Self { words, slots }
    }

    /// A scoreboard in words that another process has initialised.
    ///
    /// # Errors
    /// Words that are no scoreboard, or of another version: a short message.
    pub fn over(words: &'a [AtomicU64]) -> Result<Self, String> {
        let slots = slots_in(words)?;
        if size(slots) > words.len() {
            return Err("it is cut off".into());
        }
        Ok(Self { words, slots })
    }

    fn word(&self, place: usize) -> u64 {
        self.words[place].load(Ordering::Acquire)
    }

    /// How many children there may be.
    #[must_use]
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The port that it listens on.
    #[must_use]
    pub fn port(&self) -> u64 {
        self.word(5)
    }

    /// Time since it was initialised.
    #[must_use]
    pub fn age(&self) -> Duration {
        Duration::from_micros(now().saturating_sub(self.word(3)))
    }

    /// Log lines that were lost: no syslog daemon, or no reader of standard error took
    /// them.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.word(LOST)
    }

    /// For how long every line has been lost, if the last one was.
    #[must_use]
    pub fn losing_for(&self) -> Option<Duration> {
        let since = self.word(LOSING);
        (since > 0).then(|| Duration::from_micros(now().saturating_sub(since)))
    }

    fn bits(&self, number: usize) -> &'a [AtomicU64] {
        let words = self.slots.div_ceil(64);
        &self.words[SETS + number * words..][..words]
    }

    pub(in crate::daemon) fn set(&self, stage: Stage) -> &'a [AtomicU64] {
        self.bits(stage as usize)
    }

    /// The slots whose child is moving a client to another slot.
    pub(in crate::daemon) fn movers(&self) -> &'a [AtomicU64] {
        self.bits(Stage::ALL.len())
    }

    pub(in crate::daemon) fn is(&self, slot: Slot, stage: Stage) -> bool {
        self.set(stage)[slot.0 / 64].load(Ordering::SeqCst) & (1 << (slot.0 % 64)) != 0
    }

    /// Whether the child of `slot` becomes the program itself, or has.
    pub(in crate::daemon) fn becomes_program(&self, slot: Slot) -> bool {
        self.slot_words(slot)[IN_PLACE].load(Ordering::SeqCst) != 0
    }

    /// What the child of `slot` was last doing, if there is one.
    #[must_use]
    pub fn stage(&self, slot: Slot) -> Option<Stage> {
        Stage::ALL.into_iter().rev().find(|stage| self.is(slot, *stage))
    }

    /// How many children are at `stage`.
    #[must_use]
    pub fn count(&self, stage: Stage) -> usize {
        // With many slots nearly all words are all zeros or all ones.
        let ones = |word: &AtomicU64| match word.load(Ordering::SeqCst) {
            0 => 0,
            u64::MAX => 64,
            bits => bits.count_ones() as usize,
        };
        self.set(stage).iter().map(ones).sum()
    }

    /// Clients that are present: waiting, or handed over.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.count(Stage::Busy) + self.count(Stage::Prog)
    }

    /// One word of each slot.
    pub(in crate::daemon) fn column(&self, column: Column) -> &'a [AtomicU64] {
        let start = SETS + BITS * self.slots.div_ceil(64) + column as usize * self.slots;
        &self.words[start..][..self.slots]
    }

    pub(in crate::daemon) fn slot_words(&self, slot: Slot) -> &'a [AtomicU64] {
        let start =
            SETS + BITS * self.slots.div_ceil(64) + COLUMNS * self.slots + SLOT_WORDS * slot.0;
        &self.words[start..][..SLOT_WORDS]
    }

    /// The word that holds the counter of a network, and its shift.
    pub(in crate::daemon) fn counter(&self, network: u64) -> (&'a AtomicU64, u32) {
        let start = SETS + BITS * self.slots.div_ceil(64) + (COLUMNS + SLOT_WORDS) * self.slots;
        let counters = 2 * COUNTER_WORDS * self.slots;
        // Fibonacci hashing: adjacent networks are spread.
        let mixed = network.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let number = usize::try_from(mixed).unwrap_or_default() % counters.max(1);
        (&self.words[start + number / 2], 32 * u32::from(number % 2 == 1))
    }

    /// The process that has `slot`, if there is one.
    pub(in crate::daemon) fn pid(&self, slot: Slot) -> Option<u32> {
        Some(sys::pid_in(&self.column(Column::Pid)[slot.0])).filter(|pid| *pid > 0)
    }

    /// The client that the child of `slot` has accepted, and how long ago.
    #[must_use]
    pub fn client(&self, slot: Slot) -> Option<(IpAddr, Duration)> {
        let words = self.slot_words(slot);
        let since = words[ACCEPTED].load(Ordering::Acquire);
        let address = [ADDRESS, ADDRESS + 1].map(|place| words[place].load(Ordering::Relaxed));
        let time = Duration::from_micros(now().saturating_sub(since));
        (since > 0).then(|| (ip_of(address), time))
    }

    /// Writes what is known about the client of `slot`.
    pub(in crate::daemon) fn describe(&self, slot: Slot, class: Class, host: Option<&str>) {
        let words = self.slot_words(slot);
        let host = host.unwrap_or_default().as_bytes();
        let host = &host[..host.len().min(HOST_BYTES)];
        for (word, bytes) in words[HOST + 1..TALLY].iter().zip(host.chunks(8)) {
            let mut eight = [0; 8];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
        words[HOST].store(host.len() as u64, Ordering::Release);
        let class = Class::ALL.iter().position(|known| *known == class);
        words[CLASS].store(class.map_or(0, |index| index as u64 + 1), Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::address::address_words;
    use crate::daemon::scoreboard::status::Child;

    fn words(count: usize) -> Vec<AtomicU64> {
        (0..count).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn a_board_is_read_as_it_was_laid_out() {
        let memory = words(size(70));
        let board = Board::lay_out(&memory, 70, 2525);
        let slot = Slot(69);
        board.set(Stage::Busy)[1].store(1 << 5, Ordering::SeqCst);
        let [high, low] = address_words("192.0.2.7".parse().unwrap());
        let of_slot = board.slot_words(slot);
        for (place, value) in [(0, high), (1, low), (ACCEPTED, now())] {
            of_slot[place].store(value, Ordering::SeqCst);
        }
        sys::put_pid(&board.column(Column::Pid)[69], 4711);
        let long = format!("{}.example.org", "a".repeat(80));
        board.describe(slot, Class::Dynamic, Some(&long));
        let read = Board::over(&memory).unwrap();
        assert_eq!((read.slots(), read.port(), read.clients()), (70, 2525, 1));
        let children: Vec<Child> = read.children().collect();
        let [child] = children.as_slice() else { panic!("{children:?}") };
        assert_eq!(
            (child.stage, child.pid, child.class),
            (Stage::Busy, 4711, Some(Class::Dynamic))
        );
        assert_eq!(child.client.unwrap().0.to_string(), "192.0.2.7");
        assert_eq!(child.host.as_deref(), Some(&long.as_bytes()[..HOST_BYTES]));
    }

    #[test]
    fn what_is_no_board_is_refused() {
        let why = |memory: &[AtomicU64]| Board::over(memory).err().unwrap();
        assert_eq!(why(&words(0)), "it is no scoreboard");
        assert_eq!(why(&words(9999)), "it is no scoreboard");
        let memory = words(size(9));
        Board::lay_out(&memory, 9, 25);
        assert_eq!(why(&memory[..size(9) - 1]), "it is cut off");
        memory[2].store(u64::MAX, Ordering::SeqCst);
        assert!(why(&memory).ends_with(" slots, and 100000 is the most there can be"));
        memory[1].store(1, Ordering::SeqCst);
        assert_eq!(why(&memory), format!("it has version 1, and this program reads {VERSION}"));
    }
}
