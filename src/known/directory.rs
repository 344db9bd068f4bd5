//! The keeper's directory: `lock`, `store` and `socket`; `store.bad` and `unanswered` after
//! trouble.  Only its owner has access to it, no link in it is followed, and the process
//! that holds the lock is the keeper.

use std::fs::{DirBuilder, File, Metadata};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::{error, fmt, io};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::socket::sockopt::PassCred;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, setsockopt, socket};
use nix::sys::stat::{FchmodatFlags, FileStat, Mode, fchmodat, fstatat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{Gid, Uid, UnlinkatFlags, geteuid, unlinkat};

use crate::file::entry::Entry;
use crate::file::lock::lock;

/// Where the shipped service keeps known clients.
pub const USUAL: &str = "/var/lib/smtp-delay";
/// The file whose lock makes a process the keeper.
const LOCK: &str = "lock";
/// The database.
const STORE: &str = "store";
/// What a database that cannot be read is called afterwards.
const BAD: &str = "store.bad";
/// Where the keeper is asked.
const SOCKET: &str = "socket";
/// The file by which processes that get no answer log that once a minute among all.
const UNANSWERED: &str = "unanswered";

/// The socket in the directory at `path`.
#[must_use]
pub fn socket_in(path: &Path) -> PathBuf {
    path.join(SOCKET)
}

/// Makes a directory for a keeper, for its owner only, if there is nothing at `path`.
/// Anything that exists is left unchanged; [`Directory::open`] reports what is wrong with
/// it.
pub fn make(path: &Path, user: Option<Uid>, group: Option<Gid>) {
    if DirBuilder::new().mode(0o700).create(path).is_ok() {
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let made = File::options().read(true).custom_flags(flags).open(path);
        let _ = made.map(|made| fchown(made, user.map(Uid::as_raw), group.map(Gid::as_raw)));
    }
}

/// A socket for requests, once it has a name.  The kernel adds the credentials of the
/// sender to each datagram, from the first on.
///
/// # Errors
/// EMFILE.
pub(super) fn unbound_socket() -> nix::Result<UnixDatagram> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let made = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    setsockopt(&made, PassCred, &true)?;
    Ok(made.into())
}

/// Why a directory cannot be used.
#[derive(Debug)]
pub enum Unfit {
    /// An error of the system.
    Refused(io::Error),
    /// It, or a file in it, belongs to another user.
    Owner(u32),
    /// Users other than its owner have access to it.
    Open(u32),
    /// A file in it has another name elsewhere (link(2)).
    Linked,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) if why.raw_os_error() == Some(libc::ELOOP) => {
                f.write_str("it is a symbolic link")
            }
            Self::Refused(why) => write!(f, "{why}"),
            Self::Owner(owner) => {
                write!(f, "it belongs to user {owner}, and this is user {}", geteuid())
            }
            Self::Open(mode) => write!(f, "its mode is {mode:o}: use chmod 700"),
            Self::Linked => f.write_str("a file in it has another name elsewhere"),
        }
    }
}

impl error::Error for Unfit {}

impl From<io::Error> for Unfit {
    fn from(why: io::Error) -> Self {
        Self::Refused(why)
    }
}

/// Whether a file was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It was created.
    New,
    /// It was there.
    Old,
}

/// A directory to which only this user has access.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    opened: File,
}

impl Directory {
    /// Opens the directory at `path`.
    ///
    /// # Errors
    /// One that is missing, or a link, or to which others have access.
    pub fn open(path: &Path) -> Result<Self, Unfit> {
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let opened = File::options().read(true).custom_flags(flags).open(path)?;
        let found = opened.metadata()?;
        check_owner(&found)?;
        let mode = found.mode() & 0o7777;
        let others = (Mode::S_IRWXG | Mode::S_IRWXO).bits();
        if mode & others != 0 {
            return Err(Unfit::Open(mode));
        }
        Ok(Self { path: path.into(), opened })
    }

