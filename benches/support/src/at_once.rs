//! Clients that come to the daemon all at once, wait, are watched and handed over.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use socket2::Socket;

use crate::Figures;
use crate::load::visit_from;
use crate::loaded_server::{raise_file_limit, source};
use crate::server::Server;
use lab::command;
use lab::{directory, wait_until};

/// What they wait for.
const DELAY: Duration = Duration::from_secs(30);
/// One in so many of them talks early, and one in so many hangs up.
const ONE_IN: usize = 100;
/// So many come between two pauses: not more than the queue has room for.
const STEP: usize = 250;
const PAUSE: Duration = Duration::from_millis(100);
/// So long between two looks at the daemon's status.
const LOOK: Duration = Duration::from_secs(1);
/// Without an answer to any client for so long, the daemon is taken for dead.
const PATIENCE: u16 = 60_000;

/// A client, and since when it is there.
type Visit = (Socket, Instant);

/// Starts smtp-delayd before `program`, to which `count` clients come: some talk early, some
/// hang up, which is noticed while they would have to wait, and all others are greeted.
/// Prints how much later than their delay.  Panics if one of them is treated otherwise.
pub fn come(count: usize, program: &str) {
    raise_file_limit();
    let board = directory().join("board");
    let (slots, delay) = ((count + 60).to_string(), DELAY.as_secs().to_string());
    let mut words = vec![command::daemon(), "-1RHl0", "-c", &slots, "-b", "1024", "--reserve", "0"];
    words.extend(["--delay", &delay, "--scoreboard", board.to_str().expect("a path")]);
    words.extend(["127.0.0.1", "0", program]);
    let server = Server::start(&words);
    let start = Instant::now();
    let mut clients: Vec<Visit> = Vec::new();
    while clients.len() < count {
        let next = count.min(clients.len() + STEP);
        let come = |number| (visit_from(source(number), server.address), Instant::now());
        clients.extend((clients.len()..next).map(come));
        thread::sleep(PAUSE);
    }
    println!("\n{count} came in {:.1} s", start.elapsed().as_secs_f64());
    // A client that leaves before it is accepted does not count as a hang-up.
    wait_for(&board, "/waiting", count);
    let clients = clients.into_iter().enumerate();
    let (leaving, stay): (Vec<_>, Vec<_>) = clients.partition(|(number, _)| number % ONE_IN == 1);
    let left = leaving.len();
    drop(leaving);
    wait_for(&board, "/counters/hangup", left);
    assert!(start.elapsed() < DELAY, "they are noticed at once, and not after the delay");
    let talkers = stay.iter().filter(|(number, _)| number % ONE_IN == 0);
    let early = talkers.map(|(_, visit)| talk(&visit.0)).count();
    let (refused, late) = answers(stay.into_iter().map(|(_, visit)| visit).collect());
    assert_eq!((refused, late.len()), (early, count - early - left));
    println!(
        "{refused} talked early and were refused, {left} hung up, {} were greeted; later than their \
         delay by {:.2} s (median), {:.2} s (99 %), {:.2} s (most)",
        late.len(),
        late.median(),
        late.percentile(0.99).expect("a client"),
        late.percentile(1.0).expect("a client")
    );
}

fn talk(mut socket: &Socket) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    assert_eq!(poll(&mut fds, PATIENCE), Ok(1), "it is not connected");
    socket.write_all(b"EHLO me.example\r\n").expect("it is there");
}

/// Polls at intervals, since polling takes processor time from clients that are accepted meanwhile.
fn wait_for(board: &Path, pointer: &str, number: usize) {
    wait_until(pointer, || {
        thread::sleep(LOOK);
        (status(board, pointer) == number).then_some(())
    });
}

/// A number from the daemon's status, by its JSON pointer (RFC 6901).
fn status(board: &Path, pointer: &str) -> usize {
    let mut status = Command::new(command::ctl());
    let output = status.args(["status", "--json", "--scoreboard"]).arg(board).output();
    let output = output.expect("smtp-delayctl");
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).expect("its JSON");
    let number = status.pointer(pointer).and_then(serde_json::Value::as_u64);
    usize::try_from(number.expect("a number")).expect("a count")
}

/// How many were refused, and how much later than their delay the others were greeted,
/// in seconds.
fn answers(mut waiting: Vec<Visit>) -> (usize, Figures) {
    let (mut refused, mut late) = (0, Figures::default());
    while !waiting.is_empty() {
        // They borrow the sockets.
        let ready: Vec<bool> = {
            let mut fds: Vec<_> = waiting.iter().map(polled).collect();
            assert!(poll(&mut fds, PATIENCE).expect("poll") > 0, "no client is answered any more");
            fds.iter().map(|fd| fd.any().unwrap_or(true)).collect()
        };
        let mut ready = ready.into_iter();
        waiting.retain(|(socket, since)| {
            if !ready.next().unwrap_or(false) {
                return true;
            }
            match answer(socket).as_deref() {
                None => return true,
                Some(b"421") => refused += 1,
                Some(b"220") => late.add((since.elapsed().saturating_sub(DELAY)).as_secs_f64()),
                Some(other) => panic!("{other:?}"),
            }
            false
        });
    }
    (refused, late)
}

fn polled(visit: &Visit) -> PollFd<'_> {
    PollFd::new(visit.0.as_fd(), PollFlags::POLLIN)
}

/// The first three bytes of it, if it is there.
fn answer(mut socket: &Socket) -> Option<Vec<u8>> {
    let mut text = [0; 100];
    match socket.read(&mut text) {
        Err(why) if why.kind() == ErrorKind::WouldBlock => None,
        read => Some(text[..read.expect("an answer").min(3)].to_vec()),
    }
}
