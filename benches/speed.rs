//! Everything that has a goal, beside other servers, in one run: theirs and ours in
//! turn, several times, and one table of the ratios.  Needs root, for a
//! memory control group and for postscreen.
//!
//! `cargo bench --bench speed -- [--rounds N] [--millis N] [--held N] [--beside N]
//! [--starts N] [--bursts N] [--part N]`
//!
//! The parts are 1 hand-over, 2 refusal, 3 memory, 4 many clients held, 5 the link, 6 the
//! system calls of a client, for which strace is needed, as chrt is for a load that goes
//! first, 7 clients that are known.

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names)]

use std::net::SocketAddr;
use std::process::exit;
use std::thread;
use std::time::Duration;

use lab::command;
use support::calls;
use support::cgroup::{Cgroup, Kind};
use support::first::First;
use support::keeper;
use support::known_client::{self, Memory};
use support::load::{AT_ONCE, Load, Manner, address};
use support::loaded_server::LoadedServer;
use support::memory::of_held;
use support::names::{Names, Patience};
use support::postscreen::Postscreen;
use support::processor::Meter;
use support::server::Server;
use support::start::cpu_to_poll;
use support::table::{Bound, head, row};
use support::{Figures, arguments, compile, measure_what_is_installed};

/// The slots of every server.
const SLOTS: &str = "40";
/// The pause between two bursts of clients.
const PAUSE: Duration = Duration::from_millis(100);
/// How many servers in a round there are whose first burst is measured.
const FIRST: u32 = 3;

/// The programs to compare with, and how much is measured.
struct Lab {
    rounds: u32,
    time: Duration,
    held: usize,
    beside: usize,
    starts: u32,
    /// Bursts of clients in a round.
    bursts: u32,
    /// A program that greets and ends, with the C library and without.
    answer: [String; 2],
    prefork: String,
    plugin: String,
}

type Words<'a> = Vec<&'a str>;

impl Lab {
    fn new([rounds, millis, held, beside, starts, bursts]: [u32; 6]) -> Self {
        let free = ["-O2", "-static", "-nostdlib", "-DFREESTANDING"];
        Self {
            rounds,
            time: Duration::from_millis(millis.into()),
            held: held as usize,
            beside: beside as usize,
            starts,
            bursts,
            answer: [compile("answer.c", &["-O2", "-static"]), compile("answer.c", &free)],
            prefork: compile("prefork.c", &["-O2", "-static"]),
            plugin: compile("plugin.c", &["-O2", "-static"]),
        }
    }

    /// One figure of each of `all`, round by round.
    fn measure<T>(&self, all: &[T], figure: impl Fn(&T) -> f64) -> Vec<Figures> {
        let mut figures = vec![Figures::default(); all.len()];
        for _ in 0..self.rounds {
            for (figures, one) in figures.iter_mut().zip(all) {
                figures.add(figure(one));
            }
        }
        figures
    }

    fn per_second(&self, server: SocketAddr, manner: Manner, ours: bool) -> f64 {
        let load = Load { server, at_once: AT_ONCE, manner };
        let outcome = load.press_warm(self.time);
        let failed = outcome.failed;
        assert!(!ours || failed == 0, "{failed} clients were not answered as expected");
        if failed > 0 {
            eprintln!("{failed} clients of a peer were not answered as expected");
        }
        outcome.per_second()
    }

