//! The only unsafe code: fork, signal handlers, shared memory, and the few
//! system calls that nix and std offer only as unsafe or on raw descriptors.
//! Everything here is safe to call; the rest of the crate denies unsafe.
#![allow(unsafe_code)]

mod heir;
mod memory;
mod spawn;

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap, mmap_anonymous};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction};
use nix::sys::socket::{MsgFlags, UnixAddr, recv, send, sendto};
use nix::sys::stat::fstat;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;

pub use heir::{Birth, Stack, Strings, beget, exec, pid_in, put_pid};
pub use memory::{Allocator, OnRefusal, on_refused_memory};
pub use spawn::{exit_now, spawn};

/// How often each signal was caught since it was last asked for.
static CAUGHT: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];
/// The descriptor that [`shut_down_when_orphaned`] shuts down.
static LISTENER: AtomicI32 = AtomicI32::new(-1);
/// The process whose death it waits for.
static PARENT: AtomicI32 = AtomicI32::new(0);

/// Zeroed memory that this process and all that it forks share, for as long
/// as any of them lives.
///
/// # Errors
/// ENOMEM, also where an address space limit (`softlimit -m`) is in the way.
pub fn shared_words(count: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = count.checked_mul(size_of::<AtomicU64>()).and_then(NonZeroUsize::new);
    let bytes = bytes.ok_or(Errno::EINVAL)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new anonymous mapping aliases nothing that exists.
    let memory = unsafe { mmap_anonymous(None, bytes, access, MapFlags::MAP_SHARED)? };
    // SAFETY: the mapping is page-aligned, `count` words long, zeroed (a valid
    // AtomicU64) and never unmapped.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr().cast::<AtomicU64>(), count) })
}

/// The first `count` words of `file`, shared with all who map it, for as long as
/// this process lives.  The file must have that size, and nobody may make it
/// shorter.
///
/// # Errors
/// ENOMEM, or a file that cannot be mapped.
pub fn shared_words_of(file: &File, count: usize) -> nix::Result<&'static [AtomicU64]> {
    let bytes = count.checked_mul(size_of::<AtomicU64>()).and_then(NonZeroUsize::new);
    let bytes = bytes.ok_or(Errno::EINVAL)?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping aliases nothing in this process.
    let memory = unsafe { mmap(None, bytes, access, MapFlags::MAP_SHARED, file, 0)? };
    // SAFETY: as for memory without a file; any bytes are valid AtomicU64s, and
    // those who share them use atomics, too.
    Ok(unsafe { std::slice::from_raw_parts(memory.as_ptr().cast::<AtomicU64>(), count) })
}

/// Microseconds of a clock that only goes forward, the same for all processes.
#[must_use]
pub fn monotonic_micros() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

