//! The only way in which files are opened for reading: regular files alone, up to a
//! limit of size.  A named pipe would block open(2) until a process writes into it, and
//! could be read only once; the name of a descriptor leads elsewhere in another process.

pub(crate) mod entry;
pub mod lock;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::{error, fmt};

use nix::errno::Errno;

/// Always empty, and so equivalent to a regular file.
const NULL: &str = "/dev/null";
/// Symbolic links that are followed, as in `path_resolution(7)`.
const MOST_LINKS: usize = 40;

/// Opens a regular file, or `/dev/null`, for reading; never blocks.
///
/// # Errors
/// Those of open(2), EISDIR for a directory, and [`Refused`] for a pipe or a
/// device.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if path != Path::new(NULL) {
        check_regular(&file)?;
    }
    Ok(file)
}

/// Whether `file` is a regular one.
///
/// # Errors
/// EISDIR for a directory, and [`Refused`] for a pipe or a device.
pub fn check_regular(file: &File) -> io::Result<()> {
    let kind = file.metadata()?.file_type();
    match kind {
        _ if kind.is_file() => Ok(()),
        _ if kind.is_dir() => Err(Errno::EISDIR.into()),
        _ if kind.is_fifo() => Err(Refused::NotRegular("a pipe").into()),
        _ => Err(Refused::NotRegular("a device").into()),
    }
}

/// The contents of a regular file of up to `most` bytes.
///
/// # Errors
/// As [`open`], a file that is bigger ([`Refused`]), and ENOMEM.
pub fn read(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    open(path)?.take(most as u64 + 1).read_to_end(&mut contents)?;
    if contents.len() > most { Err(Refused::TooBig(most).into()) } else { Ok(contents) }
}

/// Whether another process, and this one later, would find the same file at `path`: not
/// where that is a descriptor, as `/dev/stdin`, `/dev/fd/7` and `/proc/self/fd/7` are.
///
/// # Errors
/// [`Refused`] for a descriptor.
pub fn check_lasting(path: &Path) -> io::Result<()> {
    if is_descriptor(path) { Err(Refused::Descriptor.into()) } else { Ok(()) }
}

fn is_descriptor(path: &Path) -> bool {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let Some((directory, name)) = real_directory(&path).zip(path.file_name()) else {
            return false;
        };
        if directory.starts_with("/proc") && directory.ends_with("fd") {
            return true;
        }
        let Ok(target) = directory.join(name).read_link() else { return false };
        path = directory.join(target);
    }
    false
}

fn real_directory(path: &Path) -> Option<PathBuf> {
    let directory = path.parent()?;
    let directory = if directory == Path::new("") { Path::new(".") } else { directory };
    directory.canonicalize().ok()
}

/// Why a file that exists is not read; [`io::Error`] carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is of this kind, and no regular file.
    NotRegular(&'static str),
    /// It is a descriptor of this process.
    Descriptor,
    /// It has more bytes than this.
    TooBig(usize),
}

impl Refused {
    /// The [`Refused`] that `error` carries, if any.
    #[must_use]
    pub fn reason(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegular(what) => write!(f, "it is {what}, not a regular file"),
            Self::Descriptor => f.write_str("it is a descriptor, not the name of a file"),
            Self::TooBig(most) if *most < 1 << 20 => write!(f, "it is over {} KiB", most >> 10),
            Self::TooBig(most) => write!(f, "it is over {} MiB", most >> 20),
        }
    }
}

impl error::Error for Refused {}

