//! The way to an engine, from the look-up of its address to a connection that can be used.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::poll::PollFlags;

use super::engine::address::Address;
use super::engine::connection::Connection;
use super::engine::resolve::Resolving;
use super::engine::trouble::Trouble;

/// How far the way has been gone.
pub(super) enum Link {
    /// The engine is left alone until then.
    Down(Instant),
    /// The address of its host is being looked up.
    Resolving(Resolving),
    /// It is being connected to, or has not shown yet that it can be used.
    Greeting(Connection),
    /// It has been used since.
    Up(Connection, Instant),
}

impl Link {
    /// Goes a step on, without waiting; returns whether a connection has just begun.
    pub(super) fn advance(&mut self, address: &Address, now: Instant) -> Result<bool, Trouble> {
        *self = match std::mem::replace(self, Self::Down(now)) {
            Self::Down(until) if until <= now => begin(address)?,
            Self::Resolving(resolving) if resolving.has_ended() => {
                let address = resolving.result().map_err(Trouble::Unresolved)?;
                Self::Greeting(Connection::to_host(address).map_err(Trouble::Connection)?)
            }
            unchanged => {
                *self = unchanged;
                return Ok(false);
            }
        };
        Ok(matches!(self, Self::Greeting(_)))
    }

    pub(super) fn connection(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Greeting(connection) | Self::Up(connection, _) => Some(connection),
            Self::Down(_) | Self::Resolving(_) => None,
        }
    }

    /// The engine has shown that it can be used.
    pub(super) fn set_up(&mut self, now: Instant) {
        *self = match std::mem::replace(self, Self::Down(now)) {
            Self::Greeting(connection) => Self::Up(connection, now),
            other => other,
        };
    }

    /// What to poll, and for what.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match self {
            Self::Down(_) => None,
            Self::Resolving(resolving) => Some((resolving.descriptor(), PollFlags::POLLIN)),
            Self::Greeting(connection) | Self::Up(connection, _) => Some(connection.interest()),
        }
    }
}

fn begin(address: &Address) -> Result<Link, Trouble> {
    let begun = match address {
        Address::Socket(path) => Connection::to_socket(path).map(Link::Greeting),
        Address::Host { host, port, .. } => match host.parse() {
            Ok(ip) => Connection::to_host(SocketAddr::new(ip, *port)).map(Link::Greeting),
            Err(_) => Resolving::start(host, *port).map(Link::Resolving),
        },
    };
    begun.map_err(Trouble::Connection)
}
