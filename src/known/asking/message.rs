//! What the keeper is asked and told, and its answers: datagrams of a fixed size, except
//! for a page of a list.  Each begins with a version; messages of other versions are
//! ignored.

use crate::known::entry::Entry;
use crate::known::key::{self, Key};
use crate::known::record::{self, Record, Time, class_byte, class_of};
use crate::known::rules::Pass;
use crate::known::sharing::Sharing;

/// What every message begins with; the last byte is the version.
const START: [u8; 4] = *b"SDK\x01";
/// Bytes of a request.
pub const REQUEST: usize = START.len() + 2 + key::LENGTH;
/// The most bytes of a request.
pub(in crate::known) const ROOM: usize = REQUEST + 1;

/// Clients on a page.
pub const PAGE: usize = 100;
/// Bytes of a client on a page.
const ENTRY: usize = key::LENGTH + record::LENGTH;
/// Bytes of an answer about one client.
pub const ANSWER: usize = START.len() + 1 + record::LENGTH;
/// Bytes of the longest answer.
pub const LONGEST: usize = START.len() + 1 + key::LENGTH + PAGE * ENTRY;

/// What the keeper is asked or told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// What is remembered of this client?
    Ask(Key),
    /// This client was handed over.
    Tell(Key, Pass),
    /// Nothing more is to be remembered of this client.
    Forget(Key, Why),
    /// Which clients are remembered, from this one on?  Answered by a page.
    List(Key),
    /// How many clients are remembered, and where?
    Status,
    /// What is remembered of this client here, and what does the engine have by which
    /// clients are shared?
    Show(Key),
}

/// Why a client is forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It talked before the greeting.
    Early,
    /// A DNS list has it.
    Listed,
    /// The administrator says so.
    Administrator,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Early, Self::Listed, Self::Administrator];

    /// Its word in the log.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::Listed => "listed",
            Self::Administrator => "admin",
        }
    }
}

impl Request {
    /// The bytes to send.
    #[must_use]
    pub fn bytes(&self) -> [u8; REQUEST] {
        let (kind, detail, key) = match *self {
            Self::Ask(key) => (0, 0, key),
            Self::Tell(key, Pass::Renewal) => (1, 0, key),
            Self::Tell(key, Pass::Full(class)) => (1, class_byte(class), key),
            Self::Forget(key, why) => (2, why as u8, key),
            Self::List(key) => (3, 0, key),
            Self::Status => (4, 0, Key::FIRST),
            Self::Show(key) => (5, 0, key),
        };
        let mut bytes = [0; REQUEST];
        bytes[..4].copy_from_slice(&START);
        bytes[4] = kind;
        bytes[5] = detail;
        bytes[6..].copy_from_slice(key.bytes());
        bytes
    }

    /// What came, if it is understood.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; REQUEST] = bytes.strip_prefix(&START).and(bytes.try_into().ok())?;
        let (detail, rest) = (bytes[5], *bytes.last_chunk::<{ key::LENGTH }>()?);
        let key = || Key::from_bytes(rest);
        Some(match bytes[4] {
            0 => Self::Ask(key()?),
            1 if detail == 0 => Self::Tell(key()?, Pass::Renewal),
            1 => Self::Tell(key()?, Pass::Full(class_of(detail)?)),
            2 => Self::Forget(key()?, Why::ALL.into_iter().find(|why| *why as u8 == detail)?),
            3 if rest == *Key::FIRST.bytes() => Self::List(Key::FIRST),
            3 => Self::List(key()?),
            4 => Self::Status,
            5 => Self::Show(key()?),
            _ => return None,
        })
    }
}

/// Where the keeper stores what it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// On the disk.
    Disk,
    /// In memory only: there is no disk, or it cannot be used.
    Memory,
}

/// What the engine says about a client by which clients are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engines {
    /// It was not asked, or has not answered in time: its state.
    NotAsked(Sharing),
    /// What it has, if anything.
    Asked(Option<Entry>),
}

