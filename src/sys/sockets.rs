//! Socket calls that nix and std do not offer, or not on borrowed descriptors.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, UnixAddr, recv, send, sendto};

/// Bytes that can be read from `fd` (FIONREAD).
///
/// # Errors
/// ENOTTY if `fd` is neither a socket nor a pipe.
pub fn readable_bytes(fd: BorrowedFd<'_>) -> nix::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, and `bytes` is one.
    let status = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &raw mut bytes) };
    Errno::result(status).map(|_| usize::try_from(bytes).unwrap_or(0))
}

/// Clients in the accept queue of a listening TCP socket (tcp(7), `TCP_INFO`, as ss(8)
/// shows it); 0 if that is not known.
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

/// Peeks at the bytes that can be read from a socket; never blocks.
///
/// # Errors
/// EAGAIN if there are none, ECONNRESET and the like.
pub fn peek(socket: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    recv(socket.as_fd().as_raw_fd(), buffer, flags)
}

/// Reads from a socket; never blocks.  0 is the end of file.
///
/// # Errors
/// EAGAIN if there is nothing to read, ECONNRESET and the like.
pub fn take(socket: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    recv(socket.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)
}

/// Sends as much as the socket has room for, without SIGPIPE; never blocks.
///
/// # Errors
/// EAGAIN if there is no room, EPIPE, ECONNRESET and the like.
pub fn put(socket: impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    send(socket.as_fd().as_raw_fd(), bytes, flags)
}

/// Sends a datagram, without SIGPIPE.  Blocks for room only if `wait`, up to the
/// socket's own timeout.
///
/// # Errors
/// EAGAIN if there is no room, ENOENT and ECONNREFUSED if no process listens.
pub fn send_to(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    address: &UnixAddr,
    wait: bool,
) -> nix::Result<usize> {
    let how = if wait { MsgFlags::empty() } else { MsgFlags::MSG_DONTWAIT };
    sendto(socket.as_raw_fd(), bytes, address, how | MsgFlags::MSG_NOSIGNAL)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener};
    use std::os::fd::AsFd;

    use socket2::{Domain, Protocol, Socket, Type};

    use super::*;

    /// Bytes of IP options that answers carry.
    fn ip_options(socket: BorrowedFd<'_>) -> u32 {
        let (mut options, mut length) = ([0_u8; 40], 40);
        let (level, name) = (libc::IPPROTO_IP, libc::IP_OPTIONS);
        let (fd, room) = (socket.as_raw_fd(), options.as_mut_ptr().cast());
        // SAFETY: the kernel writes no more than `length` bytes, which `options` has.
        let got = unsafe { libc::getsockopt(fd, level, name, room, &raw mut length) };
        assert_eq!(got, 0);
        length
    }

    #[test]
    fn ip_options_of_a_client_are_removed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
        // Record route, with room for one address.
        let option: [u8; 8] = [7, 7, 4, 0, 0, 0, 0, 0];
        let (level, name) = (libc::IPPROTO_IP, libc::IP_OPTIONS);
        // SAFETY: the option has eight bytes.
        let set =
            unsafe { libc::setsockopt(client.as_raw_fd(), level, name, option.as_ptr().cast(), 8) };
        assert_eq!(set, 0);
        client.connect(&listener.local_addr().unwrap().into()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert_eq!(ip_options(accepted.as_fd()), 8);
        kill_ip_options(accepted.as_fd());
        assert_eq!(ip_options(accepted.as_fd()), 0);
    }
}
