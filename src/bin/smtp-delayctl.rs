//! `smtp-delayctl`: arguments, run, exit code.

use std::process::ExitCode;

use smtp_delay::programs;
use smtp_delay::sys::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { enough: 20_000_000 };

fn main() -> ExitCode {
    ExitCode::from(programs::run(std::env::args_os(), programs::ctl))
}
