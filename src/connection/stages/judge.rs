//! The refusals that are a matter of judgement: for early talk, DNS lists, and limits on
//! clients.  All of them pass through [`judge`], which `--dry-run` keeps from refusing.

use super::known;
use super::tell::{View, log_refusal};
use crate::connection::decided::Decided;
use crate::connection::decided::verdict::{Judgement, Verdict};
use crate::connection::service::Server;
use crate::connection::stages::Step;
use crate::connection::watched::Watched;
use crate::known::asking::message::Why;
use crate::log::Action;

/// Refuses the client.  With `--dry-run` it goes on: the refusal is told and counted, and
/// the client is forgotten as if it had been refused.
///
/// # Errors
/// The refusal, if it is to be carried out.
pub(in crate::connection) fn judge(
    server: Server<'_>,
    watched: &Watched,
    decided: &mut Decided,
    judgement: Judgement,
) -> Step {
    if !server.options().dry_run {
        return Err(Verdict::Refused(judgement));
    }
    let view = View { server, watched, decided };
    log_refusal(view, judgement, view.waited(), Action::WouldRefuse);
    if decided.would_refuse().is_empty() {
        server.acceptor.counts.count_would_refuse();
    }
    decided.note_would_refuse(judgement);
    match judgement {
        Judgement::Early => known::forget(server, watched, Why::Early),
        Judgement::Listed => known::forget(server, watched, Why::Listed),
        Judgement::TooMany { .. } | Judgement::NoRoom => (),
    }
    Ok(())
}
