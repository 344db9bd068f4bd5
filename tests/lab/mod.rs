//! What the tests stand on: a daemon in a process group of its own, clients
//! from any loopback address, name servers, and waiting for a condition
//! instead of sleeping.

pub(crate) mod chain;
pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod descendants;
pub(crate) mod dns;
pub(crate) mod log;
pub(crate) mod packages;
pub(crate) mod rbl;
pub(crate) mod report;
pub(crate) mod smtp;
pub(crate) mod syslog;
pub(crate) mod twins;

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub(crate) use client::Client;
pub(crate) use daemon::{Alone, Daemon};
#[allow(unused_imports)]
pub(crate) use packages::needs;

/// How long anything that must happen may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` gives something.
#[track_caller]
pub(crate) fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < until, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A new empty directory, readable by everybody.
pub(crate) fn directory() -> PathBuf {
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
pub(crate) fn assert_waited(time: Duration, seconds: impl RangeBounds<f64> + Debug) {
    let time = time.as_secs_f64();
    assert!(seconds.contains(&time), "{time:.2} s instead of {seconds:?}");
}

/// Tries until a try takes less than `limit`: a busy machine may make some of them
/// slow, and only a defect makes all of them.
#[track_caller]
pub(crate) fn one_is_quicker_than<T>(limit: Duration, mut attempt: impl FnMut() -> T) -> T {
    wait_until("a try that is quick enough", || {
        let start = Instant::now();
        let done = attempt();
        (start.elapsed() < limit).then_some(done)
    })
}

/// The seconds behind `waited=` in a log line.
#[track_caller]
pub(crate) fn waited(line: &str) -> Duration {
    seconds(line, "waited")
}

/// The seconds behind a key in a log line.
#[track_caller]
pub(crate) fn seconds(line: &str, key: &str) -> Duration {
    let number = line.split(&format!(" {key}=")).nth(1).and_then(|rest| rest.split(' ').next());
    Duration::from_secs_f64(number.and_then(|number| number.parse().ok()).expect(line))
}

/// Whether this is root; says so where it is not, and the test is skipped.
pub(crate) fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        packages::skip(test, "root");
    }
    root
}

/// The one element that there has to be.
#[track_caller]
pub(crate) fn only<T: Debug>(all: Vec<T>) -> T {
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}
