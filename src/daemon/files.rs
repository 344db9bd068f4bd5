//! The files that the options name, expressions and rules: read at the start
//! and on SIGHUP, each time by a child first.  A list that takes too much
//! memory or time to compile ends the child, and not the daemon.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use crate::error::Fatal;
use crate::file;
use crate::log::Log;
use crate::names::{Names, Patterns};
use crate::options::Options;
use crate::options::daemon::DAEMON;
use crate::options::parse::{Request, parse};
use crate::rules::Rules;
use crate::rules::list::List;
use crate::sys;

/// How long reading them may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// What was read.
pub(super) struct Files {
    pub(super) names: Names,
    pub(super) rules: Rules,
}

/// The options, with the file of `--config` read again.
///
/// # Errors
/// A file that cannot be read, or that has a mistake in it: 100.
pub(super) fn options_again(options: &Options) -> Result<Options, Fatal> {
    if options.config.is_none() || options.demo {
        return Ok(options.clone());
    }
    let base = if options.as_tcpserver { Options::for_tcpserver() } else { Options::default() };
    match parse(&DAEMON, &options.arguments, base).request? {
        Request::Run(options) => Ok(*options),
        Request::Help | Request::Version => Ok(options.clone()),
    }
}

/// Reads them, in this process.
///
/// # Errors
/// A file that cannot be read, or that has a mistake in it: 100.
pub(super) fn read(options: &Options, log: &Log) -> Result<Files, Fatal> {
    if let Some(config) = &options.config {
        // Read it was by whoever started us; SIGHUP comes to another user.
        let unable = |why| Fatal::usage(format!("unable to read {}: {why}", config.display()));
        file::open(config).map_err(unable)?;
    }
    let names = options.names().map_err(|why| Fatal::usage(why.to_string()))?;
    names.lists().into_iter().for_each(|list| warn_of_slow(list, log));
    Ok(Files { names, rules: rules(options, log)? })
}

fn warn_of_slow(patterns: &Patterns, log: &Log) {
    let count = patterns.slow().count();
    if let Some(first) = patterns.slow().next() {
        log.warning(format_args!("{count} expressions fit no table and are slow, first: {first}"));
    }
}

fn rules(options: &Options, log: &Log) -> Result<Rules, Fatal> {
    Ok(match (&options.rules, &options.cdb) {
        (Some(path), _) => {
            Rules::List(List::read(path).map_err(|why| Fatal::usage(why.to_string()))?)
        }
        (None, Some(path)) => {
            check_cdb(path, options, log)?;
            Rules::Cdb { path: path.clone(), may_be_missing: options.cdb_may_be_missing }
        }
        (None, None) => Rules::None,
    })
}

/// A cdb that only root may read fails now, not at the first client.  One that
/// is not there may come.
fn check_cdb(path: &Path, options: &Options, log: &Log) -> Result<(), Fatal> {
    match file::open(path) {
        Ok(_) => Ok(()),
        Err(_) if options.as_tcpserver => Ok(()),
        Err(why) if why.kind() == ErrorKind::NotFound => {
            if !options.cdb_may_be_missing {
                let file = path.display();
                log.warning(format_args!("unable to read {file}: {why}: every client is dropped"));
            }
            Ok(())
        }
        Err(why) => Err(Fatal::unable(format_args!("read {}", path.display()), why)),
    }
}

/// A child that reads the files, says what is wrong with them, and ends.
pub(super) struct Checker {
    pub(super) pid: Pid,
    started: Instant,
}

impl Checker {
    /// Forks it.
    ///
    /// # Errors
    /// As fork(2).
    pub(super) fn start(options: &Options, log: &Log) -> nix::Result<Self> {
        let supervisor = getpid();
        let pid = sys::spawn(|| read_as_checker(options, log, supervisor))?;
        Ok(Self { pid, started: Instant::now() })
    }

    /// How much time it has left.
    pub(super) fn left(&self) -> Duration {
        (self.started + PATIENCE).saturating_duration_since(Instant::now())
    }

    /// Ends it.
    pub(super) fn kill(&self) {
        let _ = kill(self.pid, Signal::SIGKILL);
    }
}

/// The exit code says whether they can be used; why not is in the log.
fn read_as_checker(options: &Options, log: &Log, supervisor: Pid) -> u8 {
    // Nobody is left to answer then, and it holds the listener.
    let _ = set_pdeathsig(Signal::SIGKILL);
    if getppid() != supervisor {
        return 0;
    }
    let _ = [Signal::SIGTERM, Signal::SIGINT].into_iter().try_for_each(sys::reset);
    let _ = SigSet::empty().thread_set_mask();
    let read = options_again(options).and_then(|options| read(&options, log));
    read.err().map_or(0, |fatal| {
        log.error(&fatal);
        fatal.code
    })
}

/// Why a checker found the files unusable, if it has not said so itself.
pub(super) fn judge(status: ExitStatus) -> Result<(), Option<&'static str>> {
    match (status.code(), status.signal()) {
        (Some(0), _) => Ok(()),
        (None, Some(libc::SIGABRT)) => {
            Err(Some("memory does not suffice: raise the limit (softlimit -m)"))
        }
        (None, Some(libc::SIGKILL)) => Err(Some("it takes too long")),
        (None, _) => Err(Some("it crashed")),
        (Some(_), _) => Err(None),
    }
}

/// Has a child read the files before this process does, and waits for it.
///
/// # Errors
/// Where they cannot be read within the limits: 111.
pub(super) fn check(options: &Options) -> Result<(), Fatal> {
    let files = [&options.dynamic_file, &options.static_file, &options.rules, &options.config];
    if files.iter().all(|file| file.is_none()) {
        return Ok(());
    }
    let silent = Log::new("", crate::options::Verbosity::Quiet);
    let checker = Checker::start(options, &silent);
    let checker = checker.map_err(|why| Fatal::unable("fork", std::io::Error::from(why)))?;
    loop {
        match sys::reap(None) {
            Some((pid, status)) if pid == checker.pid => {
                return match judge(ExitStatus::from_raw(status)) {
                    // Our own reading tells a mistake better.
                    Ok(()) | Err(None) => Ok(()),
                    Err(Some(why)) => Err(Fatal::unable("read expressions and rules", why)),
                };
            }
            Some(_) => (),
            None if checker.left().is_zero() => checker.kill(),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}