extern "C" fn count_signal(number: libc::c_int) {
    if let Some(counter) = usize::try_from(number).ok().and_then(|index| CAUGHT.get(index)) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

extern "C" fn shut_down_if_orphaned(_: libc::c_int) {
    let errno = Errno::last_raw();
    // SAFETY: getppid(2) is async-signal-safe and cannot fail.
    let parent = unsafe { libc::getppid() };
    if parent != PARENT.load(Ordering::Relaxed) {
        // SAFETY: shutdown(2) is async-signal-safe; it takes any number and
        // says EBADF or ENOTSOCK to one that is no socket.
        unsafe { libc::shutdown(LISTENER.load(Ordering::Relaxed), libc::SHUT_RDWR) };
    }
    Errno::set_raw(errno);
}

fn install(signal: Signal, handler: SigHandler) -> nix::Result<()> {
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handlers of this file touch atomics and call only
    // async-signal-safe functions.
    unsafe { sigaction(signal, &action) }.map(drop)
}

/// Counts `signal` from now on instead of acting on it; system calls are
/// interrupted (no `SA_RESTART`).
///
/// # Errors
/// EINVAL for KILL and STOP.
pub fn count(signal: Signal) -> nix::Result<()> {
    install(signal, SigHandler::Handler(count_signal))
}

/// How often `signal` came since the last call.
pub fn take_count(signal: Signal) -> u32 {
    CAUGHT.get(signal as usize).map_or(0, |counter| counter.swap(0, Ordering::Relaxed))
}

/// Ignores `signal`.
///
/// # Errors
/// EINVAL for KILL and STOP.
pub fn ignore(signal: Signal) -> nix::Result<()> {
    install(signal, SigHandler::SigIgn)
}

/// Gives `signal` its default action.
///
/// # Errors
/// EINVAL for KILL and STOP.
pub fn reset(signal: Signal) -> nix::Result<()> {
    install(signal, SigHandler::SigDfl)
}

/// Keeps signals waiting for as long as this lives; they are delivered then.
pub struct Blocked {
    before: SigSet,
}

impl Blocked {
    /// Blocks `signals`, as well as those that are blocked already.
    #[must_use]
    pub fn block(signals: impl Into<SigSet>) -> Self {
        let before = signals.into().thread_swap_mask(SigmaskHow::SIG_BLOCK);
        Self { before: before.unwrap_or_else(|_| SigSet::empty()) }
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = self.before.thread_set_mask();
    }
}

/// Gives every signal its default action and blocks those of `blocked` alone,
/// whatever was inherited from whoever started this process.
pub fn reset_all_signals(blocked: &SigSet) {
    let real_time = libc::SIGRTMIN()..=libc::SIGRTMAX();
    for number in (1..32).chain(real_time) {
        // SAFETY: SIG_DFL installs no code.  KILL and STOP answer EINVAL,
        // which is right.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
    let _ = blocked.thread_set_mask();
}

/// Tells children that are forked from here on what [`shut_down_when_orphaned`] is
/// about.  They have it without writing to a page that they would have to
/// themselves then.
pub fn be_parent(listener: BorrowedFd<'_>, parent: Pid) {
    LISTENER.store(listener.as_raw_fd(), Ordering::Relaxed);
    PARENT.store(parent.as_raw(), Ordering::Relaxed);
}

/// Shuts the listener down in this process once SIGURG comes and the parent
/// ([`be_parent`]) is no longer its parent: every process that blocks in accept(2)
/// on it wakes with EINVAL, and its port is free.  SIGURG while the parent lives
/// only interrupts system calls.
///
/// # Errors
/// None that Linux documents.
pub fn shut_down_when_orphaned() -> nix::Result<()> {
    install(Signal::SIGURG, SigHandler::Handler(shut_down_if_orphaned))
}

/// Reaps a child that has ended, `child` or any: its process id and raw wait
/// status.  The kernel finds a child that is named at once (since Linux 5.13), and
/// walks past all children to find any.
/// (nix cannot express an end by a real-time signal.)
#[must_use]
pub fn reap(child: Option<Pid>) -> Option<(Pid, i32)> {
    let (mut status, child) = (0, child.map_or(-1, Pid::as_raw));
    // SAFETY: waitpid(2) writes one int, and `status` is one.
    let pid = unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) };
    (pid > 0).then(|| (Pid::from_raw(pid), status))
}

/// Bytes that wait to be read on `fd` (FIONREAD).
///
/// # Errors
/// Where `fd` is neither a socket nor a pipe.
pub fn readable_bytes(fd: BorrowedFd<'_>) -> nix::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `bytes` is one.
    let status = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    Errno::result(status).map(|_| usize::try_from(bytes).unwrap_or(0))
}

