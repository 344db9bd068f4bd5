//! `--check`: reads all that a start would, as the final user, and reports all
//! mistakes.  Nothing is bound, and no file is made.

use std::env;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::connection::decided::exemptions::exemptions;
use crate::daemon::files::{checker, compile};
use crate::daemon::process::pidfile::Pidfile;
use crate::daemon::process::privileges::{Identity, identity};
use crate::daemon::scoreboard::file::Storage;
use crate::daemon::startup::listen::ListenAddress;
use crate::daemon::startup::start::program;
use crate::daemon::startup::warnings::{warn, warn_of_open_files};
use crate::error::{Fatal, USAGE};
use crate::file::entry::Entry;
use crate::findings::{Extent, Finding};
use crate::log::Log;
use crate::mistakes::keep;
use crate::names::Patterns;
use crate::options::files::{check_credentials, read};
use crate::options::{Options, Setting, config};
use crate::rules::list::RuleList;

/// The results of `--check`, in order.
pub enum Remark {
    /// Mistakes, which keep the daemon from starting.
    Mistake(Fatal),
    /// Warnings, which do not.
    Warning(String),
}

/// Mistakes besides those in the command line itself, and warnings about the files; warns
/// of other settings.
#[must_use]
pub fn check(options: &Options, log: &Log) -> Vec<Remark> {
    let mut mistakes = Vec::new();
    warn_of_open_files(options, log);
    warn_of_variables(log);
    let variable = |name: &str| env::var_os(name).map(|value| value.as_bytes().to_vec());
    let identity = keep(identity(options, variable), &mut mistakes);
    // Missing operands are reported already.
    let has_operands = options.demo || !options.program.is_empty();
    let place = has_operands.then(|| keep(ListenAddress::find(options), &mut mistakes)).flatten();
    if let Some(place) = &place {
        keep(place.check(), &mut mistakes);
    }
    warn_of_known(options, log);
    check_outputs(options, identity.as_ref().unwrap_or(&Identity::default()), &mut mistakes);
    if let Some(identity) = identity {
        keep(identity.assume(), &mut mistakes);
    }
    if let Some(place) = place {
        warn(options, place.address(), log);
    }
    let mut remarks: Vec<Remark> = mistakes.into_iter().map(Remark::Mistake).collect();
    remarks.extend(check_inputs(options));
    let program = (has_operands && !options.demo).then(|| check_program(options).err());
    remarks.extend(program.flatten().map(Remark::Mistake));
    remarks
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

/// A directory that a start could not make, without which it remembers nothing on disk.
fn warn_of_known(options: &Options, log: &Log) {
    let missing = options.known.as_deref().filter(|path| path.symlink_metadata().is_err());
    let Some(path) = missing else { return };
    let made = Entry::at(path).and_then(|entry| Ok(entry.check_directory()?));
    if let Err(why) = made {
        let unable = Fatal::unable(format_args!("make {}", path.display()), why);
        log.warning(options.with_origin("known", unable));
    }
}

/// The files that are written before the privileges are dropped.
fn check_outputs(options: &Options, identity: &Identity, mistakes: &mut Vec<Fatal>) {
    if let Some(path) = &options.pidfile {
        let checked = Pidfile::check(path, identity);
        keep(checked.map_err(|why| options.with_origin("pidfile", why)), mistakes);
    }
    let checked = Storage::check(options);
    keep(checked.map_err(|why| options.with_origin("scoreboard", why)), mistakes);
}

/// The files that are read as the final user: by a child first, which bounds what
/// that takes.
fn check_inputs(options: &Options) -> Vec<Remark> {
    match checker::check(options) {
        Ok(_) => examine_each(options),
        Err(first) if first.exit_code() == USAGE => with_mistake(examine_each(options), first),
        Err(first) => vec![Remark::Mistake(first)],
    }
}

/// `remarks`, with the mistake by which a start would fail: usually it is among them,
/// with those that come after it.
fn with_mistake(mut remarks: Vec<Remark>, first: Fatal) -> Vec<Remark> {
    if !remarks.iter().any(|remark| matches!(remark, Remark::Mistake(_))) {
        remarks.push(Remark::Mistake(first));
    }
    remarks
}

/// All errors and warnings about any of them, file by file and line by line.
fn examine_each(options: &Options) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let Options { dynamic_files, static_files, rules, .. } = options;
    if let Some(path) = &options.config {
        examine(read(options, "config", path, config::LARGEST), |_| Vec::new(), &mut remarks);
    }
    let dynamic = Setting::each("dynamic-file", dynamic_files);
    for (setting, path) in dynamic.chain(Setting::each("static-file", static_files)) {
        let text = read(options, setting, path, Patterns::LARGEST_FILE);
        examine(text, |text| Patterns::examine(&name_of(path), text), &mut remarks);
    }
    if let Some(path) = rules {
        let text = read(options, "rules", path, RuleList::LARGEST_FILE);
        examine(text, |text| examine_rules(options, path, text), &mut remarks);
    }
    remarks.extend(check_credentials(options).err().map(Remark::Mistake));
    if let Some(path) = compile::cdb_to_check(options) {
        match compile::check_cdb(options, path, Extent::All) {
            Ok(warnings) => remarks.extend(warnings.into_iter().map(Remark::Warning)),
            Err(why) => remarks.push(Remark::Mistake(why)),
        }
    }
    remarks
}

fn examine_rules(options: &Options, path: &Path, text: &[u8]) -> Vec<Finding> {
    let (list, mut findings) = RuleList::examine(&name_of(path), text);
    findings.extend(compile::ident_warning(options, path, &list).map(Finding::Warning));
    findings
}

fn name_of(path: &Path) -> String {
    path.display().to_string()
}

fn examine(
    text: Result<Vec<u8>, Fatal>,
    find: impl FnOnce(&[u8]) -> Vec<Finding>,
    remarks: &mut Vec<Remark>,
) {
    match text {
        Ok(text) => remarks.extend(find(&text).into_iter().map(|finding| match finding {
            Finding::Mistake(why) => Remark::Mistake(why),
            Finding::Warning(why) => Remark::Warning(why),
        })),
        Err(why) => remarks.push(Remark::Mistake(why)),
    }
}

fn check_program(options: &Options) -> Result<(), Fatal> {
    let program = program(options)?;
    program.find().map_err(|why| Fatal::Program { name: program.name(), why: why.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_that_only_a_start_finds_is_reported() {
        let mistake = || Fatal::NoAddress("a start".into());
        let warning = || Remark::Warning("odd".into());
        let told = |remarks| {
            let remarks = with_mistake(remarks, mistake()).into_iter();
            let told = remarks.map(|remark| match remark {
                Remark::Mistake(why) => why.to_string(),
                Remark::Warning(why) => why,
            });
            told.collect::<Vec<_>>()
        };
        let expected = mistake().to_string();
        assert_eq!(told(vec![warning()]), ["odd", expected.as_str()]);
        let found = Fatal::NoAddress("a check".into());
        assert_eq!(told(vec![Remark::Mistake(found), warning()]).len(), 2, "the same one");
    }
}
