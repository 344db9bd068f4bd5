//! A load: a number of clients at once, each of which returns as soon as it is done,
//! from many addresses of 127.0.0.0/8, in one epoll loop.  Clients close with a reset,
//! so that no port stays in `TIME_WAIT`.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Figures;

/// Clients at once, by default.
pub const AT_ONCE: usize = 20;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It waits for the greeting, and leaves.
    Waiting,
    /// It talks at once, and reads until the server closes.
    Early,
}

/// The result of a load.
#[derive(Default)]
pub struct Outcome {
    /// Clients that were answered as expected.
    pub answered: usize,
    /// Clients that were not.
    pub failed: usize,
    /// How long it took.
    pub time: Duration,
    /// Microseconds from the connect to the first byte.
    pub first_byte: Figures,
}

impl Outcome {
    /// Clients that were answered as expected, a second.
    #[allow(clippy::cast_precision_loss)]
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.time.as_secs_f64()
    }
}

struct Client {
    socket: Socket,
    start: Instant,
    /// What it has not sent yet.
    unsaid: &'static [u8],
    heard: Vec<u8>,
}

/// The state of a client.
enum State {
    Goes,
    Answered,
    Failed,
}

/// A load on one server.
pub struct Load {
    /// Where it listens, in IPv4.
    pub server: SocketAddr,
    /// How many clients there are at any time.
    pub at_once: usize,
    /// What each of them does.
    pub manner: Manner,
}

const EARLY: &[u8] = b"EHLO me.example\r\nMAIL FROM:<a@b.example>\r\n";
/// Milliseconds without an event after which the server counts as dead.
const PATIENCE: u16 = 20_000;

impl Load {
    /// As [`press`](Self::press), after a warm-up that takes a fifth of `time`.
    pub fn press_warm(&self, time: Duration) -> Outcome {
        self.press(time / 5);
        self.press(time)
    }

    /// Runs for `time`; clients that are connected at its end are not counted.  Panics if
    /// none is answered for 20 s.
    pub fn press(&self, time: Duration) -> Outcome {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).expect("an epoll");
        let mut outcome = Outcome::default();
        let mut number = 0;
        let mut clients: Vec<Client> =
            (0..self.at_once).map(|slot| self.arrive(&epoll, slot, &mut number)).collect();
        let mut events = vec![EpollEvent::empty(); 256];
        let start = Instant::now();
        while start.elapsed() < time {
            let ready = epoll.wait(&mut events, PATIENCE).unwrap_or(0);
            assert!(ready > 0, "no client was answered for {PATIENCE} ms");
            for event in &events[..ready] {
                let slot = usize::try_from(event.data()).expect("a slot");
                match clients[slot].go_on(self.manner, &mut outcome.first_byte) {
                    State::Goes => continue,
                    State::Answered => outcome.answered += 1,
                    State::Failed => outcome.failed += 1,
                }
                clients[slot] = self.arrive(&epoll, slot, &mut number);
            }
        }
        outcome.time = start.elapsed();
        outcome
    }

    /// `times` bursts with a pause between: all clients come at once, and leave once all
    /// were greeted; returns microseconds to the first byte.
    pub fn burst(&self, times: u32, pause: Duration) -> Figures {
        let mut first_byte = Figures::default();
        for burst in 0..times {
            let numbers = 0..self.at_once;
            let start = |number| self.greeted(number + burst as usize * self.at_once);
            let mut waiting: Vec<Client> = numbers.map(start).collect();
            while !waiting.is_empty() {
                wait_for_one(&waiting);
                waiting.retain_mut(|client| match client.go_on(Manner::Waiting, &mut first_byte) {
                    State::Goes => true,
                    State::Answered => false,
                    State::Failed => panic!("a client was not greeted"),
                });
            }
            thread::sleep(pause);
        }
        first_byte
    }

    fn greeted(&self, number: usize) -> Client {
        let start = Instant::now();
        Client { socket: visit(self.server, number), start, unsaid: b"", heard: Vec::new() }
    }

    fn arrive(&self, epoll: &Epoll, slot: usize, number: &mut usize) -> Client {
        *number += 1;
        let socket = visit(self.server, *number);
        let unsaid = if self.manner == Manner::Early { EARLY } else { b"" };
        let mut client = Client { socket, start: Instant::now(), unsaid, heard: Vec::new() };
        client.say();
        let mut interest = EpollFlags::EPOLLIN;
        interest.set(EpollFlags::EPOLLOUT, !client.unsaid.is_empty());
        let event = EpollEvent::new(interest | EpollFlags::EPOLLET, slot as u64);
        epoll.add(client.socket.as_fd(), event).expect("a client to wait for");
        client
    }
}

/// A connection from the address that has this number.
fn visit(server: SocketAddr, number: usize) -> Socket {
    visit_from(address(5, number), server)
}

/// A connection to `server` in progress, from `source`, with a socket that does not block and
/// is reset when it is dropped.
pub fn visit_from(source: [u8; 4], server: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), Some(Protocol::TCP));
    let socket = socket.expect("a socket");
    socket.set_linger(Some(Duration::ZERO)).expect("a linger time");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("a source address");
    if let Err(why) = socket.connect(&server.into()) {
        assert_eq!(why.raw_os_error(), Some(libc::EINPROGRESS), "{why}");
    }
    socket
}

/// One of 62,500 addresses of 127.NETWORK.0.0/16, which `number` counts.
pub fn address(network: u8, number: usize) -> [u8; 4] {
    let byte = |value: usize| u8::try_from(value % 250 + 1).expect("a byte");
    [127, network, byte(number / 250), byte(number)]
}

fn wait_for_one(waiting: &[Client]) {
    let fd = |client| PollFd::new(AsFd::as_fd(client), PollFlags::POLLIN);
    let mut fds: Vec<PollFd<'_>> = waiting.iter().map(|client| fd(&client.socket)).collect();
    let ready = poll(&mut fds, PATIENCE).unwrap_or(0);
    assert!(ready > 0, "no client was greeted for {PATIENCE} ms");
}

impl Client {
    fn say(&mut self) {
        if let Ok(said) = (&self.socket).write(self.unsaid) {
            self.unsaid = &self.unsaid[said..];
        }
    }

    /// The refusal may follow a line of a greeting (a teaser).
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
                    if manner == Manner::Waiting {
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
