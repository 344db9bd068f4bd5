//! A scoreboard's file as it was at one moment: what smtp-delayctl reads.

use std::fs::File;
use std::io::{self, Read};

use zerocopy::IntoBytes;

use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::layout::{NoScoreboard, Signature, size};

/// The contents of a file, or as much as there is to a scoreboard.
pub struct Snapshot {
    /// Aligned as the memory is that was written to the file.
    words: Vec<u64>,
    length: usize,
}

impl Snapshot {
    /// Reads no more than there is to a scoreboard, however long the file is.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn read(file: &File) -> io::Result<Self> {
        let mut snapshot = Self { words: Vec::new(), length: 0 };
        snapshot.read_up_to(file, size_of::<Signature>())?;
        if let Ok(slots) = Signature::slots_of(snapshot.bytes()) {
            snapshot.read_up_to(file, size(slots))?;
        }
        Ok(snapshot)
    }

    fn read_up_to(&mut self, file: &File, most: usize) -> io::Result<()> {
        self.words.resize(most.div_ceil(size_of::<u64>()), 0);
        let mut room = &mut self.words.as_mut_slice().as_mut_bytes()[self.length..most];
        let copied = io::copy(&mut file.take(room.len() as u64), &mut room)?;
        self.length += usize::try_from(copied).unwrap_or_default();
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        &mut self.words.as_mut_slice().as_mut_bytes()[..self.length]
    }

    /// The scoreboard.
    ///
    /// # Errors
    /// As [`Scoreboard::open`].
    pub fn scoreboard(&mut self) -> Result<Scoreboard<'_>, NoScoreboard> {
        Scoreboard::open(self.bytes())
    }
}
