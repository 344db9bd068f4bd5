//! Programs of Debian packages, and the tests that are skipped without them.
//! `tests/packages` lists them; `tests/run` installs them, and sums up what was
//! skipped.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

const PACKAGES: &str = include_str!("../../packages");

/// Where `tests/run` puts links to the programs that it has only unpacked.
const UNPACKED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/packages/bin");

/// Ends a test that needs these programs where one is missing.
#[macro_export]
macro_rules! needs {
    ($($program:literal),+) => {
        if $crate::packages::are_missing(std::any::type_name_of_val(&|| ()), &[$($program),+]) {
            return;
        }
    };
}

/// Whether any of these programs is missing; says so of each, for the test whose
/// closure has the type `closure`.
pub fn are_missing(closure: &str, programs: &[&str]) -> bool {
    let test = closure.trim_start_matches("tests::").trim_end_matches("::{{closure}}");
    let with_package = programs.iter().map(|program| (*program, package(program)));
    let missing: Vec<_> = with_package.filter(|(program, _)| find(program).is_none()).collect();
    for (_, package) in &missing {
        skip(test, package);
    }
    !missing.is_empty()
}

/// The package that a program comes with.
fn package(program: &str) -> &'static str {
    let entries = PACKAGES.lines().filter(|line| !line.starts_with('#'));
    let mut words = entries.map(|line| line.split_whitespace());
    let package = words.find_map(|mut words| (words.next() == Some(program)).then(|| words.next()));
    package.flatten().unwrap_or_else(|| panic!("tests/packages lacks {program}"))
}

/// Where a program is that `needs!` has found.
pub fn path(program: &str) -> PathBuf {
    find(program).unwrap_or_else(|| panic!("the test lacks needs!({program:?})"))
}

/// Whether a program is there.
pub fn has(program: &str) -> bool {
    find(program).is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/sbin", "/sbin", UNPACKED].map(PathBuf::from);
    let folders = std::env::split_paths(&path).chain(usual);
    folders.map(|folder| folder.join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    nix::unistd::access(file, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// Says that a test is skipped, and what it needs.
pub fn skip(test: &str, need: &str) {
    // Past the test runner, which hides what a test prints that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {test} needs {need}");
    let Some(file) = std::env::var_os("TESTS_SKIPPED") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(file).unwrap();
    file.write_all(format!("{need} {test}\n").as_bytes()).unwrap();
}
