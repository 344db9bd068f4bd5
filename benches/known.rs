//! The memory of known clients: how many questions and passes the keeper takes, asked as
//! children ask it; its memory, its store and how soon that is open, with a million
//! clients; what is lost if it is killed; a disk that is full for a while; and the daemon
//! under a small limit of memory with a store that is full.
//!
//! `cargo bench --bench known -- [--clients N] [--seconds N] [--kills N] [--recovery 0|1]
//! [--part N]`
//!
//! The parts are 1 rates, memory and disk, 2 `kill -9`, 3 a full disk, 4 a small limit of
//! memory.  Part 3 needs root, for a file system of its own, and waits for a minute until
//! the disk is used again; with `--recovery 0` the keeper is ended before.  Part 4 needs
//! softlimit of daemontools.
//!
//! It ends with 1 if a client is lost: one that was told of a second before a kill, or at
//! any time if there was none; or if the daemon does not keep within its limit.

#![allow(clippy::unwrap_used, clippy::similar_names)]

use std::path::Path;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::Signal;
use nix::unistd::{Pid, geteuid};

use lab::chain::Chain;
use lab::command::{self, clean_command};
use lab::ucspi::Random;
use lab::{SMALL_MEMORY, wait_until};
use smtp_delay::file::lock::{Holder, owner_at};
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request};
use support::keeper::{Keeper, came_back, filled, home, status};
use support::load::{AT_ONCE, Load, Manner};
use support::{Figures, arguments, compile, measure_what_is_installed};

/// Passes that the keeper is told of in a second, where none may be lost: about what a
/// daemon hands over at most.
const PACE: u32 = 4000;
/// The most that are told of at once: the keeper holds no more that are not on the disk.
const BURST: u32 = 15_000;
/// How many askers there are at once in the second row of look-ups.
const ASKERS: u32 = 4;
/// How old a pass may be that is lost if the keeper is killed.
const MOST_LOST: Duration = Duration::from_secs(1);
/// What a busy machine may add: the system that has to write it has other work.
const SLACK: Duration = Duration::from_secs(2);
/// The size of the file system that gets full, and what is left of it then.
const DISK: &str = "size=64m,mode=700";
const BALLAST: usize = 60 << 20;

/// The first numbers of clients that are told of: those before are in the store.
const NEW: u32 = 1 << 30;

/// How much is measured.
struct Lab {
    clients: u32,
    time: Duration,
    kills: u32,
    waits_for_recovery: bool,
}

/// Whether something was lost.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Held,
    Failed,
}

impl Verdict {
    fn of(what: &str, holds: bool) -> Self {
        if !holds {
            eprintln!("known: {what}");
        }
        if holds { Self::Held } else { Self::Failed }
    }
}

/// A part of the measurements.
type Part = fn(&Lab) -> Verdict;

fn row(what: &str, figure: impl std::fmt::Display) {
    println!("{what:<66} {figure}");
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}

fn per_second(count: u32, time: Duration) -> String {
    format!("{:.0}", f64::from(count) / time.as_secs_f64())
}

fn megabytes(kibibytes: u64) -> String {
    format!("{:.1} MB", f64::from(u32::try_from(kibibytes).unwrap_or(u32::MAX)) * 1024.0 / 1e6)
}

/// Questions about clients of the store, one after another, until the time is over.
fn ask_for(keeper: &Keeper, clients: u32, seed: u32, time: Duration) -> u32 {
    let mut random = Random::new(seed.into());
    let (start, mut asked) = (Instant::now(), 0);
    while start.elapsed() < time {
        let number = u32::try_from(random.below(clients as usize)).unwrap();
        assert!(keeper.knows(number), "client {number} is not known");
        asked += 1;
    }
    asked
}

impl Lab {
    /// Rates, memory and disk.
    fn rates(&self) -> Verdict {
        let home = filled(self.clients);
        let (keeper, opened) = Keeper::start(&home);
        row("opened, and the first question answered, after", milliseconds(opened));
        let start = Instant::now();
        let asked = ask_for(&keeper, self.clients, 1, self.time);
        row("look-ups a second, one asker", per_second(asked, start.elapsed()));
        row("look-ups a second, four askers", self.asked_at_once(&keeper));
        let start = Instant::now();
        (NEW..NEW + BURST).for_each(|number| keeper.tell(number));
        assert!(keeper.knows(NEW + BURST - 1), "all before it have been taken");
        row("passes a second, told at once", per_second(BURST, start.elapsed()));
        row("ended, and all written, after", milliseconds(keeper.end_by(Signal::SIGTERM)));
        let (keeper, _) = Keeper::start(&home);
        let paced = self.tell_paced(&keeper, NEW + BURST);
        row("resident", megabytes(status(keeper.pid(), "VmRSS")));
        row("of that its own, and not of files", megabytes(status(keeper.pid(), "RssAnon")));
        row("resident at most", megabytes(status(keeper.pid(), "VmHWM")));
        row("on disk", megabytes(keeper.bytes_on_disk() / 1024));
        keeper.end_by(Signal::SIGTERM);
        let (keeper, opened) = Keeper::start(&home);
        row("opened again after", milliseconds(opened));
        let told = NEW..NEW + BURST + paced;
        let lost = keeper.lost(told) + keeper.lost((0..self.clients).filter(|n| came_back(*n)));
        row("lost", lost);
        Verdict::of("clients are lost without a kill", lost == 0)
    }

