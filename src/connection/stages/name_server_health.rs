//! Whether name servers answer at all, according to the look-ups of this client and of
//! others: no client is refused because our name servers are dead.

use std::time::{Duration, Instant};

use crate::class::Class;
use crate::connection::acceptor::SharedFindings;
use crate::connection::service::Server;
use crate::connection::watched::Watched;

/// How long name servers may be silent before they count as dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// When a name server last answered any client.
#[derive(Clone, Copy)]
pub(super) struct NameServerHealth<'a>(&'a dyn SharedFindings);

impl<'a> NameServerHealth<'a> {
    /// As the process knows it that accepted the client.
    pub(super) fn of(server: Server<'a>) -> Self {
        Self(server.acceptor.findings)
    }

    /// Whether name servers will have been silent for long enough by `then` to count as
    /// dead, if none answers before.
    pub(super) fn may_be_dead_by(self, then: Instant) -> bool {
        let more = then.saturating_duration_since(Instant::now());
        self.0.silence_of_name_servers() + more >= DEAD_AFTER
    }

    /// Whether a client of `class` has no name through our own fault: no mail is refused
    /// because our own name servers are dead.  A long silence proves that they are dead only
    /// if a look-up has probed them as well: a flood can make us ask questions that no
    /// server answers.
    pub(super) fn is_our_fault(self, watched: &Watched, class: Class) -> bool {
        class == Class::Unknown
            && watched.lookup().has_reached_no_name_server()
            && self.may_be_dead_by(Instant::now())
    }

    /// Shares that a name server has answered this client, once: the time of the answer
    /// counts.
    pub(super) fn note_answer(self, watched: &mut Watched) {
        if watched.take_answer() {
            self.0.note_answer();
        }
    }
}
