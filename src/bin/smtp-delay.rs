//! `smtp-delay`: arguments, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    ExitCode::from(smtp_delay::link::main(&arguments))
}
