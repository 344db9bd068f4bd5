//! `--pidfile`: the process that holds its lock owns it.  A process id alone proves
//! nothing, since another process may have it by now.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{error, fmt, process, thread};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::daemon::process::privileges::Identity;
use crate::error::Fatal;
use crate::file::entry::Entry;
use crate::file::lock::{Holder, lock, obstacle, owner};

/// How long a file may stay locked: a daemon that was told to stop releases it at once.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(2);
/// The permission of all users to write.
const WRITABLE_BY_ALL: u32 = 0o002;

/// A file that this process owns.  Dropped before the start has succeeded it is what it
/// was before; afterwards it is emptied: a daemon without privileges cannot remove it.
/// The lock goes with the process at the latest.
pub struct Pidfile {
    path: PathBuf,
    file: File,
    /// What was there, until the start has succeeded.
    before: Option<Before>,
}

/// What was there before a start.
enum Before {
    /// No file; this one was made where the entry says.
    Nothing(Entry),
    /// The file, with these permissions.
    File(Permissions),
}

impl Pidfile {
    /// Makes `path` ours; what is in the file stays until it is
    /// [filled](Self::fill).
    ///
    /// # Errors
    /// A file that cannot be written, that another process holds, or that existed
    /// before and is not a pidfile, or is another user's: 111.
    pub fn claim(path: &Path, identity: &Identity) -> Result<Self, Fatal> {
        let unable = |why: io::Error| Fatal::unable(format_args!("write {}", path.display()), why);
        let until = Instant::now() + PATIENCE;
        let entry = Entry::at(path).map_err(unable)?;
        loop {
            let (file, origin) = open(&entry, identity).map_err(unable)?;
            match lock(&file) {
                Ok(()) if entry.is(&file) => {
                    return Self::own(path, entry, file, origin).map_err(unable);
                }
                // A script has removed it between open and lock.
                Ok(()) => (),
                Err(Errno::EAGAIN | Errno::EACCES) if Instant::now() < until => {
                    make_way(&entry, &file);
                    thread::sleep(INTERVAL);
                }
                Err(why) => return Err(held(path, &file, why)),
            }
        }
    }

    /// Checks that `path` could be claimed, as far as possible without making the file.
    /// A lock on it does not matter.
    ///
    /// # Errors
    /// As [`claim`](Self::claim).
    pub fn check(path: &Path, identity: &Identity) -> Result<(), Fatal> {
        let checked = Entry::at(path).and_then(|entry| match found(&entry, identity) {
            Err(why) if why.kind() == ErrorKind::NotFound => Ok(entry.check_directory()?),
            found => found.map(drop),
        });
        checked.map_err(|why| Fatal::unable(format_args!("write {}", path.display()), why))
    }

    /// Takes over a file that is locked.  Others may open it only now that their locks
    /// come too late.
    fn own(path: &Path, entry: Entry, file: File, origin: Origin) -> io::Result<Self> {
        let before = match origin {
            Origin::New => Before::Nothing(entry),
            Origin::Found => Before::File(file.metadata()?.permissions()),
        };
        let pidfile = Self { path: path.into(), file, before: Some(before) };
        pidfile.file.set_permissions(Permissions::from_mode(0o644))?;
        Ok(pidfile)
    }

    /// Writes our process id into the file, as the start has succeeded: it stays in its
    /// place from now on.
    ///
    /// # Errors
    /// A file system that is full: 111.  What was in the file is still there then.
    pub fn fill(&mut self) -> Result<(), Fatal> {
        let line = format!("{}\n", process::id());
        let written = self.file.write_all_at(line.as_bytes(), 0);
        let written = written.and_then(|()| self.file.set_len(line.len() as u64));
        written.map_err(|why| Fatal::unable(format_args!("write {}", self.path.display()), why))?;
        self.before = None;
        Ok(())
    }

    /// What is open for it.
    pub(in crate::daemon) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let directory = match &self.before {
            Some(Before::Nothing(entry)) => Some(entry.descriptor()),
            Some(Before::File(_)) | None => None,
        };
        directory.into_iter().chain([self.file.as_fd()])
    }

    /// Restores the file after a start that failed, or empties it after one that did not.
    pub(in crate::daemon) fn release(&self) {
        let _ = match &self.before {
            Some(Before::Nothing(entry)) => {
                entry.remove(&self.file);
                Ok(())
            }
            Some(Before::File(permissions)) => self.file.set_permissions(permissions.clone()),
            None => self.file.set_len(0),
        };
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        self.release();
    }
}