    /// The path that it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether a keeper could use it: create files, and lock one.
    ///
    /// # Errors
    /// EROFS; a lock that cannot be created, or belongs to another user.
    pub fn check(&self) -> Result<(), Unfit> {
        Entry::within(&self.opened, SOCKET)?.check_directory().map_err(io::Error::from)?;
        self.open_or_create(LOCK).map(drop)
    }

    /// The lock, if no other process has it.
    ///
    /// # Errors
    /// A file that cannot be created or locked, or belongs to another user.
    pub fn lock(&self) -> Result<Option<File>, Unfit> {
        let (file, _) = self.open_or_create(LOCK)?;
        match lock(&file) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(why) => Err(Unfit::Refused(why.into())),
        }
    }

    /// The store, to read and to write; an empty file is created if there is none.
    ///
    /// # Errors
    /// A file that cannot be opened or created, or belongs to another user.
    pub fn store(&self) -> Result<File, Unfit> {
        Ok(self.open_or_create(STORE)?.0)
    }

    /// The file whose time of modification is when a process last logged that it got no
    /// answer; an empty file is created if there is none.
    ///
    /// # Errors
    /// A file that cannot be opened or created, or belongs to another user.
    pub(super) fn unanswered(&self) -> Result<(File, Age), Unfit> {
        self.open_or_create(UNANSWERED)
    }

    /// How many bytes are available on its file system to this user.
    ///
    /// # Errors
    /// Those of statvfs(2).
    pub fn room(&self) -> nix::Result<u64> {
        let disk = fstatvfs(&self.opened)?;
        Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
    }

    /// Renames the store, so that a new one is created; returns its new path.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn set_store_aside(&self) -> io::Result<PathBuf> {
        let [store, bad] = [STORE, BAD].map(|name| Entry::within(&self.opened, name));
        store?.rename(&bad?)?;
        Ok(self.path.join(BAD))
    }

    fn open_or_create(&self, name: &str) -> Result<(File, Age), Unfit> {
        let entry = Entry::within(&self.opened, name)?;
        match entry.create() {
            Ok(file) => return Ok((file, Age::New)),
            Err(why) if why.kind() == io::ErrorKind::AlreadyExists => (),
            Err(why) => return Err(why.into()),
        }
        let file = entry.open(OFlag::O_RDWR)?;
        let found = file.metadata()?;
        check_owner(&found)?;
        if found.nlink() > 1 { Err(Unfit::Linked) } else { Ok((file, Age::Old)) }
    }

    /// A new socket, which replaces any other.  Only the process that has the lock may do
    /// this.
    ///
    /// # Errors
    /// Those of bind(2); a path of more than 107 bytes.
    pub fn bind(&self) -> io::Result<UnixDatagram> {
        match unlinkat(&self.opened, SOCKET, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => (),
            Err(why) => return Err(why.into()),
        }
        let socket = unbound_socket()?;
        bind(socket.as_raw_fd(), &UnixAddr::new(&socket_in(&self.path))?)?;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        fchmodat(&self.opened, SOCKET, mode, FchmodatFlags::FollowSymlink)?;
        Ok(socket)
    }

    /// What identifies the socket that is in the directory.
    ///
    /// # Errors
    /// ENOENT if there is none.
    pub fn socket_identity(&self) -> io::Result<(u64, u64)> {
        Ok(identity(&fstatat(&self.opened, SOCKET, AtFlags::AT_SYMLINK_NOFOLLOW)?))
    }

    /// Removes the socket.
    pub fn remove_socket(&self) {
        let _ = unlinkat(&self.opened, SOCKET, UnlinkatFlags::NoRemoveDir);
    }

    /// Whether the directory is still at the path where it was opened.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let there = nix::sys::stat::lstat(&self.path).map(|found| identity(&found));
        let own = self.opened.metadata().map(|own| (own.dev(), own.ino()));
        own.is_ok_and(|own| there == Ok(own))
    }
}

fn check_owner(found: &Metadata) -> Result<(), Unfit> {
    if found.uid() == geteuid().as_raw() { Ok(()) } else { Err(Unfit::Owner(found.uid())) }
}

fn identity(found: &FileStat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}
