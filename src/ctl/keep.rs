//! `smtp-delayctl keep DIR`: the keeper of known clients alone, for hosts that have
//! links and no daemon.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use lexopt::Arg;
use nix::sys::signal::{SigSet, Signal};

use super::failure::Failure;
use crate::error::{Fatal, Usage};
use crate::known::keeper::{Life, Place, Process, keep};
use crate::known::rules::Lifetimes;
use crate::known::rules::Limits;
use crate::known::share::engine::credentials::Credentials;
use crate::known::share::settings::{PREFIX, Settings};
use crate::log::{Log, Verbosity};
use crate::options::suggest::hint;
use crate::options::values::{Value, days, known_clients, share_address, share_prefix};
use crate::sys;

/// Its options.
const OPTIONS: [&str; 5] =
    ["known-days", "known-size", "known-share", "known-share-prefix", "known-share-auth"];
/// What ends it.
const ENDING: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

struct Asked {
    directory: PathBuf,
    limits: Limits,
    share: Option<Settings>,
}

/// Answers, until it is told to end.
///
/// # Errors
/// 100 for wrong usage, 111 for a directory of no use and other trouble.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let asked = read(arguments)?;
    take_signals().map_err(|why| Fatal::unable("catch signals", why))?;
    let log = Log::new("smtp-delayctl", Verbosity::Normal);
    let place = Place::Directory(&asked.directory);
    if let Some(path) = asked.share.as_ref().and_then(|share| share.credentials.as_deref()) {
        Credentials::read(path)?;
        if let Some(warning) = Credentials::exposed(path) {
            log.warning(warning);
        }
    }
    let process =
        Process { life: Life::Signals, log: &log, report: &|_, _, _| (), share: asked.share };
    Ok(keep(place, asked.limits, process)?)
}

fn take_signals() -> nix::Result<()> {
    ENDING.into_iter().try_for_each(sys::count)?;
    sys::ignore(Signal::SIGHUP)?;
    sys::ignore(Signal::SIGPIPE)?;
    ENDING.into_iter().collect::<SigSet>().thread_block()
}

fn read(arguments: &[OsString]) -> Result<Asked, Usage> {
    let (mut directory, mut limits) = (None, Limits::default());
    let (mut address, mut prefix, mut credentials) = (None, PREFIX.to_string(), None);
    let mut parser = lexopt::Parser::from_args(arguments);
    let unreadable = |why: lexopt::Error| Usage::Unreadable(why.into());
    while let Some(argument) = parser.next().map_err(unreadable)? {
        match argument {
            Arg::Long("known-days") => {
                let days = value("--known-days", "N", &mut parser, days)?;
                limits.lifetimes = Lifetimes::days(days);
            }
            Arg::Long("known-size") => {
                limits.size = value("--known-size", "N", &mut parser, known_clients)?;
            }
            Arg::Long("known-share") => {
                address = Some(value("--known-share", "URL", &mut parser, share_address)?);
            }
            Arg::Long("known-share-prefix") => {
                prefix = value("--known-share-prefix", "TEXT", &mut parser, share_prefix)?;
            }
            Arg::Long("known-share-auth") => {
                let path = |value: &OsStr| Value::Ok(PathBuf::from(value));
                credentials = Some(value("--known-share-auth", "FILE", &mut parser, path)?);
            }
            Arg::Long(name) => {
                let hint = hint(name, "--", OPTIONS);
                return Err(Usage::UnknownOption { option: format!("--{name}"), hint });
            }
            Arg::Value(value) if directory.is_none() => directory = Some(value.into()),
            other => return Err(unreadable(other.unexpected())),
        }
    }
    let missing = || Usage::Takes { what: "keep".into(), takes: "DIR" };
    let share = address.map(|address| Settings { address, prefix, credentials });
    Ok(Asked { directory: directory.ok_or_else(missing)?, limits, share })
}

/// The value of `option`, as `read` reads it.
fn value<T>(
    option: &str,
    takes: &'static str,
    parser: &mut lexopt::Parser,
    read: impl FnOnce(&OsStr) -> Value<T>,
) -> Result<T, Usage> {
    let missing = |_| Usage::MissingValue { option: option.into(), takes };
    let value = parser.value().map_err(missing)?;
    read(&value).map_err(|why| Usage::Wrong { option: option.into(), why: why.into() })
}
