//! A load: as many clients at once as asked for, each of which comes back as soon
//! as it is done, from addresses all over 127.0.0.0/8, in one epoll loop.  What a
//! client closes is reset, so that no port waits for stragglers.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::Figures;

/// Clients at once, where nothing else is said.
pub(crate) const AT_ONCE: usize = 20;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It waits for the greeting, and leaves.
    Polite,
    /// It talks at once, and reads what it is told until the server closes.
    Early,
}

/// What became of a load.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Clients that were answered as their manner deserves.
    pub(crate) answered: usize,
    /// Clients that were not.
    pub(crate) failed: usize,
    pub(crate) time: Duration,
    /// Microseconds from the connect to the first byte.
    pub(crate) first_byte: Figures,
}

impl Outcome {
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }
}

struct Visitor {
    socket: Socket,
    start: Instant,
    /// What it has to say still.
    unsaid: &'static [u8],
    heard: Vec<u8>,
}

/// How a visit ended, if it has.
enum State {
    Goes,
    Answered,
    Failed,
}

/// A load on one server.
pub(crate) struct Load {
    pub(crate) server: SocketAddr,
    pub(crate) at_once: usize,
    pub(crate) manner: Manner,
}

const EARLY: &[u8] = b"EHLO me.example\r\nMAIL FROM:<a@b.example>\r\n";
/// Without any event for so long, the server is taken for dead.
const PATIENCE: u16 = 20_000;

impl Load {
    /// The same, once it has gone on for a while.
    pub(crate) fn press_warm(&self, time: Duration) -> Outcome {
        self.press(time / 5);
        self.press(time)
    }

    /// Goes on for `time`; clients that are there then are not counted.
    pub(crate) fn press(&self, time: Duration) -> Outcome {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
        let mut outcome = Outcome::default();
        let mut number = 0;
        let mut visitors: Vec<Visitor> =
            (0..self.at_once).map(|slot| self.arrive(&epoll, slot, &mut number)).collect();
        let mut events = vec![EpollEvent::empty(); 256];
        let start = Instant::now();
        while start.elapsed() < time {
            let ready = epoll.wait(&mut events, PATIENCE).unwrap_or(0);
            assert!(ready > 0, "nobody was answered for {PATIENCE} ms");
            for event in &events[..ready] {
                let slot = usize::try_from(event.data()).expect("a slot");
                match visitors[slot].go_on(self.manner, &mut outcome.first_byte) {
                    State::Goes => continue,
                    State::Answered => outcome.answered += 1,
                    State::Failed => outcome.failed += 1,
                }
                visitors[slot] = self.arrive(&epoll, slot, &mut number);
            }
        }
        outcome.time = start.elapsed();
        outcome
    }

    /// All come at once, and go once all were greeted, so often, with a pause between;
    /// microseconds to the first byte.
    pub(crate) fn burst(&self, times: u32, pause: Duration) -> Figures {
        let mut first_byte = Figures::default();
        for burst in 0..times {
            let numbers = 0..self.at_once;
            let start = |number| self.greeted(number + burst as usize * self.at_once);
            let mut waiting: Vec<Visitor> = numbers.map(start).collect();
            while !waiting.is_empty() {
                wait_for_one(&waiting);
                waiting.retain_mut(|visitor| {
                    match visitor.go_on(Manner::Polite, &mut first_byte) {
                        State::Goes => true,
                        State::Answered => false,
                        State::Failed => panic!("a client was not greeted"),
                    }
                });
            }
            thread::sleep(pause);
        }
        first_byte
    }

    fn greeted(&self, number: usize) -> Visitor {
        let start = Instant::now();
        Visitor { socket: visit(self.server, number), start, unsaid: b"", heard: Vec::new() }
    }

    fn arrive(&self, epoll: &Epoll, slot: usize, number: &mut usize) -> Visitor {
        *number += 1;
        let socket = visit(self.server, *number);
        let unsaid = if self.manner == Manner::Early { EARLY } else { b"" };
        let mut visitor = Visitor { socket, start: Instant::now(), unsaid, heard: Vec::new() };
        visitor.say();
        let mut interest = EpollFlags::EPOLLIN;
        interest.set(EpollFlags::EPOLLOUT, !visitor.unsaid.is_empty());
        let event = EpollEvent::new(interest | EpollFlags::EPOLLET, slot as u64);
        epoll.add(visitor.socket.as_fd(), event).expect("a visitor to wait for");
        visitor
    }
}

/// A connection from the address that has this number.
fn visit(server: SocketAddr, number: usize) -> Socket {
    visit_from(address(5, number), server)
}

/// A connection that is being made, from `source`.
pub(crate) fn visit_from(source: [u8; 4], server: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP));
    let socket = socket.expect("a socket");
    socket.set_linger(Some(Duration::ZERO)).expect("a linger time");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("a source address");
    if let Err(why) = socket.connect(&server.into()) {
        assert_eq!(why.raw_os_error(), Some(libc::EINPROGRESS), "{why}");
    }
    socket
}

/// One of 62,500 addresses of 127.NETWORK.0.0/16.
pub(crate) fn address(network: u8, number: usize) -> [u8; 4] {
    let byte = |value: usize| u8::try_from(value % 250 + 1).expect("a byte");
    [127, network, byte(number / 250), byte(number)]
}

fn wait_for_one(waiting: &[Visitor]) {
    let fd = |visitor| PollFd::new(AsFd::as_fd(visitor), PollFlags::POLLIN);
    let mut fds: Vec<PollFd<'_>> = waiting.iter().map(|visitor| fd(&visitor.socket)).collect();
    let ready = poll(&mut fds, PATIENCE).unwrap_or(0);
    assert!(ready > 0, "nobody was greeted for {PATIENCE} ms");
}

impl Visitor {
    fn say(&mut self) {
        if let Ok(said) = (&self.socket).write(self.unsaid) {
            self.unsaid = &self.unsaid[said..];
        }
    }

    /// Perhaps after a line that is not the last of the greeting.
    fn is_refused(&self) -> bool {
        let mut lines = self.heard.split(|byte| *byte == b'\n');
        lines.any(|line| line.starts_with(b"421") || line.starts_with(b"521"))
    }

    fn go_on(&mut self, manner: Manner, first_byte: &mut Figures) -> State {
        if !self.unsaid.is_empty() {
            self.say();
        }
        let mut buffer = [0; 512];
        loop {
            match (&self.socket).read(&mut buffer) {
                Ok(0) if self.is_refused() => return State::Answered,
                Ok(0) => return State::Failed,
                Ok(length) => {
                    if self.heard.is_empty() {
                        first_byte.add(self.start.elapsed().as_secs_f64() * 1e6);
                    }
                    self.heard.extend_from_slice(&buffer[..length]);
                    if manner == Manner::Polite {
                        let greeted = self.heard.starts_with(b"220");
                        return if greeted { State::Answered } else { State::Failed };
                    }
                }
                Err(why) if why.kind() == ErrorKind::WouldBlock => return State::Goes,
                Err(_) if self.is_refused() => return State::Answered,
                Err(_) => return State::Failed,
            }
        }
    }
}
