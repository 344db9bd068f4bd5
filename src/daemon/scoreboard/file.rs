//! Where the scoreboard is: in memory, or in a file that smtp-delayctl can read.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate};

use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::layout::{MAGIC, size};
use crate::error::Fatal;
use crate::file::entry::Entry;
use crate::file::lock::{Holder, lock, owner};
use crate::log::Log;
use crate::options::Options;
use crate::sys;

/// Where `smtp-delayctl` looks for the scoreboards of daemons.
pub const RUN: &str = "/run";
/// The most scoreboards of daemons on one port that are looked for.
const MOST: usize = 100;

/// A scoreboard's memory.
pub struct Storage {
    memory: &'static mut [u8],
    /// The file, if there is one, locked; the process that holds the lock is the
    /// supervisor.
    file: Option<(File, Entry)>,
}

/// Removes the file of a start that failed, if permitted.
impl Drop for Storage {
    fn drop(&mut self) {
        self.release();
    }
}

impl Storage {
    /// In the file that the options name, or in memory.  Called before the privileges
    /// are dropped.
    ///
    /// # Errors
    /// A file that cannot be made, or no memory: 111.
    pub fn make(options: &Options, port: u16, log: &Log) -> Result<Self, Fatal> {
        match &options.scoreboard {
            Some(path) => in_file(path, options.slots)
                .map_err(|why| Fatal::unable(format_args!("make {}", path.display()), why)),
            None if options.daemon => in_usual_place(Path::new(RUN), options.slots, port, log),
            None => in_memory(options.slots),
        }
    }

    /// Checks that the file that the options name could be made, as far as possible
    /// without making it.  A lock of another daemon does not matter.
    ///
    /// # Errors
    /// As [`make`](Self::make).
    pub fn check(options: &Options) -> Result<(), Fatal> {
        let Some(path) = &options.scoreboard else { return Ok(()) };
        let checked = Entry::at(path).and_then(|entry| {
            holder(&entry)?;
            Ok(entry.check_directory()?)
        });
        checked.map_err(|why| Fatal::unable(format_args!("make {}", path.display()), why))
    }

    /// Makes a scoreboard of the memory, once: all processes share it that are forked
    /// from here on.
    ///
    /// # Errors
    /// Memory that is not there any more, or is not for so many slots: 111.
    pub fn initialise(&mut self, slots: usize, port: u16) -> Result<Scoreboard<'static>, Fatal> {
        let board = Scoreboard::initialise(std::mem::take(&mut self.memory), slots, port);
        board.ok_or(Fatal::Impossible("lay out the scoreboard"))
    }

    /// Whether there is a file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// The file, which keeps its name and is locked as long as it is open.
    #[must_use]
    pub fn hold(mut self) -> Option<File> {
        self.file.take().map(|(file, _)| file)
    }

    /// Removes the file.
    pub(in crate::daemon) fn release(&self) {
        if let Some((file, entry)) = &self.file {
            entry.remove(file);
        }
    }
}

/// The first daemon on a port uses the first of these names, and so on.
fn usual_path(directory: &Path, port: u16, number: usize) -> PathBuf {
    directory.join(match number {
        0 => format!("smtp-delayd.{port}.sb"),
        other => format!("smtp-delayd.{port}.{other}.sb"),
    })
}

/// In the first default file that no other daemon has.
fn in_usual_place(directory: &Path, slots: usize, port: u16, log: &Log) -> Result<Storage, Fatal> {
    let has_another = |path: &PathBuf| {
        let holder = Entry::at(path).and_then(|entry| holder(&entry));
        holder.is_ok_and(|holder| holder != Holder::NoProcess)
    };
    let path = |number| usual_path(directory, port, number);
    let path = (0..MOST).map(path).find(|path| !has_another(path)).unwrap_or_else(|| path(MOST));
    in_file(&path, slots).or_else(|why| {
        let file = path.display();
        log.warning(format_args!("unable to make {file}: {why}: there will be no status"));
        in_memory(slots)
    })
}

fn in_memory(slots: usize) -> Result<Storage, Fatal> {
    let memory = sys::shared_memory(size(slots))
        .map_err(|why| Fatal::unable("share memory with children", why))?;
    Ok(Storage { memory, file: None })
}

/// The holder of an existing scoreboard.
///
/// # Errors
/// A file that is not a scoreboard, which must not be replaced.
fn holder(entry: &Entry) -> io::Result<Holder> {
    let file = match entry.open(OFlag::O_RDONLY) {
        Err(why) if why.kind() == ErrorKind::NotFound => return Ok(Holder::NoProcess),
        opened => opened?,
    };
    let mut start = [0; size_of::<u64>()];
    match file.read_at(&mut start, 0)? {
        0 => (),
        // Its daemon has not initialised it, or never will.
        _ if [0, MAGIC].contains(&u64::from_ne_bytes(start)) => (),
        _ => return Err(io::Error::other("it is no scoreboard: remove it, or name another file")),
    }
    owner(&file)
}

