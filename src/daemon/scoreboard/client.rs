//! What a slot tells of a client.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::class::Class;
use crate::daemon::scoreboard::address::{address_words, ip_of};
use crate::daemon::scoreboard::words::{Packed, Word};
use crate::sys::monotonic_micros as now;

/// Words of a name that are stored: its first 64 bytes.
const HOST_WORDS: usize = 8;

/// When a client was accepted, for the order among clients of one network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Accepted {
    /// There was none.
    Never,
    /// At this time, in microseconds of the monotonic clock, from 1 on.
    At(u64),
    /// Just now: it is about to get its place.
    Unplaced,
}

impl Packed for Accepted {
    fn encode(self) -> u64 {
        match self {
            Self::Never => 0,
            Self::At(time) => time,
            Self::Unplaced => u64::MAX,
        }
    }

    fn decode(word: u64) -> Self {
        match word {
            0 => Self::Never,
            u64::MAX => Self::Unplaced,
            time => Self::At(time),
        }
    }
}

/// Its [`Class::index`] and 1; 0 as long as it is not known.
impl Packed for Option<Class> {
    fn encode(self) -> u64 {
        self.map_or(0, |class| class.index() as u64 + 1)
    }

    fn decode(word: u64) -> Self {
        let index = usize::try_from(word).ok()?.checked_sub(1)?;
        Class::ALL.get(index).copied()
    }
}

/// A client, written by its child alone, or by the supervisor once that has ended.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C)]
pub(super) struct ClientRecord {
    address: [AtomicU64; 2],
    accepted_at: Word<Accepted>,
    /// Which of the clients that its child has accepted it is, from 1 on.
    number: AtomicU64,
    class: Word<Option<Class>>,
    is_refused: Word<bool>,
    /// Whether its child becomes the program itself.
    becomes_program: Word<bool>,
    host_length: AtomicU64,
    host: [AtomicU64; HOST_WORDS],
}

impl ClientRecord {
    /// The bytes of a name that are stored.
    pub(super) const HOST_BYTES: usize = HOST_WORDS * size_of::<u64>();

    /// Begins with the client with this address and number, which has no place in the order
    /// before [`place`](Self::place).
    pub(super) fn begin(&self, ip: IpAddr, number: u64) {
        self.class.store(None, Ordering::Relaxed);
        self.is_refused.store(false, Ordering::Relaxed);
        self.becomes_program.store(false, Ordering::Relaxed);
        self.host_length.store(0, Ordering::Relaxed);
        for (word, half) in self.address.iter().zip(address_words(ip)) {
            word.store(half, Ordering::Relaxed);
        }
        self.accepted_at.store(Accepted::Unplaced, Ordering::Relaxed);
        self.number.store(number, Ordering::SeqCst);
    }

    /// Others see it by now: its place in the order is that of this time.
    pub(super) fn place(&self) {
        self.accepted_at.store(Accepted::At(now()), Ordering::SeqCst);
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
        let flags = [is_refused.bits(), becomes_program.bits()];
        let single = [accepted_at.bits(), number, class.bits(), host_length];
        address.iter().chain(single).chain(flags).chain(host)
    }

    pub(super) fn accepted(&self) -> Accepted {
        self.accepted_at.load(Ordering::SeqCst)
    }

    /// Its address, and how long ago it was accepted, if there was one.
    pub(super) fn get(&self) -> Option<(IpAddr, Duration)> {
        let since = match self.accepted_at.load(Ordering::Acquire) {
            Accepted::Never => return None,
            Accepted::At(time) => Duration::from_micros(now().saturating_sub(time)),
            Accepted::Unplaced => Duration::ZERO,
        };
        let address = self.address.each_ref().map(|word| word.load(Ordering::Relaxed));
        Some((ip_of(address), since))
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
        self.class.store(Some(class), Ordering::Release);
    }

    /// Its class, if it is known.
    pub(super) fn class(&self) -> Option<Class> {
        self.class.load(Ordering::Acquire)
    }

    /// The first bytes of its name, if it has one.
    pub(super) fn host(&self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.host_length.load(Ordering::Acquire)).unwrap_or(0);
        let bytes = self.host.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        (length > 0).then(|| bytes.take(length).collect())
    }

    pub(super) fn note_refusal(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_refused(&self) -> bool {
        self.is_refused.load(Ordering::Relaxed)
    }

    pub(super) fn set_becomes_program(&self, becomes: bool) {
        self.becomes_program.store(becomes, Ordering::SeqCst);
    }

    pub(super) fn becomes_program(&self) -> bool {
        self.becomes_program.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::words::assert_packs;

    #[test]
    fn every_value_has_a_word_of_its_own() {
        let [first, last] = [1, u64::MAX - 1].map(Accepted::At);
        let accepted = [Accepted::Never, first, last, Accepted::Unplaced];
        assert_packs(&accepted);
        assert!(accepted.is_sorted(), "their order is that of the clients");
        assert_packs(&[&[None], &Class::ALL.map(Some)[..]].concat());
        assert_eq!(<Option<Class>>::decode(u64::MAX), None, "of a scoreboard that was damaged");
    }
}
