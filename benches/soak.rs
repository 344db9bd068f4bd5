//! A soak: clients of all kinds come to the daemon, a few hundred thousand or a million,
//! while its children and its keeper are killed or stopped for a while, and it reads its
//! files again.  Afterwards nothing may have grown or be left over, and every client has to
//! be counted once.
//!
//! `cargo bench --bench soak -- [--clients N] [--at-once N] [--pause MILLISECONDS]
//! [--seed N] [--seconds N]`
//!
//! What the clients do, and what happens to the processes, is by chance, which `--seed`
//! determines as far as the order goes; `--pause` is the longest time between two events.
//! It ends with 1 if
//!
//! - it takes longer than `--seconds`,
//! - a client gets no answer, unless a child was killed,
//! - the counters do not add up to the clients, but for a few whose child was killed within
//!   accept(2),
//! - the supervisor has more descriptors or memory than after a tenth of the clients, or the
//!   keeper than at its start,
//! - a process is left that has ended, or a slot that no process has.

#![allow(clippy::unwrap_used, clippy::similar_names)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use serde_json::Value;

use lab::command::{self, clean_command};
use lab::daemon::children_of;
use lab::ucspi::Random;
use lab::{PATIENCE, directory, wait_until};
use smtp_delay::class::Class;
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request, Where};
use support::keeper::home;
use support::names::{LIST, Names, Patience};
use support::sabotage::{Events, KeeperIs, RULES, Target, keeper_of};
use support::server::Server;
use support::soak_clients::{Outcome, press};
use support::{arguments, compile, measure_what_is_installed};

/// What memory may grow by, in KiB.
const MOST_GROWN: u64 = 300;
/// The same for the keeper, which caches pages of its store.
const KEEPER_GROWN: u64 = 4096;

/// How long a busy machine may need until processes that have ended are waited for.
const REAPED_WITHIN: Duration = Duration::from_secs(10);
/// One in so many children that are killed may have accepted a client, and not have run
/// since: it has counted nothing.
const KILLS_OF_UNCOUNTED: usize = 10;

/// A part of the soak: how many clients in a hundred, and whether the keeper is harmed.
/// The keeper is measured over the last part, through which it lives.
const PARTS: [(u32, KeeperIs); 3] =
    [(10, KeeperIs::Harmed), (70, KeeperIs::Harmed), (20, KeeperIs::Spared)];

/// What a process has.
#[derive(Clone, Copy, Debug)]
struct Holdings {
    descriptors: usize,
    /// KiB that it has written itself.
    memory: u64,
}

impl Holdings {
    fn of(pid: Pid) -> Self {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count);
        let memory = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let anonymous = memory.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let number = anonymous.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        Self { descriptors, memory: number.unwrap_or_default() }
    }

    fn has_grown(self, before: Self, most: u64) -> bool {
        self.descriptors > before.descriptors || self.memory > before.memory + most
    }
}

/// The daemon, and what it is told by.
struct Soak {
    server: Server,
    target: Target,
    board: PathBuf,
    at_once: usize,
    until: Instant,
}

impl Soak {
    fn start([at_once, pause, seconds]: [u32; 3], names: &Names, program: &str) -> Self {
        let (home, files) = (home(), directory());
        let [board, rules] = ["board", "rules"].map(|name| files.join(name));
        fs::write(&rules, RULES).unwrap();
        let mut daemon = clean_command(command::daemon());
        daemon.args(["-1", "-l", "mx.test.example", "--local-nets", "none", "--per-ip", "3"]);
        daemon.args(["-c", &(at_once + 20).to_string(), "-b", "1024", "--reserve", "0"]);
        daemon.args(["--delay-static", "0.05", "--delay-dynamic", "0.1", "--delay-none", "0.1"]);
        daemon.args(["--delay-unknown", "0.1", "--dnsbl", LIST, "--resolver"]);
        daemon.arg(names.address.to_string());
        daemon.arg("--rules").arg(&rules).arg("--known").arg(&home);
        daemon.arg("--scoreboard").arg(&board).args(["127.0.0.1", "0", program]);
        let server = Server::spawn(daemon);
        let target = Target { supervisor: server.pid(), home, rules, pause };
        let until = Instant::now() + Duration::from_secs(seconds.into());
        Self { server, target, board, at_once: at_once as usize, until }
    }

    /// Clients, while something happens to the processes.
    fn run(
        &self,
        clients: u32,
        keeper: KeeperIs,
        randoms: &mut [Random; 2],
        events: &mut Events,
    ) -> Outcome {
        let is_over = AtomicBool::new(false);
        let [of_clients, of_events] = randoms;
        thread::scope(|scope| {
            scope.spawn(|| self.target.harm(of_events, keeper, events, &is_over));
            let _ends = SetOnDrop(&is_over);
            press(self.server.address, clients as usize, self.at_once, of_clients, self.until)
        })
    }

    /// The status, once all clients are gone.
    fn settled(&self) -> Value {
        wait_until("a daemon without clients", || {
            let status = status(&self.board);
            (status["waiting"] == 0 && status["prog"] == 0).then_some(status)
        })
    }

