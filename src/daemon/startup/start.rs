//! From the options to a pool that accepts clients.

use std::cell::RefCell;
use std::env;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::sys::signal::SigSet;
use nix::unistd::{dup2_stdin, dup2_stdout, gethostname};

use crate::connection::decided::exemptions::exemptions;
use crate::connection::program::Program;
use crate::connection::program::environment::Environment;
use crate::connection::serve::Service;
use crate::daemon::files::checker;
use crate::daemon::files::compile::Checked;
use crate::daemon::listener::Listener;
use crate::daemon::process::pidfile::Pidfile;
use crate::daemon::process::privileges::{Identity, identity};
use crate::daemon::process::signals::{self, told_to_stop};
use crate::daemon::relay::Relay;
use crate::daemon::scoreboard::file::Storage;
use crate::daemon::scoreboard::pool::Pool;
use crate::daemon::service_manager::{Notifier, passed_listener, without_own};
use crate::daemon::startup::background::Readiness;
use crate::daemon::startup::cleanup::Cleanup;
use crate::daemon::startup::listen::{ListenAddress, bind, listen, source_routes, take_over};
use crate::daemon::startup::warnings::{warn, warn_of_open_files};
use crate::daemon::supervisor::keeper::KeeperProcess;
use crate::daemon::supervisor::{Keeps, Supervisor};
use crate::error::{Fatal, NotForked};
use crate::known::directory;
use crate::log::Log;
use crate::options::Options;
use crate::options::files::check_credentials;
use crate::sys::{self, Blocked};

/// Runs the daemon in front of the program that the options name.
///
/// # Errors
/// What keeps it from starting.
pub fn run_program(options: &Options, log: &Log, readiness: &mut Readiness) -> Result<(), Fatal> {
    let program = program(options)?;
    run(options, program, log, readiness)
}

pub(in crate::daemon) fn program(options: &Options) -> Result<Program, Fatal> {
    let path = env::var_os("PATH");
    let path = path.as_ref().map(|path| path.as_bytes());
    let program = Program::new(&options.program, path);
    program.map_err(|why| Fatal::Program { name: "prog".into(), why: why.into() })
}

