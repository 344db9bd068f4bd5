//! The stages of DNS lists: which clients they are asked about, and what follows.

use std::time::Instant;

use super::Step;
use super::judge::judge;
use super::limits::reserve::{admission, answers_until};
use super::watching::watch_until;
use crate::class::Class;
use crate::connection::client::Client;
use crate::connection::decided::exemptions::{Exemptions, delay};
use crate::connection::decided::load::Admission;
use crate::connection::decided::verdict::{Judgement, Verdict};
use crate::connection::decided::{Decided, Wait};
use crate::connection::lookup::lists::Late;
use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::Until;
use crate::dns::list::WantedLists;
use crate::options::Options;

/// Lists are not asked about clients that are known to be exempt, nor about those
/// of trusted networks.
pub(super) fn wanted(options: &Options, client: &Client, exemptions: &Exemptions) -> WantedLists {
    if exemptions.lists && !options.trusts(client.ip()) {
        options.lists.clone()
    } else {
        WantedLists::default()
    }
}

/// An allowlist makes a client `static` whatever its name.  The answer is awaited
/// only if the delay depends on it, and no longer than that delay.
pub(super) fn apply_allowlists(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    class: Class,
) -> Result<Class, Verdict> {
    if !decided.exemptions().lists {
        return Ok(class);
    }
    if decided.needs_allowlists(class) && watched.lookup().lists().allowed().is_none() {
        let until = worth_waiting_until(server, watched, decided, class);
        let enough = server.options().dnsbl_threshold;
        watch_until(server, watched, decided, until, Until::Allowed(enough))?;
        apply(server, watched, decided)?;
    }
    let allowed = watched.lookup().lists().allowed() == Some(true);
    let changes = allowed && class != Class::NotLookedUp;
    Ok(if changes { Class::Static } else { class })
}

fn worth_waiting_until(
    server: Server<'_>,
    watched: &Watched,
    decided: &Decided,
    class: Class,
) -> Instant {
    let exemptions = decided.exemptions();
    let delay = delay(class, exemptions.delay_source, &server.options().delays);
    let answers_until = answers_until(server, watched, exemptions);
    match admission(server, watched, decided, class) {
        Admission::Wait(part) => answers_until.min(watched.client().accepted + delay.mul_f64(part)),
        Admission::Refuse => answers_until,
    }
}

/// What lists say by now, once the rules have decided whether they apply.
pub(in crate::connection) fn apply(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Step {
    let enough = server.options().dnsbl_threshold;
    let is_listed = decided.exemptions().lists && watched.lookup().lists().score() >= enough;
    // A dry run tells it once.
    if !is_listed || decided.would_refuse().contains(&Judgement::Listed) {
        return Ok(());
    }
    judge(server, watched, decided, Judgement::Listed)
        .inspect_err(|_| find_reason(server, watched, decided))
}

/// Waits as long as the client has to wait anyway; for a client without a delay, as
/// long as a look-up may take.
pub(super) fn wait(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    wait: Wait,
) -> Step {
    if decided.exemptions().lists && !watched.lookup().lists().know_score() {
        let options = server.options();
        let client = watched.client();
        let deadline = client.received + options.dns_timeout;
        let waits = wait.until(client.accepted);
        let until = if wait.is_zero() { deadline } else { waits.min(deadline) };
        watch_until(server, watched, decided, until, Until::Score(options.dnsbl_threshold))?;
    }
    apply(server, watched, decided)
}

fn find_reason(server: Server<'_>, watched: &mut Watched, decided: &mut Decided) {
    let deadline = answers_until(server, watched, decided.exemptions());
    watched.ask_reason(deadline.max(Instant::now()));
    let _ = watch_until(server, watched, decided, deadline, Until::Reason);
}

/// From all names at once: the first must not hide the others.
pub(super) fn log_failed(server: Server<'_>, watched: &Watched, decided: &Decided, late: Late) {
    let needed = decided.class().is_some_and(|class| decided.needs_allowlists(class));
    let good = if needed { late } else { Late::MayYetAnswer };
    let mut failed = watched.lookup().lists().failed(late, good).peekable();
    let may_log = || server.acceptor.findings.may_log_lists();
    if decided.exemptions().lists && failed.peek().is_some() && may_log() {
        let peer = watched.client().peer;
        for (zone, why) in failed {
            server.log().warning_about(peer, format_args!("list {zone} failed: {why}"));
        }
    }
}
