//! `--check`: reads all that a start would, as the final user, and reports all
//! mistakes.  Nothing is bound, and no file is made.

use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::connection::exemptions::exemptions;
use crate::daemon::scoreboard::file::Scoreboard;
use crate::daemon::startup::listen::Place;
use crate::daemon::startup::pidfile::Pidfile;
use crate::daemon::startup::privileges::{Identity, identity};
use crate::daemon::startup::start::program;
use crate::daemon::startup::warnings::warn;
use crate::daemon::supervisor::checker;
use crate::error::{Fatal, USAGE, keep};
use crate::log::Log;
use crate::names::Patterns;
use crate::options::files::read;
use crate::options::{Options, config};
use crate::rules::list::List;

/// The most mistakes of a file of expressions that are reported.
const MOST_MISTAKES: usize = 20;

/// What would keep the daemon from starting, besides mistakes of the command line
/// itself; warns of the rest.
#[must_use]
pub fn check(options: &Options, log: &Log) -> Vec<Fatal> {
    let mut mistakes = Vec::new();
    warn_of_variables(log);
    let variable = |name: &str| env::var_os(name).map(|value| value.as_bytes().to_vec());
    let identity = keep(identity(options, variable), &mut mistakes);
    // Missing operands are reported already.
    let has_operands = options.demo || !options.program.is_empty();
    let place = has_operands.then(|| keep(Place::find(options), &mut mistakes)).flatten();
    if let Some(place) = &place {
        keep(place.check(), &mut mistakes);
    }
    check_outputs(options, identity.as_ref().unwrap_or(&Identity::default()), &mut mistakes);
    if let Some(identity) = identity {
        keep(identity.assume(), &mut mistakes);
    }
    if let Some(place) = place {
        warn(options, place.address(), log);
    }
    mistakes.extend(check_inputs(options, log));
    if has_operands && !options.demo {
        keep(check_program(options), &mut mistakes);
    }
    mistakes
}

fn warn_of_variables(log: &Log) {
    let variables: Vec<(String, Vec<u8>)> = env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.as_bytes().to_vec())))
        .collect();
    let get = |name: &str| {
        let found = variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_slice())
    };
    if let Some((name, value)) = exemptions(get).ignored {
        log.ignored_variable(name, &value, None);
    }
}

/// The files that are written before the privileges are dropped.
fn check_outputs(options: &Options, identity: &Identity, mistakes: &mut Vec<Fatal>) {
    if let Some(path) = &options.pidfile {
        let checked = Pidfile::check(path, identity);
        keep(checked.map_err(|why| options.with_origin("pidfile", why)), mistakes);
    }
    let checked = Scoreboard::check(options);
    keep(checked.map_err(|why| options.with_origin("scoreboard", why)), mistakes);
}

/// The files that are read as the final user: by a child first, which limits time and
/// memory.
fn check_inputs(options: &Options, log: &Log) -> Vec<Fatal> {
    match checker::check(options).and_then(|texts| checker::compile(options, &texts)) {
        Ok(files) => {
            for warning in files.warnings {
                log.warning(warning);
            }
            Vec::new()
        }
        Err(first) if first.code != USAGE => vec![first],
        Err(_) => read_each(options),
    }
}

/// All mistakes in these files.
fn read_each(options: &Options) -> Vec<Fatal> {
    let mut mistakes = Vec::new();
    let Options { dynamic_file, static_file, rules, cdb, .. } = options;
    if let Some(path) = &options.config {
        keep(read(options, "config", path, config::LARGEST), &mut mistakes);
    }
    for (name, path) in [("dynamic-file", dynamic_file), ("static-file", static_file)] {
        if let Some(path) = path {
            let text = keep(read(options, name, path, Patterns::LARGEST_FILE), &mut mistakes);
            mistakes.extend(text.iter().flat_map(|text| wrong_expressions(path, text)));
        }
    }
    if let Some(path) = rules {
        let text = keep(read(options, "rules", path, List::LARGEST_FILE), &mut mistakes);
        let file = path.display().to_string();
        keep(List::parse(&file, &text.unwrap_or_default()), &mut mistakes);
    }
    if let Some(path) = cdb {
        keep(checker::check_cdb(options, path), &mut mistakes);
    }
    mistakes
}

fn wrong_expressions(path: &Path, text: &[u8]) -> Vec<Fatal> {
    let file = path.display().to_string();
    let wrong = Patterns::mistakes(&file, text);
    let more = wrong.len().saturating_sub(MOST_MISTAKES);
    let told = wrong.iter().take(MOST_MISTAKES).map(ToString::to_string);
    let rest = (more > 0).then(|| format!("unable to use {file}: {more} more lines are wrong"));
    told.chain(rest).map(Fatal::usage).collect()
}

fn check_program(options: &Options) -> Result<(), Fatal> {
    let program = program(options)?;
    program.find().map_err(|why| Fatal::usage(format!("unable to run {}: {why}", program.name())))
}
