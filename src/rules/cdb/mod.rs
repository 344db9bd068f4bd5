//! Looks a key up in a cdb file (<https://cr.yp.to/cdb/cdb.txt>), as djb's `cdb_find` of
//! ucspi-tcp 0.88 does, but by pread(2): if a file is cut short meanwhile a look-up ends
//! with an error, where a memory map would end the process.  No length is used before it is
//! checked against the file, and a key counts as absent only if nothing was lost where it
//! would stand.

mod damage;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;

use self::damage::{FIRST_RECORD, HEADER, Layout, Table};
use crate::file::{self, Refused};

/// The most bytes of a record: execve(2) takes no longer variable.
pub const LONGEST_RECORD: u32 = 128 << 10;
/// The most slots of a table that are searched for one key.  In a table that is half empty,
/// as `cdb_make` leaves it, a few suffice.
const MOST_SLOTS: u32 = 1 << 16;
/// The hash of an empty key.
const START: u32 = 5381;
/// Bytes of a key that are compared at a time, as in djb's.
const CHUNK: usize = 32;
/// Bytes that are read at a time when a table or a key is checked.
const PIECE: usize = 2048;

/// An open cdb.
pub struct Cdb {
    file: File,
    size: u64,
    /// `None` if the file is trusted, as ucspi-tcp trusts it.
    layout: Option<Layout>,
}

impl Cdb {
    /// Opens a file that tcprules wrote.
    ///
    /// # Errors
    /// Those of open(2); EINVAL for a pipe or a device, as in ucspi-tcp; EPROTO if the
    /// header is damaged.
    pub fn open(path: &Path) -> io::Result<Self> {
        let cdb = Self::open_as_djb(path)?;
        let mut header = [0; HEADER];
        cdb.read(0, &mut header)?;
        let layout = Layout::read(&header, cdb.size).ok_or_else(broken)?;
        Ok(Self { layout: Some(layout), ..cdb })
    }

    /// Opens a file, and checks no more of it than ucspi-tcp does.
    ///
    /// # Errors
    /// Those of open(2); EINVAL for a pipe or a device.
    pub fn open_as_djb(path: &Path) -> io::Result<Self> {
        let file = file::open(path).map_err(|why| match Refused::reason(&why) {
            Some(_) => Errno::EINVAL.into(),
            None => why,
        })?;
        let size = file.metadata()?.len();
        Ok(Self { file, size, layout: None })
    }

