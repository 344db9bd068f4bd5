//! The process that reads the files at the start and on SIGHUP: a child, which compiles
//! them and hands over what it has read.  A list that takes too much memory or time to
//! compile ends the child, and not the daemon; so does a file system that does not answer.
//!
//! A start and `--check` wait for it ([`check`]); the supervisor goes on meanwhile, and
//! asks for the [`outcome`](Checker::outcome) once it has reaped it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use std::{error, fmt, io, thread};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpid, getppid};

use crate::daemon::files::compile::{Checked, OptionSource, cdb_to_check, read};
use crate::daemon::files::texts::{Handover, Texts};
use crate::daemon::process::oom::Scores;
use crate::daemon::process::signals::told_to_stop;
use crate::error::{Fatal, NotForked, TROUBLE};
use crate::options::Options;
use crate::sys::{self, OnRefusal};

/// The time limit of a child.
pub(in crate::daemon) const PATIENCE: Duration = Duration::from_secs(15);

/// A child that reads the files, and hands them over.
pub(in crate::daemon) struct Checker {
    pub(in crate::daemon) pid: Pid,
    started: Instant,
    source: OptionSource,
    handover: Handover,
}

/// The result of a checker.
pub(in crate::daemon) enum CheckOutcome {
    /// Files that can be used.
    Usable(Box<Checked>),
    /// A mistake.
    Mistake(Fatal),
    /// It could not finish, for this reason.
    Died(Death),
}

/// Why a checker could not finish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum Death {
    /// It was refused memory.
    NoMemory,
    /// Its time was up.
    TimeOut,
    /// Another process killed it.
    Killed,
    /// Another signal has ended it.
    Crashed,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoMemory => "memory does not suffice: raise the limit (softlimit -m)",
            Self::TimeOut => "it takes too long",
            Self::Killed => "it was killed, as where the host has no memory left",
            Self::Crashed => "it crashed",
        })
    }
}

impl error::Error for Death {}

impl Checker {
    /// Forks it.
    ///
    /// # Errors
    /// Errors of `memfd_create(2)` and fork(2).
    pub(in crate::daemon) fn start(options: &Options, source: OptionSource) -> nix::Result<Self> {
        let (supervisor, handover) = (getpid(), Handover::new()?);
        let read = || read(options, source);
        let pid = sys::spawn(|| hand_over(read, &handover, supervisor))?;
        Ok(Self { pid, started: Instant::now(), source, handover })
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

    /// Its result, after it was started with `options` and has ended with `status`.
    pub(in crate::daemon) fn outcome(&self, options: &Options, status: ExitStatus) -> CheckOutcome {
        match (status.code(), status.signal()) {
            (Some(0), _) => self.take(options).map_or_else(CheckOutcome::Mistake, |checked| {
                CheckOutcome::Usable(Box::new(checked))
            }),
            (Some(code), _) => CheckOutcome::Mistake(self.take_mistake(code)),
            (None, Some(libc::SIGABRT)) => CheckOutcome::Died(Death::NoMemory),
            (None, Some(libc::SIGKILL)) if self.left().is_zero() => {
                CheckOutcome::Died(Death::TimeOut)
            }
            (None, Some(libc::SIGKILL)) => CheckOutcome::Died(Death::Killed),
            (None, _) => CheckOutcome::Died(Death::Crashed),
        }
    }

    fn take(&self, options: &Options) -> Result<Checked, Fatal> {
        let texts = self.handover.take().map_err(unable_to_take_over)?;
        Checked::compile(options, self.source, &texts)
    }

    fn take_mistake(&self, code: i32) -> Fatal {
        let code = u8::try_from(code).unwrap_or(TROUBLE);
        let message = self.handover.take_mistake();
        message.map_or_else(unable_to_take_over, |message| Fatal::Reported { code, message })
    }
}

fn unable_to_take_over(why: io::Error) -> Fatal {
    Fatal::unable("take over what was read", why)
}

/// Waits until `ended` returns a value; `meanwhile` is called a thousand times a second at
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

/// Has a child read the files that `options` name, and waits for it; `None` if we are told
/// to stop meanwhile.
///
/// # Errors
/// A file that cannot be used: 100; files that cannot be read within the limits: 111.
pub(in crate::daemon) fn check(options: &Options) -> Result<Option<Checked>, Fatal> {
    let source = OptionSource::AsTheyAre;
    if !Texts::are_named_by(options) && cdb_to_check(options).is_none() {
        return Checked::compile(options, source, &Texts::default()).map(Some);
    }
    let checker = Checker::start(options, source);
    let checker = checker.map_err(|why| Fatal::because("fork", NotForked::from(why)))?;
    let Some(status) = checker.wait() else { return Ok(None) };
    match checker.outcome(options, status) {
        CheckOutcome::Usable(files) => Ok(Some(*files)),
        CheckOutcome::Mistake(fatal) => Err(fatal),
        CheckOutcome::Died(why) => Err(Fatal::because("read expressions and rules", why)),
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
}
