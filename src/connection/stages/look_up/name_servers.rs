//! Whether name servers answer at all, according to the look-ups of this client and of
//! others: no client is refused because our name servers are dead.

use std::time::{Duration, Instant};

use crate::class::Class;
use crate::connection::decided::Decided;
use crate::connection::service::Server;
use crate::connection::stages::limits::per_ip::is_bound_by_reserve;
use crate::connection::watched::Watched;

/// How long name servers may be silent before they count as dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// Whether a client of the class `unknown` is trusted: no mail is refused
/// because our own name servers are dead.  A long silence proves that they are dead only if a
/// look-up has probed them as well: a flood can make us ask questions that no
/// server answers.
pub(in crate::connection::stages) fn is_our_fault(
    server: Server<'_>,
    watched: &Watched,
    class: Class,
) -> bool {
    class == Class::Unknown
        && watched.lookup().has_reached_no_name_server()
        && may_be_dead_by(server, Instant::now())
}

/// Whether name servers will have been silent for long enough by `then`, if none
/// answers before.
pub(in crate::connection::stages) fn may_be_dead_by(server: Server<'_>, then: Instant) -> bool {
    let more = then.saturating_duration_since(Instant::now());
    server.acceptor.findings.silence_of_name_servers() + more >= DEAD_AFTER
}

/// Probes the name servers, if that may matter to the look-up, which ends at `end`.
pub(in crate::connection::stages) fn probe(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &Decided,
    end: Instant,
) {
    let matters = is_bound_by_reserve(server.options(), watched.client(), decided.exemptions());
    if matters && !watched.lookup().has_heard() && may_be_dead_by(server, end) {
        watched.probe_name_servers();
    }
}

/// Once for each client: the time of the answer counts.
pub(in crate::connection::stages) fn note_answer(server: Server<'_>, watched: &mut Watched) {
    if watched.take_answer() {
        server.acceptor.findings.note_answer();
    }
}
