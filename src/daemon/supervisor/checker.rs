//! The files that the options name, expressions and rules: read at the start and on
//! SIGHUP, each time by a child, which compiles them and hands over what it has read.
//! A list that takes too much memory or time to compile ends the child, and not the
//! daemon; so does a file system that does not answer.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use crate::daemon::child::oom::Scores;
use crate::daemon::startup::signals::told_to_stop;
use crate::daemon::supervisor::texts::{Handover, Texts};
use crate::error::{Fatal, TROUBLE};
use crate::file;
use crate::findings::Extent;
use crate::names::{Names, Patterns};
use crate::options::Options;
use crate::options::daemon::DAEMON;
use crate::options::parse::{Request, parse_with};
use crate::rules::Rules;
use crate::rules::lint_cdb::lint_cdb;
use crate::rules::list::List;
use crate::sys::{self, OnRefusal};

/// The time limit of a child.
pub(in crate::daemon) const PATIENCE: Duration = Duration::from_secs(15);

/// What was read, ready for use.
pub(in crate::daemon) struct Files {
    pub(in crate::daemon) names: Names,
    pub(in crate::daemon) rules: Rules,
}

/// The options, combined with the text of the file of `--config` in `texts`.
///
/// # Errors
/// A mistake in it: 100.
pub(in crate::daemon) fn options_again(options: &Options, texts: &Texts) -> Result<Options, Fatal> {
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
pub(in crate::daemon) fn compile(options: &Options, texts: &Texts) -> Result<Files, Fatal> {
    let Texts { dynamic_tables, exceptions_tables, .. } = texts;
    let dynamic = (&texts.dynamic, dynamic_tables);
    let dynamic = patterns(options.dynamic_file.as_ref(), dynamic)?;
    let exceptions = (&texts.exceptions, exceptions_tables);
    let exceptions = patterns(options.static_file.as_ref(), exceptions)?;
    let names = Names::new(options.builtin_patterns, dynamic, exceptions);
    let rules = match (list(options, texts)?, &options.cdb) {
        (Some((list, _)), _) => Rules::List(list),
        (None, Some(path)) => {
            Rules::Cdb { path: path.clone(), may_be_missing: options.cdb_may_be_missing }
        }
        (None, None) => Rules::None,
    };
    Ok(Files { names, rules })
}

/// What in the files is worth a warning, in their order.
///
/// # Errors
/// A cdb that may not be read: 111.
fn warnings(options: &Options, texts: &Texts, names: &Names) -> Result<Vec<String>, Fatal> {
    let mut warnings = texts.expression_warnings(options);
    warnings.extend(names.lists().into_iter().filter_map(Patterns::slow_warning));
    warnings.extend(list(options, texts)?.into_iter().flat_map(|(_, told)| told));
    if let Some(path) = cdb_to_check(options) {
        warnings.extend(check_cdb(options, path, Extent::Some)?);
    }
    Ok(warnings)
}

/// Compiles a text, with tables that were made of it, if there are any.
fn patterns(
    path: Option<&PathBuf>,
    (text, tables): (&Option<Vec<u8>>, &Option<Vec<u8>>),
) -> Result<Patterns, Fatal> {
    let Some((path, text)) = path.zip(text.as_ref()) else { return Ok(Patterns::default()) };
    let origin = path.display().to_string();
    let patterns = match tables {
        Some(tables) => Patterns::with_tables(&origin, text, tables),
        None => Patterns::parse(&origin, text),
    };
    patterns.map_err(Fatal::from)
}

/// The rules in text form, and what in them is worth a warning.
fn list(options: &Options, texts: &Texts) -> Result<Option<(List, Vec<String>)>, Fatal> {
    let Some((path, text)) = options.rules.as_ref().zip(texts.rules.as_ref()) else {
        return Ok(None);
    };
    let (list, mut warnings) = List::parse(&path.display().to_string(), text)?;
    warnings.extend(ident_warning(options, path, &list));
    Ok(Some((list, warnings)))
}

/// Warns of keys that need what nobody is asked for.
pub(in crate::daemon) fn ident_warning(
    options: &Options,
    path: &Path,
    list: &List,
) -> Option<String> {
    let needs_ident = list.asks_for_ident() && !options.ident;
    needs_ident.then(|| format!("{}: keys with `@' need -r", path.display()))
}

/// The cdb that is looked at before there are clients; tcpserver does not.
pub(in crate::daemon) fn cdb_to_check(options: &Options) -> Option<&Path> {
    options.cdb.as_deref().filter(|_| options.rules.is_none() && !options.as_tcpserver)
}

/// A cdb that only root may read fails now, not at the first client.  One that
/// is not there, or that is broken, may be replaced; what is worth a warning.
pub(in crate::daemon) fn check_cdb(
    options: &Options,
    path: &Path,
    extent: Extent,
) -> Result<Vec<String>, Fatal> {
    let unable =
        |why| options.with_origin("x", Fatal::unable(format_args!("read {}", path.display()), why));
    match file::open(path) {
        Err(why) if why.kind() == ErrorKind::NotFound => {
            let told = || format!("{}: every client is dropped", unable(why));
            Ok((!options.cdb_may_be_missing).then(told).into_iter().collect())
        }
        Err(why) => Err(unable(why)),
        Ok(_) => lint_cdb(path, extent)
            .or_else(|why| Ok(vec![format!("{}: every client may be dropped", unable(why))])),
    }
}

/// A child that reads the files, and hands them over.
pub(in crate::daemon) struct Checker {
    pub(in crate::daemon) pid: Pid,
    started: Instant,
    handover: Handover,
}

/// The source of the options that name the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Settings {
    /// The present ones.  The file of `--config` was read before the privileges were
    /// dropped; now it is read as the user that will have to read it on SIGHUP.
    AsTheyAre,
    /// The command line, combined with the present text of the file of `--config`.
    ReadAgain,
}

