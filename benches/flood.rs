//! A flood of idle connections from hosts without a name, and how long a host
//! with a static name waits for its banner meanwhile: in front of smtp-delayd, and
//! in front of tcpserver with as many slots.
//!
//! `cargo bench --bench flood -- [--seconds N] [--before N] [--flood N] [--slots N]
//! [--sessions N] [--part N]`
//!
//! The flood comes from one address, from one /24, or from as many networks as it
//! has connections; their PTRs are denied at once, after 5 s, or never; a flooder
//! stays until it is refused, or hangs up after half a second, and returns at once
//! either way.  The flood starts some seconds (`--before`) before the hosts with good
//! names come.
//!
//! Then hosts that wait out their delay and stay in the session (`--sessions`), with
//! good names and without.
//!
//! The parts are 1 a flood that stays, 2 one that leaves and returns, 3 sessions.  The
//! exit code is 1 if a good host gets no banner at all from smtp-delayd, except against
//! sessions that no limit bounds.

#![allow(clippy::unwrap_used, clippy::exit, clippy::similar_names)]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use lab::command::{self, clean_command};
use support::names::{Names, Patience};
use support::server::Server;
use support::{Figures, arguments, measure_what_is_installed};

/// How long a host with a static name has to wait, and how much longer it may wait.
const DELAY: f64 = 2.0;
const GRACE: f64 = 0.5;
/// How often such a host comes.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long it waits for its banner.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many of those that got none are printed.
const SHOWN: usize = 5;
/// How long a flooder stays that hangs up.
const STAY: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    OneAddress,
    OneNetwork,
    ManyNetworks,
}

const FROM: [(From, &str); 3] = [
    (From::OneAddress, "one address"),
    (From::OneNetwork, "one /24"),
    (From::ManyNetworks, "many networks"),
];
const PTRS: [(Patience, &str); 3] = [
    (Patience::AtOnce, "at once"),
    (Patience::Late(Duration::from_secs(5)), "after 5 s"),
    (Patience::Never, "never"),
];

impl From {
    /// A flooder's address; with a static name, if it has one.
    fn source(self, number: usize, named: bool) -> [u8; 4] {
        let byte = |value: usize| u8::try_from(value % 250 + 1).unwrap();
        match self {
            Self::OneAddress if named => [127, 10, 1, 1],
            Self::OneNetwork if named => [127, 10, 1, byte(number)],
            Self::ManyNetworks if named => [127, 10, byte(number), 1],
            Self::OneAddress => [127, 99, 1, 1],
            Self::OneNetwork => [127, 99, 1, byte(number)],
            Self::ManyNetworks => [127, 99 + byte(number / 250), byte(number), 1],
        }
    }
}

struct Flood {
    from: From,
    size: usize,
    stays: bool,
    named: bool,
    server: SocketAddr,
}

impl Flood {
    /// Connects until told to stop; returns how many connections it made.
    fn press(&self, stop: &AtomicBool) -> usize {
        let made = AtomicUsize::new(0);
        let mut flooders: Vec<Option<(Socket, Instant)>> = (0..self.size).map(|_| None).collect();
        while !stop.load(Ordering::SeqCst) {
            for (number, flooder) in flooders.iter_mut().enumerate() {
                let old = flooder.as_ref().is_some_and(|one| !self.stays && one.1.elapsed() > STAY);
                if flooder.is_none() || old {
                    *flooder = self.connect(number).map(|socket| (socket, Instant::now()));
                    made.fetch_add(usize::from(flooder.is_some()), Ordering::Relaxed);
                }
            }
            self.drop_those_that_were_thrown_out(&mut flooders);
        }
        made.into_inner()
    }

    fn connect(&self, number: usize) -> Option<Socket> {
        let socket =
            Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP)).ok()?;
        // What is closed goes at once: TIME_WAIT would pile up.
        socket.set_linger(Some(Duration::ZERO)).ok()?;
        socket.bind(&SocketAddr::from((self.from.source(number, self.named), 0)).into()).ok()?;
        let _ = socket.connect(&self.server.into());
        Some(socket)
    }

    #[allow(clippy::unused_self)]
    fn drop_those_that_were_thrown_out(&self, flooders: &mut [Option<(Socket, Instant)>]) {
        let mut fds: Vec<PollFd<'_>> = flooders
            .iter()
            .flatten()
            .map(|(socket, _)| PollFd::new(socket.as_fd(), PollFlags::POLLIN))
            .collect();
        let _ = poll(&mut fds, PollTimeout::from(20_u8));
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        drop(fds);
        for (flooder, ready) in flooders.iter_mut().filter(|one| one.is_some()).zip(ready) {
            // One that gets a banner stays.
            let mut text = [0; 64];
            let mut out = |socket: &Socket| !matches!((&mut &*socket).read(&mut text), Ok(1..));
            if ready && flooder.as_ref().is_some_and(|(socket, _)| out(socket)) {
                *flooder = None;
            }
        }
    }
}

/// Seconds to the banner of hosts with a static name, and what came instead of one.
fn probe(server: SocketAddr, time: Duration) -> (Figures, Vec<String>) {
    let (figures, lost) = (Mutex::new(Figures::default()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let start = Instant::now();
        let mut number = 0_u8;
        while start.elapsed() < time {
            number = number.wrapping_add(1).max(1);
            let source = SocketAddr::from(([127, 10, 0, number], 0));
            let (figures, lost) = (&figures, &lost);
            scope.spawn(move || match banner(source, server) {
                Ok(time) => figures.lock().unwrap().add(time.as_secs_f64()),
                Err(instead) => lost.lock().unwrap().push(instead),
            });
            thread::sleep(INTERVAL);
        }
    });
    (figures.into_inner().unwrap(), lost.into_inner().unwrap())
}

