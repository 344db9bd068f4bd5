//! How the daemon scales: connections a second and time to the first byte with 10 to
//! 10,000 clients held; ten thousand clients at once that wait, are watched and handed
//! over; private memory of each process; and memory of the supervisor after a million
//! connections, which must not grow, or the exit code is 1.  gnuplot can draw the first.
//!
//! `cargo bench --bench scale -- [--millis N] [--rounds N] [--held N] [--million N]
//! [--plot 1]`
//!
//! `--plot 1` draws `benches/scale.svg`.

#![allow(clippy::unwrap_used, clippy::similar_names)]

use std::fs;
use std::io::Write;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::unistd::Pid;
use socket2::Socket;

use lab::command;
use support::at_once;
use support::load::{AT_ONCE, Load, Manner, address, visit_from};
use support::loaded_server::LoadedServer;
use support::memory::{accepts, polls, settle};
use support::names::{Names, Patience};
use support::server::Server;
use support::{Figures, arguments, compile, measure_what_is_installed};

/// Children that are idle at first.
const IDLE: usize = 5;
/// The time between two checks of the count of a million connections.
const STEP: Duration = Duration::from_millis(200);
/// How many KiB the supervisor may grow meanwhile.
const MOST_GROWN: u64 = 64;

struct Point {
    held: usize,
    greeted: Figures,
    refused: Figures,
    first_byte: Figures,
}

fn point(held: usize, rounds: u32, time: Duration, program: &str) -> Point {
    let figures = || Figures::default();
    let mut point = Point { held, greeted: figures(), refused: figures(), first_byte: figures() };
    for _ in 0..rounds {
        let server = LoadedServer::of(held, program, Manner::Waiting);
        point.greeted.add(server.press(AT_ONCE, time).per_second());
        point.first_byte.add(server.press(1, time).first_byte.median());
        drop(server);
        let server = LoadedServer::of(held, program, Manner::Early);
        point.refused.add(server.press(AT_ONCE, time).per_second());
    }
    point
}

fn growing(most_held: usize, rounds: u32, time: Duration, program: &str) -> Vec<Point> {
    println!(
        "{:>8} {:>26} {:>26} {:>26}",
        "held", "handed over a second", "refused a second", "µs to the first byte"
    );
    let sizes = [10, 100, 1000, 10_000].into_iter().filter(|size| *size <= most_held);
    let points = sizes.map(|held| {
        let point = point(held, rounds, time, program);
        let [greeted, refused, first_byte] = [&point.greeted, &point.refused, &point.first_byte]
            .map(|figures| format!("{figures:.0}"));
        println!("{held:>8} {greeted:>26} {refused:>26} {first_byte:>26}");
        point
    });
    points.collect()
}

/// Draws both rates and the time, over the number of clients that are held.
fn draw(points: &[Point]) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/scale.svg");
    let rows = |figures: fn(&Point) -> &Figures| {
        let rows = points.iter().map(|point| {
            let figures = figures(point);
            let [least, median, most] =
                [0.01, 0.5, 1.0].map(|part| figures.percentile(part).unwrap_or_default());
            format!("{} {median} {least} {most}\n", point.held)
        });
        rows.collect::<String>() + "e\n"
    };
    let script = format!(
        "set terminal svg size 760,420 font 'sans-serif,13' background '#ffffff'\n\
         set output '{file}'\nset logscale x\nset xrange [7:14000]\nset yrange [0:*]\n\
         set y2range [0:*]\nset ytics nomirror\nset y2tics\nset grid y\nset key bottom left\n\
         set xlabel 'clients held in their delay'\nset ylabel 'connections a second'\n\
         set y2label 'µs to the first byte, one client'\n\
         plot '-' using 1:2:3:4 title 'refused' with yerrorlines lw 2 pt 7 lc rgb '#1f5fa8', \
         '-' using 1:2:3:4 title 'handed over' with yerrorlines lw 2 pt 5 lc rgb '#c0562b', \
         '-' using 1:2:3:4 axes x1y2 title 'first byte (right)' with yerrorlines lw 2 pt 9 \
         lc rgb '#5b7f3a'\n{}{}{}",
        rows(|point| &point.refused),
        rows(|point| &point.greeted),
        rows(|point| &point.first_byte)
    );
    let gnuplot = Command::new("gnuplot").stdin(Stdio::piped()).spawn();
    let mut gnuplot = gnuplot.expect("gnuplot, of the Debian package gnuplot-nox");
    gnuplot.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(gnuplot.wait().unwrap().success());
    println!("drawn: {file}");
}

