//! The keeper of known clients, as a process of the supervisor's: forked before the pool,
//! replaced when it ends, and told to end when the supervisor ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid, pipe2};

use crate::daemon::scoreboard::keeper::KeeperRecord;
use crate::error::{NotForked, TROUBLE};
use crate::known::asking::Asker;
use crate::known::asking::message::Request;
use crate::known::directory::Directory;
use crate::known::keeper::{Life, Place, Process, keep, nameless_socket};
use crate::known::rules::Lifetimes;
use crate::known::rules::Limits;
use crate::known::share::settings::Settings;
use crate::log::Log;
use crate::options::Options;
use crate::sys;

/// How long the pool waits for the first answer.
const START: Duration = Duration::from_secs(1);
/// How long the supervisor waits for what was told to be written.
const END: Duration = Duration::from_secs(5);
/// The interval at which either is checked.
const INTERVAL: Duration = Duration::from_millis(5);
/// How soon after its start a keeper that has ended is replaced; twice as long after each
/// that has not lived that long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Signals to the process group that must not end it.
const DEAF_TO: [Signal; 5] =
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGQUIT];

/// Where it stores what it knows.
enum KeeperStorage {
    Directory(PathBuf),
    /// In memory; this is the socket by which it is asked.
    Memory(UnixDatagram),
}

impl KeeperStorage {
    /// The directory at `path`, if it can be used.
    fn of(path: &Path, log: &Log) -> io::Result<Self> {
        let checked = Directory::open(path).and_then(|directory| directory.check());
        let Err(why) = checked else { return Ok(Self::Directory(path.into())) };
        let path = path.display();
        log.warning(format_args!(
            "unable to keep known clients in {path}: {why}: keeping them in memory"
        ));
        Ok(Self::Memory(nameless_socket()?))
    }
}

/// The keeper of a supervisor.
pub struct KeeperProcess {
    home: KeeperStorage,
    limits: Limits,
    share: Option<Settings>,
    pid: Option<Pid>,
    /// A byte that is written to it tells the keeper to end.
    life: Option<File>,
    started: Instant,
    pause: Duration,
}

impl KeeperProcess {
    /// Forks the keeper that `options` ask for, and waits until it answers, for a second at
    /// most.  If the directory cannot be used there is a warning, and the keeper stores
    /// what it is told in memory.  If no process can be made now it is tried again.
    ///
    /// # Errors
    /// No descriptors.
    pub(in crate::daemon) fn start(
        options: &Options,
        log: &Log,
        shown: &KeeperRecord,
    ) -> io::Result<Option<Self>> {
        let home = match &options.known {
            Some(path) => KeeperStorage::of(path, log)?,
            None if options.demo => KeeperStorage::Memory(nameless_socket()?),
            None => return Ok(None),
        };
        let limits =
            Limits { size: options.known_size, lifetimes: Lifetimes::days(options.known_days) };
        let (started, pause, share) = (Instant::now(), FIRST_PAUSE, options.share());
        let mut keeper = Self { home, limits, share, pid: None, life: None, started, pause };
        shown.expect();
        keeper.fork(log, shown);
        if keeper.pid.is_some() {
            keeper.wait_for_answer();
        }
        Ok(Some(keeper))
    }

    /// How it is asked.
    ///
    /// # Errors
    /// ENAMETOOLONG.
    pub fn asker(&self) -> nix::Result<Asker> {
        match &self.home {
            KeeperStorage::Directory(path) => Asker::of_directory(path),
            KeeperStorage::Memory(socket) => Asker::of_socket(socket),
        }
    }

    /// Whether the process `pid`, which has ended, was the keeper.
    pub fn has_ended(&mut self, pid: Pid) -> bool {
        let it_was = self.pid == Some(pid);
        if it_was {
            self.pid = None;
            let lived_long = self.started.elapsed() > LONGEST_PAUSE;
            self.pause = if lived_long { FIRST_PAUSE } else { self.pause };
        }
        it_was
    }

    /// When a keeper that has ended is to be replaced.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.pid.is_none().then_some(self.started + self.pause)
    }

    /// Replaces one that has ended, if that is due.
    pub(in crate::daemon) fn replace(&mut self, log: &Log, shown: &KeeperRecord) {
        if self.due().is_some_and(|due| due <= Instant::now()) {
            self.started = Instant::now();
            self.pause = LONGEST_PAUSE.min(self.pause * 2);
            self.fork(log, shown);
        }
    }

    /// Tells it to end, and waits until it has stored what it was told.  One that is
    /// stopped (SIGSTOP) is continued: it would hold the lock, which the next daemon needs.
    pub fn end(&mut self) {
        if let Some(mut life) = self.life.take() {
            let _ = life.write_all(b"\n");
        }
        if let Some(pid) = self.pid {
            let _ = kill(pid, Signal::SIGCONT);
        }
        let until = Instant::now() + END;
        while let Some(pid) = self.pid.filter(|_| Instant::now() < until) {
            match sys::reap(Some(pid)) {
                Some(_) => self.pid = None,
                None => thread::sleep(INTERVAL),
            }
        }
    }

    /// Forks it, or logs why that cannot be done.
    fn fork(&mut self, log: &Log, shown: &KeeperRecord) {
        if let Err(why) = self.try_fork(log, shown).map_err(NotForked::from) {
            log.error(format_args!("unable to fork the keeper of known clients: {why}"));
        }
    }

    fn try_fork(&mut self, log: &Log, shown: &KeeperRecord) -> io::Result<()> {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        let supervisor = getpid();
        let mut reading = Some(reading);
        let pid = sys::spawn(|| {
            let Some(reading) = reading.take() else { return TROUBLE };
            self.run(reading, supervisor, log, shown)
        })?;
        self.pid = Some(pid);
        self.life = Some(writing.into());
        Ok(())
    }

    /// The keeper's process.
    fn run(&self, pipe: OwnedFd, supervisor: Pid, log: &Log, shown: &KeeperRecord) -> u8 {
        let socket = match &self.home {
            KeeperStorage::Directory(_) => None,
            KeeperStorage::Memory(socket) => Some(socket),
        };
        let kept = [Some(pipe.as_fd()), log.descriptor(), socket.map(AsFd::as_fd)];
        let kept: Vec<_> = kept.into_iter().flatten().collect();
        sys::close_all_but(&kept);
        for signal in DEAF_TO {
            let _ = sys::ignore(signal);
        }
        let place = match &self.home {
            KeeperStorage::Directory(path) => Place::Directory(path),
            KeeperStorage::Memory(socket) => match socket.try_clone() {
                Ok(socket) => Place::Memory(socket),
                Err(_) => return TROUBLE,
            },
        };
        let report = |clients, place, sharing| shown.knows(clients, place, sharing);
        let (life, share) = (Life::Supervisor(pipe, supervisor), self.share.clone());
        let process = Process { life, log, report: &report, share };
        match keep(place, self.limits, process) {
            Ok(()) => 0,
            Err(why) => {
                log.error(&why);
                why.exit_code()
            }
        }
    }

    fn wait_for_answer(&self) {
        let until = Instant::now() + START;
        let Ok(asker) = self.asker() else { return };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || asker.exchange(Request::Status, left).is_ok() {
                return;
            }
            thread::sleep(INTERVAL);
        }
    }
}
