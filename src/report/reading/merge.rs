//! Several files as one, in the order of their times.

use std::io;

use super::entry::Entry;
use super::moment::Moment;
use super::reader::Reader;

/// Files that are read in parallel, each with its name.
#[derive(Default)]
pub struct Merged {
    /// Those that have an entry left, each at that entry.
    files: Vec<(String, Reader)>,
    /// The file that the last entry came from.
    current: Option<usize>,
}

/// A file that could not be read to its end.
#[derive(Debug)]
pub struct Unread {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: io::Error,
}

impl Merged {
    /// Adds a file, from its first entry on.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn add(&mut self, name: String, mut reader: Reader) -> Result<(), Unread> {
        match reader.advance() {
            Ok(true) => self.files.push((name, reader)),
            Ok(false) => (),
            Err(why) => return Err(Unread { name, why }),
        }
        Ok(())
    }

    /// The next entry of all files; `None` at the end.
    ///
    /// # Errors
    /// A file that cannot be read further; the others are not affected.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'_>>, Unread> {
        if let Some(current) = self.current.take() {
            self.go_on(current)?;
        }
        self.current = self.oldest();
        Ok(self.current.map(|at| self.files[at].1.entry()))
    }

    fn go_on(&mut self, at: usize) -> Result<(), Unread> {
        match self.files[at].1.advance() {
            Ok(true) => Ok(()),
            ended => {
                let (name, _) = self.files.swap_remove(at);
                ended.map(drop).map_err(|why| Unread { name, why })
            }
        }
    }

    /// An entry without a time counts as the oldest.
    fn oldest(&self) -> Option<usize> {
        let at = |file: &usize| self.files[*file].1.at().unwrap_or(Moment(i64::MIN));
        (0..self.files.len()).min_by_key(at)
    }
}
