//! `smtp-delayctl keep DIR`: the keeper of known clients alone, for hosts that have
//! links and no daemon.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::Arg;
use nix::sys::signal::{SigSet, Signal};

use super::Failure;
use crate::error::Fatal;
use crate::known::keeper::{Life, Place, keep};
use crate::known::rules::Lifetimes;
use crate::known::rules::Limits;
use crate::log::{Log, Verbosity};
use crate::options::suggest::hint;
use crate::options::values::{days, known_clients};
use crate::sys;

/// What ends it.
const ENDING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

struct Asked {
    directory: PathBuf,
    limits: Limits,
}

/// Answers, until it is told to end.
///
/// # Errors
/// 100 for wrong usage, 111 for a directory of no use and other trouble.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let asked = read(arguments).map_err(Fatal::Usage)?;
    take_signals().map_err(|why| Fatal::unable("catch signals", why))?;
    let log = Log::new("smtp-delayctl", Verbosity::Normal);
    let place = Place::Directory(&asked.directory);
    Ok(keep(place, asked.limits, Life::Signals, &log)?)
}

fn take_signals() -> nix::Result<()> {
    ENDING.into_iter().try_for_each(sys::count)?;
    sys::ignore(Signal::SIGHUP)?;
    sys::ignore(Signal::SIGPIPE)?;
    ENDING.into_iter().collect::<SigSet>().thread_block()
}

fn read(arguments: &[OsString]) -> Result<Asked, String> {
    let (mut directory, mut limits) = (None, Limits::default());
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|why| why.to_string())? {
        match argument {
            Arg::Long("known-days") => {
                let value = parser.value().map_err(|_| "--known-days takes N")?;
                let days = days(&value).map_err(|why| format!("--known-days: {why}"))?;
                limits.lifetimes = Lifetimes::days(days);
            }
            Arg::Long("known-size") => {
                let value = parser.value().map_err(|_| "--known-size takes N")?;
                limits.size =
                    known_clients(&value).map_err(|why| format!("--known-size: {why}"))?;
            }
            Arg::Long(name) => {
                let hint = hint(name, "--", ["known-days", "known-size"]);
                return Err(format!("unknown option --{}{hint}", name.escape_debug()));
            }
            Arg::Value(value) if directory.is_none() => directory = Some(value.into()),
            other => return Err(other.unexpected().to_string()),
        }
    }
    let directory = directory.ok_or("keep takes DIR")?;
    Ok(Asked { directory, limits })
}