    fn asked_at_once(&self, keeper: &Keeper) -> String {
        let start = Instant::now();
        let asked = thread::scope(|scope| {
            let ask = |seed| scope.spawn(move || ask_for(keeper, self.clients, seed, self.time));
            let askers: Vec<_> = (1..=ASKERS).map(ask).collect();
            askers.into_iter().map(|asker| asker.join().unwrap()).sum()
        });
        per_second(asked, start.elapsed())
    }

    /// Tells of new clients at a pace that a daemon may reach; how many.
    fn tell_paced(&self, keeper: &Keeper, first: u32) -> u32 {
        let start = Instant::now();
        let mut told = 0;
        while start.elapsed() < self.time {
            keeper.tell(first + told);
            told += 1;
            pace(start, told, PACE);
        }
        row(&format!("passes a second, {PACE} asked for"), per_second(told, start.elapsed()));
        told
    }

    /// What a keeper loses that is killed at any time, and how soon the next one answers.
    fn kills(&self) -> Verdict {
        let home = filled(self.clients);
        let mut random = Random::new(1);
        let (mut opened, mut lost_before) = (Figures::default(), Duration::ZERO);
        let (mut keeper, _) = Keeper::start(&home);
        let mut first = NEW;
        for round in 0..self.kills {
            let more = Duration::from_millis(random.below(1500) as u64);
            let told = tell_until_killed(&keeper, first, round, MOST_LOST + more);
            let killed = Instant::now();
            keeper.end_by(Signal::SIGKILL);
            let (next, time) = Keeper::start(&home);
            opened.add(time.as_secs_f64() * 1e3);
            let lost = (first..).zip(&told).filter(|(number, _)| !next.knows(*number));
            let ages = lost.map(|(_, at)| killed.duration_since(*at));
            lost_before = ages.max().unwrap_or_default().max(lost_before);
            first += u32::try_from(told.len()).unwrap();
            keeper = next;
        }
        row("kills", self.kills);
        row("ms until the next keeper answers", format!("{opened:.0}"));
        row("the oldest pass that was lost was told before the kill by", milliseconds(lost_before));
        let is_whole = !home.join("store.bad").exists()
            && keeper.lost((0..self.clients).filter(|number| came_back(*number))) == 0;
        row("the store", if is_whole { "whole" } else { "damaged" });
        let holds = is_whole && lost_before <= MOST_LOST + SLACK;
        Verdict::of("a kill costs more than a second of passes", holds)
    }

    /// A disk that is full for a while.
    fn full_disk(&self) -> Verdict {
        if !geteuid().is_root() {
            println!("no full disk was measured: root is needed");
            return Verdict::Held;
        }
        let home = home();
        mount_small(&home);
        let (keeper, _) = Keeper::start(&home);
        let mut told = 0;
        let mut tell = |keeper: &Keeper, count| {
            (NEW + told..NEW + told + count).for_each(|number| keeper.tell(number));
            told += count;
            assert!(keeper.knows(NEW + told - 1));
        };
        tell(&keeper, 1000);
        let ballast = home.join("ballast");
        std::fs::write(&ballast, vec![0; BALLAST]).unwrap();
        tell(&keeper, 1000);
        keeper.log.wait_for("smtp-delayctl: warning: unable to write known clients to ");
        tell(&keeper, 3000);
        let start = Instant::now();
        let lost_while_full = keeper.lost(NEW..NEW + told);
        row("look-ups a second, the disk full", per_second(told, start.elapsed()));
        std::fs::remove_file(ballast).unwrap();
        if self.waits_for_recovery {
            let start = Instant::now();
            keeper.log.wait_for("smtp-delayctl: warning: known clients are written to ");
            row("written again, once there is room, after", milliseconds(start.elapsed()));
        }
        keeper.end_by(Signal::SIGTERM);
        let (keeper, _) = Keeper::start(&home);
        let lost = lost_while_full + keeper.lost(NEW..NEW + told);
        row("lost", lost);
        Verdict::of("a full disk costs clients", lost == 0)
    }

