//! The stages of the reserve: which clients are refused, and which part of its delay a
//! client waits, if slots are short.

use std::time::{Duration, Instant};

use super::per_ip::{is_bound_by_reserve, is_limited};
use crate::class::Class;
use crate::connection::client::Client;
use crate::connection::decided::exemptions::{DelayBy, Exemptions};
use crate::connection::decided::load::{Admission, Load};
use crate::connection::decided::verdict::{Judgement, Verdict};
use crate::connection::decided::{Decided, Delay, Wait};
use crate::connection::service::Server;
use crate::connection::stages::Step;
use crate::connection::stages::judge::judge;
use crate::connection::stages::known::is_known_host;
use crate::connection::stages::name_server_health::NameServerHealth;
use crate::connection::stages::watching::watch_until;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::Until;

/// How long the keeper is waited for if a client that it does not know is refused: longer
/// than it waits for others about a client that it knows itself.
const KEEPER_TIME: Duration = Duration::from_millis(200);

/// A client that was refused for the reserve a moment ago, and would be again, is not
/// looked up.  A dry run has refused none, and looks all of them up.
pub(in crate::connection) fn refuse_again(
    server: Server<'_>,
    client: &Client,
    decided: &mut Decided,
) -> Step {
    let exemptions = decided.exemptions();
    if server.options().dry_run
        || exemptions.delay_source != DelayBy::Class
        || !is_bound_by_reserve(server.options(), client, exemptions)
    {
        return Ok(());
    }
    let (limits, load) = (server.acceptor.limits, server.acceptor.limits.load());
    let class = load.is_down_to_reserve().then(|| limits.recently_refused(client.ip())).flatten();
    let dead = NameServerHealth::of(server).may_be_dead_by(Instant::now());
    let Some(class) = class.filter(|class| load.refuses_again(*class, dead)) else {
        return Ok(());
    };
    decided.assume(class);
    server.acceptor.counts.count_class(class);
    Err(Verdict::Refused(Judgement::NoRoom))
}

/// Whether there is room for a client of `class`, and which part of its delay
/// remains.
pub(in crate::connection::stages) fn admission(
    server: Server<'_>,
    watched: &Watched,
    decided: &Decided,
    class: Class,
) -> Admission {
    let exemptions = decided.exemptions();
    let class = match exemptions.delay_source {
        DelayBy::Class => class,
        DelayBy::Trust => Class::Static,
        DelayBy::Rule(_) | DelayBy::Exempt | DelayBy::RejectedUpstream => {
            return Admission::Wait(1.0);
        }
    };
    if !is_bound_by_reserve(server.options(), watched.client(), exemptions) {
        return Admission::Wait(1.0);
    }
    let trusts_unknown = is_known_host(watched, decided, class)
        || NameServerHealth::of(server).is_our_fault(watched, class);
    server.acceptor.limits.load().admit(class, trusts_unknown)
}

/// The same, if that may depend on whether the client is known: a keeper that shares its
/// clients takes a moment longer to say so.
fn admission_of_known(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    class: Class,
) -> Result<Admission, Verdict> {
    let first = admission(server, watched, decided, class);
    let may_be_known = class == Class::Unknown && !watched.lookup().memory().is_settled();
    if first != Admission::Refuse || !may_be_known {
        return Ok(first);
    }
    let until = Instant::now() + KEEPER_TIME;
    watch_until(server, watched, decided, until, Until::Remembered)?;
    Ok(admission(server, watched, decided, class))
}

/// Once the class is known: whether there is room for it, and which part of its
/// delay the load leaves.  In a dry run that goes for all clients: delays shrink to
/// nothing before the reserve is reached, so that it is not taken by waiting ones.
pub(in crate::connection) fn admit(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    class: Class,
    delay: Delay,
) -> Result<Wait, Verdict> {
    let part = match admission_of_known(server, watched, decided, class)? {
        Admission::Refuse => {
            NameServerHealth::of(server).note_answer(watched);
            judge(server, watched, decided, Judgement::NoRoom).inspect_err(|_| {
                server.acceptor.limits.remember_refusal(watched.client().ip(), class);
            })?;
            server.acceptor.limits.load().factor()
        }
        Admission::Wait(part) => part,
    };
    let wait = decided.admit(delay, part);
    watched.apply(decided.early_talk_rule());
    Ok(wait)
}

/// How long a look-up may take if only the reserve is left.
pub(in crate::connection::stages) fn look_up_limit(
    server: Server<'_>,
    watched: &Watched,
    exemptions: &Exemptions,
) -> Option<Duration> {
    let is_limited = is_limited(server.options(), watched.client(), exemptions);
    let load = is_limited.then(|| server.acceptor.limits.load());
    load.and_then(Load::look_up_limit)
}

/// The deadline for answers of name servers.
pub(in crate::connection::stages) fn answers_until(
    server: Server<'_>,
    watched: &Watched,
    exemptions: &Exemptions,
) -> Instant {
    let limit = look_up_limit(server, watched, exemptions).unwrap_or(Duration::MAX);
    watched.client().received + server.options().dns_timeout.min(limit)
}
