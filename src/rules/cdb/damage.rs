//! What is true of every cdb that tcprules wrote: the tables follow each other up to the
//! end of the file, each half full.  djb's `cdb_find` does not check that: in a file whose
//! blocks were lost, and read as zeros, it finds no rule, and all clients are allowed.

/// Where the records begin, after the header.
pub(super) const FIRST_RECORD: u32 = 2048;
/// Bytes of the header: a position and a number of slots for each table.
pub(super) const HEADER: usize = FIRST_RECORD as usize;

/// Where the records of an intact file end.
pub(super) struct Layout {
    pub(super) records_end: u32,
}

impl Layout {
    /// Reads the header of a file of `size` bytes; `None` if it is damaged.
    pub(super) fn read(header: &[u8; HEADER], size: u64) -> Option<Self> {
        let mut tables = pairs(header);
        let (records_end, slots) = tables.next()?;
        let end_of = |start: u32, slots: u32| u64::from(start) + 8 * u64::from(slots);
        let end = tables.try_fold(end_of(records_end, slots), |end, (start, slots)| {
            (u64::from(start) == end).then(|| end_of(start, slots))
        })?;
        (records_end >= FIRST_RECORD && end == size).then_some(Self { records_end })
    }
}

/// The slots of a table, checked a few at a time.
pub(super) struct Table {
    number: u32,
    records_end: u32,
    slots: usize,
    used: usize,
    /// Slots that no table has.
    wrong: usize,
}

impl Table {
    /// The one for hashes whose last byte is `number`.
    pub(super) fn new(number: u32, layout: &Layout) -> Self {
        Self { number, records_end: layout.records_end, slots: 0, used: 0, wrong: 0 }
    }

    /// Checks the next slots: each is empty, or has a hash that belongs here and the
    /// position of a record.
    pub(super) fn look_at(&mut self, slots: &[u8]) {
        for (hash, at) in pairs(slots) {
            let is_record = (FIRST_RECORD..self.records_end).contains(&at);
            let fits = if at == 0 { hash == 0 } else { hash & 255 == self.number && is_record };
            self.slots += 1;
            self.used += usize::from(at != 0);
            self.wrong += usize::from(!fits);
        }
    }

    /// Whether all of them were valid, and half of them used.
    pub(super) fn is_intact(&self) -> bool {
        self.wrong == 0 && 2 * self.used == self.slots
    }
}

/// Whether a record is not a list of parts that end in NUL.  The first letter of a part
/// says what it is.
pub(super) fn is_damaged(record: &[u8]) -> bool {
    let mut parts = record.split(|byte| *byte == 0);
    let ends_in_nul = parts.next_back().is_some_and(<[u8]>::is_empty);
    !ends_in_nul || !parts.all(|part| part.first().is_some_and(u8::is_ascii_graphic))
}

fn pairs(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let number = |four: &[u8]| four.try_into().map_or(0, u32::from_le_bytes);
    bytes.chunks_exact(8).map(move |pair| (number(&pair[..4]), number(&pair[4..])))
}
