//! The file of the store, as the database reads and writes it.  It was opened without
//! following a link, and only the process that has the lock of its directory uses it.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use redb::StorageBackend;

/// A file that is read and written in place.
#[derive(Debug)]
pub(super) struct Backend(pub(super) File);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// An error for a file that was cut short, before memory is allocated for the missing
    /// part.
    fn read(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| self.len().is_ok_and(|there| end > there)) {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut buffer = vec![0; length];
        self.0.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn sync_data(&self, _eventual: bool) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}
