//! The stage of the look-up: what is asked about a client, and for how long.

use std::io;
use std::time::{Duration, Instant};

use super::{Step, known, lists};
use crate::connection::client::{Client, Origin};
use crate::connection::decided::Decided;
use crate::connection::decided::verdict::Verdict;
use crate::connection::lookup::ident::Ident;
use crate::connection::lookup::wanted::Wanted;
use crate::connection::lookup::{HostName, Lookup};
use crate::connection::service::Server;
use crate::connection::stages::arrive::known_local_name;
use crate::connection::stages::limits::per_ip::is_bound_by_reserve;
use crate::connection::stages::limits::reserve::look_up_limit;
use crate::connection::stages::name_server_health::NameServerHealth;
use crate::connection::stages::watching::act_on;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::{Seen, Until};
use crate::error::Reason;
use crate::options::{EarlyTalk, Options};

/// How long the look-up goes on for a client that has talked, if its class decides
/// whether that counts.
const GRACE: Duration = Duration::from_secs(1);
/// How long before its end a look-up without any answer probes the name servers.
const PROBE_TIME: Duration = Duration::from_secs(1);

/// Looks up all that is wanted about the client, while it is watched; how long its name
/// took, if it was asked for.
pub(in crate::connection) fn look_up(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Result<Option<Duration>, Verdict> {
    let name = name_without_asking(server.options(), watched.client(), decided);
    let asked = name.is_none();
    let limit = if asked { look_up_limit(server, watched, decided.exemptions()) } else { None };
    start(server, watched, decided, name);
    let limit = limit.unwrap_or(Duration::MAX);
    let answered = wait_for_names(server, watched, decided, asked, limit);
    log_shortage(server, watched.lookup());
    answered?;
    NameServerHealth::of(server).note_answer(watched);
    Ok(asked.then(|| watched.client().received.elapsed()))
}

fn wait_for_names(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    asked: bool,
    limit: Duration,
) -> Step {
    let options = server.options();
    let ident_time = if options.ident { options.ident_timeout } else { Duration::ZERO };
    let received = watched.client().received;
    let deadline = received + options.dns_timeout.max(ident_time).min(limit);
    let answers_until = received + options.dns_timeout.min(limit);
    let probe_time = answers_until.checked_sub(PROBE_TIME).unwrap_or(received);
    let mut to_probe = asked.then_some(probe_time);
    // tcpserver's log shows our own name when a client is denied.
    let wanted = if options.as_tcpserver { Until::Names } else { Until::Client };
    while !wanted.is_reached(watched.lookup()) {
        let until = end_of_grace(options, watched).map_or(deadline, |end| end.min(deadline));
        let pause = to_probe.filter(|at| *at < until);
        let seen = watched.watch(pause.unwrap_or(until), wanted);
        act_on(server, watched, decided, seen)?;
        if seen == Seen::Elapsed && pause.is_some() {
            to_probe = None;
            probe(server, watched, decided, deadline);
        } else if seen == Seen::Elapsed {
            watched.give_up();
        }
    }
    Ok(())
}

/// Probes the name servers, if that may matter to the look-up, which ends at `end`.
fn probe(server: Server<'_>, watched: &mut Watched, decided: &Decided, end: Instant) {
    let matters = is_bound_by_reserve(server.options(), watched.client(), decided.exemptions());
    let health = NameServerHealth::of(server);
    if matters && !watched.lookup().has_heard() && health.may_be_dead_by(end) {
        watched.probe_name_servers();
    }
}

/// Without sockets every client is `unknown`, through no fault of a name server.
fn log_shortage(server: Server<'_>, lookup: &Lookup) {
    let why = lookup.shortage().filter(|_| server.acceptor.findings.may_log_shortage());
    if let Some(why) = why.map(io::Error::from) {
        let why = Reason(&why);
        server.log().error(format_args!("unable to make a socket for look-ups: {why}"));
    }
}

/// The deadline of the look-up for a client that has talked.  Talk that is only logged
/// changes nothing.
fn end_of_grace(options: &Options, watched: &Watched) -> Option<Instant> {
    let talked = watched.open_talk().filter(|_| options.early_talk() != EarlyTalk::Log);
    talked.map(|at| at + GRACE)
}

/// The client's name is asked for unless it is known.
fn start(server: Server<'_>, watched: &mut Watched, decided: &Decided, name: Option<HostName>) {
    let (options, client) = (server.options(), watched.client());
    let is_rejected = decided.is_rejected_upstream();
    let known = known_local_name(server, client);
    let wanted = Wanted {
        ip: client.ip(),
        name,
        paranoid: options.paranoid,
        local: (known.is_none() && !is_rejected).then_some(client.local.ip()),
        local_name: known.flatten(),
        raw_names: options.as_tcpserver,
        ident: ident(options, client).filter(|_| !is_rejected),
        lists: lists::wanted(options, client, decided.exemptions()),
    };
    let servers =
        wanted.needs_name_servers().then(|| server.service.resolvers.borrow_mut().servers());
    let deadline = client.received + options.dns_timeout;
    watched.look_up(Lookup::start(wanted, servers, Instant::now(), deadline));
    known::ask(server, watched, decided);
}

/// The client's name, or that it does not matter; `None` if a name server has to be
/// asked.
fn name_without_asking(options: &Options, client: &Client, decided: &Decided) -> Option<HostName> {
    let is_check = client.origin == Origin::Check;
    let is_skipped = decided.is_rejected_upstream() || is_check || !options.look_up;
    client.host.clone().or_else(|| is_skipped.then_some(HostName::NotAsked))
}

fn ident(options: &Options, client: &Client) -> Option<Ident> {
    let deadline = client.received + options.ident_timeout;
    let ask = || Ident::ask(client.peer, client.local, deadline).ok();
    // A proxy's ident server knows nothing of its clients.
    let is_asked = options.ident && client.origin == Origin::Direct;
    is_asked.then(ask).flatten()
}
