//! Where the scoreboard lies: in memory, or in a file that the administrator's
//! tool can read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::AtomicU64;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::board::size;
use super::pidfile::{lock, owner};
use crate::error::{Fatal, Reason};
use crate::log::Log;
use crate::options::Options;
use crate::sys;

/// A scoreboard's memory.
pub struct Scoreboard {
    /// Shared by all that are forked from here on.
    pub memory: &'static [AtomicU64],
    /// The file, if there is one; whoever holds its lock is the supervisor.
    file: Option<(File, PathBuf)>,
}

/// A start that failed leaves no file behind, as far as it has the right to
/// remove it.
impl Drop for Scoreboard {
    fn drop(&mut self) {
        if let Some((_, path)) = self.file.take() {
            let _ = fs::remove_file(path);
        }
    }
}

impl Scoreboard {
    /// In the file that the options name, or in memory.  Called as root, where
    /// that is who starts us.
    ///
    /// # Errors
    /// A file that cannot be made, or no memory: 111.
    pub fn make(options: &Options, port: u16, log: &Log) -> Result<Self, Fatal> {
        let (path, usual) = match &options.scoreboard {
            Some(path) => (Some(path.clone()), false),
            None => (options.daemon.then(|| usual_path(port)), true),
        };
        let Some(path) = path else { return in_memory(options.slots) };
        let path = match owner(&path) {
            Ok(Some(pid)) if usual => other_path(port, pid),
            Ok(Some(pid)) => {
                let file = path.display();
                return Err(Fatal::trouble(format!("unable to make {file}: process {pid} has it")));
            }
            _ => path,
        };
        match in_file(&path, options.slots) {
            Ok(board) => Ok(board),
            Err(why) if usual => {
                let file = path.display();
                log.warning(format_args!("unable to make {file}: {why}: there will be no status"));
                in_memory(options.slots)
            }
            Err(why) => Err(Fatal::unable(format_args!("make {}", path.display()), why)),
        }
    }

    /// Holds the file's lock, for as long as this process lives.
    #[must_use]
    pub fn hold(mut self) -> Option<File> {
        let (file, _) = self.file.take()?;
        let _ = lock(&file);
        Some(file)
    }
}

/// Where `smtp-delayctl status` looks for the scoreboards of daemons.
#[must_use]
pub fn usual_path(port: u16) -> PathBuf {
    format!("/run/smtp-delayd.{port}.sb").into()
}

/// Where there is another daemon on that port.
fn other_path(port: u16, taken: i32) -> PathBuf {
    format!("/run/smtp-delayd.{port}.beside-{taken}.sb").into()
}

fn in_memory(slots: usize) -> Result<Scoreboard, Fatal> {
    let memory = sys::shared_words(size(slots))
        .map_err(|why| Fatal::unable("share memory with children", Reason(&why.into())))?;
    Ok(Scoreboard { memory, file: None })
}

/// Under a new name first: those that still have an old one mapped keep it, and
/// nobody reads half of a new one.
fn in_file(path: &Path, slots: usize) -> io::Result<Scoreboard> {
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", process::id()));
    let new = PathBuf::from(new);
    let mut board = create(&new, slots)?;
    fs::rename(&new, path)?;
    if let Some((_, name)) = &mut board.file {
        *name = path.into();
    }
    Ok(board)
}

fn create(path: &Path, slots: usize) -> io::Result<Scoreboard> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true).mode(0o644);
    let file = options.custom_flags(libc::O_NOFOLLOW).open(path)?;
    let mut board = Scoreboard { memory: &[], file: Some((file, path.into())) };
    let Some((file, _)) = &board.file else { return Err(io::ErrorKind::NotFound.into()) };
    let bytes = i64::try_from(size(slots) * size_of::<AtomicU64>()).map_err(io::Error::other)?;
    // A page that is missing later would end whoever touches it (SIGBUS).
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Err(Errno::EOPNOTSUPP) => {
            io::copy(&mut io::repeat(0).take(bytes.unsigned_abs()), &mut &*file).map(drop)?;
        }
        done => done?,
    }
    file.set_permissions(Permissions::from_mode(0o644))?;
    board.memory = sys::shared_words_of(file, size(slots))?;
    Ok(board)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_file_is_made_anew_and_never_truncated() {
        let path = std::env::temp_dir().join(format!("scoreboard.{}", process::id()));
        let options = Options { scoreboard: Some(path.clone()), ..Options::default() };
        let log = Log::new("test", crate::options::Verbosity::Quiet);
        let first = Scoreboard::make(&options, 25, &log).unwrap();
        first.memory[0].store(7, Ordering::SeqCst);
        let inode = fs::metadata(&path).unwrap().ino();
        let bytes = fs::read(&path).unwrap();
        assert_eq!((bytes[0], bytes.len()), (7, 8 * size(40)));
        let second = Scoreboard::make(&options, 25, &log).unwrap();
        assert_ne!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(second.memory[0].load(Ordering::SeqCst), 0);
        assert_eq!(first.memory[0].load(Ordering::SeqCst), 7, "it is still mapped");
        assert!(first.hold().is_some());
        drop(second);
        assert!(!path.exists(), "a start that failed leaves none behind");
        let nowhere = Options { scoreboard: Some("/nonexistent/x".into()), ..options };
        assert!(Scoreboard::make(&nowhere, 25, &log).is_err());
    }
}
