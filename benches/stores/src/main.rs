//! What the memory of known clients could be stored in: redb, as the keeper uses it, beside
//! `SQLite` and a log that is read into memory.  Each is measured in processes of its own.
//!
//! `cargo run --release -p smtp-delay-stores -- [CLIENTS [KILLS]]`
//!
//! A store has so many clients, a quarter of them IPv6, and the order in which they are
//! forgotten.  It ends with 1 if a store loses a batch that was on the disk.

#![allow(clippy::unwrap_used, clippy::exit)]

mod candidates;
mod measure;

use std::process::ExitCode;

use candidates::{Log, Redb, Sqlite, Store};
use measure::{Task, compare};

const USAGE: &str = "usage: cargo run --release -p smtp-delay-stores -- [CLIENTS [KILLS]]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(task) = Task::of(&words) {
        match task.store.as_str() {
            Redb::NAME => task.run::<Redb>(),
            Sqlite::NAME => task.run::<Sqlite>(),
            _ => task.run::<Log>(),
        }
        return ExitCode::SUCCESS;
    }
    let numbers: Option<Vec<u32>> = words.iter().map(|word| word.parse().ok()).collect();
    match numbers.as_deref() {
        Some([]) => compare(1_000_000, 20),
        Some([clients]) => compare(*clients, 20),
        Some([clients, kills]) => compare(*clients, *kills),
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(100)
        }
    }
}
