//! A name in a directory.  The directory is opened once: if it is renamed, or replaced by a
//! link, no file is written or removed elsewhere.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fstatat};
use nix::unistd::{AccessFlags, UnlinkatFlags, faccessat, unlinkat};

use crate::{file, sys};

/// How many unused names are tried.
const TRIES: u32 = 100;

/// A name, and the directory that it is in.
pub(crate) struct Entry {
    directory: File,
    name: OsString,
}

impl Entry {
    /// Opens the directory of `path`.
    ///
    /// # Errors
    /// Those of open(2); EISDIR for a path that does not end in a name.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(Errno::EISDIR)?.to_owned();
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        let directory = directory.unwrap_or(Path::new("."));
        let directory = File::options().read(true).custom_flags(flags).open(directory)?;
        Ok(Self { directory, name })
    }

    /// A name in an open directory.
    ///
    /// # Errors
    /// EMFILE.
    pub(crate) fn within(directory: &File, name: &str) -> io::Result<Self> {
        Ok(Self { directory: directory.try_clone()?, name: name.into() })
    }

    /// The directory.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    /// Whether a file can be created in the directory.
    ///
    /// # Errors
    /// EACCES, EROFS.
    pub(crate) fn check_directory(&self) -> nix::Result<()> {
        let access = AccessFlags::W_OK | AccessFlags::X_OK;
        faccessat(&self.directory, ".", access, AtFlags::AT_EACCESS)
    }

    /// A new file, which only its owner may open.
    ///
    /// # Errors
    /// Those of open(2); EEXIST if the name is taken.
    pub(crate) fn create(&self) -> io::Result<File> {
        self.open_with(OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL)
    }

    /// The regular file that has the name; never blocks.
    ///
    /// # Errors
    /// Those of open(2), and an error for anything but a regular file, links included.
    pub(crate) fn open(&self, access: OFlag) -> io::Result<File> {
        let opened = self.open_with(access | OFlag::O_NONBLOCK | OFlag::O_NOCTTY);
        let opened = opened.map_err(|why| match why.raw_os_error() {
            Some(libc::ELOOP) => io::Error::other("it is a symbolic link"),
            _ => why,
        })?;
        file::check_regular(&opened)?;
        Ok(opened)
    }

    fn open_with(&self, how: OFlag) -> io::Result<File> {
        let flags = OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | how;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        Ok(openat(&self.directory, self.name.as_os_str(), flags, mode)?.into())
    }

    /// A new file under another, unpredictable name in the same directory.
    ///
    /// # Errors
    /// Those of open(2).
    pub(crate) fn create_beside(&self) -> io::Result<(Self, File)> {
        let mut tries = 0;
        loop {
            let mut name = self.name.clone();
            name.push(format!(".{:04x}.new", sys::random_u16()?));
            let beside = Self { directory: self.directory.try_clone()?, name };
            tries += 1;
            match beside.create() {
                Err(why) if why.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => (),
                created => return created.map(|file| (beside, file)),
            }
        }
    }

    /// Makes a file with these contents and permissions, in the place of the regular file
    /// that has the name, if there is one.  Who opens the name finds the old file or the
    /// new one, and either whole.
    ///
    /// # Errors
    /// A name that belongs to anything but a regular file; those of open(2), write(2) and
    /// rename(2), after which the old file is as it was.
    pub(crate) fn replace(&self, contents: &[u8], permissions: Permissions) -> io::Result<()> {
        match self.open(OFlag::O_RDONLY) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => (),
            opened => drop(opened?),
        }
        let (beside, mut file) = self.create_beside()?;
        let written = file.write_all(contents).and_then(|()| file.set_permissions(permissions));
        let renamed = written.and_then(|()| Ok(beside.rename(self)?));
        renamed.inspect_err(|_| beside.remove(&file))
    }

    fn stat(&self) -> nix::Result<FileStat> {
        fstatat(&self.directory, self.name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
    }

    /// Whether `file` has the name.
    pub(crate) fn is(&self, file: &File) -> bool {
        let identity = file.metadata().map(|file| (file.dev(), file.ino()));
        let found = self.stat().map(|found| (found.st_dev, found.st_ino));
        identity.is_ok_and(|identity| found == Ok(identity))
    }

    /// Renames this file to `to`, which is in the same directory, and replaces what had
    /// that name before.
    ///
    /// # Errors
    /// Those of rename(2).
    pub(crate) fn rename(&self, to: &Self) -> nix::Result<()> {
        let (from, to_directory) = (self.directory.as_fd(), to.directory.as_fd());
        renameat(from, self.name.as_os_str(), to_directory, to.name.as_os_str())
    }

    /// Removes the name if `file` has it.
    pub(crate) fn remove(&self, file: &File) {
        if self.is(file) {
            let _ = unlinkat(&self.directory, self.name.as_os_str(), UnlinkatFlags::NoRemoveDir);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
        Entry::at(path)?.replace(contents, Permissions::from_mode(0o640))
    }

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let directory = std::env::temp_dir().join(format!("replaced.{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("file");
        replace(&path, b"old").unwrap();
        let mut old = File::open(&path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(io::read_to_string(&mut old).unwrap(), "old");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let link = directory.join("link");
        symlink("/dev/null", &link).unwrap();
        let why = |path: &Path| replace(path, b"new").unwrap_err().to_string();
        assert_eq!(why(&link), "it is a symbolic link");
        assert_eq!(why(Path::new("/dev/null")), "it is a device, not a regular file");
        assert!(why(&directory).contains("Is a directory"));
        assert!(why(&directory.join("missing/file")).contains("No such file"));
        let mut names: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["file", "link"], "what failed leaves nothing behind");
        fs::remove_dir_all(&directory).unwrap();
    }
}