/// Clients that are connected and wait to be accepted from a listening TCP socket
/// (tcp(7), `TCP_INFO`, as ss(8) shows it); 0 where nobody knows.
#[must_use]
pub fn accept_queue(listener: BorrowedFd<'_>) -> u32 {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).unwrap_or_default();
    let (socket, room) = (listener.as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: the kernel writes no more than `length` bytes, which `info` has.
    let got = unsafe {
        libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, room, &raw mut length)
    };
    // SAFETY: all bytes are set, to 0 or by the kernel, and any are a tcp_info.
    let info = unsafe { info.assume_init() };
    if got == 0 { info.tcpi_unacked } else { 0 }
}

/// Removes the IP options of a connection, as tcpserver does without `-o`.
pub fn kill_ip_options(socket: BorrowedFd<'_>) {
    let (level, name) = (libc::IPPROTO_IP, libc::IP_OPTIONS);
    // SAFETY: no bytes are read from a null pointer with a length of zero.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::null(), 0) };
}

/// A number that nobody can guess, by getrandom(2).
///
/// # Errors
/// ENOSYS before Linux 3.17.
pub fn random_u16() -> nix::Result<u16> {
    let mut bytes = [0_u8; 2];
    // SAFETY: `bytes` has room for the two bytes asked for.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    Errno::result(got).map(|_| u16::from_ne_bytes(bytes))
}

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

/// Closes all descriptors from 3 on but `kept`.  For a process that goes on with
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

fn close_range(first: libc::c_int, last: libc::c_int) {
    // SAFETY: closing touches no memory; the caller does not use them again.
    let status = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if status != 0 {
        // Linux before 5.9: those that a daemon can have opened itself.
        for fd in first..=last.min(1023) {
            // SAFETY: as above.
            unsafe { libc::close(fd) };
        }
    }
}

/// /dev/null, to read and to write.
///
/// # Errors
/// Where it cannot be opened.
pub fn null() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/null")
}

/// Looks at what waits on a socket, without taking it and without waiting.
///
/// # Errors
/// EAGAIN where nothing is there, ECONNRESET and the like.
pub fn peek(socket: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_fd().as_raw_fd(), buffer, flags)
}

/// Takes what waits on a socket, without waiting.  0 is the end of file.
///
/// # Errors
/// EAGAIN where nothing is there, ECONNRESET and the like.
pub fn take(socket: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    recv(socket.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)
}

/// Sends what the socket has room for, without waiting and without SIGPIPE.
///
/// # Errors
/// EAGAIN where there is no room, EPIPE, ECONNRESET and the like.
pub fn put(socket: impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(socket.as_fd().as_raw_fd(), bytes, flags)
}

/// Sends a datagram, without SIGPIPE.  Waits for room only if it may, and then no
/// longer than the socket's own timeout.
///
/// # Errors
/// EAGAIN where there is no room, ENOENT and ECONNREFUSED where nobody listens.
pub fn send_to(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    address: &UnixAddr,
    wait: bool,
) -> nix::Result<usize> {
    let how = if wait { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
    sendto(socket.as_raw_fd(), bytes, address, how | MsgFlags::MSG_NOSIGNAL)
}

/// The TCP port that services(5) gives `name`, if it does.
#[must_use]
pub fn service_port(name: &str) -> Option<u16> {
    let name = CString::new(name).ok()?;
    // SAFETY: both strings end in NUL; the answer lives in static storage that
    // only this single thread uses.
    let entry = unsafe { libc::getservbyname(name.as_ptr(), c"tcp".as_ptr()) };
    // SAFETY: null, or a servent that stays valid until the next call.
    let entry = unsafe { entry.as_ref() }?;
    u16::try_from(entry.s_port).ok().map(u16::from_be)
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

/// Whether what is written to standard error would reach the client: inetd makes
/// descriptor 2 the connection, too.
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

/// Whether an error of accept(2), fork(2) and the like is one of resources that
/// run out and come back: descriptors, memory, processes.
#[must_use]
pub fn is_shortage(error: &io::Error) -> bool {
    let shortage = [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM, Errno::EAGAIN];
    shortage.contains(&errno(error))
}

/// The system's number for `error`; `UnknownErrno` where it has none.
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
