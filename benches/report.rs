//! What a report costs: a log that is made up, compressed, is read by `gzip -dc` and by
//! `smtp-delayctl report`, in turn.
//!
//! `cargo bench --bench report -- [--lines N] [--rounds N] [--seed N] [--rfc 3164|3339]
//! [--goal PERCENT]`
//!
//! It ends with 1 if the report takes more than so much of gzip's time (`--goal`, 0 for
//! any), or more memory than reports may, however long the log is.

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names, unsafe_code)]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio, exit};
use std::time::{Duration, Instant};

use lab::command;
use support::table::{Bound, head, row};
use support::written_log::{Stamp, write};
use support::{Figures, arguments, measure_what_is_installed};

/// The most resident memory of a report, in KiB.
const MOST_MEMORY: i64 = 64 << 10;

fn main() -> ExitCode {
    let known = [("lines", 1_000_000), ("rounds", 3), ("seed", 1), ("rfc", 3339), ("goal", 200)];
    let [lines, rounds, seed, rfc, goal] = arguments(known, "cargo bench --bench report --");
    let stamp = match rfc {
        3164 => Stamp::Rfc3164,
        3339 => Stamp::Rfc3339,
        _ => {
            eprintln!("report: --rfc takes 3164 or 3339");
            exit(100);
        }
    };
    measure_what_is_installed();
    let (file, bytes) = compressed(lines.into(), seed, stamp);
    let length = fs::metadata(&file).unwrap().len();
    println!("{lines} lines, {} MB, compressed {} MB\n", bytes / 1_000_000, length / 1_000_000);
    let (mut ours, mut theirs, mut ours_cpu, mut theirs_cpu) =
        (Figures::default(), Figures::default(), Figures::default(), Figures::default());
    let mut memory = 0;
    for _ in 0..rounds {
        let gzip = run(Command::new("gzip").arg("-dc").arg(&file));
        let report = run(Command::new(command::ctl()).args(["report", "--json"]).arg(&file));
        theirs.add(millis(gzip.time));
        theirs_cpu.add(millis(gzip.cpu));
        ours.add(millis(report.time));
        ours_cpu.add(millis(report.cpu));
        memory = memory.max(report.memory);
    }
    fs::remove_file(&file).unwrap();
    head();
    let most = if goal > 0 { Bound::AtMost(f64::from(goal) / 100.0) } else { Bound::Open };
    row("time of a report beside gzip -dc, ms", &ours, &theirs, most);
    row("processor time of the same, ms", &ours_cpu, &theirs_cpu, Bound::Open);
    let seconds = ours.median() / 1000.0;
    println!("\n{:.2} million lines a second, {memory} KiB", f64::from(lines) / 1e6 / seconds);
    if memory > MOST_MEMORY {
        eprintln!("report: {memory} KiB of memory, {MOST_MEMORY} are the most");
        return ExitCode::FAILURE;
    }
    if goal > 0 && ours.ratio_to(&theirs).median() * 100.0 > goal.into() {
        eprintln!("report: more than {goal} % of the time of gzip -dc");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A log of so many lines, as logrotate compresses it, and how long it is without that.
fn compressed(lines: u64, seed: u32, stamp: Stamp) -> (PathBuf, u64) {
    let file = lab::directory().join("mail.log.gz");
    let mut gzip = Command::new("gzip");
    gzip.arg("-c").stdin(Stdio::piped()).stdout(File::create(&file).unwrap());
    let mut gzip = gzip.spawn().expect("gzip runs");
    let counted = Counted { inner: gzip.stdin.take().unwrap(), bytes: 0 };
    let mut out = BufWriter::with_capacity(1 << 20, counted);
    write(&mut out, lines, seed, stamp).unwrap();
    let bytes = out.into_inner().unwrap().bytes;
    assert!(gzip.wait().unwrap().success());
    (file, bytes)
}

#[derive(Debug)]
struct Counted<T> {
    inner: T,
    bytes: u64,
}

impl<T: Write> Write for Counted<T> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let length = self.inner.write(buffer)?;
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// What a command took.
struct Cost {
    time: Duration,
    cpu: Duration,
    /// The most that was resident, in KiB.
    memory: i64,
}

/// Runs a command whose output is thrown away.
fn run(command: &mut Command) -> Cost {
    let start = Instant::now();
    #[allow(clippy::zombie_processes, reason = "wait4 waits for it")]
    let child = command.stdout(Stdio::null()).spawn().unwrap();
    let pid = i32::try_from(child.id()).unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::uninit());
    // SAFETY: both are written to, and no longer than the call.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, usage.as_mut_ptr()) };
    let time = start.elapsed();
    assert_eq!((waited, status), (pid, 0), "{command:?}");
    // SAFETY: the call has succeeded.
    let usage = unsafe { usage.assume_init() };
    let cpu = [usage.ru_utime, usage.ru_stime].map(|time| {
        let micros = u32::try_from(time.tv_usec).unwrap() * 1000;
        Duration::new(u64::try_from(time.tv_sec).unwrap(), micros)
    });
    Cost { time, cpu: cpu[0] + cpu[1], memory: usage.ru_maxrss }
}
