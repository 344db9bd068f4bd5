//! `smtp-delay`: arguments, run, exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(smtp_delay::link::main(std::env::args_os().skip(1)))
}
