//! What the chain link costs beside a C program that only polls and execs: CPU
//! from exec to its poll, and memory while it waits.  Both are measured in turn,
//! several times; only the ratios of one run count.
//!
//! `cargo bench --bench link -- [--rounds N] [--starts N] [--held N]`

#![allow(clippy::unwrap_used)]

use lab::command;
use support::cgroup::{Cgroup, Kind};
use support::memory::of_held;
use support::server::Server;
use support::start::{CLIENT, cpu_to_poll};
use support::{Figures, arguments, compile, measure_what_is_installed};

fn main() {
    let [rounds, starts, held] =
        arguments([("rounds", 7), ("starts", 100), ("held", 300)], "cargo bench --bench link --");
    measure_what_is_installed();
    let plugin = compile("plugin.c", &["-O2", "-static"]);
    let peers: [(&str, Vec<&str>); 2] =
        [("smtp-delay", vec![command::link()]), ("C stand-in", vec![plugin.as_str(), "60000"])];
    println!("{rounds} rounds of {starts} starts, {held} held; medians (least to most)\n");
    let cpu = measure(rounds, &peers, |words| cpu_to_poll(words, starts));
    report("CPU from exec to poll, µs", &peers, &cpu, 2.0);
    match Cgroup::new("smtp-delay-bench", Kind::Memory) {
        Ok(cgroup) => {
            let memory =
                measure(rounds.min(3), &peers, |words| memory_of_held(&cgroup, words, held));
            report("memory of a client that waits, KiB", &peers, &memory, f64::INFINITY);
        }
        Err(why) => println!("no memory was measured: {why}"),
    }
}

fn measure(
    rounds: u32,
    peers: &[(&str, Vec<&str>)],
    figure: impl Fn(&[&str]) -> f64,
) -> Vec<Figures> {
    let mut figures = vec![Figures::default(); peers.len()];
    for _ in 0..rounds {
        for (index, (_, words)) in peers.iter().enumerate() {
            figures[index].add(figure(words));
        }
    }
    figures
}

fn report(what: &str, peers: &[(&str, Vec<&str>)], figures: &[Figures], most: f64) {
    println!("{what}");
    for ((name, _), figures) in peers.iter().zip(figures) {
        println!("  {name:<12} {figures}");
    }
    let ratio = figures[0].ratio_to(&figures[1]);
    let verdict = match ratio.median() {
        _ if most.is_infinite() => String::new(),
        ratio if ratio <= most => format!("  at most {most}: held"),
        _ => format!("  at most {most}: SHORT"),
    };
    println!("  ratio        {ratio:.2}{verdict}\n");
}

/// KiB that one more client costs under tcpserver, kernel memory included.
fn memory_of_held(cgroup: &Cgroup, words: &[&str], held: u32) -> f64 {
    let limit = (held + 10).to_string();
    let host = format!("TCPREMOTEHOST={}", CLIENT[3].1);
    let chain = [&["env", &host], words, &["true"]].concat();
    let server = ["tcpserver", "-1RHl0", "-c", &limit, "-b", &limit, "127.0.0.1", "0"];
    let server = Server::start(&[&server[..], &chain].concat());
    of_held(cgroup, (server.pid(), server.address), held as usize, |_| [127, 0, 0, 1])
}
