//! The stages of an early talker: it is refused, or the program is told to refuse it.

use super::hold::{Held, hold};
use crate::connection::decided::Decided;
use crate::connection::decided::load::refuse_by;
use crate::connection::decided::verdict::{Judgement, Verdict};
use crate::connection::lookup::lists::Late;
use crate::connection::refusal::talk::talk;
use crate::connection::refusal::{Refusal, Why};
use crate::connection::service::Server;
use crate::connection::stages::known;
use crate::connection::stages::lists::log_failed;
use crate::connection::stages::tell::{View, log_early, tell};
use crate::connection::watched::Watched;
use crate::known::asking::message::Why as Forgotten;
use crate::log::Action;
use crate::options::RefuseBy;

/// Notes an early talker that the program is going to refuse, and holds it.
///
/// # Errors
/// It has left meanwhile.
pub(in crate::connection) fn leave_to_program(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &Decided,
) -> Result<(), Verdict> {
    log_failed(server, watched, decided, Late::MayYetAnswer);
    known::forget(server, watched, Forgotten::Early);
    let view = View { server, watched, decided };
    tell(server, Verdict::EarlyToProgram, |_| log_early(view, Action::Rblsmtpd));
    if hold(server, watched) == Held::Gone {
        return Err(Verdict::LeftWhileHeld);
    }
    watched.stop_watching();
    Ok(())
}

/// Holds an early talker and refuses it.
pub(in crate::connection::stages) fn refuse(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &Decided,
) {
    let (options, verdict) = (server.options(), Verdict::Refused(Judgement::Early));
    known::forget(server, watched, Forgotten::Early);
    let refusal = refusal(View { server, watched, decided });
    server.acceptor.counts.note_refusal();
    match refuse_by(options.refuse, server.acceptor.limits.is_under_pressure()) {
        RefuseBy::Drop => {
            let view = View { server, watched, decided };
            tell(server, verdict, |_| log_early(view, Action::Refuse));
            hold(server, watched);
            View { server, watched, decided }.close(&refusal);
        }
        RefuseBy::Talk => {
            hold(server, watched);
            let view = View { server, watched, decided };
            let said = talk(watched.client(), &view.our_name(), &refusal);
            tell(server, verdict, |_| log_early(view, Action::Talk(&said)));
        }
    }
}

/// The reply to an early talker, or the value of `RBLSMTPD`.
pub(in crate::connection::stages) fn refusal(view: View<'_>) -> Refusal {
    let options = view.server.options();
    let words = options.text_early.as_deref();
    let refusal = Refusal::temporary(Why::EarlyTalk, words, &view.our_name());
    refusal.permanently_if(options.refuse_permanent)
}
