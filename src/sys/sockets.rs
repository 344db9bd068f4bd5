//! Calls on sockets that nix and std do not offer, or not on borrowed ones.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixAddr, recv, send, sendto};

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