/// The time to it, or what came instead, and when.
fn banner(source: SocketAddr, server: SocketAddr) -> Result<Duration, String> {
    let start = Instant::now();
    let listen = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&source.into())?;
        socket.connect_timeout(&server.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).map(|_| line)
    };
    match listen() {
        Ok(line) if line.starts_with("220") => Ok(start.elapsed()),
        Ok(line) => Err(format!("{:.2} s: {line:?}", start.elapsed().as_secs_f64())),
        Err(why) => Err(format!("{:.2} s: {why}", start.elapsed().as_secs_f64())),
    }
}

struct Times {
    before: Duration,
    during: Duration,
}

/// Whether any client got a banner.
fn measure(name: &str, flood: &Flood, times: &Times) -> bool {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let press = scope.spawn(|| flood.press(&stop));
        thread::sleep(times.before);
        let (figures, lost) = probe(flood.server, times.during);
        stop.store(true, Ordering::SeqCst);
        let made = press.join().unwrap();
        let all = figures.len() + lost.len();
        let verdict = match figures.percentile(0.99) {
            Some(p99) if lost.len() * 100 < all && p99 <= DELAY + GRACE => "held",
            Some(_) => "SHORT",
            None => "no banner at all",
        };
        let shown = |part: f64| figures.percentile(part).map_or("-".into(), |s| format!("{s:.2}"));
        println!(
            "{name:<66} {:>5} of {all:<5} {:>6} {:>6}  {made:>8}  {verdict}",
            figures.len(),
            shown(0.5),
            shown(0.99)
        );
        for instead in lost.iter().take(SHOWN) {
            println!("    no banner after {instead}");
        }
        !figures.is_empty()
    })
}

/// The daemon in front of a greeting, after which nothing is ever said.
fn daemon(slots: u32, names: &Names, more: &[&str]) -> Server {
    let mut command = clean_command(command::daemon());
    command.args(["-1", "-l", "mx.test.example", "--local-nets", "none"]).args(more);
    command.args(["-c", &slots.to_string(), "--resolver", &names.address.to_string()]);
    command.args(["127.0.0.1", "0", "sh", "-c", "echo 220; exec cat"]);
    Server::spawn(command)
}

/// A flood from everywhere, with name servers of all kinds, that stays or comes and
/// goes; and at tcpserver's front door.  Whether smtp-delayd always had a banner.
fn floods(stays: bool, size: u32, slots: u32, times: &Times) -> bool {
    let mut served = true;
    let how = if stays { "stays" } else { "comes and goes" };
    for (patience, ptr) in PTRS {
        let names = Names::start(patience);
        for (from, place) in FROM {
            let server = daemon(slots, &names, &[]);
            let flood =
                Flood { from, size: size as usize, stays, named: false, server: server.address };
            served &= measure(&format!("smtp-delayd: {place}, PTR {ptr}, {how}"), &flood, times);
        }
    }
    let slots = slots.to_string();
    let words = ["tcpserver", "-1RHl0", "-c", &slots, "127.0.0.1", "0"];
    let server =
        Server::start(&[&words[..], &["sh", "-c", "sleep 2; echo 220; exec cat"]].concat());
    let from = From::ManyNetworks;
    let flood = Flood { from, size: size as usize, stays, named: false, server: server.address };
    measure(&format!("tcpserver: many networks, {how}"), &flood, times);
    served
}

/// Hosts that wait out their delay, and then stay in the session.  Whether there was
/// always a banner where something bounds them.
fn long_sessions(sessions: u32, slots: u32, during: Duration) -> bool {
    let mut served = true;
    let times = Times { before: Duration::from_secs(6), during };
    let names = Names::start(Patience::AtOnce);
    println!();
    for named in [false, true] {
        let name = if named { "with good names" } else { "without names" };
        for (from, place) in FROM {
            // They need not wait for long to be let in.
            let server = daemon(slots, &names, &["--delay-none", "3"]);
            let flood =
                Flood { from, size: sessions as usize, stays: true, named, server: server.address };
            let name = format!("smtp-delayd: {sessions} stay in sessions, {name}, {place}");
            let unbounded = named && from != From::OneAddress;
            served &= measure(&name, &flood, &times) || unbounded;
        }
    }
    served
}

fn main() -> ExitCode {
    let known = [
        ("seconds", 10),
        ("before", 5),
        ("flood", 1000),
        ("slots", 100),
        ("sessions", 200),
        ("part", 0),
    ];
    let [seconds, before, size, slots, sessions, part] =
        arguments(known, "cargo bench --bench flood --");
    measure_what_is_installed();
    let times = Times {
        before: Duration::from_secs(before.into()),
        during: Duration::from_secs(seconds.into()),
    };
    println!(
        "{size} flooders, {slots} slots, {seconds} s each after {before} s; seconds to the banner\n"
    );
    println!("{:<66} banners         p50    p99     flood", "in front of");
    let mut served = true;
    for (number, stays) in [(1, true), (2, false)] {
        if [0, number].contains(&part) {
            served &= floods(stays, size, slots, &times);
        }
    }
    if [0, 3].contains(&part) {
        served &= long_sessions(sessions, slots, times.during);
    }
    if !served {
        eprintln!("flood: smtp-delayd kept a good host without any banner");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
