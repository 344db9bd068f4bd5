//! The chain link, `smtp-delay`: one client, whom a UCSPI server has accepted
//! and handed to us on descriptors 0 and 1.  Its stages are those of the
//! daemon's connections; here stands only what differs, and nothing is read or
//! looked up that this client does not need.

mod given;
mod ucspi;

use std::cell::RefCell;
use std::env;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::unistd::gethostname;

use crate::connection::client::Client;
use crate::connection::environment::Environment;
use crate::connection::handoff::Program;
use crate::connection::serve::{Service, possible_classes, serve};
use crate::connection::terms::{DelayBy, Terms, common_delay, terms};
use crate::dns::Resolvers;
use crate::error::{Fatal, contain_panics};
use crate::log::Log;
use crate::names::{Names, Patterns};
use crate::options::link::LINK;
use crate::options::parse::{Request, parse};
use crate::options::{Options, Verbosity, table};
use crate::programs::print;
use crate::rules::Rules;
use ucspi::Ucspi;

/// Runs `smtp-delay` with `arguments`; comes back with the exit code if the
/// client does not get the program.
#[must_use]
pub fn main(arguments: &[OsString]) -> u8 {
    let received = Instant::now();
    let parsed = parse(&LINK, arguments, Options::for_link());
    let told = if given::hears_standard_error() { Verbosity::Quiet } else { parsed.verbosity };
    let log = Log::as_link(LINK.program, told);
    contain_panics(&log, || {
        let code = parsed.request.and_then(|request| answer(request, &log, received));
        code.unwrap_or_else(|fatal| {
            log.fatal(&fatal);
            fatal.code
        })
    })
}

fn answer(request: Request, log: &Log, received: Instant) -> Result<u8, Fatal> {
    match request {
        Request::Run(options) => run(*options, log, received),
        Request::Help => print(&table::help(&LINK)).map(|()| 0),
        Request::Version => {
            print(&format!("{} {}\n", LINK.program, env!("CARGO_PKG_VERSION"))).map(|()| 0)
        }
    }
}

fn run(mut options: Options, log: &Log, received: Instant) -> Result<u8, Fatal> {
    let environment = Environment::inherit(env::vars_os());
    let mut client = given::client(&environment, &options, log, received)?;
    let terms = terms(|name| environment.get(name));
    if let Some((name, value)) = &terms.ignored {
        log.ignored_variable(name, value);
    }
    skip_needless_look_up(&mut options, &mut client, &terms);
    let local_name = client.introduced.then(|| environment.text("TCPLOCALHOST")).flatten();
    let acceptor = Ucspi { local_name: local_name.map(String::from) };
    let service = service(options, environment, log)?;
    Ok(serve(&service, &acceptor, client))
}

/// Where the name decides nothing it is not looked up, and for a client that
/// gets the program at once a name that is there is not judged either.
fn skip_needless_look_up(options: &mut Options, client: &mut Client, terms: &Terms) {
    options.look_up = true;
    let classes = possible_classes(options);
    options.look_up = common_delay(classes, terms.delay, &options.delays).is_none();
    if matches!(terms.delay, DelayBy::Exempt | DelayBy::Condemned) {
        client.host = None;
    }
}

fn service(options: Options, environment: Environment, log: &Log) -> Result<Service, Fatal> {
    let program = Program::new(&options.program, environment.get("PATH"));
    let program = program.map_err(|why| Fatal::usage(format!("unable to run prog: {why}")))?;
    let expressions = |file: &Option<PathBuf>| {
        file.as_ref().map(|path| Patterns::on_demand(path, log)).unwrap_or_default()
    };
    let (dynamic, exceptions) = (&options.dynamic_file, &options.static_file);
    let names = Names::new(options.builtin_patterns, expressions(dynamic), expressions(exceptions));
    let servers = environment.get("DNSCACHEIP").map(std::ffi::OsStr::from_bytes);
    let resolvers = Resolvers::new(&options.resolvers, servers, Path::new("/etc/resolv.conf"));
    Ok(Service {
        names,
        rules: Rules::None,
        log: log.clone(),
        program,
        environment,
        resolvers: RefCell::new(resolvers),
        host_name: gethostname().ok().and_then(|name| name.into_string().ok()),
        options,
    })
}
