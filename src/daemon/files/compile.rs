//! The files that the options name, expressions and rules: what is read of them, compiled,
//! and worth a warning.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::daemon::files::texts::Texts;
use crate::error::Fatal;
use crate::file::{self, Refused};
use crate::findings::Extent;
use crate::names::{Names, Patterns};
use crate::options::Options;
use crate::options::daemon::DAEMON;
use crate::options::files::unreadable_again;
use crate::options::parse::{Request, parse_with};
use crate::rules::Rules;
use crate::rules::lint_cdb::lint_cdb;
use crate::rules::list::RuleList;

/// The source of the options that name the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum OptionSource {
    /// The present ones.  The file of `--config` was read before the privileges were
    /// dropped; now it is read as the user that will have to read it on SIGHUP.
    AsTheyAre,
    /// The command line, combined with the present text of the file of `--config`.
    ReadAgain,
}

impl OptionSource {
    /// The options that name the files, where `texts` has that of `--config`.
    fn options(self, present: &Options, texts: &Texts) -> Result<Options, Fatal> {
        match self {
            Self::AsTheyAre => Ok(present.clone()),
            Self::ReadAgain => options_again(present, texts),
        }
    }
}

/// Reads the files, compiles them, and looks for what is worth a warning.
///
/// # Errors
/// A file that cannot be read, and a mistake in one: 100; a cdb that may not be read: 111.
pub(super) fn read(options: &Options, source: OptionSource) -> Result<Texts, Fatal> {
    let mut texts = Texts::read_config(options)?;
    let options = source.options(options, &texts)?;
    texts.read_others(&options)?;
    let (names, _) = compile(&options, &texts)?;
    texts.set_warnings(&warnings(&options, &texts, &names)?);
    let tables = |list: &[Patterns]| list.iter().map(Patterns::tables).collect();
    let [dynamic_tables, exceptions_tables] = names.lists().map(tables);
    Ok(Texts { dynamic_tables, exceptions_tables, ..texts })
}

/// What was read and accepted, ready for use.
pub(in crate::daemon) struct Checked {
    /// The options that named the files.
    pub(in crate::daemon) options: Options,
    /// The built-in patterns, and the expressions.
    pub(in crate::daemon) names: Names,
    pub(in crate::daemon) rules: Rules,
    /// What is to be logged about the files.
    pub(in crate::daemon) warnings: Vec<String>,
}

impl Checked {
    /// Compiles `texts`, which were read with the same `source`.
    ///
    /// # Errors
    /// A mistake in them: 100.
    pub(super) fn compile(
        options: &Options,
        source: OptionSource,
        texts: &Texts,
    ) -> Result<Self, Fatal> {
        let options = source.options(options, texts)?;
        let (names, rules) = compile(&options, texts)?;
        Ok(Self { options, names, rules, warnings: texts.warnings().collect() })
    }
}

/// The options, combined with the text of the file of `--config` in `texts`.
///
/// # Errors
/// A mistake in it: 100.
fn options_again(options: &Options, texts: &Texts) -> Result<Options, Fatal> {
    let Some(config) = texts.config.as_deref().filter(|_| !options.demo) else {
        return Ok(options.clone());
    };
    let base = if options.as_tcpserver { Options::for_tcpserver() } else { Options::default() };
    match parse_with(&DAEMON, &options.arguments, base, Some(config)).request? {
        Request::Run(options) => Ok(*options),
        Request::Help | Request::Version => Ok(options.clone()),
    }
}

/// Compiles the texts of the files that `options` name.
///
/// # Errors
/// A mistake in it: 100.
fn compile(options: &Options, texts: &Texts) -> Result<(Names, Rules), Fatal> {
    let dynamic = patterns(&options.dynamic_files, &texts.dynamic, &texts.dynamic_tables)?;
    let exceptions = patterns(&options.static_files, &texts.exceptions, &texts.exceptions_tables)?;
    let names = Names::new(options.builtin_patterns, dynamic, exceptions);
    let rules = match (list(options, texts)?, &options.cdb) {
        (Some((list, _)), _) => Rules::List(list),
        (None, Some(path)) => {
            Rules::Cdb { path: path.clone(), may_be_missing: options.cdb_may_be_missing }
        }
        (None, None) => Rules::None,
    };
    Ok((names, rules))
}

