//! The last stage of a client that gets the program.

mod inherited;

use std::io;

use super::known;
use super::proxy::log_check;
use crate::connection::acceptor::Counter;
use crate::connection::client::Origin;
use crate::connection::decided::Decided;
use crate::connection::decided::verdict::Passed;
use crate::connection::lookup::lists::Late;
use crate::connection::refusal::{Refusal, Why};
use crate::connection::service::Server;
use crate::connection::stages::limits::place::SessionPlace;
use crate::connection::stages::lists::log_failed;
use crate::connection::stages::tell::{View, tell};
use crate::connection::watched::Watched;
use crate::error::TROUBLE;
use inherited::run;

/// Has the program run for the client; returns the exit code that tcpserver's child
/// would have had.
pub(in crate::connection) fn hand_over(
    server: Server<'_>,
    watched: &Watched,
    decided: &Decided,
    passed: Passed,
    place: SessionPlace<'_>,
) -> u8 {
    let view = View { server, watched, decided };
    let client = watched.client();
    learn_local_name(server, watched);
    let waited = client.waited();
    if let Passed::Waited { .. } = passed {
        log_failed(server, watched, decided, Late::HasFailed);
    }
    let announce = |pid| {
        if client.origin == Origin::Check {
            log_check(server, client);
        } else if let Passed::Waited { dns_time } = passed {
            let times = (dns_time, known::last_pass(watched, decided));
            server.log().pass(&view.subject(waited), times, pid);
            known::tell_pass(server, watched, decided, pid);
        }
    };
    // As in tcpserver, whether the program can be run or not.
    server.log().tcpserver_decision("ok", &view.ends());
    match run(view, passed, waited, &announce) {
        Ok(()) => {
            place.transfer();
            0
        }
        Err(why) => {
            drop(place);
            refuse(view, &why);
            TROUBLE
        }
    }
}

/// The program cannot be run.
fn refuse(view: View<'_>, why: &io::Error) {
    let server = view.server;
    let (program, peer) = (server.service.program.name(), view.watched.client().peer);
    if server.options().as_tcpserver {
        tell(server, Counter::Error, |log| {
            log.dropping(Some(peer), format_args!("run {program}"), why);
        });
    } else {
        tell(server, Counter::Error, |log| {
            log.error_about(peer, format_args!("unable to run {program}: {why}"));
        });
        view.close(&Refusal::temporary(Why::NoProgram, None, &view.our_name()));
    }
}

fn learn_local_name(server: Server<'_>, watched: &Watched) {
    if let Some(name) = watched.lookup().local_name() {
        server.acceptor.findings.learn_local_name(watched.client().local.ip(), name);
    }
}
