//! What the kernel and the C library tell a process: its children, itself, the time,
//! errors.

use std::ffi::CStr;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

/// Microseconds of a clock that only goes forward, the same for all processes.
#[must_use]
pub fn monotonic_micros() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Reaps a child that has ended, `child` or any: its process id and raw wait status.
/// The kernel finds a given child at once (since Linux 5.13), and walks past all
/// children to find any.  (nix cannot express an end by a real-time signal.)
#[must_use]
pub fn reap(child: Option<Pid>) -> Option<(Pid, i32)> {
    let (mut status, child) = (0, child.map_or(-1, Pid::as_raw));
    // SAFETY: waitpid(2) writes one int, and `status` is one.
    let pid = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
    (pid > 0).then(|| (Pid::from_raw(pid), status))
}

/// An unpredictable number, from getrandom(2).
///
/// # Errors
/// ENOSYS before Linux 3.17.
pub fn random_u16() -> nix::Result<u16> {
    let mut bytes = [0_u8; 2];
    // SAFETY: `bytes` has room for the two bytes asked for.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    Errno::result(got).map(|_| u16::from_ne_bytes(bytes))
}

/// The path that execve(2) was given to run this process (`AT_EXECFN`): for a
/// symlink the link's, for a script the script's, for a descriptor
/// `/dev/fd/N`.
#[must_use]
pub fn executed_path() -> Option<&'static CStr> {
    // SAFETY: getauxval(3) reads a table that the kernel made, and answers 0 for
    // what is not in it.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    let text = std::ptr::with_exposed_provenance::<libc::c_char>(usize::try_from(address).ok()?);
    // SAFETY: the kernel has put a string that ends in NUL there, where it stays
    // for as long as the process lives; nothing here writes to it.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Whether an error of accept(2), fork(2) and the like is a temporary shortage: of
/// descriptors, memory or processes.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let shortage = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EAGAIN];
    shortage.contains(&errno(error))
}

/// The system's number for `error`; `UnknownErrno` if it has none.
#[must_use]
pub fn errno(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executed_path_is_that_of_this_program() {
        let path = executed_path().unwrap().to_str().unwrap();
        let own = std::env::current_exe().unwrap();
        assert_eq!(std::fs::canonicalize(path).unwrap(), std::fs::canonicalize(own).unwrap());
    }
}
