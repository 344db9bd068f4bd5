//! `--pidfile`: whoever holds its lock owns it.  A process id alone proves
//! nothing, for another process may have it by now.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::process;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::error::Fatal;

/// A lock for writing, and where it starts (fcntl(2)).
#[allow(clippy::cast_possible_truncation)]
const WRITE: libc::c_short = libc::F_WRLCK as libc::c_short;
#[allow(clippy::cast_possible_truncation)]
const FROM_START: libc::c_short = libc::SEEK_SET as libc::c_short;
/// How often a file that somebody removes just now is opened again.
const TRIES: u32 = 10;

/// A file that this process owns; it is given up by [`Pidfile::release`], or
/// with the process.
pub struct Pidfile(File);

impl Pidfile {
    /// Makes `path` ours, and writes our process id into it.
    ///
    /// # Errors
    /// A file that cannot be written, or that another process holds: 111.
    pub fn claim(path: &Path) -> Result<Self, Fatal> {
        let unable = |why: io::Error| Fatal::unable(format_args!("write {}", path.display()), why);
        for _ in 0..TRIES {
            let mut file = open(path).map_err(unable)?;
            if let Err(why) = lock(&file) {
                return Err(held(path, why));
            }
            if is_at(&file, path) {
                file.set_len(0).map_err(unable)?;
                writeln!(file, "{}", process::id()).map_err(unable)?;
                return Ok(Self(file));
            }
        }
        Err(unable(Errno::EBUSY.into()))
    }

    /// Empties the file (a daemon without privileges cannot remove it) and
    /// leaves it to the next one.
    pub fn release(self) {
        let _ = self.0.set_len(0);
    }
}

/// The process that holds the lock of the file at `path`, if one does.
///
/// # Errors
/// A file that cannot be opened.
pub fn owner(path: &Path) -> io::Result<Option<i32>> {
    let file = File::open(path)?;
    let mut wanted = whole_file();
    fcntl(&file, FcntlArg::F_GETLK(&mut wanted))?;
    let free = libc::c_int::from(wanted.l_type) == libc::F_UNLCK;
    Ok((!free).then_some(wanted.l_pid))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .custom_flags(flags)
        .open(path)
}

fn whole_file() -> libc::flock {
    libc::flock { l_type: WRITE, l_whence: FROM_START, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Takes the lock, which lasts as long as the process keeps the file open.
///
/// # Errors
/// EAGAIN where another process has it.
pub(super) fn lock(file: &File) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_SETLK(&whole_file())).map(drop)
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

/// Whether `path` still leads to `file`: a script may have removed it between
/// the open and the lock.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |meta: fs::Metadata| (meta.dev(), meta.ino());
    file.metadata().ok().map(identity) == fs::metadata(path).ok().map(identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_owned_until_it_is_released() {
        let path = std::env::temp_dir().join(format!("pidfile.{}", process::id()));
        fs::write(&path, "4194304\n and more that is stale").unwrap();
        assert_eq!(owner(&path).unwrap(), None);
        let pidfile = Pidfile::claim(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        // Of our own lock F_GETLK says nothing; a child asks in its place.
        pidfile.release();
        assert_eq!(fs::read_to_string(&path).unwrap(), "");
        fs::remove_file(&path).unwrap();
        assert!(owner(&path).is_err());
        assert!(Pidfile::claim(Path::new("/nonexistent/pid")).is_err());
    }
}
