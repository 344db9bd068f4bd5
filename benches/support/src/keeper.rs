//! A keeper of known clients under measurement, and a store of many clients for it.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::log::Log;
use lab::{PATIENCE, command, directory};
use smtp_delay::class::Class;
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request};
use smtp_delay::known::entry::Entry;
use smtp_delay::known::key::Key;
use smtp_delay::known::record::{Record, Time};
use smtp_delay::known::rules::{Limits, Pass};
use smtp_delay::known::store::clock::Purge;
use smtp_delay::known::store::disk::Disk;

/// Clients that a store is filled with in one transaction.
const FILLED_AT_ONCE: u32 = 10_000;
/// How long a keeper that has no room for what it is told is waited for.
const TELLING: Duration = Duration::from_secs(10);

/// What every client is that is told of: it has waited out the delay of its class.
pub const PASS: Pass = Pass::Full(Class::Static);

/// The client that has this number: no two are the same, and those that follow each other
/// are far apart.  A quarter have IPv6.
pub fn key(number: u32) -> Key {
    let [a, b, c, d] = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
    if number % 4 == 3 {
        let [high, low] = [[a, b], [c, d]].map(u16::from_be_bytes);
        Key::of([0x2001, 0xdb8, high, low, 0, 0, 0, 1].into())
    } else {
        Key::of([a, b, c, d].into())
    }
}

/// Whether that client has passed more than once in a store that was filled.
pub fn came_back(number: u32) -> bool {
    number % 2 == 0
}

/// A directory for a keeper.
pub fn home() -> PathBuf {
    let home = directory();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).expect("a mode");
    home
}

/// The same, with the clients `0..clients` in its store.
pub fn filled(clients: u32) -> PathBuf {
    let home = home();
    let mut how = fs::File::options();
    let file = how.read(true).write(true).create_new(true).open(home.join("store"));
    let disk = Disk::open(file.expect("a file")).expect("a store");
    let (now, limits) = (Time::now(), Limits { size: u64::MAX, ..Limits::default() });
    for first in (0..clients).step_by(FILLED_AT_ONCE as usize) {
        let numbers = first..clients.min(first + FILLED_AT_ONCE);
        let record = |number| Record {
            count: if came_back(number) { 2 } else { 1 },
            ..Record::new(Class::Static, now)
        };
        let entry = |number| (key(number), Entry::Known(record(number)));
        let written = disk.write(&numbers.map(entry).collect(), &limits, Purge::Held, now);
        written.expect("a batch");
    }
    home
}

/// A running `smtp-delayctl keep`, until this is dropped.
pub struct Keeper {
    child: Child,
    home: PathBuf,
    /// How it is asked.
    pub asker: Asker,
    /// What it has logged.
    pub log: Log,
}

impl Keeper {
    /// Starts one that answers already; returns how long that took as well.
    pub fn start(home: &Path) -> (Self, Duration) {
        let start = Instant::now();
        let mut command = Command::new(command::ctl());
        command.arg("keep").arg(home).stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a keeper");
        let log = Log::of("the keeper", child.stderr.take().expect("a pipe"));
        let asker = Asker::of_directory(home).expect("a short path");
        let keeper = Self { child, home: home.into(), asker, log };
        while let Err(why) = asker.exchange(Request::Status, PATIENCE) {
            assert!(start.elapsed() < PATIENCE, "{why}: {}", keeper.log.text());
            thread::sleep(Duration::from_micros(200));
        }
        (keeper, start.elapsed())
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Tells it that a client has passed.
    pub fn tell(&self, number: u32) {
        self.asker.tell(Request::Tell(key(number), PASS), TELLING).expect("room in the queue");
    }

    /// Whether it knows a client.
    pub fn knows(&self, number: u32) -> bool {
        let answer = self.asker.exchange(Request::Ask(key(number)), PATIENCE);
        matches!(answer.expect("an answer"), Answer::Known(_))
    }

    /// How many of these clients it does not know.
    pub fn lost(&self, numbers: impl Iterator<Item = u32>) -> usize {
        numbers.filter(|number| !self.knows(*number)).count()
    }

    /// Bytes of its store on the disk.
    pub fn bytes_on_disk(&self) -> u64 {
        fs::metadata(self.home.join("store")).map_or(0, |store| store.blocks() * 512)
    }

    /// When the store was written to last.
    ///
    /// # Errors
    /// Those of stat(2).
    pub fn written(&self) -> io::Result<std::time::SystemTime> {
        fs::metadata(self.home.join("store"))?.modified()
    }

    /// Ends it by a signal, and returns how long that took.
    pub fn end_by(mut self, signal: Signal) -> Duration {
        let start = Instant::now();
        kill(self.pid(), signal).expect("a keeper");
        self.child.wait().expect("its end");
        start.elapsed()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of a line of /proc/PID/status, of which memory is in KiB.
pub fn status(pid: Pid, line: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = text.lines().find_map(|one| one.strip_prefix(line)?.strip_prefix(':'));
    let number = found.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    number.unwrap_or_default()
}