impl From<Refused> for io::Error {
    fn from(why: Refused) -> Self {
        let kind = match why {
            Refused::NotRegular(_) | Refused::Descriptor => ErrorKind::InvalidInput,
            Refused::TooBig(_) => ErrorKind::FileTooLarge,
        };
        Self::new(kind, why)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use nix::sys::stat::Mode;
    use nix::unistd::{mkfifo, pipe};

    use super::*;

    /// An empty directory, which is removed with what is in it.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("file.{name}.{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_regular_file_is_read_up_to_its_limit() {
        let directory = Directory::new("limit");
        let path = directory.0.join("file");
        fs::write(&path, [b'x'; 2048]).unwrap();
        assert_eq!(read(&path, 2048).unwrap().len(), 2048);
        let error = read(&path, 2047).unwrap_err();
        assert_eq!(Refused::reason(&error), Some(Refused::TooBig(2047)));
        assert_eq!(error.to_string(), "it is over 1 KiB");
        assert_eq!(io::Error::from(Refused::TooBig(4 << 20)).to_string(), "it is over 4 MiB");
        assert_eq!(read(Path::new("/dev/null"), 10).unwrap(), b"");
        // It says that it is empty.
        assert!(!read(Path::new("/proc/self/status"), 1 << 20).unwrap().is_empty());
    }

    #[test]
    fn a_pipe_does_not_block() {
        let directory = Directory::new("pipe");
        let [fifo, link] = ["fifo", "link"].map(|name| directory.0.join(name));
        mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        symlink(&fifo, &link).unwrap();
        for path in [&fifo, &link] {
            let error = open(path).unwrap_err();
            assert_eq!(error.to_string(), "it is a pipe, not a regular file");
        }
        let (reader, _writer) = pipe().unwrap();
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        let reason = Refused::reason(&read(Path::new(&path), 10).unwrap_err());
        assert_eq!(reason, Some(Refused::NotRegular("a pipe")));
    }

    #[test]
    fn descriptors_are_not_names_of_files() {
        let directory = Directory::new("descriptor");
        let [file, link, relative] =
            ["file", "link", "relative"].map(|name| directory.0.join(name));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        symlink("link", &relative).unwrap();
        for path in [&file, &link, &relative, &directory.0.join("missing"), Path::new("x")] {
            check_lasting(path).unwrap();
        }
        let opened = File::open(&file).unwrap();
        let to_descriptor = directory.0.join("to-descriptor");
        symlink(format!("/dev/fd/{}", opened.as_raw_fd()), &to_descriptor).unwrap();
        let mut paths = vec![to_descriptor];
        paths.extend(
            ["/dev/stdin", "/dev/stdout", "/dev/fd/0", "/proc/self/fd/0"].map(PathBuf::from),
        );
        paths.push(format!("/proc/{}/fd/{}", std::process::id(), opened.as_raw_fd()).into());
        paths.push(format!("/proc/thread-self/fd/{}", opened.as_raw_fd()).into());
        for path in paths {
            let reason = Refused::reason(&check_lasting(&path).unwrap_err());
            assert_eq!(reason, Some(Refused::Descriptor), "{}", path.display());
        }
        // A link that leads to itself is what open(2) complains of.
        symlink("itself", directory.0.join("itself")).unwrap();
        check_lasting(&directory.0.join("itself")).unwrap();
    }

    #[test]
    fn what_else_is_no_file() {
        let directory = Directory::new("else");
        let code = |path: &Path| read(path, 10).unwrap_err().raw_os_error();
        assert_eq!(code(&directory.0), Some(libc::EISDIR));
        assert_eq!(code(&directory.0.join("missing")), Some(libc::ENOENT));
        let socket = directory.0.join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(code(&socket), Some(libc::ENXIO));
        let device = read(Path::new("/dev/zero"), 10).unwrap_err();
        assert_eq!(device.to_string(), "it is a device, not a regular file");
        // Descriptor 0 of a daemon is /dev/null, whatever it was at the start.
        let null = File::open("/dev/null").unwrap();
        let path = format!("/dev/fd/{}", null.as_raw_fd());
        let reason = Refused::reason(&read(Path::new(&path), 10).unwrap_err());
        assert_eq!(reason, Some(Refused::NotRegular("a device")));
    }
}
