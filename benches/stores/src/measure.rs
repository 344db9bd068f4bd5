//! What is measured of each store, in processes that are killed or end.

use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio, id};
use std::thread;
use std::time::{Duration, Instant};

use smtp_delay::class::Class;
use smtp_delay::known::key::Key;
use smtp_delay::known::record::{Record, Time};
use support::keeper::key;

use crate::candidates::{Log, Redb, Sqlite, Store};

/// Clients that a store is filled with in one batch.
const FILLED_AT_ONCE: u32 = 10_000;
/// Look-ups, and batches of each size, that are measured.
const LOOK_UPS: u32 = 200_000;
const BATCHES: u32 = 20;
/// Clients in a batch while the process is killed.
const KILLED: u32 = 200;

/// What a process is to do with a store.
pub(crate) struct Task {
    pub(crate) store: String,
    what: String,
    home: PathBuf,
    clients: u32,
}

impl Task {
    /// As its process is told by `compare`.
    pub(crate) fn of(words: &[String]) -> Option<Self> {
        let [store, what, home, clients] = words else { return None };
        let clients = clients.parse().ok()?;
        Some(Self { store: store.clone(), what: what.clone(), home: home.into(), clients })
    }

    fn start(&self) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([&self.store, &self.what]).arg(&self.home).arg(self.clients.to_string());
        command.stdout(Stdio::piped()).spawn().unwrap()
    }

    /// What its process prints, once that has ended.
    fn result(&self) -> Vec<String> {
        let output = self.start().wait_with_output().unwrap();
        assert!(output.status.success(), "{} {}", self.store, self.what);
        String::from_utf8(output.stdout).unwrap().lines().map(String::from).collect()
    }

    /// Does it, in this process.
    pub(crate) fn run<S: Store>(&self) {
        match self.what.as_str() {
            "fill" => fill(&mut S::open(&self.home), self.clients),
            "use" => work(&mut S::open(&self.home), self.clients),
            "write" => write_on(&mut S::open(&self.home), self.clients),
            _ => open::<S>(&self.home),
        }
    }
}

fn batch(numbers: Range<u32>, count: u32) -> Vec<(Key, Record)> {
    let record = Record { count, ..Record::new(Class::Static, Time::now()) };
    numbers.map(|number| (key(number), record)).collect()
}

fn fill(store: &mut impl Store, clients: u32) {
    for first in (0..clients).step_by(FILLED_AT_ONCE as usize) {
        store.write(&batch(first..clients.min(first + FILLED_AT_ONCE), 1));
    }
}

/// Prints look-ups a second, milliseconds of a batch of 100 passes and of 1,000, and
/// resident memory in KiB.
fn work(store: &mut impl Store, clients: u32) {
    let start = Instant::now();
    for number in 0..LOOK_UPS {
        let number = number.wrapping_mul(7919) % clients;
        assert!(store.get(key(number)).is_some());
    }
    println!("{:.0}", f64::from(LOOK_UPS) / start.elapsed().as_secs_f64());
    for size in [100, 1000] {
        let start = Instant::now();
        for number in 0..BATCHES {
            let first = number.wrapping_mul(104_729) % clients.saturating_sub(size).max(1);
            store.write(&batch(first..first + size, 2));
        }
        println!("{:.1}", milliseconds(start) / f64::from(BATCHES));
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    println!("{}", resident.unwrap().trim().trim_end_matches(" kB"));
}

/// Writes new clients until it is killed; prints how many are on the disk.
fn write_on(store: &mut impl Store, clients: u32) {
    let mut written = clients;
    loop {
        store.write(&batch(written..written + KILLED, 1));
        written += KILLED;
        println!("{written}");
    }
}

/// Prints milliseconds until the first answer, and how many clients there are.
fn open<S: Store>(home: &Path) {
    let start = Instant::now();
    let store = S::open(home);
    assert!(store.get(key(0)).is_some());
    println!("{:.1}", milliseconds(start));
    println!("{}", store.count());
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Prints a row for each store; fails if one has lost a batch.
pub(crate) fn compare(clients: u32, kills: u32) -> ExitCode {
    println!(
        "{:<8} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}  lost",
        "", "look-ups/s", "ms of 100", "of 1,000", "MB", "MB disk", "ms open", "killed"
    );
    let rows = [Redb::NAME, Sqlite::NAME, Log::NAME].map(|store| row(store, clients, kills));
    if rows.contains(&0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures a store and prints its row; how many clients were lost.
fn row(store: &str, clients: u32, kills: u32) -> u64 {
    let home = std::env::temp_dir().join(format!("smtp-delay-stores.{}", id()));
    fs::create_dir(&home).unwrap();
    let task = |what: &str, clients| {
        let (store, what, home) = (store.into(), what.into(), home.clone());
        Task { store, what, home, clients }
    };
    task("fill", clients).result();
    let [look_ups, small, large, resident] = task("use", clients).result().try_into().unwrap();
    let disk: u64 = fs::read_dir(&home)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().blocks() * 512)
        .sum();
    let [opened, _] = task("open", clients).result().try_into().unwrap();
    let (mut after_kill, mut lost, mut there) = (Vec::new(), 0, clients);
    for round in 0..kills {
        let written = kill_while_writing(&task("write", there), round);
        let [opened, found] = task("open", there).result().try_into().unwrap();
        after_kill.push(opened.parse::<f64>().unwrap());
        let found: u64 = found.parse().unwrap();
        lost += u64::from(written).saturating_sub(found);
        there = found.try_into().unwrap();
    }
    fs::remove_dir_all(&home).unwrap();
    after_kill.sort_by(f64::total_cmp);
    let killed = after_kill.get(after_kill.len() / 2).copied().unwrap_or(f64::NAN);
    let megabytes = |kibibytes: u64| kibibytes * 1024 / 1_000_000;
    println!(
        "{store:<8} {look_ups:>10} {small:>9} {large:>9} {:>9} {:>9} {opened:>9} {killed:>9.1}  {lost}",
        megabytes(resident.parse().unwrap()),
        disk / 1_000_000
    );
    lost
}

/// How many clients were on the disk for certain when it was killed.
fn kill_while_writing(task: &Task, round: u32) -> u32 {
    let mut child = task.start();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    thread::sleep(Duration::from_millis(u64::from(round) * 37 % 200));
    child.kill().unwrap();
    child.wait().unwrap();
    lines.map_while(Result::ok).last().unwrap_or(first).parse().unwrap()
}
