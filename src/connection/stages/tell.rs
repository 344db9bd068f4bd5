//! Logs and counts a verdict, and closes connections with a reply.

use std::time::Duration;

use crate::connection::acceptor::Counter;
use crate::connection::client::closing::drop_with;
use crate::connection::decided::Decided;
use crate::connection::decided::verdict::Judgement;
use crate::connection::refusal::{Refusal, our_name};
use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::log::{Action, Ends, Log, Subject};

/// A connection as log lines and replies describe it.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) server: Server<'a>,
    pub(super) watched: &'a Watched,
    pub(super) decided: &'a Decided,
}

impl<'a> View<'a> {
    /// The client's name: of several the one that a rule matched, else the first.
    pub(super) fn host(self) -> Option<&'a str> {
        self.watched.lookup().name()?.all().get(self.decided.host()).map(String::as_str)
    }

    /// What lines say about the client, which waited for so long.
    pub(super) fn subject(self, waited: Duration) -> Subject<'a> {
        Subject {
            peer: self.watched.client().peer,
            via: self.watched.client().via(),
            host: self.host(),
            class: self.decided.class(),
            delay: self.decided.delay(),
            shrunk: self.decided.shrunk(),
            waited,
        }
    }

    /// The same for a client that has waited until now.
    pub(super) fn subject_now(self) -> Subject<'a> {
        self.subject(self.waited())
    }

    /// How long the client has waited by now.
    pub(super) fn waited(self) -> Duration {
        self.watched.client().waited()
    }

    /// What tcpserver's lines say.
    pub(super) fn ends(self) -> Ends<'a> {
        let (client, lookup) = (self.watched.client(), self.watched.lookup());
        Ends {
            local: client.local,
            local_name: self.local_name(),
            remote: client.peer,
            remote_name: self.host(),
            info: lookup.info(),
        }
    }

    /// The name in our replies.
    pub(super) fn our_name(self) -> String {
        let host_name = self.server.service.host_name.as_deref();
        our_name(self.local_name(), host_name, self.watched.client().local.ip())
    }

    /// The name of our end of the connection: that of `-l`, or what was looked up by now.
    pub(super) fn local_name(self) -> Option<&'a str> {
        let given = self.server.service.options.local_name.as_deref();
        given.or_else(|| self.watched.lookup().local_name_so_far())
    }

    /// Ends the connection with one line, unless that is left to the program.
    pub(super) fn close(self, refusal: &Refusal) {
        self.server.acceptor.counts.note_refusal();
        if self.server.options().speaks {
            let under_pressure = self.server.acceptor.limits.is_under_pressure();
            drop_with(self.watched.client(), &refusal.closing_line(), under_pressure);
        }
    }
}

/// Writes the line of the client's verdict and counts it, with nothing between: of a
/// client whose child is killed before that the supervisor does both.
pub(super) fn tell(server: Server<'_>, counter: impl Into<Counter>, write: impl FnOnce(&Log)) {
    write(server.log());
    server.acceptor.counts.count_verdict(counter.into());
}

/// The line about early talk, if there was any.
pub(super) fn log_early(view: View<'_>, action: Action<'_>) {
    if let Some(early) = view.watched.early() {
        view.server.log().early(&view.subject(early.at), &early.said, action);
    }
}

/// The line of a refusal, carried out or not, of a client that has waited for so long.
pub(super) fn log_refusal(
    view: View<'_>,
    judgement: Judgement,
    waited: Duration,
    action: Action<'_>,
) {
    let (log, subject) = (view.server.log(), view.subject(waited));
    match judgement {
        Judgement::Early => log_early(view, action),
        Judgement::Listed => {
            let lists = view.watched.lookup().lists();
            log.listed(&subject, &lists.zones(), lists.score(), action);
        }
        Judgement::TooMany { held } => log.limit(&subject, "per-ip", held, action),
        Judgement::NoRoom => {
            let others = view.server.acceptor.limits.load().others;
            log.limit(&subject, "reserve", others, action);
        }
    }
}