    /// The keeper, once its store is open.
    fn keeper(&self) -> Pid {
        let asker = Asker::of_directory(&self.target.home).unwrap();
        wait_until("a keeper with its store", || {
            let answer = asker.exchange(Request::Status, PATIENCE).ok()?;
            let is_open = matches!(answer, Answer::Status(_, Where::Disk, _));
            keeper_of(&self.target.home).filter(|_| is_open)
        })
    }

    /// Processes that have ended and that the supervisor does not wait for; it takes a
    /// second at most.
    fn zombies(&self) -> usize {
        let until = Instant::now() + REAPED_WITHIN;
        while self.unreaped() > 0 && Instant::now() < until {
            thread::sleep(Duration::from_millis(50));
        }
        self.unreaped()
    }

    fn unreaped(&self) -> usize {
        let is_zombie = |pid: &Pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('Z'))
        };
        children_of(self.server.pid()).iter().filter(|pid| is_zombie(pid)).count()
    }
}

/// So that the other thread ends, whatever happens in this one.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn status(board: &Path) -> Value {
    let mut status = Command::new(command::ctl());
    let output = status.args(["status", "--json", "--scoreboard"]).arg(board).output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// All clients by verdict.
fn verdicts(status: &Value) -> Vec<(String, u64)> {
    let is_class = |key: &str| Class::JUDGED.iter().any(|class| class.to_string() == key);
    let counters = status["counters"].as_object().unwrap().iter();
    let verdicts = counters.filter(|(key, _)| !is_class(key));
    verdicts.map(|(key, count)| (key.clone(), count.as_u64().unwrap())).collect()
}

/// Prints what came of it; returns what should not have.
fn judge(
    soak: &Soak,
    outcomes: &[Outcome],
    events: &Events,
    before: &[[(Pid, Holdings); 2]],
) -> Vec<String> {
    let sum = |of: fn(&Outcome) -> usize| outcomes.iter().map(of).sum::<usize>();
    let (came, unanswered) = (sum(|one| one.came), sum(|one| one.unanswered));
    println!(
        "clients: {came} came, {} greeted, {} refused, {} left, {} denied, {unanswered} unanswered",
        sum(|one| one.greeted),
        sum(|one| one.refused),
        sum(|one| one.left),
        sum(|one| one.denied)
    );
    let status = soak.settled();
    let verdicts = verdicts(&status);
    let shown: Vec<String> = verdicts.iter().map(|(key, count)| format!("{key} {count}")).collect();
    println!("counted: {}; {} clients known", shown.join(", "), status["known_clients"]);
    let counted: u64 = verdicts.iter().map(|(_, count)| count).sum();
    let mut faults = Vec::new();
    let most = events.children_killed.div_ceil(KILLS_OF_UNCOUNTED);
    if counted > came as u64 || counted < came.saturating_sub(most) as u64 {
        faults.push(format!("{came} clients came, and {counted} were counted"));
    }
    if unanswered > events.children_killed {
        faults.push(format!("{unanswered} clients had no answer"));
    }
    let zombies = soak.zombies();
    if zombies > 0 {
        faults.push(format!("{zombies} processes have ended and are still there"));
    }
    let [_, [supervisor, _], [_, keeper]] = before else { return faults };
    let grown = [("supervisor", supervisor, MOST_GROWN), ("keeper", keeper, KEEPER_GROWN)];
    for (process, (pid, before), most) in grown {
        let after = Holdings::of(*pid);
        println!("{process}: {before:?} before, {after:?} after");
        if after.has_grown(*before, most) {
            faults.push(format!("the {process} has grown"));
        }
    }
    faults
}

fn main() -> ExitCode {
    let known =
        [("clients", 200_000), ("at-once", 60), ("pause", 400), ("seed", 1), ("seconds", 1800)];
    let [clients, at_once, pause, seed, seconds] = arguments(known, "cargo bench --bench soak --");
    measure_what_is_installed();
    println!("{clients} clients, {at_once} at once, seed {seed}");
    let program = compile("answer.c", &["-O2", "-static", "-nostdlib", "-DFREESTANDING"]);
    let names = Names::start(Patience::AtOnce);
    let soak = Soak::start([at_once, pause, seconds], &names, &program);
    let mut randoms = [1, 2].map(|number| Random::new(u64::from(seed) << 8 | number));
    let (mut events, mut outcomes, mut before) = (Events::default(), Vec::new(), Vec::new());
    let start = Instant::now();
    for (percent, keeper) in PARTS {
        before.push([soak.server.pid(), soak.keeper()].map(|pid| (pid, Holdings::of(pid))));
        let clients = u32::try_from(u64::from(clients) * u64::from(percent) / 100).unwrap();
        outcomes.push(soak.run(clients, keeper, &mut randoms, &mut events));
        soak.settled();
    }
    println!("{:.0} s; {events:?}", start.elapsed().as_secs_f64());
    let faults = judge(&soak, &outcomes, &events, &before);
    for fault in &faults {
        eprintln!("soak: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
