//! The socket that clients come to, and how a child waits for one of them.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::Pid;
use socket2::{SockAddr, Socket};

use crate::sys::{self, Blocked};

/// Who made a listener, and may end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Owner {
    /// The daemon.  To shut the socket down wakes every accept(2), and frees the port.
    Daemon,
    /// The service manager, whose socket outlives the daemon: clients queue there until
    /// the next one.  It is never shut down, which would end it for the service manager as
    /// well, so children have to be woken one by one.
    ServiceManager,
}

/// A listening socket.
pub struct Listener {
    socket: Socket,
    owner: Owner,
}

impl Listener {
    /// A socket of the daemon's own.
    pub(in crate::daemon) fn own(socket: Socket) -> Self {
        Self { socket, owner: Owner::Daemon }
    }

    /// A socket of the service manager's.
    ///
    /// # Errors
    /// Errors of fcntl(2).
    pub(in crate::daemon) fn passed(socket: Socket) -> io::Result<Self> {
        // Another child may take the client for which this one was woken.
        socket.set_nonblocking(true)?;
        Ok(Self { socket, owner: Owner::ServiceManager })
    }

    pub(in crate::daemon) fn owner(&self) -> Owner {
        self.owner
    }

    /// The socket, for its options.
    pub(in crate::daemon) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Where it listens, if that can be told.
    pub(in crate::daemon) fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok().and_then(|address| address.as_socket())
    }

    /// Waits for a client.  `is_over` tells whether the child has to end; what makes it
    /// true has to send the child SIGURG.
    ///
    /// # Errors
    /// EINVAL if the listener is shut down, or `is_over`; EINTR if there is nobody after
    /// all; other errors of accept(2).
    pub(in crate::daemon) fn accept(
        &self,
        is_over: impl Fn() -> bool,
    ) -> io::Result<(Socket, SockAddr)> {
        match self.owner {
            Owner::Daemon => self.socket.accept(),
            Owner::ServiceManager => self.accept_until(is_over),
        }
    }

    /// SIGURG is blocked but for the wait, so that none is lost before it.
    fn accept_until(&self, is_over: impl Fn() -> bool) -> io::Result<(Socket, SockAddr)> {
        let _blocked = Blocked::block(Signal::SIGURG);
        if is_over() {
            return Err(Errno::EINVAL.into());
        }
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        ppoll(&mut fds, None, Some(SigSet::empty()))?;
        self.socket.accept().map_err(|why| match why.kind() {
            io::ErrorKind::WouldBlock => Errno::EINTR.into(),
            _ => why,
        })
    }

    /// Has children shut it down once `parent` has died, if that is theirs to do: those that
    /// are forked from here on.
    pub(in crate::daemon) fn end_with(&self, parent: Pid) {
        if self.owner == Owner::Daemon {
            sys::be_parent(self.socket.as_fd(), parent);
        }
    }

    /// Ends it for all processes, if it is the daemon's.
    pub(in crate::daemon) fn shut_down(&self) {
        if self.owner == Owner::Daemon {
            let _ = self.socket.shutdown(Shutdown::Both);
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