/// The sum of what the kernel says of a process's memory in lines that start so.
fn kilobytes(pid: Pid, start: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with(start));
    let numbers = lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    numbers.sum()
}

/// KiB that a process has written itself.  After a fork they are shared, and no longer
/// private, until a process writes them again.
fn own_memory(pid: Pid) -> u64 {
    kilobytes(pid, "Anonymous:")
}

/// Private KiB of the supervisor, and on average of its children for which `counts`
/// returns true.
fn memory(pid: Pid, counts: fn(Pid) -> bool) -> (u64, u64) {
    let of = |pid: Pid| kilobytes(pid, "Private_");
    let children: Vec<Pid> =
        lab::daemon::children_of(pid).into_iter().filter(|child| counts(*child)).collect();
    (of(pid), children.iter().map(|child| of(*child)).sum::<u64>() / children.len().max(1) as u64)
}

/// Prints the private memory of each process, with few slots and with many.
fn alone(program: &str) {
    let names = Names::start(Patience::AtOnce);
    let resolver = names.address.to_string();
    println!("\nprivate memory, KiB      supervisor  idle, new  waiting child");
    for slots in ["40", "10000"] {
        let judged = ["--resolver", &resolver, "--local-nets", "none"];
        for (how, more) in [("", &["-H"][..]), (", names judged", &judged)] {
            let own = [command::daemon(), "-1Rl0", "-c", slots, "--delay", "3600"];
            let server = Server::start(&[&own[..], more, &["127.0.0.1", "0", program]].concat());
            lab::wait_until("idle children", || {
                let idle = lab::daemon::children_of(server.pid());
                (idle.len() == IDLE && idle.iter().all(|child| accepts(*child))).then_some(())
            });
            let idle = memory(server.pid(), accepts).1;
            let come = |number| visit_from(address(10, number), server.address);
            let _held: Vec<Socket> = (0..AT_ONCE).map(come).collect();
            settle(server.pid(), AT_ONCE);
            let (supervisor, waiting) = memory(server.pid(), polls);
            let name = format!("-c {slots}{how}");
            println!("{name:<25}{supervisor:>10}  {idle:>10}  {waiting:>13}");
        }
    }
}

/// Whether the supervisor's memory after `count` connections is what it was after a
/// tenth of them.
fn many(count: usize, program: &str) -> bool {
    let server =
        Server::start(&[command::daemon(), "-1RHl0", "--delay", "0", "127.0.0.1", "0", program]);
    let load = Load { server: server.address, at_once: AT_ONCE, manner: Manner::Waiting };
    let hand_over = |count: usize| {
        let mut done = 0;
        while done < count {
            let outcome = load.press(STEP);
            assert_eq!(outcome.failed, 0);
            done += outcome.answered;
        }
        done
    };
    let first = hand_over(count / 10);
    let (before, own_before) = (memory(server.pid(), |_| true), own_memory(server.pid()));
    let all = first + hand_over(count - count / 10);
    let (after, own_after) = (memory(server.pid(), |_| true), own_memory(server.pid()));
    println!(
        "\n{all} handed over: private memory of the supervisor {} KiB, after the first {first} {} \
         KiB, with what it shares with children {own_after} and {own_before}; of a child {} KiB, \
         before {}",
        after.0, before.0, after.1, before.1
    );
    let grown = own_after.saturating_sub(own_before).max(after.0.saturating_sub(before.0));
    if grown > MOST_GROWN {
        eprintln!("scale: the supervisor grew by {grown} KiB, {MOST_GROWN} are allowed");
    }
    grown <= MOST_GROWN
}

fn main() -> ExitCode {
    let known =
        [("millis", 1500), ("rounds", 3), ("held", 10_000), ("million", 1_000_000), ("plot", 0)];
    let [millis, rounds, held, million, plot] = arguments(known, "cargo bench --bench scale --");
    measure_what_is_installed();
    let program = compile("answer.c", &["-O2", "-static", "-nostdlib", "-DFREESTANDING"]);
    let points = growing(held as usize, rounds, Duration::from_millis(millis.into()), &program);
    if plot > 0 {
        draw(&points);
    }
    at_once::come(held as usize, &program);
    alone(&program);
    if million > 0 && !many(million as usize, &program) {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
