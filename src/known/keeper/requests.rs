//! Requests at the keeper's socket, and who sends them.

use std::io::IoSliceMut;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrLike, UnixAddr, UnixCredentials, recvmsg,
};
use nix::unistd::geteuid;

use crate::known::asking::message::{ROOM, Request};

/// Bytes of an address without a name.
const UNNAMED: libc::socklen_t = 2;

/// Whether `asker` waits for an answer: one that has no name does not.
pub(super) fn has_name(asker: &UnixAddr) -> bool {
    asker.len() > UNNAMED
}

/// A request of this user or of root; `None` for anything else.
pub(super) fn receive(socket: &UnixDatagram) -> nix::Result<Option<(Request, UnixAddr)>> {
    let mut bytes = [0; ROOM];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let mut control = cmsg_space!(UnixCredentials);
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let may_ask = message.cmsgs()?.any(|part| match part {
        ControlMessageOwned::ScmCredentials(who) => {
            who.uid() == 0 || who.uid() == geteuid().as_raw()
        }
        _ => false,
    });
    let (address, length) = (message.address, message.bytes);
    let request = Request::read(&bytes[..length]).filter(|_| may_ask);
    Ok(request.zip(address))
}