/// The answers of the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is remembered of the client.
    Known(Record),
    /// Nothing is remembered of the client.
    NotKnown,
    /// The same, but other hosts, with which clients are shared, may know it.
    NotKnownHere,
    /// Nothing is remembered of the client here; another answer follows once the engine by
    /// which clients are shared has answered.
    NotYet,
    /// The client has been forgotten; this was remembered of it.
    Forgotten(Option<Record>),
    /// Clients, and where the next page begins, if there is one.
    Page(Vec<(Key, Record)>, Option<Key>),
    /// This number of clients, stored here, and whether they are shared.
    Status(u64, Where, Sharing),
    /// What is remembered of the client here, and what the engine says.
    Shown(Option<Record>, Engines),
}

impl Answer {
    /// Writes the bytes to send into `room`; returns those used.
    pub fn write<'a>(&self, room: &'a mut [u8; LONGEST]) -> &'a [u8] {
        let mut end = 0;
        let mut put = |bytes: &[u8]| {
            room[end..end + bytes.len()].copy_from_slice(bytes);
            end += bytes.len();
        };
        put(&START);
        match self {
            Self::Known(record) => put(&one(0, Some(record))),
            Self::NotKnown => put(&one(1, None)),
            Self::Forgotten(record) => put(&one(2, record.as_ref())),
            Self::NotKnownHere => put(&one(5, None)),
            Self::NotYet => put(&one(7, None)),
            Self::Status(count, place, sharing) => {
                put(&[3, u8::from(*place == Where::Memory), sharing.byte()]);
                put(&count.to_be_bytes());
            }
            Self::Shown(own, engines) => {
                put(&one(6, own.as_ref()));
                put(&engines.bytes());
            }
            Self::Page(entries, next) => {
                put(&[4]);
                put(next.as_ref().unwrap_or(&Key::FIRST).bytes());
                for (key, record) in entries.iter().take(PAGE) {
                    put(key.bytes());
                    put(&record.bytes());
                }
            }
        }
        &room[..end]
    }

    /// What came, if it is understood.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.strip_prefix(&START)?.split_first()?;
        match kind {
            0..=2 | 5 | 7 => {
                let record = Record::from_bytes(rest.try_into().ok()?);
                match kind {
                    0 => record.map(Self::Known),
                    1 => Some(Self::NotKnown),
                    5 => Some(Self::NotKnownHere),
                    7 => Some(Self::NotYet),
                    _ => Some(Self::Forgotten(record)),
                }
            }
            3 => {
                let ([place, sharing], count) = rest.split_first_chunk()?;
                let place = if *place == 0 { Where::Disk } else { Where::Memory };
                let count = u64::from_be_bytes(count.try_into().ok()?);
                Some(Self::Status(count, place, Sharing::of_byte(*sharing)?))
            }
            4 => read_page(rest),
            6 => {
                let (own, engines) = rest.split_first_chunk()?;
                Some(Self::Shown(Record::from_bytes(own), Engines::read(engines)?))
            }
            _ => None,
        }
    }
}

/// An answer about one client, after the version.
fn one(kind: u8, record: Option<&Record>) -> [u8; ANSWER - START.len()] {
    let mut bytes = [0; ANSWER - START.len()];
    bytes[0] = kind;
    if let Some(record) = record {
        bytes[1..].copy_from_slice(&record.bytes());
    }
    bytes
}

impl Engines {
    fn bytes(self) -> [u8; 1 + record::LENGTH] {
        let mut bytes = [0; 1 + record::LENGTH];
        let (kind, rest) = match self {
            Self::NotAsked(sharing) => (0, &[sharing.byte()][..]),
            Self::Asked(None) => (1, &[][..]),
            Self::Asked(Some(Entry::Known(record))) => (2, &record.bytes()[..]),
            Self::Asked(Some(Entry::Forgotten(time))) => (3, &time.0.to_be_bytes()[..]),
        };
        bytes[0] = kind;
        bytes[1..=rest.len()].copy_from_slice(rest);
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 1 + record::LENGTH] = bytes.try_into().ok()?;
        let (kind, rest) = bytes.split_first()?;
        Some(match kind {
            0 => Self::NotAsked(Sharing::of_byte(rest[0])?),
            1 => Self::Asked(None),
            2 => Self::Asked(Some(Entry::Known(Record::from_bytes(rest.try_into().ok()?)?))),
            3 => {
                let time = Time(u32::from_be_bytes(*rest.first_chunk()?));
                Self::Asked(Some(Entry::Forgotten(time)))
            }
            _ => return None,
        })
    }
}

