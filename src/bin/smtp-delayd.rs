//! `smtp-delayd`: arguments, run, exit code.

use std::env;
use std::path::Path;
use std::process::ExitCode;

use smtp_delay::daemon::start;
use smtp_delay::demo;
use smtp_delay::error::Fatal;
use smtp_delay::log::Log;
use smtp_delay::options::parse::{Request, parse};
use smtp_delay::options::table;

const NAME: &str = "smtp-delayd";

fn main() -> ExitCode {
    let mut arguments = env::args_os();
    let own = arguments.next().unwrap_or_default();
    if Path::new(&own).file_name().is_some_and(|name| name == demo::RESPONDER) {
        return demo::respond().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    let parsed = parse(arguments);
    let log = Log::new(NAME, parsed.verbosity);
    match parsed.request.and_then(|request| answer(request, &log)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            log.fatal(&fatal);
            ExitCode::from(fatal.code)
        }
    }
}

fn answer(request: Request, log: &Log) -> Result<(), Fatal> {
    match request {
        Request::Run(options) if options.demo => demo::run(*options, log)?,
        Request::Run(options) => start::run_program(*options, log)?,
        Request::Help => print(&table::help(NAME))?,
        Request::Version => print(&format!("{NAME} {}\n", env!("CARGO_PKG_VERSION")))?,
    }
    Ok(())
}

fn print(text: &str) -> Result<(), Fatal> {
    use std::io::Write;
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|why| Fatal::unable("write to standard output", why))
}
