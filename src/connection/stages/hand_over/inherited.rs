//! What the program inherits, in the daemon and in the link: [`run`] and
//! [`become_program`] put it together, a line for each part.
//!
//! These parts are the same for all clients, and are settled before the first one:
//! - arguments, and where the program is searched: `Program::new`, from the command line
//!   and `$PATH`;
//! - user and groups: `Identity::assume` in `daemon/process/privileges.rs`, before the pool
//!   is forked (the link has those of its server);
//! - the signal mask: a child of the pool blocks no signal (`daemon/child/mod.rs`);
//! - descriptor 2: as at the start, but for a daemon in the background that logs to syslog,
//!   whose relay reads it (`daemon/relay/standard_error.rs`);
//! - descriptors from 3 on: those that were open at the start, since whatever we open is
//!   closed by execve(2) (`O_CLOEXEC`);
//! - session, working directory, umask, limits and niceness: as at the start, except that
//!   `--daemon` begins a session (`daemon/startup/background.rs`).

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{Pid, getpid};

use crate::class::Class;
use crate::connection::acceptor::{Counter, Process, SpawnOutcome};
use crate::connection::client::{Client, Origin};
use crate::connection::decided::verdict::Passed;
use crate::connection::program::Program;
use crate::connection::program::environment::Environment;
use crate::connection::program::variables::{Names, set_variables};
use crate::connection::stages::refuse::early;
use crate::connection::stages::tell::View;
use crate::rules::Match;
use crate::sys::Strings;

/// Runs the program for the client: in a process of its own, or in this one.
/// `announce` is called with the program's process id: once it runs, or, if it is to
/// run in this process, right before the exec, unless that is already known to fail.
/// A failed exec returns with descriptors and signals as they were before.
///
/// # Errors
/// Why the program cannot be run.
pub(super) fn run(
    view: View<'_>,
    passed: Passed,
    waited: Duration,
    announce: &dyn Fn(Pid),
) -> io::Result<()> {
    let (service, acceptor) = (view.server.service, view.server.acceptor);
    let (program, client, process) = (&service.program, view.watched.client(), acceptor.process);
    let environment = environment(view, passed, waited).strings();
    process.restore_oom_score();
    let mut work = || become_program(program, client, &environment, process);
    // Of this process, once it is the program, the supervisor counts that it passed.
    let verdict = match client.origin {
        Origin::Check => Counter::Check,
        Origin::Direct | Origin::Proxied(_) => Counter::Pass,
    };
    let started = |pid| {
        announce(pid);
        acceptor.counts.count_verdict(verdict);
    };
    match process.spawn_program(&mut work, &started) {
        Some(SpawnOutcome::Started) => Ok(()),
        Some(SpawnOutcome::Failed(why)) => Err(why.into()),
        None => {
            // After a successful exec this process cannot log any more.
            if program.find().is_ok() {
                announce(getpid());
                if verdict == Counter::Check {
                    acceptor.counts.count_verdict(verdict);
                }
            }
            let why = work();
            process.exec_failed();
            client.stream.leave_standard();
            Err(why.into())
        }
    }
}

/// Makes the calling process the client's program, and returns only if that fails.  It
/// may share the memory of a child, and must leave nothing allocated.
fn become_program(
    program: &Program,
    client: &Client,
    environment: &Strings,
    process: &dyn Process,
) -> Errno {
    let prepare = || {
        client.stream.become_standard()?;
        process.set_standard_error(client.peer);
        process.reset_affinity()?;
        process.reset_signals()?;
        process.clear_death_signal()
    };
    prepare().map_or_else(|why| why, |()| program.exec(environment))
}

/// What we inherited, overlaid with what is known about the connection, then with what a
/// rule says about it, then with the result.
fn environment(view: View<'_>, passed: Passed, waited: Duration) -> Environment {
    let View { server, watched, decided } = view;
    let mut environment = server.service.environment.clone();
    let lookup = watched.lookup();
    let local_host = view.local_name();
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
