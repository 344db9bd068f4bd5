//! Locks of whole files (fcntl(2)): the process that holds one for writing is the
//! daemon to which a pidfile or a scoreboard belongs.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};

use crate::file;

/// Kinds of locks, and where they start (fcntl(2)).
#[allow(clippy::cast_possible_truncation)]
const WRITE: libc::c_short = libc::F_WRLCK as libc::c_short;
#[allow(clippy::cast_possible_truncation)]
const READ: libc::c_short = libc::F_RDLCK as libc::c_short;
#[allow(clippy::cast_possible_truncation)]
const FROM_START: libc::c_short = libc::SEEK_SET as libc::c_short;

/// The holder of a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// No other process.
    NoProcess,
    /// The process with this id.
    Process(i32),
    /// A process of another PID namespace, or all processes that share an open file.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoProcess => f.write_str("no process"),
            Self::Process(pid) => write!(f, "process {pid}"),
            Self::Unknown => f.write_str("a process that cannot be told"),
        }
    }
}

/// Takes the lock for writing.  It lasts until this process closes the file, or
/// any other descriptor of it; children do not have it.
///
/// # Errors
/// EAGAIN if another process has one, for reading or writing.
pub(crate) fn lock(file: &File) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_SETLK(&whole_file(WRITE))).map(drop)
}

/// The process that owns `file` by holding a lock for writing, which needs the
/// permission to write.  Any reader may hold a lock for reading, which does not make it
/// the owner.
///
/// # Errors
/// A file system without locks.
pub fn owner(file: &File) -> io::Result<Holder> {
    holder(file, READ)
}

/// The same for the file at `path`; never blocks.
///
/// # Errors
/// A file that cannot be opened, or that is no regular file.
pub fn owner_at(path: &Path) -> io::Result<Holder> {
    owner(&file::open(path)?)
}

/// The holder of a lock that keeps [`lock`] from success.
///
/// # Errors
/// A file system without locks.
pub(crate) fn obstacle(file: &File) -> io::Result<Holder> {
    holder(file, WRITE)
}

fn holder(file: &File, of_what_keeps: libc::c_short) -> io::Result<Holder> {
    let mut wanted = whole_file(of_what_keeps);
    fcntl(file, FcntlArg::F_GETLK(&mut wanted))?;
    Ok(match wanted.l_pid {
        _ if libc::c_int::from(wanted.l_type) == libc::F_UNLCK => Holder::NoProcess,
        pid if pid > 0 => Holder::Process(pid),
        _ => Holder::Unknown,
    })
}

fn whole_file(kind: libc::c_short) -> libc::flock {
    libc::flock { l_type: kind, l_whence: FROM_START, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Locks for tests, which count for the process that holds them as well.
#[cfg(test)]
pub(crate) mod of_open_files {
    use super::*;

    /// Locks an open file for reading, as any user with read permission may.
    pub(crate) fn lock_to_read(file: &File) -> nix::Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(READ))).map(drop)
    }

    /// Locks an open file for writing.
    pub(crate) fn lock_to_write(file: &File) -> nix::Result<()> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&whole_file(WRITE))).map(drop)
    }
}
