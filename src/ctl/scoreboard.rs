//! The scoreboard that a command reads: finding its file, and a copy of what is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failure::Failure;
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::file::RUN;
use crate::daemon::scoreboard::layout::NoScoreboard;
use crate::daemon::scoreboard::snapshot::Snapshot;
use crate::error::Fatal;
use crate::file;
use crate::file::lock::{Holder, owner, owner_at};

/// A copy of a scoreboard.
pub(super) struct Reading {
    snapshot: Snapshot,
    /// The daemon.
    pub(super) supervisor: Holder,
}

impl Reading {
    /// Copies the scoreboard at `path`.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no regular one.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let file = file::open(path)?;
        let supervisor = owner(&file)?;
        Ok(Self { snapshot: Snapshot::read(&file)?, supervisor })
    }

    /// What is in it.
    ///
    /// # Errors
    /// As [`Scoreboard::open`].
    pub(super) fn board(&mut self) -> Result<Scoreboard<'_>, NoScoreboard> {
        self.snapshot.scoreboard()
    }
}

/// The file that was asked for, or the one to be found.
///
/// # Errors
/// There is none, or there are several.
pub(super) fn locate(asked: Option<PathBuf>) -> Result<PathBuf, Failure> {
    asked.map_or_else(|| find(Path::new(RUN)), Ok)
}

/// The only scoreboard, or the one whose daemon is running.
fn find(directory: &Path) -> Result<PathBuf, Failure> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("smtp-delayd.")
            && Path::new(name).extension().is_some_and(|end| end == "sb")
    };
    let runs = |path: &PathBuf| owner_at(path).is_ok_and(|owner| owner != Holder::NoProcess);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_ours).collect();
    if found.iter().any(runs) {
        found.retain(runs);
    }
    match (found.pop(), found.len()) {
        (Some(file), 0) => Ok(file),
        (None, _) => Err(Failure::NoScoreboard(directory.into())),
        (Some(one), others) => {
            Err(Failure::Scoreboards { directory: directory.into(), number: others + 1, one })
        }
    }
}

/// `file` cannot be read, or is no scoreboard.
pub(super) fn unreadable(file: &Path, why: io::Error) -> Failure {
    Fatal::unable(format_args!("read {}", file.display()), why).into()
}

/// Files that are no scoreboards, or damaged ones, for tests.
#[cfg(test)]
pub(super) mod damaged {
    use super::*;
    use crate::daemon::scoreboard::layout::{MAGIC, VERSION, size};

    /// Marsaglia's generator (xorshift), always with the same numbers.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        /// Words of which about half are empty, as in a scoreboard.
        fn words(&mut self, count: usize) -> Vec<u64> {
            (0..count).map(|_| if self.next() % 2 == 0 { 0 } else { self.next() }).collect()
        }
    }

    /// Reads a file of these words without its last `cut` bytes.
    fn read(words: &[u64], cut: usize) -> Reading {
        let path = std::env::temp_dir().join(format!(
            "board.{:?}.{}",
            std::thread::current().id(),
            std::process::id()
        ));
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.truncate(bytes.len() - cut.min(bytes.len()));
        fs::write(&path, bytes).unwrap();
        let reading = Reading::of(&path).unwrap();
        fs::remove_file(&path).unwrap();
        reading
    }

    /// Calls `check` with each scoreboard that can be read, and how many slots it has.
    pub(in crate::ctl) fn each(mut check: impl FnMut(&Scoreboard<'_>, usize)) {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        for round in 0..300 {
            let slots = usize::try_from(random.next() % 70).unwrap();
            let mut words = random.words(size(slots) / 8);
            if round % 10 > 0 {
                words[..3].copy_from_slice(&[MAGIC, VERSION, slots as u64]);
            }
            let cut = if round % 3 == 0 { usize::try_from(random.next() % 99).unwrap() } else { 0 };
            match read(&words, cut).board() {
                Ok(board) => check(&board, slots),
                Err(_) => assert!(cut > 0 || round % 10 == 0, "round {round}"),
            }
        }
        for length in (0..100).chain([4096]) {
            let mut reading = read(&random.words(length), 0);
            assert_eq!(reading.board().err().unwrap(), NoScoreboard::Other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_scoreboard_is_found() {
        let directory = std::env::temp_dir().join(format!("boards.{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let why = |directory: &Path| find(directory).unwrap_err().to_string();
        assert!(why(&directory).contains("there is no scoreboard"));
        fs::write(directory.join("smtp-delayd.25.sb.99.new"), "").unwrap();
        fs::write(directory.join("smtp-delayd.25.sb"), "").unwrap();
        assert_eq!(find(&directory).unwrap(), directory.join("smtp-delayd.25.sb"));
        fs::write(directory.join("smtp-delayd.587.sb"), "").unwrap();
        assert!(why(&directory).contains("there are 2 scoreboards"));
        fs::remove_dir_all(&directory).unwrap();
    }
}
