//! A message with a descriptor from one process to another (unix(7), `SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Sends `bytes` and a copy of `descriptor` as one message, without waiting and
/// without SIGPIPE.
///
/// # Errors
/// EAGAIN where there is no room, EPIPE where nobody is left to receive it,
/// ETOOMANYREFS where too many descriptors are on their way.
pub fn pass(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptor: BorrowedFd<'_>,
) -> nix::Result<usize> {
    let descriptors = [descriptor.as_raw_fd()];
    let with = [ControlMessage::ScmRights(&descriptors)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    sendmsg::<UnixAddr>(socket.as_raw_fd(), &[IoSlice::new(bytes)], &with, flags, None)
}

/// Receives a message, without waiting, and the descriptor that came with it, which
/// a program does not inherit.  0 bytes are the end: nobody is left to send any.
/// There is no descriptor where this process may not have another.
///
/// # Errors
/// EAGAIN where nothing is there.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<(usize, Option<OwnedFd>)> {
    let mut room = cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    // What is cut off are descriptors that did not fit: nix refuses to look then.
    let descriptor = message.cmsgs().ok().and_then(|mut all| all.find_map(first_descriptor));
    Ok((message.bytes, descriptor))
}

fn first_descriptor(message: ControlMessageOwned) -> Option<OwnedFd> {
    let ControlMessageOwned::ScmRights(descriptors) = message else { return None };
    // SAFETY: the kernel has just made it, for this process, and nobody else knows of
    // it.  There is room for one alone.
    descriptors.first().map(|descriptor| unsafe { OwnedFd::from_raw_fd(*descriptor) })
}
