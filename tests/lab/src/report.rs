//! The program of `report.c`, which prints what it was given.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the compiled program is.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/report.c");
        let program = crate::directory().join("report");
        let done = Command::new("cc").args(["-O", "-o"]).arg(&program).arg(source).status();
        assert!(done.expect("cc comes with rustc").success());
        program
    })
}

/// What it has printed.
#[derive(Debug)]
pub struct Report(Vec<String>);

impl Report {
    /// Takes what the program has printed.
    pub fn read(text: &str) -> Self {
        assert!(text.contains("env PROTO="), "no report: {text}");
        Self(text.lines().map(String::from).collect())
    }

    /// The facts of one kind.
    pub fn all(&self, kind: &str) -> Vec<&str> {
        let start = format!("{kind} ");
        self.0.iter().filter_map(|line| line.strip_prefix(&start)).collect()
    }

    /// The one fact of a kind.
    #[track_caller]
    pub fn one(&self, kind: &str) -> &str {
        crate::only(self.all(kind))
    }

    /// All facts but those that start like this.
    pub fn but(&self, starts: &[&str]) -> Vec<&str> {
        let told = self.0.iter().map(String::as_str);
        told.filter(|line| !starts.iter().any(|start| line.starts_with(start))).collect()
    }

    /// A variable of the environment.
    pub fn env(&self, name: &str) -> Option<&str> {
        let start = format!("{name}=");
        self.all("env").into_iter().find_map(|line| line.strip_prefix(start.as_str()))
    }
}