/// Warnings about the files, in order.
///
/// # Errors
/// A cdb that may not be read: 111.
fn warnings(options: &Options, texts: &Texts, names: &Names) -> Result<Vec<String>, Fatal> {
    let mut warnings = texts.expression_warnings(options);
    warnings.extend(names.lists().into_iter().flatten().filter_map(Patterns::slow_warning));
    warnings.extend(list(options, texts)?.into_iter().flat_map(|(_, told)| told));
    if let Some(path) = cdb_to_check(options) {
        warnings.extend(check_cdb(options, path, Extent::Some)?);
    }
    Ok(warnings)
}

/// Compiles the texts of files, each with the tables that were built of it, if there are
/// any.
fn patterns(
    paths: &[PathBuf],
    texts: &[Vec<u8>],
    tables: &[Vec<u8>],
) -> Result<Vec<Patterns>, Fatal> {
    let mut tables = tables.iter();
    let compile = |(path, text): (&PathBuf, &Vec<u8>)| {
        let origin = path.display().to_string();
        let patterns = match tables.next() {
            Some(tables) => Patterns::with_tables(&origin, text, tables),
            None => Patterns::parse(&origin, text),
        };
        patterns.map_err(Fatal::from)
    };
    paths.iter().zip(texts).map(compile).collect()
}

/// The rules in text form, and warnings about them.
fn list(options: &Options, texts: &Texts) -> Result<Option<(RuleList, Vec<String>)>, Fatal> {
    let Some((path, text)) = options.rules.as_ref().zip(texts.rules.as_ref()) else {
        return Ok(None);
    };
    let (list, mut warnings) = RuleList::parse(&path.display().to_string(), text)?;
    warnings.extend(ident_warning(options, path, &list));
    Ok(Some((list, warnings)))
}

/// Warns of keys that need an ident server, if none is asked.
pub(in crate::daemon) fn ident_warning(
    options: &Options,
    path: &Path,
    list: &RuleList,
) -> Option<String> {
    let needs_ident = list.asks_for_ident() && !options.ident;
    needs_ident.then(|| format!("{}: keys with `@' need -r", path.display()))
}

/// The cdb that is looked at before there are clients; tcpserver does not.
pub(in crate::daemon) fn cdb_to_check(options: &Options) -> Option<&Path> {
    options.cdb.as_deref().filter(|_| options.rules.is_none() && !options.as_tcpserver)
}

/// A cdb that only root may read, or that a child could not open again, fails now, not at
/// the first client.  One that is not there, or that is broken, may be replaced; what is
/// worth a warning.
pub(in crate::daemon) fn check_cdb(
    options: &Options,
    path: &Path,
    extent: Extent,
) -> Result<Vec<String>, Fatal> {
    let unable =
        |why| options.with_origin("x", Fatal::unable(format_args!("read {}", path.display()), why));
    match file::open(path).and_then(|_| file::check_lasting(path)) {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            let told = || format!("{}: every client is dropped", unable(why));
            Ok((!options.cdb_may_be_missing).then(told).into_iter().collect())
        }
        Err(why) if Refused::reason(&why).is_some() => {
            Err(unreadable_again(options, "x", path, why))
        }
        Err(why) => Err(unable(why)),
        Ok(()) => lint_cdb(path, extent)
            .or_else(|why| Ok(vec![format!("{}: every client may be dropped", unable(why))])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cdb_that_cannot_be_read_is_warned_of_with_its_option() {
        let path = std::env::temp_dir().join(format!("empty.cdb.{}", std::process::id()));
        let warnings = || check_cdb(&Options::default(), &path, Extent::All).unwrap();
        let missing = warnings();
        std::fs::write(&path, "").unwrap();
        let empty = warnings();
        std::fs::remove_file(&path).unwrap();
        for (warnings, end) in [(missing, "is dropped"), (empty, "may be dropped")] {
            let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
            assert!(warning.starts_with("unable to read "), "{warning}");
            assert!(
                warning.contains(" (-x): every client ") && warning.ends_with(end),
                "{warning}"
            );
        }
    }
}
