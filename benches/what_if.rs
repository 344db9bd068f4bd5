//! How well the report foretells what other delays do: the same clients come to a daemon
//! with long delays and to one with short ones, and what the report makes of the first log
//! is held against the second.
//!
//! `cargo bench --bench what_if -- [--clients N] [--per-minute N] [--seed N] [--speed N]
//! [--goal PERCENT]`
//!
//! Of the clients 40 of 100 talk early, most of them in the first second, 30 leave after a
//! time of their own, and the rest wait.  With `--speed 10` every time is a tenth of what it
//! would be.  It ends with 1 if a prediction for a shorter delay is off by more than the
//! goal (0 for any), or one for a longer delay does not bound what happened within that.

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names)]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use lab::chain::Chain;
use lab::command::{self, clean_command};
use lab::dns::{EMPTY, FORWARD, Nsd};
use lab::ucspi::Random;
use serde_json::Value;
use support::{arguments, measure_what_is_installed};

/// Two settings of the delays of these classes, in seconds.
const CLASSES: [&str; 2] = ["dynamic", "none"];
const LONG: [f64; 2] = [12.0, 20.0];
const SHORT: [f64; 2] = [6.0, 8.0];
/// Longer than any delay.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a client does so many seconds after it has connected, unless it is greeted before.
#[derive(Clone, Copy)]
enum Does {
    Talks(f64),
    Leaves(f64),
    Waits,
}

struct Planned {
    arrival: f64,
    source: String,
    does: Does,
}

fn plan(clients: u32, per_minute: u32, seed: u32) -> Vec<Planned> {
    let mut random = Random::new(seed.into());
    let mut uniform = move || f64::from(u32::try_from(random.below(1_000_000)).unwrap()) / 1e6;
    let mut arrival = 0.0;
    let one = |number: u32| {
        arrival += 2.0 * uniform() * 60.0 / f64::from(per_minute);
        let network = if uniform() < 0.5 { 20 } else { 30 };
        let does = match uniform() {
            kind if kind < 0.3 => Does::Talks(uniform()),
            kind if kind < 0.4 => Does::Talks(24.0 * uniform()),
            kind if kind < 0.7 => Does::Leaves(1.0 + 24.0 * uniform()),
            _ => Does::Waits,
        };
        let source = format!("127.{network}.{}.{}", number / 250 % 250, 1 + number % 250);
        Planned { arrival, source, does }
    };
    (0..clients).map(one).collect()
}

/// Names for the clients of one network; the others have none.
fn names(clients: u32) -> Nsd {
    let mut reverse = String::from(EMPTY);
    for number in 0..clients {
        let (high, low) = (number / 250 % 250, 1 + number % 250);
        let name = format!("dsl-127-20-{high}-{low}.isp.example");
        let _ = writeln!(reverse, "{low}.{high}.20 PTR {name}.");
    }
    Nsd::start_with(&[("127.in-addr.arpa", reverse), ("example.org", FORWARD.into())])
}

fn daemon(names: &Nsd, delays: [f64; 2], speed: f64, clients: u32) -> Chain {
    let mut command = clean_command(command::daemon());
    command.args(["-1", "-l", "mx.test.example", "--local-nets", "none", "--per-ip", "0"]);
    command.args(["-b", "500", "-c", &(2 * clients).to_string()]);
    command.args(["--resolver", &names.address.to_string()]);
    for (class, delay) in CLASSES.iter().zip(delays) {
        command.args([format!("--delay-{class}"), (delay / speed).to_string()]);
    }
    Chain::printing_its_port(command, &["127.0.0.1", "0", "echo", "220 hello"])
}

/// Sends all planned to `server` at their times, and waits until all are gone.
fn replay(planned: &[Planned], server: &Chain, speed: f64) {
    let start = Instant::now();
    thread::scope(|scope| {
        for client in planned {
            let due = Duration::from_secs_f64(client.arrival / speed);
            thread::sleep(due.saturating_sub(start.elapsed()));
            scope.spawn(move || visit(client, server, speed));
        }
    });
}

