//! `--pidfile`: whoever holds its lock owns it.  A process id alone proves
//! nothing, for another process may have it by now.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::error::Fatal;

/// Locks, and where they start (fcntl(2)).
#[allow(clippy::cast_possible_truncation)]
const WRITE: libc::c_short = libc::F_WRLCK as libc::c_short;
#[allow(clippy::cast_possible_truncation)]
const READ: libc::c_short = libc::F_RDLCK as libc::c_short;
#[allow(clippy::cast_possible_truncation)]
const FROM_START: libc::c_short = libc::SEEK_SET as libc::c_short;
/// How long a file may stay locked: a daemon that was told to stop lets go of it
/// at once.
const PATIENCE: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(2);

/// A file that this process owns; it is emptied when it is dropped, and given up
/// with the process at the latest.
pub struct Pidfile(File);

impl Pidfile {
    /// Makes `path` ours, and writes our process id into it.
    ///
    /// # Errors
    /// A file that cannot be written, or that another process holds: 111.
    pub fn claim(path: &Path) -> Result<Self, Fatal> {
        let unable = |why: io::Error| Fatal::unable(format_args!("write {}", path.display()), why);
        let until = Instant::now() + PATIENCE;
        loop {
            let mut file = open(path).map_err(unable)?;
            match lock(&file) {
                Ok(()) if is_at(&file, path) => {
                    file.set_permissions(Permissions::from_mode(0o644)).map_err(unable)?;
                    file.set_len(0).map_err(unable)?;
                    writeln!(file, "{}", process::id()).map_err(unable)?;
                    return Ok(Self(file));
                }
                // A script has removed it between the open and the lock.
                Ok(()) => (),
                Err(Errno::EAGAIN | Errno::EACCES) if Instant::now() < until => {
                    make_way(path);
                    thread::sleep(INTERVAL);
                }
                Err(why) => return Err(held(path, why)),
            }
        }
    }
}

/// A daemon without privileges cannot remove the file, and leaves it empty.
impl Drop for Pidfile {
    fn drop(&mut self) {
        let _ = self.0.set_len(0);
    }
}

/// Anybody may read the file, and so lock it for reading: that makes nobody its
/// owner, and keeps nobody from owning another of its name.
fn make_way(path: &Path) {
    if owner(path).is_ok_and(|owner| owner.is_none()) {
        let _ = fs::remove_file(path);
    }
}

/// The process that holds the lock of the file at `path`, if one does.
///
/// # Errors
/// A file that cannot be opened, or a lock that belongs to no process.
pub fn owner(path: &Path) -> io::Result<Option<i32>> {
    let file = File::open(path)?;
    // Asked as a reader: other readers are no obstacle, and only those who may
    // write to the file can be one.
    let mut wanted = whole_file(READ);
    fcntl(&file, FcntlArg::F_GETLK(&mut wanted))?;
    match wanted.l_pid {
        _ if libc::c_int::from(wanted.l_type) == libc::F_UNLCK => Ok(None),
        pid if pid > 0 => Ok(Some(pid)),
        _ => Err(io::Error::other("its lock belongs to no process that can be told")),
    }
}

fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false).mode(0o644);
    options.custom_flags(flags).open(path)
}

fn whole_file(kind: libc::c_short) -> libc::flock {
    libc::flock { l_type: kind, l_whence: FROM_START, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Takes the lock, which lasts as long as the process keeps the file open.
///
/// # Errors
/// EAGAIN where another process has it.
pub(super) fn lock(file: &File) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_SETLK(&whole_file(WRITE))).map(drop)
}

fn held(path: &Path, why: Errno) -> Fatal {
    let file = path.display();
    match (why, owner(path)) {
        (Errno::EAGAIN | Errno::EACCES, Ok(Some(pid))) => Fatal::trouble(format!(
            "unable to lock {file}: process {pid} runs already and holds it"
        )),
        _ => Fatal::unable(format_args!("lock {file}"), io::Error::from(why)),
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().ok().map(identity) == fs::metadata(path).ok().map(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_owns_nothing() {
        let path = std::env::temp_dir().join(format!("pidfile.read.{}", process::id()));
        fs::write(&path, "").unwrap();
        // A lock of the open file, which is nobody's and held against us as well.
        let reader = File::open(&path).unwrap();
        fcntl(&reader, FcntlArg::F_OFD_SETLK(&whole_file(READ))).unwrap();
        assert_eq!(owner(&path).unwrap(), None);
        let pidfile = Pidfile::claim(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        drop(pidfile);
        let writer = File::options().write(true).open(&path).unwrap();
        fcntl(&writer, FcntlArg::F_OFD_SETLK(&whole_file(WRITE))).unwrap();
        assert!(owner(&path).is_err(), "no process id is made of it");
        assert!(Pidfile::claim(&path).is_err());
        fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_file_is_owned_until_it_is_released() {
        let path = std::env::temp_dir().join(format!("pidfile.{}", process::id()));
        fs::write(&path, "4194304\n and more that is stale").unwrap();
        assert_eq!(owner(&path).unwrap(), None);
        let pidfile = Pidfile::claim(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        // Of our own lock F_GETLK says nothing; a child asks in its place.
        drop(pidfile);
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        fs::remove_file(&path).unwrap();
        assert!(owner(&path).is_err());
        assert!(Pidfile::claim(Path::new("/nonexistent/pid")).is_err());
    }
}
