//! What the keeper is asked and told, and its answers: datagrams of a fixed size, except
//! for a page of a list.  Each begins with a version; messages of other versions are
//! ignored.

use crate::known::key::{self, Key};
use crate::known::record::{self, Record, class_byte, class_of};
use crate::known::rules::Pass;

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

/// The answers of the keeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is remembered of the client.
    Known(Record),
    /// Nothing is remembered of the client.
    NotKnown,
    /// The client has been forgotten; this was remembered of it.
    Forgotten(Option<Record>),
    /// Clients, and where the next page begins, if there is one.
    Page(Vec<(Key, Record)>, Option<Key>),
    /// This number of clients, stored here.
    Status(u64, Where),
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
            Self::Status(count, place) => {
                put(&[3, u8::from(*place == Where::Memory)]);
                put(&count.to_be_bytes());
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
            0..=2 => {
                let record = Record::from_bytes(rest.try_into().ok()?);
                match kind {
                    0 => record.map(Self::Known),
                    1 => Some(Self::NotKnown),
                    _ => Some(Self::Forgotten(record)),
                }
            }
            3 => {
                let (place, count) = rest.split_first()?;
                let place = if *place == 0 { Where::Disk } else { Where::Memory };
                Some(Self::Status(u64::from_be_bytes(count.try_into().ok()?), place))
            }
            4 => read_page(rest),
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
    use crate::known::record::Time;

    fn keys() -> [Key; 2] {
        ["192.0.2.7", "2001:db8::1"].map(|ip| Key::of(ip.parse().unwrap()))
    }

    fn requests() -> Vec<Request> {
        let mut all = vec![Request::Status, Request::List(Key::FIRST)];
        for key in keys() {
            all.extend([Request::Ask(key), Request::List(key)]);
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
            Answer::Status(1_000_000, Where::Disk),
            Answer::Status(0, Where::Memory),
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
        for answer in &answers()[..4] {
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