/// The result of a checker.
pub(in crate::daemon) enum Outcome {
    /// Files that can be used.
    Usable(Texts),
    /// A mistake.
    Mistake(Fatal),
    /// It could not finish, for this reason.
    Died(&'static str),
}

impl Checker {
    /// Forks it.
    ///
    /// # Errors
    /// Errors of `memfd_create(2)` and fork(2).
    pub(in crate::daemon) fn start(options: &Options, settings: Settings) -> nix::Result<Self> {
        let (supervisor, handover) = (getpid(), Handover::new()?);
        let read = || read(options, settings);
        let pid = sys::spawn(|| hand_over(read, &handover, supervisor))?;
        Ok(Self { pid, started: Instant::now(), handover })
    }

    /// How much time it has left.
    pub(in crate::daemon) fn left(&self) -> Duration {
        (self.started + PATIENCE).saturating_duration_since(Instant::now())
    }

    /// Kills it.
    pub(in crate::daemon) fn kill(&self) {
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Waits for its end, which comes within its time; `None` if we are told to stop
    /// meanwhile, which ends it.
    fn wait(&self) -> Option<ExitStatus> {
        let mut stopped = false;
        let ended = || sys::reap(Some(self.pid));
        let (_, status) = wait_for(ended, || {
            stopped |= told_to_stop() > 0;
            if stopped || self.left().is_zero() {
                self.kill();
            }
        });
        (!stopped).then(|| ExitStatus::from_raw(status))
    }

    /// Its result, after it has ended with `status`.
    pub(in crate::daemon) fn outcome(&self, status: ExitStatus) -> Outcome {
        let unable = |why| Outcome::Mistake(Fatal::unable("take over what was read", why));
        match (status.code(), status.signal()) {
            (Some(0), _) => self.handover.take().map_or_else(unable, Outcome::Usable),
            (Some(code), _) => self.handover.take_mistake().map_or_else(unable, |message| {
                let code = u8::try_from(code).unwrap_or(TROUBLE);
                Outcome::Mistake(Fatal::Reported { code, message })
            }),
            (None, Some(libc::SIGABRT)) => {
                Outcome::Died("memory does not suffice: raise the limit (softlimit -m)")
            }
            (None, Some(libc::SIGKILL)) if self.left().is_zero() => {
                Outcome::Died("it takes too long")
            }
            (None, Some(libc::SIGKILL)) => {
                Outcome::Died("it was killed, as where the host has no memory left")
            }
            (None, _) => Outcome::Died("it crashed"),
        }
    }
}

/// What `ended` returns at last; `meanwhile` is called a thousand times a second at
/// most.
fn wait_for<T>(ended: impl Fn() -> Option<T>, mut meanwhile: impl FnMut()) -> T {
    loop {
        if let Some(end) = ended() {
            return end;
        }
        meanwhile();
        thread::sleep(Duration::from_millis(1));
    }
}

/// The exit code says whether they can be used.
fn hand_over(
    read: impl FnOnce() -> Result<Texts, Fatal>,
    handover: &Handover,
    supervisor: Pid,
) -> u8 {
    // The checker must not outlive the supervisor: it holds the listener.
    let _ = set_pdeathsig(Signal::SIGKILL);
    if getppid() != supervisor {
        return 0;
    }
    let _ = [Signal::SIGTERM, Signal::SIGINT].into_iter().try_for_each(sys::reset);
    let _ = SigSet::empty().thread_set_mask();
    // The supervisor logs that.
    sys::on_refused_memory(OnRefusal::Abort);
    Scores::of_this_process().iter().for_each(Scores::raise);
    let unable = |why| Fatal::unable("hand over what was read", why);
    let read = read().and_then(|texts| handover.put(&texts).map_err(unable));
    let Err(mistake) = read else { return 0 };
    handover.put_mistake(&mistake).map_or(TROUBLE, |()| mistake.exit_code())
}

fn read(options: &Options, settings: Settings) -> Result<Texts, Fatal> {
    let mut texts = Texts::read_config(options)?;
    let options = match settings {
        Settings::AsTheyAre => options.clone(),
        Settings::ReadAgain => options_again(options, &texts)?,
    };
    texts.read_others(&options)?;
    let Files { names, .. } = compile(&options, &texts)?;
    texts.set_warnings(&warnings(&options, &texts, &names)?);
    let [dynamic, exceptions] = names.lists().map(Patterns::tables);
    Ok(Texts { dynamic_tables: Some(dynamic), exceptions_tables: Some(exceptions), ..texts })
}

/// Has a child read the files, and waits for it; `None` if we are told to stop
/// meanwhile.
///
/// # Errors
/// A file that cannot be used: 100; where they cannot be read within the
/// limits: 111.
pub(in crate::daemon) fn check(options: &Options) -> Result<Option<Texts>, Fatal> {
    if !Texts::are_named_by(options) && cdb_to_check(options).is_none() {
        return Ok(Some(Texts::default()));
    }
    let checker = Checker::start(options, Settings::AsTheyAre);
    let checker = checker.map_err(|why| Fatal::unable("fork", why))?;
    let Some(status) = checker.wait() else { return Ok(None) };
    match checker.outcome(status) {
        Outcome::Usable(texts) => Ok(Some(texts)),
        Outcome::Mistake(fatal) => Err(fatal),
        Outcome::Died(why) => Err(Fatal::because("read expressions and rules", why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_child_that_takes_time_to_die_is_not_killed_all_the_time() {
        let kills = Cell::new(0);
        let start = Instant::now();
        let ended = || (start.elapsed() >= Duration::from_millis(50)).then_some(());
        wait_for(ended, || kills.set(kills.get() + 1));
        assert!((1..=50).contains(&kills.get()), "{}", kills.get());
    }
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