/// The origin of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// This process made it.
    New,
    /// It was there before.
    Found,
}

fn open(entry: &Entry, identity: &Identity) -> io::Result<(File, Origin)> {
    loop {
        match entry.create() {
            Err(why) if why.kind() == ErrorKind::AlreadyExists => (),
            created => return created.map(|file| (file, Origin::New)),
        }
        match found(entry, identity) {
            // It was removed since.
            Err(why) if why.kind() == ErrorKind::NotFound => (),
            found => return found.map(|file| (file, Origin::Found)),
        }
    }
}

/// A file that existed before, if it may become ours.
fn found(entry: &Entry, identity: &Identity) -> io::Result<File> {
    let file = entry.open(OFlag::O_RDWR)?;
    match distrust(&file, identity)? {
        None => Ok(file),
        Some(why) => Err(io::Error::other(why)),
    }
}

/// Why a file that existed before cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distrust {
    /// This user may write to it.
    Owner(u32),
    WritableByAll,
    /// It has another name, of a file that we are not told to write to.
    HardLink,
    /// It holds something else than a process id.
    NoPidfile,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(user) => write!(f, "it belongs to user {user}")?,
            Self::WritableByAll => f.write_str("all users may write to it")?,
            Self::HardLink => f.write_str("it has another name as well (a hard link)")?,
            Self::NoPidfile => f.write_str("it is no pidfile")?,
        }
        f.write_str(": remove it, or name another file")
    }
}

impl error::Error for Distrust {}

fn distrust(file: &File, identity: &Identity) -> io::Result<Option<Distrust>> {
    let data = file.metadata()?;
    Ok(if !identity.trusts(data.uid()) {
        Some(Distrust::Owner(data.uid()))
    } else if data.mode() & WRITABLE_BY_ALL != 0 {
        Some(Distrust::WritableByAll)
    } else if data.nlink() > 1 {
        Some(Distrust::HardLink)
    } else if content(file)? == Content::Other {
        Some(Distrust::NoPidfile)
    } else {
        None
    })
}

/// The content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing.
    Empty,
    /// A process id, on its first line.
    Pid,
    /// Anything else.
    Other,
}

/// The content of a pidfile.
///
/// # Errors
/// A file that cannot be read.
pub fn content(file: &File) -> io::Result<Content> {
    let mut start = [0; 32];
    let length = file.read_at(&mut start, 0)?;
    let line = start[..length].split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(match line {
        _ if length == 0 => Content::Empty,
        [] => Content::Other,
        digits if digits.iter().all(u8::is_ascii_digit) => Content::Pid,
        _ => Content::Other,
    })
}

/// Any user may read the file, and so lock it for reading: that does not make it the
/// owner, and does not keep another process from owning another file of that name.
fn make_way(entry: &Entry, file: &File) {
    if owner(file).is_ok_and(|owner| owner == Holder::NoProcess) {
        entry.remove(file);
    }
}

/// Who keeps the file locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LockedBy {
    /// A daemon that owns it.
    Owned(Holder),
    /// A process that only reads it.
    Read(Holder),
}

impl fmt::Display for LockedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owned(holder) => write!(f, "{holder} runs already and holds it"),
            Self::Read(holder) => {
                write!(f, "{holder} has it locked for reading: remove the file")
            }
        }
    }
}

impl error::Error for LockedBy {}