/// Made under a temporary name: processes that have an old one mapped keep it, no
/// process reads half of a new one, and none can lock it before us.
fn in_file(path: &Path, slots: usize) -> io::Result<Storage> {
    let entry = Entry::at(path)?;
    match holder(&entry)? {
        Holder::NoProcess => (),
        other => return Err(io::Error::other(format!("{other} has it"))),
    }
    let (beside, file) = entry.create_beside()?;
    let mut storage = Storage { memory: &mut [], file: Some((file, beside)) };
    if let Some((file, beside)) = &mut storage.file {
        lock(file)?;
        allocate(file, slots)?;
        storage.memory = sys::shared_memory_of(file, size(slots))?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        beside.rename(&entry)?;
        *beside = entry;
    }
    Ok(storage)
}

/// A page that cannot be allocated later would end the process that touches it
/// (SIGBUS).
fn allocate(file: &File, slots: usize) -> io::Result<()> {
    let bytes = i64::try_from(size(slots)).map_err(io::Error::other)?;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::EOPNOTSUPP) => {
            io::copy(&mut io::repeat(0).take(bytes.unsigned_abs()), &mut &*file).map(drop)
        }
        done => Ok(done?),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::process;

    use super::*;
    use crate::file::lock::of_open_files::{lock_to_read, lock_to_write};

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("scoreboard.{name}.{}", process::id()))
    }

    fn options(path: &Path) -> Options {
        Options { scoreboard: Some(path.into()), ..Options::default() }
    }

    fn make(path: &Path) -> Result<Storage, Fatal> {
        let log = Log::new("test", crate::options::Verbosity::Quiet);
        Storage::make(&options(path), 25, &log)
    }

    #[test]
    fn a_file_is_made_anew_and_never_truncated() {
        let path = path("new");
        let first = make(&path).unwrap();
        first.memory[..8].copy_from_slice(b"smtpdely");
        let inode = fs::metadata(&path).unwrap().ino();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((&bytes[..8], bytes.len()), (&b"smtpdely"[..], size(40)));
        let second = make(&path).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(second.memory[..8], [0; 8]);
        assert_eq!(&first.memory[..8], b"smtpdely", "it is still mapped");
        assert!(first.hold().is_some());
        drop(second);
        assert!(!path.exists(), "a start that failed leaves none behind");
        assert!(make(Path::new("/nonexistent/x")).is_err());
    }

    #[test]
    fn a_file_cannot_be_locked_before_its_daemon_has_locked_it() {
        let path = path("lock");
        let board = make(&path).unwrap();
        let reader = File::open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        assert_eq!(lock_to_read(&reader), Err(Errno::EAGAIN));
        drop(board);
    }

    #[test]
    fn each_daemon_of_a_port_has_a_file_of_its_own() {
        let directory = path("run");
        fs::create_dir(&directory).unwrap();
        let log = Log::new("test", crate::options::Verbosity::Quiet);
        let mut others = Vec::new();
        for name in ["smtp-delayd.25.sb", "smtp-delayd.25.1.sb", "smtp-delayd.25.2.sb"] {
            drop(in_usual_place(&directory, 9, 25, &log).unwrap());
            let board = in_usual_place(&directory, 9, 25, &log).unwrap();
            assert!(directory.join(name).exists(), "{name}");
            // F_GETLK does not report our own lock: another's takes its place.
            drop(board.hold());
            let other = File::options().write(true).open(directory.join(name)).unwrap();
            lock_to_write(&other).unwrap();
            others.push(other);
        }
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_no_scoreboard_is_left_alone() {
        let path = path("other");
        let [link, pipe] = ["link", "pipe"].map(|end| path.with_extension(end));
        let why = |path: &Path| {
            let message = make(path).err().unwrap().to_string();
            assert_eq!(Storage::check(&options(path)).unwrap_err().to_string(), message);
            message
        };
        for content in ["--delay 5\n", "x"] {
            fs::write(&path, content).unwrap();
            assert!(why(&path).contains("it is no scoreboard: remove it"), "{content}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(why(&link).ends_with("it is a symbolic link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(why(&pipe).ends_with("it is a pipe, not a regular file"));
        assert!(why(&std::env::temp_dir()).contains("Is a directory"));
        assert!(why(Path::new("/dev/null")).ends_with("it is a device, not a regular file"));
        for path in [link, pipe] {
            fs::remove_file(path).unwrap();
        }
        fs::write(&path, "").unwrap();
        Storage::check(&options(&path)).unwrap();
        drop(make(&path).unwrap());
        assert!(!path.exists());
        Storage::check(&options(&path)).unwrap();
        assert!(!path.exists(), "a check makes nothing");
    }
}
