//! What the benchmarks share: figures and their spread, arguments, programs
//! in C to compare with, and what is charged to a group of processes.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a panic is how a benchmark ends that cannot go on"
)]
#![allow(clippy::must_use_candidate, reason = "nothing is measured to be ignored")]

pub mod at_once;
pub mod calls;
pub mod cgroup;
pub mod first;
pub mod keeper;
pub mod known_client;
pub mod load;
pub mod loaded_server;
pub mod memory;
pub mod mix_tables;
pub mod names;
pub mod planned_clients;
pub mod postscreen;
pub mod processor;
pub mod sabotage;
pub mod server;
pub mod soak_clients;
pub mod start;
pub mod table;
pub mod written_log;

use std::fmt;
use std::process::{Command, exit};

/// The root of the repository.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Measured values.
#[derive(Clone, Default)]
pub struct Figures(Vec<f64>);

impl Figures {
    /// Adds one.
    pub fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Adds all of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The value in the middle, of an even number the upper one.  There has to be one.
    pub fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted[sorted.len() / 2]
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value below which this part of them lies, from 0 to 1; `None` if there are none.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn percentile(&self, part: f64) -> Option<f64> {
        let sorted = self.sorted();
        let index = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }

    /// The ratios of these to those of `other`, round by round.
    #[must_use]
    pub fn ratio_to(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let sorted = self.sorted();
        let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
        write!(f, "{:.digits$} ({least:.digits$} to {most:.digits$})", self.median())
    }
}

/// The values of the options `known`, which have defaults: `--name value` pairs of whole
/// numbers on the command line.  Anything else there ends the process with 100, after the
/// usage; `called` is how the benchmark is called.
#[allow(clippy::exit)]
pub fn arguments<const N: usize>(known: [(&str, u32); N], called: &str) -> [u32; N] {
    let mut values = known.map(|(_, default)| default);
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        let position = known.iter().position(|(name, _)| word == format!("--{name}"));
        let value = position.and_then(|_| words.next()?.parse().ok());
        let (Some(position), Some(value)) = (position, value) else {
            let options = known.map(|(name, default)| format!(" [--{name} {default}]")).concat();
            eprintln!("usage: {called}{options}");
            exit(100);
        };
        values[position] = value;
    }
    values
}

/// Measures, from now on, what `init/install` would install: it is linked statically.  If
/// the environment has `TESTED_PROGRAMS`, the programs in that folder are measured.
pub fn measure_what_is_installed() {
    if std::env::var_os("TESTED_PROGRAMS").is_some() {
        return;
    }
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let built = Command::new(format!("{ROOT}/init/build")).arg(profile).status();
    assert!(built.expect("init/build runs").success());
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or(format!("{ROOT}/target"));
    lab::command::take_programs_from(format!("{target}/static/{profile}"));
}

/// Compiles a program of `benches/peers` with the C compiler's `flags`; returns its path.
pub fn compile(source: &str, flags: &[&str]) -> String {
    let program = lab::directory().join(source.trim_end_matches(".c"));
    let source = format!("{ROOT}/benches/peers/{source}");
    let done = Command::new("cc").args(flags).arg("-o").arg(&program).arg(source).status();
    assert!(done.expect("a C compiler").success());
    program.to_str().expect("a path in UTF-8").into()
}
