//! Watching a client, which goes on through the stages, and what follows from what it
//! does.

use std::time::Instant;

use super::judge::judge;
use super::tell::{View, log_early};
use super::{Step, known};
use crate::connection::decided::Decided;
use crate::connection::decided::verdict::Judgement;
use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::connection::watched::watch::{Seen, Until};
use crate::known::asking::message::Why;
use crate::log::Action;
use crate::options::EarlyTalk;

/// Watches the client until `deadline`, or until `until` is reached.
pub(in crate::connection) fn watch_until(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    deadline: Instant,
    until: Until,
) -> Step {
    loop {
        let seen = watched.watch(deadline, until);
        act_on(server, watched, decided, seen)?;
        if matches!(seen, Seen::Elapsed | Seen::Known) {
            return Ok(());
        }
    }
}

/// A client that has left by now costs no look-up.
pub(in crate::connection) fn look_once(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Step {
    watched.look().map_or(Ok(()), |seen| act_on(server, watched, decided, seen))
}

pub(super) fn act_on(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    seen: Seen,
) -> Step {
    let early_talk = server.options().early_talk();
    match watched.react(seen, decided.early_talk_rule(), early_talk)? {
        Some(_) => note_early(server, watched, decided),
        None => Ok(()),
    }
}

/// Bytes that came before the class was known are early talk only if the class has a
/// delay.
pub(in crate::connection) fn settle_talk(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Step {
    let early_talk = server.options().early_talk();
    match watched.settle_talk(decided.early_talk_rule(), early_talk)? {
        Some(_) => note_early(server, watched, decided),
        None => Ok(()),
    }
}

/// The client goes on, and is new when it comes next: with `--early log`, and in a dry run,
/// which says whether it would have been refused.
fn note_early(server: Server<'_>, watched: &Watched, decided: &mut Decided) -> Step {
    if server.options().early != EarlyTalk::Log {
        return judge(server, watched, decided, Judgement::Early);
    }
    log_early(View { server, watched, decided }, Action::Log);
    known::forget(server, watched, Why::Early);
    Ok(())
}
