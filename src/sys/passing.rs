//! A message with a descriptor from one process to another (unix(7), `SCM_RIGHTS`).

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

/// Sends `bytes` and a copy of `descriptor` as one message, without waiting and
/// without SIGPIPE.
///
/// # Errors
/// EAGAIN if there is no room, EPIPE if no process is left to receive it, ETOOMANYREFS if
/// too many descriptors are in flight.
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

/// Receives a message, without waiting, and the descriptor that came with it, which a
/// program does not inherit.  0 bytes mean the end: no process is left to send.  There is
/// no descriptor if this process may not open another.
///
/// # Errors
/// EAGAIN if there is no message.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> nix::Result<(usize, Option<OwnedFd>)> {
    let mut room = cmsg_space!([RawFd; 1]);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut room), flags)?;
    // Descriptors that did not fit are cut off; nix refuses to read the others then.
    let descriptor = message.cmsgs().ok().and_then(|mut all| all.find_map(first_descriptor));
    Ok((message.bytes, descriptor))
}

fn first_descriptor(message: ControlMessageOwned) -> Option<OwnedFd> {
    let ControlMessageOwned::ScmRights(descriptors) = message else { return None };
    // SAFETY: the kernel has just made it for this process, and no other owner exists.
    // There is room for one alone.
    descriptors.first().map(|descriptor| unsafe { OwnedFd::from_raw_fd(*descriptor) })
}
