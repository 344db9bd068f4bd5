//! What the benchmarks share: figures and their spread, arguments, programs
//! in C to compare with, and what is charged to a group of processes.

pub(crate) mod at_once;
pub(crate) mod calls;
pub(crate) mod cgroup;
pub(crate) mod first;
pub(crate) mod load;
pub(crate) mod loaded_server;
pub(crate) mod memory;
pub(crate) mod names;
pub(crate) mod planned_clients;
pub(crate) mod postscreen;
pub(crate) mod processor;
pub(crate) mod server;
pub(crate) mod start;
pub(crate) mod table;

use std::fmt;
use std::process::{Command, exit};

/// Measured values.
#[derive(Clone, Default)]
pub(crate) struct Figures(Vec<f64>);

impl Figures {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted[sorted.len() / 2]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value below which this part of them lies.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(crate) fn percentile(&self, part: f64) -> Option<f64> {
        let sorted = self.sorted();
        let index = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(index.saturating_sub(1)).copied()
    }

    /// Round by round.
    pub(crate) fn ratio_to(&self, other: &Self) -> Self {
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

/// Reads `--name value` pairs of whole numbers; `called` is how the benchmark is
/// called.
#[allow(clippy::exit)]
pub(crate) fn arguments<const N: usize>(known: [(&str, u32); N], called: &str) -> [u32; N] {
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

/// Measures, from now on, what `init/install` would install: it is linked statically.
pub(crate) fn measure_what_is_installed() {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let root = env!("CARGO_MANIFEST_DIR");
    let built = Command::new(format!("{root}/init/build")).arg(profile).status();
    assert!(built.expect("init/build runs").success());
    let target = std::env::var("CARGO_TARGET_DIR").unwrap_or(format!("{root}/target"));
    lab::command::take_programs_from(format!("{target}/static/{profile}"));
}

/// Compiles a program of `benches/peers`; returns its path.
pub(crate) fn compile(source: &str, flags: &[&str]) -> String {
    let program = lab::directory().join(source.trim_end_matches(".c"));
    let source = format!("{}/benches/peers/{source}", env!("CARGO_MANIFEST_DIR"));
    let done = Command::new("cc").args(flags).arg("-o").arg(&program).arg(source).status();
    assert!(done.expect("a C compiler").success());
    program.to_str().expect("a path in UTF-8").into()
}