/// What the files have, unless the daemon is told to stop meanwhile.
fn read_files(options: &Options, log: &Log) -> Result<Option<Checked>, Fatal> {
    let Some(checked) = checker::check(options)? else { return Ok(None) };
    checked.warnings.iter().for_each(|warning| log.warning(warning));
    Ok(Some(checked).filter(|_| told_to_stop() == 0))
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// What keeps it from starting.
pub fn run(
    options: &Options,
    program: Program,
    log: &Log,
    readiness: &mut Readiness,
) -> Result<(), Fatal> {
    signals::settle(options.as_tcpserver).map_err(unable_to_catch_signals)?;
    log.open();
    let watched = log.also_on_standard_error();
    warn_of_open_files(options, &watched);
    let environment = inherit_environment(&watched);
    let Acquired { cleanup, pidfile, listener, local, mut scoreboard } =
        acquire_and_drop_privileges(options, &environment, &watched)?;
    warn(options, local, &watched);
    check_credentials(options)?;
    let Some(checked) = read_files(options, &watched)? else {
        watched.warning("stopped during the start");
        return Ok(());
    };
    let options = &checked.options;
    let pool = Pool::new(scoreboard.initialise(options.slots, local.port())?, options.min_idle());
    let pool = pool.map_err(|why| Fatal::unable("make an eventfd", why))?;
    log.count_lost_lines(pool.losses());
    signals::take(options.as_tcpserver).map_err(unable_to_catch_signals)?;
    listen(listener.socket(), options, &watched)?;
    release_standard_streams(options.print_port.then(|| local.port()))?;
    let relay = relay(options, log, readiness)?;
    let keeper = keeper(options, log, &pool)?;
    let service = service(checked, program, environment, log.clone(), keeper.as_ref());
    log_start(&service, &pool, local);
    let (log, in_background) = (service.log.clone(), service.options.daemon);
    let manager = Notifier::of_environment();
    let keeps = Keeps { pidfile, relay, keeper, scoreboard: scoreboard.hold(), manager };
    let mut supervisor = Supervisor::new(service, listener, pool, keeps);
    if in_background && !supervisor.is_up() {
        return Err(Fatal::Impossible("fork a single child"));
    }
    supervisor.fill_pidfile()?;
    cleanup.into_iter().for_each(Cleanup::succeeded);
    readiness.listens_at(local);
    readiness.ready(log.lack_of_syslog().as_deref(), &log);
    supervisor.run();
    Ok(())
}

/// The environment of programs; warns of a variable in it that cannot be used.
fn inherit_environment(log: &Log) -> Environment {
    let environment = Environment::inherit(without_own(env::vars_os()));
    if let Some((name, value)) = exemptions(|name| environment.get(name)).ignored {
        log.ignored_variable(name, &value, None);
    }
    environment
}

/// Does what needs the initial privileges, and drops them.
fn acquire_and_drop_privileges(
    options: &Options,
    environment: &Environment,
    log: &Log,
) -> Result<Acquired, Fatal> {
    let identity = identity(options, |name| environment.get(name).map(Vec::from))?;
    let acquired = acquire(options, &identity, log)?;
    if let Some(path) = &options.known {
        let (user, group) = identity.owner();
        directory::make(path, user, group);
    }
    identity.assume()?;
    Ok(acquired)
}

/// What all clients are served with.
fn service(
    checked: Checked,
    program: Program,
    environment: Environment,
    log: Log,
    keeper: Option<&KeeperProcess>,
) -> Service {
    let Checked { options, names, rules, .. } = checked;
    Service {
        resolvers: RefCell::new(options.resolvers()),
        options,
        names,
        rules,
        log,
        program,
        environment,
        host_name: gethostname().ok().and_then(|name| name.into_string().ok()),
        source_routes: source_routes(),
        known: keeper.and_then(|keeper| keeper.asker().ok()),
    }
}

/// Logs the start; from then on no process waits for its log.
fn log_start(service: &Service, pool: &Pool, local: SocketAddr) {
    let Service { log, options, .. } = service;
    let slots = pool.size();
    log.tcpserver_status(|| 0, slots);
    log.tell_of_panics();
    log.never_wait();
    log.start(local, slots, (options.min_idle(), options.max_idle()));
}

fn unable_to_catch_signals(why: Errno) -> Fatal {
    Fatal::unable("catch signals", why)
}

/// The parts of a start that need the initial privileges.
struct Acquired {
    cleanup: Option<Cleanup>,
    pidfile: Option<Pidfile>,
    listener: Listener,
    local: SocketAddr,
    scoreboard: Storage,
}

/// Makes the files and binds the port.  Signals stay blocked until a process exists
/// that would remove the files.
fn acquire(options: &Options, identity: &Identity, log: &Log) -> Result<Acquired, Fatal> {
    let place = ListenAddress::find(options)?;
    let _blocked = Blocked::block(SigSet::all());
    let pidfile = options.pidfile.as_deref();
    let pidfile = pidfile.map(|path| Pidfile::claim(path, identity)).transpose();
    let pidfile = pidfile.map_err(|why| options.with_origin("pidfile", why))?;
    let listener = match passed_listener()? {
        Some(passed) => take_over(passed, &place)?,
        None => Listener::own(bind(&place, log)?),
    };
    let local = listener.local().ok_or(Fatal::Impossible("get local address"))?;
    let scoreboard = Storage::make(options, local.port(), log);
    let scoreboard = scoreboard.map_err(|why| options.with_origin("scoreboard", why))?;
    let has_files = pidfile.is_some() || scoreboard.is_file();
    let cleanup = has_files.then(|| Cleanup::start(pidfile.as_ref(), &scoreboard)).transpose();
    let cleanup = cleanup.map_err(|why| Fatal::because("fork", NotForked::from(why)))?;
    Ok(Acquired { cleanup, pidfile, listener, local, scoreboard })
}

/// In the background what programs write on standard error goes to syslog.
fn relay(options: &Options, log: &Log, readiness: &mut Readiness) -> Result<Option<Relay>, Fatal> {
    if !Relay::is_wanted(options) {
        return Ok(None);
    }
    let relay = Relay::start(log);
    let relay = relay
        .map_err(|why| Fatal::because("make a relay of standard error", NotForked::from(why)))?;
    readiness.detach();
    Ok(Some(relay))
}

/// The keeper of known clients, if the options ask for one.
fn keeper(options: &Options, log: &Log, pool: &Pool) -> Result<Option<KeeperProcess>, Fatal> {
    let keeper = KeeperProcess::start(options, log, pool.board.keeper_record());
    keeper.map_err(|why| Fatal::unable("make a socket for known clients", why))
}

/// Prints the port if asked, and turns descriptors 0 and 1 into /dev/null:
/// closed, they would be taken by the next socket.
fn release_standard_streams(port: Option<u16>) -> Result<(), Fatal> {
    if let Some(port) = port {
        let mut output = std::io::stdout().lock();
        let written = writeln!(output, "{port}").and_then(|()| output.flush());
        written.map_err(|why| Fatal::unable("print the port", why))?;
    }
    let null = sys::null().map_err(|why| Fatal::unable("open /dev/null", why))?;
    let replaced = dup2_stdin(&null).and_then(|()| dup2_stdout(&null));
    replaced.map_err(|why| Fatal::unable("replace descriptors 0 and 1", why))
}