    /// Ours, tcpserver, and the C loop that execs, in front of `program`.
    fn handing_over<'a>(&'a self, program: &'a str) -> [Words<'a>; 3] {
        let ours =
            [command::daemon(), "-1RHl0", "-c", SLOTS, "--delay", "0", "127.0.0.1", "0", program];
        let tcpserver =
            ["tcpserver", "-1RHl0", "-c", SLOTS, "-b", SLOTS, "127.0.0.1", "0", program];
        [ours.to_vec(), tcpserver.to_vec(), vec![&self.prefork, "exec", SLOTS, program]]
    }

    fn hand_over(&self) {
        // Two thirds of what a session costs are the static program's own.
        let kinds = [("static", 1.1), ("freestanding", 1.3)];
        for (program, (kind, least)) in self.answer.iter().zip(kinds) {
            let peers = self.handing_over(program);
            let rate = |words: &Words<'_>| {
                let server = Server::start(words);
                self.per_second(server.address, Manner::Waiting, words[0] == command::daemon())
            };
            let sharing = vec![self.prefork.as_str(), "vfork", SLOTS, program];
            let told = [0, 1].map(|peer| [&peers[peer][..1], &["-v"], &peers[peer][1..]].concat());
            let all = [&peers[..], &[sharing], &told].concat();
            let [ours, tcpserver, loop_, sharing, ours_told, tcpserver_told] =
                all_of(self.measure(&all, rate));
            let what = format!("handed over a second, {kind} program");
            row(&format!("{what}, tcpserver"), &ours, &tcpserver, Bound::AtLeast(least));
            row(&format!("{what}, C pre-fork + exec"), &ours, &loop_, Bound::AtLeast(1.1));
            row(&format!("{what}, C pre-fork + vfork + exec"), &ours, &sharing, Bound::Open);
            row(&format!("{what}, -v, tcpserver -v"), &ours_told, &tcpserver_told, Bound::Open);
            self.first_byte(&all[..4], kind);
        }
    }

    fn first_byte(&self, peers: &[Words<'_>], kind: &str) {
        let warm = [1, 5, self.bursts];
        let cases = [
            (1, Duration::ZERO, warm, "1 client", Bound::AtMost(0.9), false),
            (1, PAUSE, warm, "1 after a rest", Bound::AtMost(0.9), false),
            (AT_ONCE, PAUSE, warm, "20 at once", Bound::AtMost(0.7), false),
            (AT_ONCE, PAUSE, warm, "20 at once, the load first", Bound::Open, true),
            (AT_ONCE, PAUSE, [FIRST, 0, 1], "20 at once, the first", Bound::Open, false),
        ];
        for (at_once, pause, [servers, before, bursts], clients, bound, first) in cases {
            if first && First::take().is_none() {
                println!("no load that goes first was measured: chrt is not there, or may not");
                continue;
            }
            let time = |words: &Words<'_>| {
                let mut first_byte = Figures::default();
                for _ in 0..servers {
                    let server = Server::start(words);
                    thread::sleep(PAUSE);
                    let load = Load { server: server.address, at_once, manner: Manner::Waiting };
                    load.burst(before, pause);
                    let _first = if first { First::take() } else { None };
                    first_byte.append(load.burst(bursts, pause));
                }
                first_byte.median()
            };
            let [ours, tcpserver, loop_, sharing] = all_of(self.measure(peers, time));
            let what = format!("µs to the first byte, {clients}, {kind} program");
            row(&format!("{what}, tcpserver"), &ours, &tcpserver, bound);
            row(&format!("{what}, C pre-fork + exec"), &ours, &loop_, Bound::Open);
            row(&format!("{what}, C pre-fork + vfork + exec"), &ours, &sharing, Bound::Open);
        }
    }

    fn refuse(&self) {
        let answer = &self.answer[0];
        let ours =
            [command::daemon(), "-1RHl0", "-c", SLOTS, "--delay", "9", "127.0.0.1", "0", answer];
        let chain = ["tcpserver", "-1RHl0", "-c", SLOTS, "-b", SLOTS, "127.0.0.1", "0"];
        let chain = [&chain[..], &[&self.plugin, "9000", answer]].concat();
        let peers = [ours.to_vec(), chain, vec![&self.prefork, "accept", SLOTS, "9000"]];
        let postscreen = Postscreen::start();
        let last = postscreen.iter().map(|_| None);
        let all: Vec<Option<&Words<'_>>> = peers.iter().map(Some).chain(last).collect();
        let figures = self.measure(&all, |words| match words {
            Some(words) => {
                let server = Server::start(words);
                self.per_second(server.address, Manner::Early, words[0] == command::daemon())
            }
            None => postscreen.as_ref().map_or(f64::NAN, |postscreen| {
                self.per_second(postscreen.address, Manner::Early, false)
            }),
        });
        let bounds = [
            ("tcpserver + C plug-in", Bound::AtLeast(4.0)),
            ("C pre-fork accept", Bound::AtLeast(0.9)),
            ("postscreen", Bound::AtLeast(2.0)),
        ];
        for ((peer, bound), theirs) in bounds.into_iter().zip(&figures[1..]) {
            row(&format!("early talkers refused a second, {peer}"), &figures[0], theirs, bound);
        }
        if postscreen.is_none() {
            println!("postscreen was not measured: postfix is not there, or does not start");
        }
    }

    fn memory(&self) {
        let cgroup = match Cgroup::new("smtp-delay-bench", Kind::Memory) {
            Ok(cgroup) => cgroup,
            Err(why) => return println!("no memory was measured: {why}"),
        };
        let names = Names::start(Patience::AtOnce);
        let (resolver, slots) = (names.address.to_string(), (self.held + 60).to_string());
        let answer = self.answer[0].as_str();
        let ours = |more: &[&str]| -> Vec<String> {
            let own = [command::daemon(), "-1Rl0", "-c", &slots, "-b", "1024", "--delay", "3600"];
            let rest = ["--per-ip", "0", "--reserve", "0", "127.0.0.1", "0", answer];
            [&own[..], more, &rest].concat().iter().map(ToString::to_string).collect()
        };
        let without = ours(&["-H"]);
        let judged = ["--resolver", &resolver, "--local-nets", "none"];
        let with = ours(&judged);
        let home = keeper::home();
        let asked = ours(&[&judged[..], &["--known", home.to_str().unwrap()]].concat());
        let child = ["fork", "0", "3600000"].map(String::from);
        let child = [std::slice::from_ref(&self.prefork), &child[..]].concat();
        let chain = ["tcpserver", "-1RHl0", "-c", &slots, "-b", "1024", "127.0.0.1", "0"];
        let chain = [&chain[..], &[&self.plugin, "3600000", answer]].concat();
        let chain: Vec<String> = chain.into_iter().map(String::from).collect();
        let all = [without, with, asked, child, chain];
        let figures = self.measure(&all, |words: &Vec<String>| {
            let words: Words<'_> = words.iter().map(String::as_str).collect();
            let server = Server::start(&words);
            of_held(&cgroup, (server.pid(), server.address), self.held, |number| {
                address(10, number)
            })
        });
        let [without, with, asked, child, chain] = all_of(figures);
        let what = "KiB of a client that is held";
        row(&format!("{what}, -RH, forked C child"), &without, &child, Bound::AtMost(1.2));
        row(&format!("{what}, its name judged, forked C child"), &with, &child, Bound::AtMost(1.3));
        let asks = format!("{what}, its name judged, the keeper asked");
        row(&format!("{asks}, forked C child"), &asked, &child, Bound::AtMost(1.3));
        row(&format!("{asks}, without that"), &asked, &with, Bound::Open);
        let peer = "tcpserver + C plug-in";
        row(&format!("{what}, -RH, {peer}"), &without, &chain, Bound::Open);
    }

    fn many_held(&self) {
        let meter = match Meter::start() {
            Ok(meter) => meter,
            Err(why) => return println!("nothing was measured with clients held: {why}"),
        };
        let answer = self.answer[1].as_str();
        let ours = |held: usize, manner| LoadedServer::of(held, answer, manner);
        let of_loop = |held: usize, kind| LoadedServer::of_loop(held, &self.prefork, kind, answer);
        let (goal, open) = (Bound::AtMost(1.15), Bound::Open);
        self.beside("handed over", goal, &meter, |held| ours(held, Manner::Waiting));
        self.beside("by C vfork + exec", open, &meter, |held| of_loop(held, "vfork"));
        self.beside("by C pre-fork + exec", open, &meter, |held| of_loop(held, "exec"));
        self.beside("by tcpserver + C plug-in", open, &meter, |held| {
            LoadedServer::of_chain(held, &self.plugin, answer)
        });
        self.beside("refused", goal, &meter, |held| ours(held, Manner::Early));
        self.beside("by C pre-fork accept", open, &meter, |held| of_loop(held, "accept"));
    }

    /// Both by the clock and in processor time.
    #[allow(clippy::cast_precision_loss)]
    fn beside(
        &self,
        kind: &str,
        goal: Bound,
        meter: &Meter,
        start: impl Fn(usize) -> LoadedServer,
    ) {
        let mut figures = [(); 2].map(|()| [(); 2].map(|()| Figures::default()));
        for _ in 0..self.rounds {
            for (held, [clock, processor]) in [self.beside, 10].into_iter().zip(&mut figures) {
                let (outcome, time) = start(held).press_metered(self.time, meter);
                clock.add(1e6 / outcome.per_second());
                processor.add(1e6 * time.as_secs_f64() / outcome.answered as f64);
            }
        }
        let [many, few] = figures;
        let what = format!("{} held beside, against 10: µs", self.beside);
        for (how, number) in [("by the clock", 0), ("of processor time", 1)] {
            let [many, few] = [&many[number], &few[number]];
            row(&format!("{what} {how}, {kind}"), many, few, goal);
        }
    }

    /// Clients that are known, beside those that need not wait.
    fn known(&self) {
        let names = Names::start(Patience::AtOnce);
        let home = keeper::home();
        let peers = [Memory::Has(&home), Memory::None];
        for (pause, clients) in [(Duration::ZERO, "1 client"), (PAUSE, "1 after a rest")] {
            let time = |memory: &Memory<'_>| {
                let server = known_client::server(memory, &names, &self.answer[0]);
                let load = Load { server: server.address, at_once: 1, manner: Manner::Waiting };
                load.burst(5, pause);
                load.burst(self.bursts, pause).median()
            };
            let [known, without] = all_of(self.measure(&peers, time));
            let what = format!("µs to the first byte, {clients}, known, --delay 0");
            row(&what, &known, &without, Bound::AtMost(1.2));
        }
    }

    fn link(&self) {
        let peers = [vec![command::link()], vec![self.plugin.as_str(), "60000"]];
        let cpu = self.measure(&peers, |words: &Words<'_>| cpu_to_poll(words, self.starts));
        let what = "µs of CPU from exec to poll, smtp-delay, C stand-in";
        row(what, &cpu[0], &cpu[1], Bound::AtMost(2.0));
    }
}

fn all_of<const N: usize>(figures: Vec<Figures>) -> [Figures; N] {
    figures.try_into().ok().unwrap()
}

fn main() {
    let known = [
        ("rounds", 5),
        ("millis", 1500),
        ("held", 2000),
        ("beside", 10_000),
        ("starts", 50),
        ("bursts", 40),
        ("part", 0),
    ];
    let [values @ .., part] = arguments(known, "cargo bench --bench speed --");
    measure_what_is_installed();
    if !nix::unistd::geteuid().is_root() {
        eprintln!("speed: root is needed");
        exit(100);
    }
    let lab = Lab::new(values);
    println!("{} rounds; medians, and the ratio of each round\n", lab.rounds);
    head();
    let calls = |lab: &Lab| calls::print(&lab.answer[1]);
    let parts =
        [Lab::hand_over, Lab::refuse, Lab::memory, Lab::many_held, Lab::link, calls, Lab::known];
    for (number, run) in (1..).zip(parts) {
        if part == 0 || part == number {
            run(&lab);
        }
    }
}
