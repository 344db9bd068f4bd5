//! The chain link, `smtp-delay`: one client, which a UCSPI server has accepted and
//! handed to us on descriptors 0 and 1.  Its stages are those of the daemon's
//! connections; this module has only what differs.  It reads and looks up nothing that
//! this client does not need.

mod given;
mod ucspi;

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use nix::unistd::gethostname;

use crate::class::Class;
use crate::connection::acceptor::Acceptor;
use crate::connection::decided::exemptions::{common_delay, exemptions};
use crate::connection::program::Program;
use crate::connection::program::environment::Environment;
use crate::connection::serve::{Service, SourceRoutes, serve};
use crate::error::Fatal;
use crate::known::asking::Asker;
use crate::log::Log;
use crate::names::{Names, Patterns};
use crate::options::command_line::help;
use crate::options::link::LINK;
use crate::options::parse::{Request, parse};
use crate::options::{Options, Verbosity};
use crate::rules::Rules;
use crate::stdout::print;
use crate::sys;
use ucspi::Ucspi;

/// Runs `smtp-delay` with `arguments`; returns the exit code if the client does not get
/// the program.
#[must_use]
pub fn main(arguments: &[OsString]) -> u8 {
    let received = Instant::now();
    let overheard = sys::standard_error_is_the_client();
    let log =
        |wanted| Log::as_link(LINK.program, if overheard { Verbosity::Quiet } else { wanted });
    log(Verbosity::Normal).contain_panics(|| {
        let parsed = parse(&LINK, arguments, Options::for_link());
        let log = log(parsed.verbosity);
        let code =
            parsed.request.map_err(Fatal::from).and_then(|request| answer(request, &log, received));
        code.unwrap_or_else(|fatal| {
            log.fatal(&fatal);
            fatal.exit_code()
        })
    })
}

fn answer(request: Request, log: &Log, received: Instant) -> Result<u8, Fatal> {
    match request {
        Request::Run(options) => run(*options, log, received),
        Request::Help => print(&help(&LINK)).map(|()| 0),
        Request::Version => {
            print(&format!("{} {}\n", LINK.program, env!("CARGO_PKG_VERSION"))).map(|()| 0)
        }
    }
}

fn run(mut options: Options, log: &Log, received: Instant) -> Result<u8, Fatal> {
    let environment = Environment::inherit(env::vars_os());
    let client = given::client(&environment, &options, log, received)?;
    let exemptions = exemptions(|name| environment.get(name));
    if let Some((name, value)) = &exemptions.ignored {
        log.ignored_variable(name, value, Some(client.peer));
    }
    // The name is not looked up if nothing depends on it.
    options.look_up =
        common_delay(&Class::JUDGED, exemptions.delay_source, &options.delays).is_none();
    let local_name = environment.text("TCPLOCALHOST").map(String::from);
    let server = Ucspi { local_name, known: options.known.clone() };
    let service = service(options, environment, log)?;
    Ok(serve(&service, Acceptor::of(&server), client))
}

fn service(options: Options, environment: Environment, log: &Log) -> Result<Service, Fatal> {
    let program = Program::new(&options.program, environment.get("PATH"));
    let program = program.map_err(|why| Fatal::Program { name: "prog".into(), why: why.into() })?;
    let expressions =
        |files: &[PathBuf]| files.iter().map(|path| Patterns::on_demand(path)).collect();
    let (dynamic, exceptions) = (&options.dynamic_files, &options.static_files);
    let names = Names::new(options.builtin_patterns, expressions(dynamic), expressions(exceptions));
    Ok(Service {
        names,
        rules: Rules::None,
        log: log.clone(),
        program,
        environment,
        resolvers: RefCell::new(options.resolvers()),
        known: options.known.as_deref().and_then(|path| Asker::of_directory(path).ok()),
        source_routes: SourceRoutes::Dropped,
        host_name: gethostname().ok().and_then(|name| name.into_string().ok()),
        options,
    })
}
