//! What a slot tells of a client.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::class::Class;
use crate::daemon::scoreboard::address::{address_words, ip_of};
use crate::sys::monotonic_micros as now;

/// Words of a name that are stored: its first 64 bytes.
const HOST_WORDS: usize = 8;
/// The time of the accept as long as the client has no place in the order.
const UNPLACED: u64 = u64::MAX;

/// When a client was accepted, for the order among clients of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Accepted {
    /// At this time, in microseconds; 0 for a slot that has had no client.
    At(u64),
    /// It is about to get its place.
    Unplaced,
}

/// A client, written by its child alone, or by the supervisor once that has ended.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct ClientRecord {
    address: [AtomicU64; 2],
    accepted_at: AtomicU64,
    /// Which of the clients that its child has accepted it is, from 1 on.
    number: AtomicU64,
    /// Its [`Class::index`] and 1; 0 as long as it is not known.
    class: AtomicU64,
    is_refused: AtomicU64,
    /// Whether its child becomes the program itself.
    becomes_program: AtomicU64,
    host_length: AtomicU64,
    host: [AtomicU64; HOST_WORDS],
}

impl ClientRecord {
    /// The bytes of a name that are stored.
    pub(super) const HOST_BYTES: usize = HOST_WORDS * size_of::<u64>();

    /// Begins with the client with this address and number, which has no place in the order
    /// before [`place`](Self::place).
    pub(super) fn begin(&self, ip: IpAddr, number: u64) {
        for word in [&self.class, &self.is_refused, &self.becomes_program, &self.host_length] {
            word.store(0, Ordering::Relaxed);
        }
        for (word, half) in self.address.iter().zip(address_words(ip)) {
            word.store(half, Ordering::Relaxed);
        }
        self.accepted_at.store(UNPLACED, Ordering::Relaxed);
        self.number.store(number, Ordering::SeqCst);
    }

    /// Others see it by now: its place in the order is that of this time.
    pub(super) fn place(&self) {
        self.accepted_at.store(now(), Ordering::SeqCst);
    }

    /// Forgets all.
    pub(super) fn clear(&self) {
        self.words().for_each(|word| word.store(0, Ordering::Relaxed));
    }

    /// Takes over what `other` tells.
    pub(super) fn copy(&self, other: &Self) {
        for (to, from) in self.words().zip(other.words()) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// All of it, for what clears or copies it.
    pub(super) fn words(&self) -> impl Iterator<Item = &AtomicU64> {
        // Every field by its name: one that is left out does not compile.
        let Self {
            address,
            accepted_at,
            number,
            class,
            is_refused,
            becomes_program,
            host_length,
            host,
        } = self;
        let single = [accepted_at, number, class, is_refused, becomes_program, host_length];
        address.iter().chain(single).chain(host)
    }

    pub(super) fn accepted(&self) -> Accepted {
        match self.accepted_at.load(Ordering::SeqCst) {
            UNPLACED => Accepted::Unplaced,
            time => Accepted::At(time),
        }
    }

    /// Its address, and how long ago it was accepted, if there was one.
    pub(super) fn get(&self) -> Option<(IpAddr, Duration)> {
        let since = self.accepted_at.load(Ordering::Acquire);
        let address = self.address.each_ref().map(|word| word.load(Ordering::Relaxed));
        let time = Duration::from_micros(now().saturating_sub(since));
        (since > 0).then(|| (ip_of(address), time))
    }

    pub(super) fn number(&self) -> u64 {
        self.number.load(Ordering::SeqCst)
    }

    /// Writes what is known about it.
    pub(super) fn describe(&self, class: Class, host: Option<&str>) {
        let host = host.unwrap_or_default().as_bytes();
        let host = &host[..host.len().min(Self::HOST_BYTES)];
        for (word, bytes) in self.host.iter().zip(host.chunks(size_of::<u64>())) {
            let mut eight = [0; size_of::<u64>()];
            eight[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
        self.host_length.store(host.len() as u64, Ordering::Release);
        self.class.store(class.index() as u64 + 1, Ordering::Release);
    }

    /// Its class, if it is known.
    pub(super) fn class(&self) -> Option<Class> {
        let number = usize::try_from(self.class.load(Ordering::Acquire)).ok()?;
        Class::ALL.get(number.checked_sub(1)?).copied()
    }

    /// The first bytes of its name, if it has one.
    pub(super) fn host(&self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.host_length.load(Ordering::Acquire)).unwrap_or(0);
        let bytes = self.host.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        (length > 0).then(|| bytes.take(length).collect())
    }

    pub(super) fn note_refusal(&self) {
        self.is_refused.store(1, Ordering::Relaxed);
    }

    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed) != 0
    }

    pub(super) fn set_becomes_program(&self, becomes: bool) {
        self.becomes_program.store(becomes.into(), Ordering::SeqCst);
    }

    pub(super) fn becomes_program(&self) -> bool {
        self.becomes_program.load(Ordering::SeqCst) != 0
    }
}
