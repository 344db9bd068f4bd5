//! The last stage of a client that gets the program.

use std::io;
use std::time::Duration;

use super::known;
use super::refuse::early;
use crate::class::Class;
use crate::connection::acceptor::Counter;
use crate::connection::decided::Decided;
use crate::connection::lookup::lists::Late;
use crate::connection::program::environment::Environment;
use crate::connection::program::run;
use crate::connection::program::variables::{Names, set_variables};
use crate::connection::refusal::{Refusal, Why};
use crate::connection::service::Server;
use crate::connection::stages::limits::place::SessionPlace;
use crate::connection::stages::lists::log_failed;
use crate::connection::stages::tell::{View, tell};
use crate::connection::watched::Watched;
use crate::error::TROUBLE;
use crate::rules::Match;

/// Why a client gets the program.
#[derive(Clone, Copy)]
pub(in crate::connection) enum Passed {
    /// It has waited out its delay; its name took so long, if it was asked for.
    Waited { dns_time: Option<Duration> },
    /// It talked early, and the program is going to refuse it.
    Talked,
}

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
    let environment = environment(view, passed, waited);
    if let Passed::Waited { .. } = passed {
        log_failed(server, watched, decided, Late::HasFailed);
    }
    let announce = |pid| {
        if let Passed::Waited { dns_time } = passed {
            let times = (dns_time, known::last_pass(watched, decided));
            server.log().pass(&view.subject(waited), times, pid);
            known::tell_pass(server, watched, decided);
        }
    };
    // As in tcpserver, whether the program can be run or not.
    server.log().tcpserver_decision("ok", &view.ends());
    match run(&server.service.program, client, &environment, server.acceptor, &announce) {
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

/// What is known about the connection, then what a rule says about it, then the
/// result.
fn environment(view: View<'_>, passed: Passed, waited: Duration) -> Environment {
    let View { server, watched, decided } = view;
    let mut environment = server.service.environment.clone();
    let lookup = watched.lookup();
    let local_host = lookup.local_name_so_far();
    let names = Names { local_host, remote_host: view.host(), info: lookup.info() };
    set_variables(&mut environment, watched.client(), &names);
    for (name, value) in decided.rule().map(Match::rule).unwrap_or_default().variables {
        environment.set_by_rule(name, value);
    }
    if !server.options().as_tcpserver {
        let class = decided.class().unwrap_or(Class::NotLookedUp);
        environment.set("SMTPDELAY_CLASS", Some(class.to_string()));
        environment.set("SMTPDELAY_WAITED", Some(format!("{:.2}", waited.as_secs_f64())));
    }
    if let Passed::Talked = passed {
        environment.set("RBLSMTPD", Some(early::refusal(view).rblsmtpd()));
    }
    environment
}

fn learn_local_name(server: Server<'_>, watched: &Watched) {
    if let Some(name) = watched.lookup().local_name() {
        server.acceptor.findings.learn_local_name(watched.client().local.ip(), name);
    }
}
