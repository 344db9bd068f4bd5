//! `smtp-delayd`: arguments, run, exit code.

use std::process::ExitCode;

use smtp_delay::programs;

fn main() -> ExitCode {
    ExitCode::from(programs::run(std::env::args_os(), programs::daemon))
}
