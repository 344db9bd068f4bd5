//! The programs: each has its own name, and behaves as one of ucspi-tcp's if it is
//! called or executed under that program's name.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use crate::ctl;
use crate::daemon::process::signals;
use crate::daemon::startup::background::{self, Readiness};
use crate::daemon::startup::check::{self, Remark};
use crate::daemon::startup::start;
use crate::demo;
use crate::error::{Fatal, TROUBLE, USAGE, Usage};
use crate::log::{Log, Syslog};
use crate::mistakes::keep;
use crate::options::command_line::help;
use crate::options::daemon::DAEMON;
use crate::options::parse::{Parsed, Rejected, Request, parse};
use crate::options::suggest::hint;
use crate::options::{LogTo, Options};
use crate::stdout::print;
use crate::sys;

const CTL: &str = "smtp-delayctl";
/// All names of programs.
const NAMES: [&str; 6] =
    [DAEMON.program, CTL, demo::RESPONDER, "tcpserver", "tcprules", "tcprulescheck"];
const CTL_HELP: &str = "\
usage: smtp-delayctl status [--scoreboard FILE] [--json] [--watch]
       smtp-delayctl metrics [--scoreboard FILE] [--output FILE] [--label NAME=VALUE]
       smtp-delayctl pid FILE
       smtp-delayctl classify [options] IP [NAME]
       smtp-delayctl report [--html FILE] [--json] [--since TIME] [--until TIME]
                            [--tag NAME] [--top N] [--what-if DELAYS] [FILE ...]
       smtp-delayctl known [--known DIR] list | show IP | forget IP|NET |
                                         export [--all] [--zone]
       smtp-delayctl keep [--known-days N] [--known-size N] [--known-share URL]
                          [--known-share-prefix TEXT] [--known-share-auth FILE] DIR
       smtp-delayctl completions bash|zsh
       smtp-delayctl tcprules rules.cdb rules.tmp < rules
       smtp-delayctl tcprulescheck rules.cdb

status         show what each child of smtp-delayd is doing; with --watch again
               every second
metrics        print the counters for Prometheus, or write them to a file that the
               textfile collector of node_exporter reads
pid            print the process that owns a pidfile
classify       print the class that a client would have, and what decides it; the
               options are those of smtp-delayd that say what a name means
known          ask which clients are known, or make some unknown; export prints
               those with good names, for another host's list
keep           keep the memory of known clients, for hosts without smtp-delayd
completions    print what a shell completes behind smtp-delayd, smtp-delay and
               smtp-delayctl
tcprules       compile rules for smtp-delayd -x
tcprulescheck  say which rule decides about $TCPREMOTEIP, $TCPREMOTEHOST and
               $TCPREMOTEINFO

Called as tcprules or tcprulescheck, it is that program.
See smtp-delayctl(8).
";

/// Runs the program that this process was called as, by its own name or as one of
/// ucspi-tcp's; returns the exit code.
#[must_use]
pub fn run(
    mut arguments: impl Iterator<Item = OsString>,
    own: impl FnOnce(&[OsString]) -> u8,
) -> u8 {
    let called = arguments.next().unwrap_or_default();
    let arguments: Vec<OsString> = arguments.collect();
    let executed = sys::executed_path().map(|path| OsStr::from_bytes(path.to_bytes()));
    match name(&called, executed) {
        Some(demo::RESPONDER) => demo::respond().map_or(TROUBLE, |()| 0),
        Some("tcpserver") => tcpserver(&arguments),
        Some(name) => ctl::tool(name).map_or_else(|| own(&arguments), |tool| tool(&arguments)),
        None => own(&arguments),
    }
}

/// The program that is asked for: by argv\[0\] if that is the name of one, else by
/// the path that was executed.  Service managers (`argv0`, NetBSD's rc scripts) put
/// the service's name into argv\[0\].
fn name<'a>(called: &'a OsStr, executed: Option<&'a OsStr>) -> Option<&'a str> {
    let of = |path: &'a OsStr| Path::new(path).file_name().and_then(OsStr::to_str);
    let called = of(called).filter(|name| NAMES.contains(name));
    called.or_else(|| executed.and_then(of))
}

/// `smtp-delayd`.
#[must_use]
pub fn daemon(arguments: &[OsString]) -> u8 {
    signals::defer();
    let parsed = parse(&DAEMON, arguments, Options::default());
    let log = Log::new(DAEMON.program, parsed.verbosity);
    finish(parsed, &log)
}

fn tcpserver(arguments: &[OsString]) -> u8 {
    let parsed = parse(&DAEMON, arguments, Options::for_tcpserver());
    let log = Log::as_tcpserver(parsed.verbosity);
    finish(parsed, &log)
}

fn finish(parsed: Parsed, log: &Log) -> u8 {
    let code = match parsed.request {
        Ok(Request::Run(options)) if options.check => check(&options, Vec::new(), log),
        Ok(request) => answer(request, log),
        Err(Rejected { mistakes, options }) if options.check => {
            check(&options, mistakes.into_iter().collect(), log)
        }
        Err(rejected) => Err(rejected.into()),
    };
    code.unwrap_or_else(|fatal| {
        log.fatal(&fatal);
        fatal.exit_code()
    })
}

