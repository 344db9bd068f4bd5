//! The stage of `--hold`: an early talker is kept waiting for its refusal.

use std::time::{Duration, Instant};

use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::{Seen, WatchFor};

/// How often a held early talker is checked against the load.
const INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of holding a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection::stages) enum Held {
    /// It may still read a reply.
    Listens,
    /// It has reset the connection.
    Gone,
}

/// Keeps an early talker waiting, unless it closes its side or the slots are needed.
pub(in crate::connection::stages) fn hold(server: Server<'_>, watched: &mut Watched) -> Held {
    let until = Instant::now() + server.options().hold;
    while Instant::now() < until && !server.acceptor.limits.is_under_pressure() {
        let next = until.min(Instant::now() + INTERVAL);
        if watched.watch_for(WatchFor::Leaving, next) == Seen::Gone {
            return is_reset(watched);
        }
    }
    Held::Listens
}

/// After an end of file the client may still read a reply; after a reset it cannot.
fn is_reset(watched: &mut Watched) -> Held {
    let soon = Instant::now() + Duration::from_millis(1);
    match watched.watch_for(WatchFor::Reset, soon) {
        Seen::Gone => Held::Gone,
        _ => Held::Listens,
    }
}