fn visit(client: &Planned, server: &Chain, speed: f64) {
    let mut stream = server.client(&client.source).stream;
    let (Does::Talks(at) | Does::Leaves(at)) = client.does else {
        let _ = stream.read(&mut [0; 100]);
        return;
    };
    let time = Duration::from_secs_f64(at / speed).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(time)).unwrap();
    let is_greeted = stream.read(&mut [0; 100]).is_ok();
    if matches!(client.does, Does::Talks(_)) && !is_greeted {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(b"EHLO x\r\n");
        let _ = stream.read(&mut [0; 100]);
    }
}

/// What the report says of a log: for each class what its own delay did, and what `other`
/// delays would have done.
fn report(server: &Chain, clients: u32, other: [f64; 2], speed: f64) -> [[Effect; 2]; 2] {
    let is_verdict =
        |line: &str| ["pass ", "early ", "hangup "].iter().any(|it| line.starts_with(it));
    lab::wait_until("all verdicts", || {
        let count = server.text().lines().filter(|line| is_verdict(line)).count();
        (count >= usize::try_from(clients).unwrap()).then_some(())
    });
    let file = lab::directory().join("log");
    fs::write(&file, server.text()).unwrap();
    let pairs = CLASSES.iter().zip(other);
    let delays = pairs.map(|(class, delay)| format!("delay-{class}={}", delay / speed));
    let delays = delays.collect::<Vec<_>>().join(",");
    let mut command = Command::new(command::ctl());
    let output = command.args(["report", "--json", "--what-if", &delays]).arg(&file).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let all = found["what_if"].as_array().unwrap();
    CLASSES.map(|class| {
        let of = all.iter().find(|of| of["class"] == class).unwrap();
        ["now", "then"].map(|which| Effect::of(&of[which]))
    })
}

/// Early talkers, clients that left, and seconds of connections.
#[derive(Clone, Copy)]
struct Effect([f64; 3]);

impl Effect {
    fn of(value: &Value) -> Self {
        Self(["early", "hangups", "connection_seconds"].map(|key| value[key].as_f64().unwrap()))
    }
}

/// Prints predictions beside what happened; by how many percent each is too high.
fn compare(title: &str, predicted: [Effect; 2], real: [Effect; 2]) -> [[f64; 3]; 2] {
    std::array::from_fn(|class| {
        print!("{title:<20} {:<8}", CLASSES[class]);
        let (Effect(predicted), Effect(real)) = (predicted[class], real[class]);
        let errors = std::array::from_fn(|what| {
            let (predicted, real) = (predicted[what], real[what]);
            let error = (predicted - real) / real * 100.0;
            print!(" {predicted:>9.0} {real:>7.0} {error:>+6.1} %");
            error
        });
        println!();
        errors
    })
}

fn main() -> ExitCode {
    let known = [("clients", 600), ("per-minute", 600), ("seed", 1), ("speed", 1), ("goal", 15)];
    let [clients, per_minute, seed, speed, goal] =
        arguments(known, "cargo bench --bench what_if --");
    measure_what_is_installed();
    let planned = plan(clients, per_minute, seed);
    let (names, speed) = (names(clients), f64::from(speed));
    let [long, short] = [LONG, SHORT].map(|delays| daemon(&names, delays, speed, clients));
    thread::scope(|scope| {
        for server in [&long, &short] {
            scope.spawn(|| replay(&planned, server, speed));
        }
    });
    let [long, short] = [(&long, SHORT), (&short, LONG)]
        .map(|(server, other)| report(server, clients, other, speed));
    println!("{clients} clients, {per_minute} a minute; seed {seed}, speed {speed}");
    println!("delays of {CLASSES:?}: {LONG:?}, and {SHORT:?}\n");
    println!("{:<29} {:>26} {:>26} {:>26}", "predicted, real, error", "early", "left", "seconds");
    let now = |of: [[Effect; 2]; 2]| of.map(|[now, _]| now);
    let then = |of: [[Effect; 2]; 2]| of.map(|[_, then]| then);
    let shorter = compare("shorter from longer", then(long), now(short));
    let longer = compare("longer from shorter", then(short), now(long));
    let goal = f64::from(goal);
    let is_off = shorter.iter().flatten().any(|error| error.abs() > goal)
        // A longer delay catches at least as many, and takes at most as long.
        || longer.iter().any(|[early, left, seconds]| early.max(*left) > goal || -seconds > goal);
    if goal > 0.0 && is_off {
        eprintln!("what_if: a prediction is off by more than {goal} %");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