/// The exit code.
fn answer(request: Request, log: &Log) -> Result<u8, Fatal> {
    let done = match request {
        Request::Run(options) if options.demo => demo::run(*options, log),
        Request::Run(options) => return run_daemon(&options, log),
        Request::Help => print(&help(&DAEMON)),
        Request::Version => print(&format!("{} {}\n", DAEMON.program, env!("CARGO_PKG_VERSION"))),
    };
    done.map(|()| 0)
}

/// `--check`: reports all `mistakes` of the command line, and all others that can be
/// found; returns the exit code.
fn check(options: &Options, mut mistakes: Vec<Fatal>, log: &Log) -> Result<u8, Fatal> {
    if options.demo {
        keep(demo::check(options), &mut mistakes);
    }
    let lines = if options.demo { None } else { keep(log_to_check(options, log), &mut mistakes) };
    let mut remarks: Vec<Remark> = mistakes.into_iter().map(Remark::Mistake).collect();
    remarks.extend(check::check(options, log));
    // As the final user.
    remarks.extend(lines.and_then(|lines| lines.lack_of_syslog()).map(Remark::Warning));
    let is_usable = !remarks.iter().any(|remark| matches!(remark, Remark::Mistake(_)));
    tell(&remarks, log);
    if is_usable {
        return print("ok\n").map(|()| 0);
    }
    Ok(USAGE)
}

/// The log, which is syslog also where only its socket is named.
fn log_to_check(options: &Options, log: &Log) -> Result<Log, Fatal> {
    if options.is_set("syslog-socket") { syslog(options, log) } else { log_of(options, log) }
}

/// A file may be found to be unreadable twice.
fn tell(remarks: &[Remark], log: &Log) {
    let mut told = HashSet::new();
    for remark in remarks {
        match remark {
            Remark::Mistake(why) if told.insert(why.to_string()) => log.fatal(why),
            Remark::Mistake(_) => (),
            Remark::Warning(why) => log.warning(why),
        }
    }
}

/// The log that the options ask for.
fn log_of(options: &Options, log: &Log) -> Result<Log, Fatal> {
    match options.log_to() {
        LogTo::Stderr => Ok(log.clone()),
        LogTo::Syslog => syslog(options, log),
    }
}

fn syslog(options: &Options, log: &Log) -> Result<Log, Fatal> {
    let tag = options.tag.as_deref().unwrap_or(log.program());
    let syslog = Syslog::new(&options.syslog_socket, options.facility, tag);
    let socket = options.syslog_socket.display();
    let syslog = syslog.map_err(|why| Fatal::unable(format_args!("log to {socket}"), why))?;
    Ok(log.clone().to_syslog(Arc::new(syslog)))
}

fn run_daemon(options: &Options, log: &Log) -> Result<u8, Fatal> {
    let log = log_of(options, log)?;
    if !options.daemon {
        let mut readiness = Readiness::in_foreground();
        return start::run_program(options, &log, &mut readiness).map(|()| 0);
    }
    background::launch(&log, |readiness| start::run_program(options, &log, readiness))
}

/// `smtp-delayctl`.
#[must_use]
pub fn ctl(arguments: &[OsString]) -> u8 {
    let Some((name, rest)) = arguments.split_first() else {
        let _ = write!(io::stderr(), "{CTL}: fatal: a command is missing\n\n{CTL_HELP}");
        return USAGE;
    };
    let wants_help = rest.first().is_some_and(|first| first == "--help");
    let done = match name.to_str().unwrap_or_default() {
        "--help" => print(CTL_HELP),
        // tcprules and tcprulescheck have usage messages of their own.
        name if wants_help && name != "classify" && ctl::command(name).is_some() => print(CTL_HELP),
        "--version" => print(&format!("{CTL} {}\n", env!("CARGO_PKG_VERSION"))),
        name => match ctl::command(name) {
            Some(tool) => return tool(rest),
            None => return unknown_command(name),
        },
    };
    done.map_or(TROUBLE, |()| 0)
}

fn unknown_command(name: &str) -> u8 {
    let hint = hint(name, "", ctl::COMMANDS);
    let unknown = Fatal::from(Usage::UnknownCommand { command: name.into(), hint });
    let _ = writeln!(io::stderr(), "{CTL}: fatal: {unknown}");
    unknown.exit_code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_programs_leaves_it_to_the_executed_path() {
        let named = |called, executed| name(OsStr::new(called), Some(OsStr::new(executed)));
        assert_eq!(named("/usr/bin/tcpserver", "/x/smtp-delayd"), Some("tcpserver"));
        assert_eq!(named("nbqmailsmtpd", "/usr/pkg/bin/tcpserver"), Some("tcpserver"));
        assert_eq!(named("smtp-delayd", "/usr/pkg/bin/tcpserver"), Some("smtp-delayd"));
        assert_eq!(named("tcprules", "/usr/pkg/bin/tcpserver"), Some("tcprules"));
        assert_eq!(named(demo::RESPONDER, "/proc/self/exe"), Some(demo::RESPONDER));
        assert_eq!(named("", "/dev/fd/5"), Some("5"));
        assert_eq!(name(OsStr::new("x"), None), None);
    }
}
