//! The stage of the place for a session (`--max-prog`), which a client may have to wait
//! for.

use std::mem;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::connection::acceptor::Places;
use crate::connection::decided::Decided;
use crate::connection::decided::verdict::Verdict;
use crate::connection::service::Server;
use crate::connection::stages::watching::watch_until;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::Until;
use crate::sys;

/// How long a client waits for a place for its session.
const PATIENCE: Duration = Duration::from_secs(10);
/// The interval at which it checks without being woken: the process that should have
/// woken it may have been killed.
const INTERVAL: Duration = Duration::from_secs(1);

/// A client's turn in the queue for places; dropping it leaves the queue, whatever
/// becomes of the client.
struct Turn<'a>(&'a dyn Places);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.leave_queue();
    }
}

/// A place for the client's session; dropping it frees the place, unless the session
/// has taken it over.
pub(in crate::connection) struct SessionPlace<'a>(&'a dyn Places);

impl SessionPlace<'_> {
    /// The session has taken it over.
    pub(in crate::connection::stages) fn transfer(self) {
        mem::forget(self);
    }
}

impl Drop for SessionPlace<'_> {
    fn drop(&mut self) {
        self.0.release_session();
    }
}

/// Waits for one of the places for sessions; the client is watched meanwhile.
pub(in crate::connection) fn take<'a>(
    server: Server<'a>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Result<SessionPlace<'a>, Verdict> {
    let places = server.acceptor.places;
    let _turn = Turn(places);
    if !places.claim_session() {
        wait(server, watched, decided)?;
    }
    Ok(SessionPlace(places))
}

fn wait(server: Server<'_>, watched: &mut Watched, decided: &mut Decided) -> Result<(), Verdict> {
    // A signal between the check and the wait ends the wait.
    let _wakes = sys::Blocked::block(Signal::SIGURG);
    let patience = Instant::now() + PATIENCE;
    while !server.acceptor.places.claim_session() {
        let now = Instant::now();
        if now >= patience {
            return Err(Verdict::NoPlace);
        }
        watch_until(server, watched, decided, patience.min(now + INTERVAL), Until::Wake)?;
    }
    Ok(())
}