    /// The keys and records of the first `most` bytes, in the order of the file.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn records(&self, most: u32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let tables = (0..256).map(|table| self.pair(table << 3).map(|(start, _)| start));
        let end = tables.collect::<io::Result<Vec<u32>>>()?.into_iter().min();
        let end = end.filter(|end| u64::from(*end) <= self.size);
        let length = end.and_then(|end| end.checked_sub(FIRST_RECORD)).ok_or_else(broken)?;
        let mut bytes = vec![0; length.min(most) as usize];
        self.read(FIRST_RECORD, &mut bytes)?;
        let (mut rest, mut records) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            match split_record(rest) {
                Some((key, record, behind)) => {
                    records.push((key.to_vec(), record.to_vec()));
                    rest = behind;
                }
                None if length > most => break,
                None => return Err(broken()),
            }
        }
        Ok(records)
    }

    /// The first record for `key`.
    ///
    /// # Errors
    /// EPROTO for a file that is damaged where the key stands or would stand, or for a
    /// record of over 128 KiB; those of pread(2).
    pub fn find(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let hash = hash(key);
        let (table, slots) = self.pair(hash << 3 & 2047)?;
        let Some(first) = (hash >> 8).checked_rem(slots) else { return Ok(None) };
        let end = table.wrapping_add(slots << 3);
        let mut slot = table.wrapping_add(first << 3);
        for _ in 0..slots.min(MOST_SLOTS) {
            let (found, at) = self.pair(slot)?;
            if at == 0 {
                return self.check_table(hash & 255, table, slots).map(|()| None);
            }
            if found == hash {
                if let Some(length) = self.length_of_record(at, key)? {
                    let start = at.wrapping_add(8).wrapping_add(length_of(key));
                    return self.record(start, length).map(Some);
                }
                self.check_key(at, hash)?;
            }
            slot = slot.wrapping_add(8);
            if slot == end {
                slot = table;
            }
        }
        let is_full = slots <= MOST_SLOTS && self.layout.is_none();
        if is_full { Ok(None) } else { Err(broken()) }
    }

    /// Whether nothing of a table is lost.
    fn check_table(&self, number: u32, start: u32, slots: u32) -> io::Result<()> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let mut table = Table::new(number, layout);
        let start = u64::from(start);
        self.pieces(start..start + 8 * u64::from(slots), |slots| table.look_at(slots))?;
        if table.is_intact() { Ok(()) } else { Err(broken()) }
    }

    /// Whether the key at `at`, which is not the one asked for, has the same hash.
    fn check_key(&self, at: u32, expected: u32) -> io::Result<()> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let (length, _) = self.pair(at)?;
        let start = u64::from(at) + 8;
        let end = start + u64::from(length);
        if end > layout.records_end.into() {
            return Err(broken());
        }
        let mut hashed = START;
        self.pieces(start..end, |key| hashed = hash_on(hashed, key))?;
        if hashed == expected { Ok(()) } else { Err(broken()) }
    }

    /// Passes the bytes at `places` to `look`, in pieces that are multiples of 8 bytes,
    /// except the last.
    fn pieces(&self, places: Range<u64>, mut look: impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0; PIECE];
        for place in places.clone().step_by(PIECE) {
            let length = usize::try_from(places.end - place).unwrap_or(PIECE).min(PIECE);
            self.read_at(place, &mut buffer[..length])?;
            look(&buffer[..length]);
        }
        Ok(())
    }

    /// How long the record at `at` is, if it stands there for `key`.
    fn length_of_record(&self, at: u32, key: &[u8]) -> io::Result<Option<u32>> {
        let (key_length, length) = self.pair(at)?;
        if key_length != length_of(key) {
            return Ok(None);
        }
        let mut place = at.wrapping_add(8);
        for expected in key.chunks(CHUNK) {
            let mut buffer = [0; CHUNK];
            let there = &mut buffer[..expected.len()];
            self.read(place, there)?;
            if there != expected {
                return Ok(None);
            }
            place = place.wrapping_add(length_of(expected));
        }
        Ok(Some(length))
    }

    fn record(&self, start: u32, length: u32) -> io::Result<Vec<u8>> {
        let end = u64::from(start) + u64::from(length);
        if end > self.size || length > LONGEST_RECORD {
            return Err(broken());
        }
        let mut record = vec![0; length as usize];
        self.read(start, &mut record)?;
        self.check_record(&record, start.wrapping_add(length))?;
        Ok(record)
    }

    /// Whether tcprules may have written a record, and another one, or the tables, follow
    /// at `end`.
    fn check_record(&self, record: &[u8], end: u32) -> io::Result<()> {
        let Some(layout) = &self.layout else { return Ok(()) };
        let records_end = u64::from(layout.records_end);
        let next_end = if u64::from(end) == records_end {
            records_end
        } else {
            let (key, record) = self.pair(end)?;
            u64::from(end) + 8 + u64::from(key) + u64::from(record)
        };
        let is_intact = next_end <= records_end && !damage::is_damaged(record);
        if is_intact { Ok(()) } else { Err(broken()) }
    }

    /// Two numbers: all numbers of a cdb stand in pairs.
    fn pair(&self, place: u32) -> io::Result<(u32, u32)> {
        let mut pair = [[0; 4]; 2];
        self.read(place, pair.as_flattened_mut())?;
        let [first, second] = pair.map(u32::from_le_bytes);
        Ok((first, second))
    }

    fn read(&self, place: u32, into: &mut [u8]) -> io::Result<()> {
        self.read_at(place.into(), into)
    }

    fn read_at(&self, place: u64, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, place).map_err(|why| match why.kind() {
            io::ErrorKind::UnexpectedEof => broken(),
            _ => why,
        })
    }
}

