//! What happens to a daemon while it has clients: children and its keeper are killed, or
//! stopped for a while, and it reads its files again, good ones and broken ones.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use lab::daemon::children_of;
use lab::ucspi::Random;
use smtp_delay::file::lock::{Holder, owner_at};

/// How long a process is stopped at most, in milliseconds.
const STOPPED: usize = 300;
/// The rules: clients of 127.9.0.0/16 are denied.
pub const RULES: &str = "127.9.:deny\n:allow\n";
/// What is no rule.
const BROKEN: &str = "127.9.:dney\n";

/// The daemon, and the files by which it is found.
pub struct Target {
    /// The daemon's supervisor.
    pub supervisor: Pid,
    /// The directory of known clients.
    pub home: PathBuf,
    /// The file of `--rules`.
    pub rules: PathBuf,
    /// The longest time between two events, in milliseconds.
    pub pause: u32,
}

/// What is done to the keeper.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum KeeperIs {
    /// As much as to children.
    Harmed,
    /// Nothing.
    Spared,
}

/// How often each thing was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events {
    /// Children that were killed by SIGKILL.
    pub children_killed: usize,
    /// Children that were stopped for a while.
    pub children_stopped: usize,
    /// Keepers that were killed by SIGKILL.
    pub keepers_killed: usize,
    /// Keepers that were stopped for a while.
    pub keepers_stopped: usize,
    /// SIGHUPs to the supervisor, each after a change of the rules.
    pub reloads: usize,
}

/// The keeper, which has the lock of its directory.
pub fn keeper_of(home: &Path) -> Option<Pid> {
    match owner_at(&home.join("lock")).ok()? {
        Holder::Process(pid) => Some(Pid::from_raw(pid)),
        Holder::NoProcess | Holder::Unknown => None,
    }
}

impl Target {
    /// Does something now and then, by chance, until told to end.
    pub fn harm(
        &self,
        random: &mut Random,
        keeper: KeeperIs,
        events: &mut Events,
        is_over: &AtomicBool,
    ) {
        while !is_over.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(random.below(self.pause as usize) as u64));
            match random.below(20) {
                0..8 => events.children_killed += usize::from(self.kill_child(random)),
                8..13 => events.children_stopped += usize::from(self.stop_child(random)),
                13..17 => {
                    self.reload(random);
                    events.reloads += 1;
                }
                what if keeper == KeeperIs::Harmed => self.harm_keeper(what, random, events),
                _ => (),
            }
        }
    }

    /// A child of the pool, or a process that it has made.
    fn child(&self, random: &mut Random) -> Option<Pid> {
        let keeper = keeper_of(&self.home);
        let children = children_of(self.supervisor);
        let children: Vec<Pid> =
            children.into_iter().filter(|child| Some(*child) != keeper).collect();
        (!children.is_empty()).then(|| children[random.below(children.len())])
    }

    fn kill_child(&self, random: &mut Random) -> bool {
        self.child(random).is_some_and(|child| kill(child, Signal::SIGKILL).is_ok())
    }

    fn stop_child(&self, random: &mut Random) -> bool {
        self.child(random).is_some_and(|child| stop(child, random))
    }

    fn harm_keeper(&self, what: usize, random: &mut Random, events: &mut Events) {
        let Some(keeper) = keeper_of(&self.home) else { return };
        if what == 17 {
            events.keepers_killed += usize::from(kill(keeper, Signal::SIGKILL).is_ok());
        } else {
            events.keepers_stopped += usize::from(stop(keeper, random));
        }
    }

    /// Sometimes what it reads is wrong, and it goes on with what it has.
    fn reload(&self, random: &mut Random) {
        let text = if random.below(4) == 0 { BROKEN } else { RULES };
        let new = self.rules.with_extension("new");
        fs::write(&new, text).and_then(|()| fs::rename(new, &self.rules)).expect("rules");
        kill(self.supervisor, Signal::SIGHUP).expect("a supervisor");
    }
}

/// Stops a process for a while.
fn stop(process: Pid, random: &mut Random) -> bool {
    let is_stopped = kill(process, Signal::SIGSTOP).is_ok();
    thread::sleep(Duration::from_millis(random.below(STOPPED) as u64));
    kill(process, Signal::SIGCONT).is_ok() && is_stopped
}
