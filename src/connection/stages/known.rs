//! Known clients: which ones the keeper is asked about, how much shorter a known client
//! waits, and what the keeper is told afterwards.

use std::time::Duration;

use nix::unistd::{Pid, getpid};

use crate::class::Class;
use crate::connection::client::Origin;
use crate::connection::decided::exemptions::{DelayBy, EarlyTalkRule};
use crate::connection::decided::{Decided, Wait};
use crate::connection::lookup::memory::Memory;
use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::known::asking::Outcome;
use crate::known::asking::message::{Request, Why};
use crate::known::key::Key;
use crate::known::record::{Record, Time};
use crate::known::rules::{KnownDelays, Pass, Waited};

/// How long a keeper that has answered is waited for if it has no room for what it is
/// told, as long as the client waits as well.
const PATIENCE: Duration = Duration::from_millis(20);
/// The same once the client has its program: in a burst the keeper, whose queue takes ten
/// messages, gets its turn after all those that tell it something.
const PATIENCE_AFTERWARDS: Duration = Duration::from_secs(1);

/// Asks about a client that waits for the delay of its class, and that is looked up
/// for it: nothing else of it depends on the memory.
pub(super) fn ask(server: Server<'_>, watched: &mut Watched, decided: &Decided) {
    let Some(asker) = &server.service.known else { return };
    let is_classified = watched.client().host.is_some() || server.options().look_up;
    if is_classified && may_be_remembered(server, watched, decided) {
        watched.ask_keeper(asker);
    }
}

fn may_be_remembered(server: Server<'_>, watched: &Watched, decided: &Decided) -> bool {
    counts(decided)
        && decided.early_talk_rule() != EarlyTalkRule::Never
        && watched.client().origin != Origin::Check
        && !server.options().trusts(watched.client().ip())
}

/// Whether the delay depends on being known.
pub(super) fn counts(decided: &Decided) -> bool {
    decided.exemptions().delay_source == DelayBy::Class
}

/// What is remembered of the client, if that counts.
fn record(watched: &Watched, decided: &Decided) -> Option<Record> {
    watched.lookup().memory().record().filter(|_| counts(decided))
}

/// Shortens the wait of a client that is known.
pub(super) fn shorten(
    server: Server<'_>,
    watched: &Watched,
    decided: &mut Decided,
    wait: Wait,
) -> Wait {
    let (Some(class), Some(record)) = (decided.class(), record(watched, decided)) else {
        return wait;
    };
    let options = server.options();
    let delays = KnownDelays { known: options.delay_known, of_static: options.delays.of_static };
    decided.shorten(wait, delays.wait(wait.time(), class, record.class))
}

/// Logs that the keeper has not answered, once the client does not wait for it any more.
pub(super) fn log_failure(server: Server<'_>, watched: &Watched) {
    let failure = watched.lookup().memory().failure();
    if let Some(why) = failure.filter(|_| server.acceptor.findings.may_log_keeper()) {
        server.log().warning(format_args!(
            "unable to ask the keeper of known clients: {why}: every client counts as new"
        ));
    }
}

/// Tells the keeper of a client that is handed over to the process `pid`, which may be this
/// one.  A client that passes only because this is a dry run is not remembered, and one that
/// was rejected upstream (`RBLSMTPD`), which the program refuses, is forgotten.
pub(super) fn tell_pass(server: Server<'_>, watched: &Watched, decided: &Decided, pid: Pid) {
    if decided.is_rejected_upstream() {
        return forget(server, watched, Why::Listed);
    }
    let (Some(asker), Some(class)) = (&server.service.known, decided.class()) else { return };
    if !may_be_remembered(server, watched, decided) || !decided.would_refuse().is_empty() {
        return;
    }
    if let Some(pass) = Pass::of(class, way_of_waiting(watched, decided)) {
        let usual = if pid == getpid() { PATIENCE } else { PATIENCE_AFTERWARDS };
        let _ = asker.tell(Request::Tell(key(watched), pass), patience(watched, usual));
    }
}

fn way_of_waiting(watched: &Watched, decided: &Decided) -> Waited {
    match decided.delay() {
        _ if watched.early().is_some() || decided.shrunk().is_some() => Waited::Otherwise,
        _ if decided.is_shortened() => Waited::Shortened,
        Some(delay) if !delay.is_zero() => Waited::InFull,
        _ => Waited::Otherwise,
    }
}

/// Makes the keeper forget a client, unless it has said that it does not know it.
pub(super) fn forget(server: Server<'_>, watched: &Watched, why: Why) {
    let Some(asker) = &server.service.known else { return };
    if !matches!(watched.lookup().memory(), Memory::Settled(Outcome::NotKnown)) {
        let _ = asker.tell(Request::Forget(key(watched), why), patience(watched, PATIENCE));
    }
}

fn key(watched: &Watched) -> Key {
    Key::of(watched.client().ip())
}

/// `usual`; a keeper that has not answered is not waited for.
fn patience(watched: &Watched, usual: Duration) -> Duration {
    match watched.lookup().memory() {
        Memory::Settled(Outcome::Unanswered(_)) | Memory::Asked(_) | Memory::NotAsked => {
            Duration::ZERO
        }
        Memory::Settled(_) => usual,
    }
}

/// How long ago the client passed last, if it is known.
pub(super) fn last_pass(watched: &Watched, decided: &Decided) -> Option<Duration> {
    record(watched, decided).map(|record| record.last.until(Time::now()))
}

/// Whether a client of the class `unknown` is a known one, which is not refused
/// because our name servers are dead.
pub(super) fn is_known_host(watched: &Watched, decided: &Decided, class: Class) -> bool {
    class == Class::Unknown && record(watched, decided).is_some()
}
