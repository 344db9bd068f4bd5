//! fork(2), such that a child never returns into the frames of its parent.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::errno::Errno;
use nix::unistd::Pid;

/// The exit code of a child that panicked: trouble that may pass, as in ucspi-tcp.
const PANICKED: u8 = 111;

/// Forks a child that does `work` and ends with the exit code that it returns, or with
/// 111 if it panics, which the panic hook has logged by then.  Nothing that the parent
/// owns is dropped in the child: a panic there must not empty the parent's pidfile.
/// The process must have a single thread, as all of ours have.
///
/// # Errors
/// EAGAIN for a process limit, ENOMEM.
pub fn spawn(work: impl FnOnce() -> u8) -> nix::Result<Pid> {
    match fork()? {
        0 => exit_now(catch_unwind(AssertUnwindSafe(work)).unwrap_or(PANICKED)),
        child => Ok(Pid::from_raw(child)),
    }
}

/// fork(2), as cheap as it can be: `_Fork` leaves out what the C library's fork does about
/// handlers and locks, by which each child would write to two more pages, its own from
/// then on.  Where a thread but the caller exists those locks have to be taken.
fn fork() -> nix::Result<libc::pid_t> {
    // SAFETY: the C library sets it, and this process has a thread that could only if
    // it is zero already.
    let is_alone = unsafe { __libc_single_threaded } != 0;
    // SAFETY: a process without another thread may go on using the allocator and every lock
    // in its child, since nobody holds one; else the C library's fork sees to its own, and
    // the caller has promised that there is no other thread of ours.
    Errno::result(if is_alone { unsafe { _Fork() } } else { unsafe { libc::fork() } })
}

unsafe extern "C" {
    /// Whether this process has no thread but the caller (glibc 2.32).
    static __libc_single_threaded: libc::c_char;
    /// fork(2) without handlers and locks (glibc 2.34, POSIX.1-2024).
    fn _Fork() -> libc::pid_t;
}

/// Ends this process without unwinding, dropping, flushing or allocating anything.
pub fn exit_now(code: u8) -> ! {
    // SAFETY: _exit(2) touches no memory of ours, and does not come back.
    unsafe { libc::_exit(code.into()) }
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::panic::resume_unwind;

    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    /// Writes a byte when it is dropped.
    struct Held(UnixStream);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.write_all(b"x").unwrap();
        }
    }

    #[test]
    fn a_panic_in_a_child_drops_nothing_of_the_parents() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let held = Held(writer);
        // Made before the fork: a child of a test's process, which has threads, must
        // not allocate.
        let payload: Box<dyn Any + Send> = Box::new(());
        let child = spawn(|| resume_unwind(payload)).unwrap();
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 111)));
        reader.set_nonblocking(true).unwrap();
        assert!(reader.read(&mut [0]).is_err(), "the parent's value was dropped in the child");
        drop(held);
    }

    #[test]
    fn a_child_ends_with_its_exit_code() {
        let child = spawn(|| 7).unwrap();
        assert_eq!(waitpid(child, None), Ok(WaitStatus::Exited(child, 7)));
    }
}
