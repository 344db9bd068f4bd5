//! The last stage of a client that does not get the program: the line of its verdict,
//! and its reply.

pub(in crate::connection) mod early;
mod hold;

use super::known;
use crate::connection::decided::Decided;
use crate::connection::decided::load::refuse_by;
use crate::connection::decided::verdict::{Judgement, Verdict};
use crate::connection::lookup::lists::Late;
use crate::connection::refusal::talk::talk;
use crate::connection::refusal::{Refusal, Why};
use crate::connection::service::Server;
use crate::connection::stages::lists::log_failed;
use crate::connection::stages::tell::{View, log_refusal, tell};
use crate::connection::watched::Watched;
use crate::error::{TROUBLE, USAGE};
use crate::known::asking::message::Why as Forgotten;
use crate::log::{Action, Log};
use crate::options::RefuseBy;

/// Does what `verdict` says; returns the exit code that tcpserver's child would
/// have had.
pub(in crate::connection) fn refuse(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &Decided,
    verdict: Verdict,
) -> u8 {
    log_failed(server, watched, decided, Late::MayYetAnswer);
    let view = View { server, watched, decided };
    match verdict {
        // These were logged before they were held.
        Verdict::EarlyToProgram | Verdict::LeftWhileHeld => (),
        Verdict::Refused(judgement) => refuse_judged(server, watched, decided, judgement),
        Verdict::HangUp => note_hangup(view),
        Verdict::NoPlace => refuse_for_lack_of_a_place(view),
        Verdict::Denied => deny(view),
        Verdict::Dropped => drop_for_lack_of_rules(view),
    }
    match verdict {
        Verdict::Denied => USAGE,
        Verdict::Dropped => TROUBLE,
        _ => 0,
    }
}

fn refuse_judged(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &Decided,
    judgement: Judgement,
) {
    let view = View { server, watched, decided };
    let write = |_: &Log| log_refusal(view, judgement, view.waited(), Action::Refuse);
    match judgement {
        Judgement::Early => early::refuse(server, watched, decided),
        Judgement::Listed => refuse_listed(view),
        Judgement::TooMany { .. } | Judgement::NoRoom => {
            refuse_over_limit(view, Verdict::Refused(judgement), write);
        }
    }
}

/// `--quiet-nets`: monitors connect and leave all day.
fn note_hangup(view: View<'_>) {
    tell(view.server, Verdict::HangUp, |log| {
        if !view.server.options().is_quiet(view.watched.client().ip()) {
            log.hangup(&view.subject_now());
        }
    });
}

fn deny(view: View<'_>) {
    let key = view.decided.rule().map(|rule| rule.key.as_slice()).unwrap_or_default();
    tell(view.server, Verdict::Denied, |log| log.deny(&view.subject_now(), key));
    view.server.log().tcpserver_decision("deny", &view.ends());
}

fn drop_for_lack_of_rules(view: View<'_>) {
    tell(view.server, Verdict::Dropped, |log| {
        if let (Some(why), Some(file)) = (view.decided.unreadable(), &view.server.options().cdb) {
            let peer = view.watched.client().peer;
            log.dropping(Some(peer), format_args!("read {}", file.display()), why);
        }
    });
}

fn refuse_for_lack_of_a_place(view: View<'_>) {
    let sessions = view.server.acceptor.places.sessions();
    refuse_over_limit(view, Verdict::NoPlace, |log| {
        log.limit(&view.subject_now(), "max-prog", sessions, Action::Refuse);
    });
}

fn refuse_over_limit(view: View<'_>, verdict: Verdict, write: impl FnOnce(&Log)) {
    tell(view.server, verdict, write);
    let options = view.server.options();
    let (why, words) = match verdict {
        Verdict::Refused(Judgement::TooMany { .. }) => (Why::TooMany, &options.text_limit),
        _ => (Why::AllBusy, &options.text_reserve),
    };
    view.close(&Refusal::temporary(why, words.as_deref(), &view.our_name()));
}

fn refuse_listed(view: View<'_>) {
    let View { server, watched, .. } = view;
    known::forget(server, watched, Forgotten::Listed);
    let (verdict, waited) = (Verdict::Refused(Judgement::Listed), view.waited());
    let write = |action| log_refusal(view, Judgement::Listed, waited, action);
    let refusal = listed(view);
    server.acceptor.counts.note_refusal();
    match refuse_by(server.options().refuse, server.acceptor.limits.is_under_pressure()) {
        RefuseBy::Drop => {
            tell(server, verdict, |_| write(Action::Refuse));
            view.close(&refusal);
        }
        RefuseBy::Talk => {
            let said = talk(watched.client(), &view.our_name(), &refusal);
            tell(server, verdict, |_| write(Action::Talk(&said)));
        }
    }
}

/// The reply to a listed client: the text of the list, if it has one.
fn listed(view: View<'_>) -> Refusal {
    let lists = view.watched.lookup().lists();
    let our_name = view.our_name();
    let zone = || lists.first().map(|list| list.zone.as_str()).unwrap_or_default();
    let words = lists.reason().map_or_else(
        || format!("4.7.1 {our_name} your address is listed by {}", zone()),
        |reason| format!("4.7.1 {reason}"),
    );
    let refusal = Refusal::temporary(Why::Listed, Some(&words), &our_name);
    refusal.permanently_if(view.server.options().refuse_permanent)
}