fn read_page(bytes: &[u8]) -> Option<Answer> {
    let (next, entries) = bytes.split_first_chunk::<{ key::LENGTH }>()?;
    if entries.len() % ENTRY != 0 {
        return None;
    }
    let entry = |bytes: &[u8]| {
        let (key, record) = bytes.split_first_chunk()?;
        Some((Key::from_bytes(*key)?, Record::from_bytes(record.try_into().ok()?)?))
    };
    let entries = entries.chunks_exact(ENTRY).map(entry).collect::<Option<Vec<_>>>()?;
    Some(Answer::Page(entries, Key::from_bytes(*next)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::known::sharing::Obstacle;

    fn keys() -> [Key; 2] {
        ["192.0.2.7", "2001:db8::1"].map(|ip| Key::of(ip.parse().unwrap()))
    }

    fn requests() -> Vec<Request> {
        let mut all = vec![Request::Status, Request::List(Key::FIRST)];
        for key in keys() {
            all.extend([Request::Ask(key), Request::List(key), Request::Show(key)]);
            all.push(Request::Tell(key, Pass::Renewal));
            all.extend(Class::JUDGED.map(|class| Request::Tell(key, Pass::Full(class))));
            all.extend(Why::ALL.map(|why| Request::Forget(key, why)));
        }
        all
    }

    fn answers() -> Vec<Answer> {
        let record = Record { first: Time(1), last: Time(2), count: 3, class: Class::Static };
        let page: Vec<_> = keys().map(|key| (key, record)).into();
        vec![
            Answer::Known(record),
            Answer::NotKnown,
            Answer::Forgotten(Some(record)),
            Answer::Forgotten(None),
            Answer::NotKnownHere,
            Answer::NotYet,
            Answer::Status(1_000_000, Where::Disk, Sharing::Off),
            Answer::Status(0, Where::Memory, Sharing::Up),
            Answer::Shown(Some(record), Engines::NotAsked(Sharing::Down(Obstacle::Full))),
            Answer::Shown(None, Engines::Asked(None)),
            Answer::Shown(None, Engines::Asked(Some(Entry::Known(record)))),
            Answer::Shown(Some(record), Engines::Asked(Some(Entry::Forgotten(Time(9))))),
            Answer::Page(Vec::new(), None),
            Answer::Page(page.clone(), Some(keys()[0].next())),
            Answer::Page(page.clone(), Some(keys()[1].next())),
            Answer::Page(vec![page[1]; PAGE], None),
        ]
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        for request in requests() {
            assert_eq!(Request::read(&request.bytes()), Some(request));
        }
        for answer in answers() {
            let mut room = [0; LONGEST];
            assert_eq!(Answer::read(answer.write(&mut room)), Some(answer));
        }
    }

    #[test]
    fn answers_about_one_client_have_one_size() {
        for answer in &answers()[..6] {
            assert_eq!(answer.write(&mut [0; LONGEST]).len(), ANSWER);
        }
    }

    #[test]
    fn what_is_cut_or_of_another_version_is_not_understood() {
        for request in requests() {
            let mut bytes = request.bytes();
            for length in 0..REQUEST {
                assert_eq!(Request::read(&bytes[..length]), None);
            }
            assert_eq!(Request::read(&[bytes.as_slice(), b"x"].concat()), None);
            bytes[3] = 2;
            assert_eq!(Request::read(&bytes), None);
        }
        for answer in answers() {
            let mut room = [0; LONGEST];
            let bytes = answer.write(&mut room).to_vec();
            for length in 0..bytes.len() {
                assert_ne!(Answer::read(&bytes[..length]), Some(answer.clone()));
            }
            room[3] = 2;
            assert_eq!(Answer::read(&room[..bytes.len()]), None);
        }
    }

    #[test]
    fn random_bytes_do_no_harm() {
        let mut number = 1_u64;
        for _ in 0..100_000 {
            let mut bytes = [START.as_slice(), &[0; ENTRY * 2]].concat();
            for byte in &mut bytes[4..] {
                number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = (number >> 60) as u8;
            }
            let length = usize::try_from(number >> 33).unwrap() % bytes.len();
            let _ = Request::read(&bytes[..REQUEST]);
            let _ = Answer::read(&bytes[..length]);
        }
    }
}