    /// The daemon, its keeper and their clients under a small limit of memory, with a store
    /// that has as many clients as it may.
    fn small_memory(&self) -> Verdict {
        let home = filled(self.clients);
        let answer = compile("answer.c", &["-O2", "-static"]);
        let mut softlimit = clean_command("softlimit");
        softlimit.args(["-m", &SMALL_MEMORY.to_string(), command::daemon()]);
        softlimit.args(["-1l0", "-c", "40", "--local-nets", "none", "--per-ip", "0"]);
        softlimit.args(["--delay-static", "0.05", "--delay-unknown", "0.05", "--reserve", "0"]);
        softlimit.args(["--known-size", &self.clients.to_string(), "--known"]).arg(&home);
        let names = support::names::Names::start(support::names::Patience::AtOnce);
        softlimit.args(["--resolver", &names.address.to_string()]);
        let server = Chain::printing_its_port(softlimit, &["127.0.0.1", "0", &answer]);
        let keeper = keeper_of(&home);
        let load = Load { server: server.address(), at_once: AT_ONCE, manner: Manner::Waiting };
        let outcome = load.press(self.time);
        row("clients served", outcome.answered);
        for (process, pid) in [("supervisor", server.pid()), ("keeper", keeper)] {
            for (what, line) in
                [("address space", "VmPeak"), ("data", "VmData"), ("resident", "VmHWM")]
            {
                row(&format!("{process}, {what}"), megabytes(status(pid, line)));
            }
        }
        let asker = Asker::of_directory(&home).unwrap();
        let knows = |count: u64| matches!(asker.exchange(Request::Status, SLACK), Ok(Answer::Status(found, ..)) if found == count);
        wait_until("as many clients as there may be", || knows(self.clients.into()).then_some(()));
        let complaints: Vec<String> = server.lines("smtp-delayd: ");
        let holds = outcome.failed == 0 && complaints.is_empty() && keeper_of(&home) == keeper;
        Verdict::of(&format!("{} clients failed: {complaints:?}", outcome.failed), holds)
    }
}

/// Sleeps if more than `rate` have been told of in a second.
fn pace(start: Instant, told: u32, rate: u32) {
    let due = Duration::from_secs_f64(f64::from(told) / f64::from(rate));
    let early = due.saturating_sub(start.elapsed());
    if early > Duration::from_millis(1) {
        thread::sleep(early);
    }
}

/// Tells of new clients for `time`, and in every other round until a batch is being written;
/// when each was told of.
fn tell_until_killed(keeper: &Keeper, first: u32, round: u32, time: Duration) -> Vec<Instant> {
    let start = Instant::now();
    let mut told = Vec::new();
    let mut before = None;
    for number in first.. {
        keeper.tell(number);
        told.push(Instant::now());
        pace(start, number - first, PACE / 2);
        if start.elapsed() < time {
            continue;
        }
        let written = keeper.written().ok();
        if round % 2 == 0 || *before.get_or_insert(written) != written {
            break;
        }
    }
    told
}

/// Mounts a small file system there, which only this thread and what it starts see.
fn mount_small(place: &Path) {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let mount = |words: &[&str], place: &Path| {
        let done = Command::new("mount").args(words).arg(place).status();
        assert!(done.unwrap().success(), "mount {words:?}");
    };
    mount(&["--make-rprivate"], Path::new("/"));
    mount(&["-t", "tmpfs", "-o", DISK, "none"], place);
}

/// The process that has the lock of the directory.
fn keeper_of(home: &Path) -> Pid {
    wait_until("a keeper", || match owner_at(&home.join("lock")) {
        Ok(Holder::Process(pid)) => Some(Pid::from_raw(pid)),
        _ => None,
    })
}

fn main() -> ExitCode {
    let known =
        [("clients", 1_000_000), ("seconds", 5), ("kills", 40), ("recovery", 1), ("part", 0)];
    let [clients, seconds, kills, recovery, part] =
        arguments(known, "cargo bench --bench known --");
    measure_what_is_installed();
    let time = Duration::from_secs(seconds.into());
    let lab = Lab { clients, time, kills, waits_for_recovery: recovery > 0 };
    let parts: [(&str, Part); 4] = [
        ("the keeper", Lab::rates),
        ("kill -9", Lab::kills),
        ("a full disk", Lab::full_disk),
        ("20 MB", Lab::small_memory),
    ];
    let mut verdicts = Vec::new();
    for (number, (name, run)) in (1..).zip(parts) {
        if part == 0 || part == number {
            println!("\n{name}, {clients} clients");
            verdicts.push(run(&lab));
        }
    }
    if verdicts.contains(&Verdict::Failed) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
