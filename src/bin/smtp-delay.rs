//! `smtp-delay`: arguments, run, exit code.

use std::process::ExitCode;

use smtp_delay::sys::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator { enough: 6_000_000 };

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    ExitCode::from(smtp_delay::link::main(&arguments))
}