/// A key and a record, each preceded by its length, and what follows them.
fn split_record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_length, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let [key_length, length] = [key_length, length].map(|bytes| u32::from_le_bytes(*bytes));
    let (key, rest) = rest.split_at_checked(key_length as usize)?;
    let (record, rest) = rest.split_at_checked(length as usize)?;
    Some((key, record, rest))
}

/// ucspi-tcp's `protocol error`.
fn broken() -> io::Error {
    Errno::EPROTO.into()
}

/// djb's positions and lengths are modulo 4 GiB.
#[allow(clippy::cast_possible_truncation)]
fn length_of(key: &[u8]) -> u32 {
    key.len() as u32
}

fn hash(key: &[u8]) -> u32 {
    hash_on(START, key)
}

fn hash_on(hash: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(hash, |hash, byte| hash.wrapping_mul(33) ^ u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use cdb2::{CDB, CDBMake};

    use super::*;

    /// A file that is removed.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            Self(std::env::temp_dir().join(format!("cdb.{name}.{}", std::process::id())))
        }

        fn make(&self, records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
            let mut cdb = CDBMake::new(File::create(&self.0).unwrap()).unwrap();
            for (key, record) in records {
                cdb.add(key, record).unwrap();
            }
            cdb.finish().unwrap();
            fs::read(&self.0).unwrap()
        }

        fn find(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
            Cdb::open(&self.0)?.find(key)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_file(&self.0);
        }
    }

    fn numbered(count: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let record = |n| (format!("10.{}.{}.", n % 7, n).into(), format!("+N={n}\0").into());
        (0..count).map(record).collect()
    }

    #[track_caller]
    fn assert_broken<T: std::fmt::Debug>(found: &io::Result<T>) {
        let why = found.as_ref().unwrap_err();
        assert_eq!(why.raw_os_error(), Some(libc::EPROTO), "{why}");
    }

    #[test]
    fn what_was_written_is_found() {
        let file = Scratch::new("found");
        let mut records = numbered(500);
        records.push((b"".to_vec(), b"D\0".to_vec()));
        records.push((vec![b'k'; 100], [vec![b'+'; 3000], vec![0]].concat()));
        file.make(&records);
        let (ours, theirs) = (Cdb::open(&file.0).unwrap(), CDB::open(&file.0).unwrap());
        for (key, record) in &records {
            assert_eq!(ours.find(key).unwrap().as_ref(), Some(record));
        }
        for key in ["10.", "x", "10.1.1", "10.500."] {
            let theirs = theirs.get(key.as_bytes()).transpose().unwrap();
            assert_eq!(ours.find(key.as_bytes()).unwrap(), theirs);
        }
    }

    #[test]
    fn all_records_are_there_in_their_order() {
        let file = Scratch::new("records");
        let written = numbered(1000);
        file.make(&written);
        let cdb = Cdb::open(&file.0).unwrap();
        assert_eq!(cdb.records(u32::MAX).unwrap(), written);
        let some = cdb.records(100).unwrap();
        assert!(!some.is_empty() && written.starts_with(&some));
        // All tables begin where the file has long ended.
        let header = [0xf0; 2048];
        fs::write(&file.0, header).unwrap();
        assert_broken(&Cdb::open_as_djb(&file.0).unwrap().records(u32::MAX));
    }

    #[test]
    fn of_two_records_the_first_counts() {
        let file = Scratch::new("first");
        file.make(&[(b"k".into(), b"+A=1\0".into()), (b"k".into(), b"+A=2\0".into())]);
        assert_eq!(file.find(b"k").unwrap(), Some(b"+A=1\0".to_vec()));
    }

    #[test]
    fn a_file_cut_anywhere_is_broken() {
        let file = Scratch::new("cut");
        let whole = file.make(&[(b"1.2.3.4".into(), b"D\0".into())]);
        for length in 0..whole.len() {
            fs::write(&file.0, &whole[..length]).unwrap();
            assert_broken(&file.find(b"1.2.3.4"));
            let found = Cdb::open_as_djb(&file.0).unwrap().find(b"1.2.3.4");
            // djb does not look at the rest of the table once the key is found.
            if length < whole.len() - 8 || found.is_err() {
                assert_broken(&found);
            }
        }
    }

    /// Asserts that with the part of the rules that `damage` leaves no client is allowed
    /// that the rules deny, nor denied that they allow.
    #[track_caller]
    fn assert_no_other_rule(whole: &[u8], file: &Scratch, damage: impl Fn(&mut Vec<u8>)) {
        let mut bytes = whole.to_vec();
        damage(&mut bytes);
        fs::write(&file.0, &bytes).unwrap();
        for (key, rule) in RULES {
            match file.find(key.as_bytes()) {
                Ok(found) => assert_eq!(found, rule.map(Vec::from), "{key}"),
                broken => assert_broken(&broken),
            }
        }
    }

    /// Keys, some of them with what they decide.
    const RULES: [(&str, Option<&[u8]>); 6] = [
        ("192.0.2.7", Some(b"D\0")),
        ("192.0.2.", Some(b"+RELAYCLIENT=\0")),
        ("192.0.2.8", None),
        ("192.0.", None),
        ("192.", None),
        ("", Some(b"D\0")),
    ];

    #[test]
    fn damage_hides_no_rule() {
        let file = Scratch::new("damaged");
        let rules = RULES.iter().filter_map(|(key, rule)| Some((key.as_bytes(), (*rule)?)));
        let rules: Vec<_> = rules.map(|(key, rule)| (key.to_vec(), rule.to_vec())).collect();
        let whole = file.make(&rules);
        let tables = whole.len() - rules.len() * 16;
        assert_no_other_rule(&whole, &file, |_| ());
        for fill in [0, 0xff] {
            // All of it, its blocks, and its fields.
            for length in [2048, 512, 8, 4] {
                for start in (0..whole.len()).step_by(length) {
                    let end = (start + length).min(whole.len());
                    if length >= 512 || start < 2048 {
                        let damage = |bytes: &mut Vec<u8>| bytes[start..end].fill(fill);
                        assert_no_other_rule(&whole, &file, damage);
                    }
                }
            }
            for at in FIRST_RECORD as usize..tables {
                assert_no_other_rule(&whole, &file, |bytes| bytes[at..tables].fill(fill));
                assert_no_other_rule(&whole, &file, |bytes| bytes[2048..at].fill(fill));
            }
            for start in (tables..whole.len()).step_by(8) {
                let damage = |bytes: &mut Vec<u8>| bytes[start..start + 8].fill(fill);
                assert_no_other_rule(&whole, &file, damage);
            }
            for length in [0, 2047, 2048, 4096, whole.len()] {
                fs::write(&file.0, vec![fill; length]).unwrap();
                assert_broken(&file.find(b"192.0.2.7"));
            }
        }
    }

    #[test]
    fn a_file_that_is_believed_is_read_as_djb_reads_it() {
        let file = Scratch::new("believed");
        fs::write(&file.0, [0; 4096]).unwrap();
        let found = Cdb::open_as_djb(&file.0).unwrap().find(b"192.0.2.7");
        assert_eq!(found.unwrap(), None, "no table has a slot");
    }

    #[test]
    fn two_keys_may_have_one_hash() {
        let file = Scratch::new("collision");
        // 33 a + b is the same for both.
        let [one, two] = [b"\x01\x42", b"\x03\x00"];
        assert_eq!(hash(one), hash(two));
        file.make(&[(one.to_vec(), b"D\0".into())]);
        assert_eq!(file.find(two).unwrap(), None);
        assert_eq!(file.find(one).unwrap(), Some(b"D\0".to_vec()));
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_open_is_broken() {
        let file = Scratch::new("open");
        file.make(&numbered(500));
        let cdb = Cdb::open(&file.0).unwrap();
        File::options().write(true).open(&file.0).unwrap().set_len(2048).unwrap();
        assert_broken(&cdb.find(b"10.1.1."));
    }

    #[test]
    fn lengths_are_checked_before_they_are_believed() {
        let file = Scratch::new("length");
        let whole = file.make(&[(b"1.2.3.4".into(), b"D\0".into())]);
        for length in [3000, 0xf000_0000, u32::MAX] {
            let mut bytes = whole.clone();
            bytes[2052..2056].copy_from_slice(&u32::to_le_bytes(length));
            fs::write(&file.0, bytes).unwrap();
            assert_broken(&file.find(b"1.2.3.4"));
        }
        let record = |bytes: u32| [vec![b'+'; bytes as usize - 1], vec![0]].concat();
        file.make(&[(b"k".into(), record(LONGEST_RECORD + 1))]);
        assert_broken(&file.find(b"k"));
        file.make(&[(b"k".into(), record(LONGEST_RECORD))]);
        assert!(file.find(b"k").unwrap().is_some());
    }

    /// Numbers that look random and are the same in every run.
    fn dice(state: &mut u64, limit: usize) -> usize {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(*state >> 33).unwrap() % limit
    }

    #[test]
    fn no_mutation_does_harm() {
        let file = Scratch::new("mutated");
        let records = numbered(40);
        let whole = file.make(&records);
        // Most of the header is empty, and stays so.
        let used = |place: &usize| *place >= 2048 || whole[*place] != 0;
        let places: Vec<usize> = (0..whole.len()).filter(used).collect();
        let (mut state, mut broken) = (7, 0);
        for _ in 0..1000 {
            let mut bytes = whole.clone();
            for _ in 0..=dice(&mut state, 20) {
                let place = places[dice(&mut state, places.len())];
                bytes[place] = [0, 1, 8, 0x7f, 0xff][dice(&mut state, 5)];
            }
            bytes.truncate(bytes.len() - dice(&mut state, 40));
            fs::write(&file.0, bytes).unwrap();
            let cdb = Cdb::open_as_djb(&file.0).unwrap();
            for (key, _) in records.iter().step_by(7) {
                let found = cdb.find(key);
                broken += usize::from(found.is_err());
                assert!(found.is_err() || found.unwrap().is_none_or(|r| r.len() <= whole.len()));
            }
        }
        assert!(broken > 100, "{broken} were broken");
    }

    #[test]
    fn a_table_without_an_end_is_given_up() {
        let file = Scratch::new("endless");
        let key = b"k";
        let mut bytes = vec![1; 2048 + 64];
        let table = (hash(key) << 3 & 2047) as usize;
        bytes[table..table + 4].copy_from_slice(&u32::to_le_bytes(2048));
        bytes[table + 4..table + 8].copy_from_slice(&u32::to_le_bytes(u32::MAX));
        fs::write(&file.0, &bytes).unwrap();
        assert_broken(&Cdb::open_as_djb(&file.0).unwrap().find(key));
        let slots = (MOST_SLOTS + 1) as usize * 8;
        bytes.resize(2048 + slots, 1);
        bytes[table + 4..table + 8].copy_from_slice(&u32::to_le_bytes(MOST_SLOTS + 1));
        fs::write(&file.0, &bytes).unwrap();
        assert_broken(&Cdb::open_as_djb(&file.0).unwrap().find(key));
    }

    #[test]
    fn what_is_no_file_has_ucspi_tcps_words() {
        let code = |path: &str| Cdb::open(Path::new(path)).err().and_then(|e| e.raw_os_error());
        assert_eq!(code("/dev/zero"), Some(libc::EINVAL));
        assert_eq!(code("/nonexistent"), Some(libc::ENOENT));
        assert_eq!(code("/"), Some(libc::EISDIR));
    }
}