fn held(path: &Path, file: &File, why: Errno) -> Fatal {
    let [owner, reader] = [owner(file), obstacle(file)].map(|who| who.unwrap_or(Holder::NoProcess));
    let held = match (owner, reader) {
        (Holder::NoProcess, Holder::NoProcess) => None,
        (Holder::NoProcess, reader) => Some(LockedBy::Read(reader)),
        (owner, _) => Some(LockedBy::Owned(owner)),
    };
    let why = held.map_or_else(|| why.into(), io::Error::other);
    Fatal::unable(format_args!("lock {}", path.display()), why)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::file::lock::of_open_files::{lock_to_read, lock_to_write};
    use crate::file::lock::owner_at;

    fn path(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("pidfile.{name}.{}", process::id()))
    }

    fn claim(path: &Path) -> Result<Pidfile, Fatal> {
        Pidfile::claim(path, &Identity::default())
    }

    /// Of a start that has succeeded.
    fn filled(path: &Path) -> Pidfile {
        let mut pidfile = claim(path).unwrap();
        pidfile.fill().unwrap();
        pidfile
    }

    #[test]
    fn a_reader_owns_nothing() {
        let path = path("read");
        fs::write(&path, "").unwrap();
        let reader = File::open(&path).unwrap();
        lock_to_read(&reader).unwrap();
        assert_eq!(owner_at(&path).unwrap(), Holder::NoProcess);
        let pidfile = filled(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        drop(pidfile);
        fs::write(&path, "").unwrap();
        let writer = File::options().write(true).open(&path).unwrap();
        lock_to_write(&writer).unwrap();
        assert_eq!(owner_at(&path).unwrap(), Holder::Unknown, "no process id is made of it");
        assert!(claim(&path).is_err());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_new_file_cannot_be_opened_before_it_is_locked() {
        let path = path("mode");
        let entry = Entry::at(&path).unwrap();
        let (file, origin) = open(&entry, &Identity::default()).unwrap();
        assert_eq!((file.metadata().unwrap().mode() & 0o777, origin), (0o600, Origin::New));
        drop(filled(&path));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_is_owned_until_it_is_released() {
        let path = path("own");
        fs::write(&path, "4194304\n and more that is stale").unwrap();
        assert_eq!(owner_at(&path).unwrap(), Holder::NoProcess);
        let pidfile = filled(&path);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        // F_GETLK does not report our own lock; a child asks instead.
        drop(pidfile);
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "it was there before");
        fs::remove_file(&path).unwrap();
        assert!(owner_at(&path).is_err());
        assert!(claim(Path::new("/nonexistent/pid")).is_err());
    }

    #[test]
    fn a_failed_start_leaves_a_file_as_it_was() {
        let path = path("before");
        let before = "4194304\nof another daemon\n";
        fs::write(&path, before).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let pidfile = claim(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        drop(pidfile);
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_that_a_failed_start_has_made_is_removed() {
        let path = path("failed");
        drop(claim(&path).unwrap());
        assert!(!path.exists());
        let pidfile = claim(&path).unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(pidfile);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n", "that one is another's");
        drop(filled(&path));
        assert_eq!(fs::read_to_string(&path).unwrap(), "", "this start has succeeded");
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_is_no_pidfile_of_ours_is_left_alone() {
        let path = path("other");
        let [link, pipe] = ["link", "pipe"].map(|end| path.with_extension(end));
        let why = |path: &Path| {
            let message = claim(path).err().unwrap().to_string();
            assert_eq!(
                Pidfile::check(path, &Identity::default()).unwrap_err().to_string(),
                message
            );
            message
        };
        for content in ["--delay 5\n", "10.0.0.0/8:allow\n", "\n", "root:x:0:0\n"] {
            fs::write(&path, content).unwrap();
            assert!(why(&path).contains("it is no pidfile: remove it"), "{content}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        assert!(why(&path).contains("all users may write to it"));
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        fs::hard_link(&path, &link).unwrap();
        assert!(why(&path).contains("it has another name as well"));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(why(&link).ends_with("it is a symbolic link"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(why(&pipe).ends_with("it is a pipe, not a regular file"));
        assert!(why(&std::env::temp_dir()).contains("Is a directory"));
        for path in [path, link, pipe] {
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_check_makes_nothing() {
        let path = path("check");
        let check = |path: &Path| Pidfile::check(path, &Identity::default());
        check(&path).unwrap();
        assert!(!path.exists());
        fs::write(&path, "4194304\n").unwrap();
        check(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "4194304\n");
        fs::remove_file(&path).unwrap();
        let nowhere = check(Path::new("/nonexistent/pid")).unwrap_err().to_string();
        assert!(nowhere.starts_with("unable to write /nonexistent/pid: "), "{nowhere}");
    }
}
