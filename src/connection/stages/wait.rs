//! The stage of the delay.

use super::name_server_health::NameServerHealth;
use super::watching::{look_once, watch_until};
use super::{Step, known, lists};
use crate::connection::decided::verdict::Verdict;
use crate::connection::decided::{Decided, Wait};
use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::Until;

/// Waits for as long as was decided, and for lists.
pub(in crate::connection) fn wait(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    whole: Wait,
) -> Step {
    let wait = known::shorten(server, watched, decided, whole);
    if !wait.is_zero() {
        server.acceptor.process.begin_wait();
    }
    wait_for_late_answer(server, watched, decided, wait)?;
    // Lists apply to known clients as well.
    lists::wait(server, watched, decided, whole)?;
    let wait = wait_for_keeper(server, watched, decided, wait)?;
    let client = watched.client();
    let (deadline, until) = if wait.is_zero() {
        // Our own name may still be missing.
        (client.received + server.options().dns_timeout, Until::Names)
    } else {
        (wait.until(client.accepted), Until::Time)
    };
    watch_until(server, watched, decided, deadline, until)?;
    // A client that waits no longer has not been looked at since the look-up.
    if decided.is_shortened() { look_once(server, watched, decided) } else { Ok(()) }
}

/// Waits for the keeper's answer, no longer than for the delay.
fn wait_for_keeper(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    mut wait: Wait,
) -> Result<Wait, Verdict> {
    if known::counts(decided) && !watched.lookup().memory().is_settled() {
        let until = wait.until(watched.client().accepted);
        watch_until(server, watched, decided, until, Until::Remembered)?;
        wait = known::shorten(server, watched, decided, wait);
    }
    known::log_failure(server, watched);
    Ok(wait)
}

/// A client that is trusted because no name server answered waits like any other; a
/// late answer is noted at once, so that the next clients are not trusted.
fn wait_for_late_answer(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    wait: Wait,
) -> Step {
    if watched.lookup().has_reached_no_name_server() {
        let client = watched.client();
        let deadline = client.received + server.options().dns_timeout;
        let deadline = deadline.min(wait.until(client.accepted));
        watch_until(server, watched, decided, deadline, Until::Answer)?;
    }
    NameServerHealth::of(server).note_answer(watched);
    Ok(())
}
