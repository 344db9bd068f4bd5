//! What the tests stand on: a daemon in a process group of its own, clients
//! from any loopback address, name servers, and waiting for a condition
//! instead of sleeping.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a helper fails the test that called it"
)]
#![allow(clippy::must_use_candidate, reason = "a test that ignores a result shows that itself")]

pub mod chain;
mod client;
pub mod command;
pub mod daemon;
pub mod dns;
pub mod engines;
pub mod log;
pub mod packages;
pub mod program_process;
pub mod proxies;
pub mod rbl;
pub mod report;
pub mod service_manager;
pub mod smtp;
pub mod syslog;
pub mod ucspi;

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use client::Client;
pub use daemon::{Alone, Daemon};

/// How long anything that must happen may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `condition` gives something.
#[track_caller]
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The limit of memory that a daemon has to work under, in bytes: 20 MB, and in a
/// build without optimization what its code alone is longer.
pub const SMALL_MEMORY: u64 = if cfg!(debug_assertions) { 30_000_000 } else { 20_000_000 };

/// A new empty directory, readable by all users.
pub fn directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let start = "smtp-delay-test.";
    if number == 0 {
        remove_leftovers(start);
    }
    let own = std::env::temp_dir().join(format!("{start}{}", std::process::id()));
    let path = own.join(number.to_string());
    std::fs::create_dir_all(&path).unwrap();
    path
}

/// Removes what earlier runs, which are over, have left.
fn remove_leftovers(start: &str) {
    for entry in std::fs::read_dir(std::env::temp_dir()).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(start).and_then(|rest| rest.split('.').next());
        if pid.is_some_and(|pid| !std::path::Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a wait took so many seconds: from the delay, which nothing may cut short,
/// up to what only a defect would take.  A busy machine makes every wait longer, so
/// the end of the range is far off, or open where the log tells what was decided.
#[track_caller]
pub fn assert_waited(time: Duration, seconds: impl RangeBounds<f64> + Debug) {
    let time = time.as_secs_f64();
    assert!(seconds.contains(&time), "{time:.2} s instead of {seconds:?}");
}

/// Tries until a try takes less than `limit`: a busy machine may make some of them
/// slow, and only a defect makes all of them.
#[track_caller]
pub fn one_is_quicker_than<T>(limit: Duration, mut attempt: impl FnMut() -> T) -> T {
    wait_until("a try that is quick enough", || {
        let start = Instant::now();
        let done = attempt();
        (start.elapsed() < limit).then_some(done)
    })
}

/// The seconds behind `waited=` in a log line.
#[track_caller]
pub fn waited(line: &str) -> Duration {
    seconds(line, "waited")
}

/// The seconds behind a key in a log line.
#[track_caller]
pub fn seconds(line: &str, key: &str) -> Duration {
    let number = line.split(&format!(" {key}=")).nth(1).and_then(|rest| rest.split(' ').next());
    Duration::from_secs_f64(number.and_then(|number| number.parse().ok()).expect(line))
}

/// Whether this is root; if not it says so, and the test is skipped.
pub fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        packages::skip(test, "root");
    }
    root
}

/// The one element that there has to be.
#[track_caller]
pub fn only<T: Debug>(all: Vec<T>) -> T {
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}
