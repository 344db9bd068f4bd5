//! Descriptors 0 to 2, and all others.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::stat::fstat;

/// Descriptor 0.
#[must_use]
pub fn standard_input() -> BorrowedFd<'static> {
    // SAFETY: nothing in this program closes descriptors 0 to 2; they are only
    // replaced.
    unsafe { BorrowedFd::borrow_raw(libc::STDIN_FILENO) }
}

/// Descriptor 1.
#[must_use]
pub fn standard_output() -> BorrowedFd<'static> {
    // SAFETY: as for descriptor 0.
    unsafe { BorrowedFd::borrow_raw(libc::STDOUT_FILENO) }
}

/// Descriptor 2.
#[must_use]
pub fn standard_error() -> BorrowedFd<'static> {
    // SAFETY: as for descriptor 0.
    unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) }
}

/// Where a service manager passes its first descriptor (`sd_listen_fds(3)`).
const FIRST_PASSED: RawFd = 3;

/// The first descriptor that a service manager has passed to this process, which has to
/// know that one was.  It is taken once, and closed by exec(3) from now on.
///
/// # Errors
/// EBADF if nothing is open there.
pub fn take_first_passed() -> nix::Result<OwnedFd> {
    // SAFETY: setting a flag touches no memory.
    let set = unsafe { libc::fcntl(FIRST_PASSED, libc::F_SETFD, libc::FD_CLOEXEC) };
    Errno::result(set)?;
    // SAFETY: it is open, and what was passed to this process belongs to nothing else in it.
    Ok(unsafe { OwnedFd::from_raw_fd(FIRST_PASSED) })
}

/// Closes all descriptors from 3 on except `kept`.  For a process that goes on with
/// those alone, and ends without dropping whatever else it owns.
pub fn close_all_but(kept: &[BorrowedFd<'_>]) {
    let mut kept: Vec<libc::c_int> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    kept.sort_unstable();
    kept.push(libc::c_int::MAX);
    let mut first = 3;
    for fd in kept {
        if first < fd {
            close_range(first, fd - 1);
        }
        first = first.max(fd.saturating_add(1));
    }
}

/// Closes one descriptor, as [`close_these`], and allocates nothing.
pub fn close_this(descriptor: BorrowedFd<'_>) {
    close_range(descriptor.as_raw_fd(), descriptor.as_raw_fd());
}

/// Closes `descriptors`.  For a process that was just forked, and ends without dropping
/// whatever owns them.
pub fn close_these<'a>(descriptors: impl Iterator<Item = BorrowedFd<'a>>) {
    let mut descriptors: Vec<libc::c_int> = descriptors.map(|fd| fd.as_raw_fd()).collect();
    descriptors.sort_unstable();
    for run in descriptors.chunk_by(|fd, next| fd + 1 == *next) {
        close_range(run[0], run[run.len() - 1]);
    }
}

fn close_range(first: libc::c_int, last: libc::c_int) {
    // SAFETY: closing touches no memory; the caller does not use them again.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if status != 0 {
        // Linux before 5.9: the range that a daemon can have opened itself.
        for fd in first..=last.min(1023) {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// /dev/null, to read and to write.
///
/// # Errors
/// Errors of open(2).
pub fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// Whether standard error is the client's connection, as under inetd.
#[must_use]
pub fn standard_error_is_the_client() -> bool {
    let socket = |fd: BorrowedFd<'_>| {
        let stat = fstat(fd).ok()?;
        let is_socket = stat.st_mode & libc::S_IFMT == libc::S_IFSOCK;
        is_socket.then_some((stat.st_dev, stat.st_ino))
    };
    let client = socket(standard_input());
    client.is_some() && client == socket(standard_error())
}
