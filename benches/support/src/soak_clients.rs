//! Clients of all kinds, many at once, each of which is replaced by another one as soon as
//! it is done.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use socket2::Socket;

use lab::ucspi::Random;

use crate::load::{address, visit_from};

/// How many addresses there are of a kind: clients come back.
const ADDRESSES: usize = 2000;
/// How long a client waits for a word.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a client stays at most that leaves, in milliseconds.
const STAY: usize = 100;
/// Milliseconds between two checks of the time.
const TICK: u8 = 5;

/// What a client does, and what the daemon knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// It has a good name, and waits.
    Good,
    /// It has no name, and waits.
    Nameless,
    /// It talks at once.
    Early,
    /// It leaves after a while.
    Leaving,
    /// A rule denies it.
    Denied,
    /// It is on a DNS list.
    Listed,
    /// There are more from its address than an address may have.
    Limited,
}

/// In a hundred clients.
const SHARES: [(Kind, usize); 7] = [
    (Kind::Good, 40),
    (Kind::Nameless, 15),
    (Kind::Early, 15),
    (Kind::Leaving, 10),
    (Kind::Denied, 5),
    (Kind::Listed, 10),
    (Kind::Limited, 5),
];

impl Kind {
    fn by_chance(random: &mut Random) -> Self {
        let mut thrown = random.below(100);
        for (kind, share) in SHARES {
            if thrown < share {
                return kind;
            }
            thrown -= share;
        }
        Self::Good
    }

    fn address(self, random: &mut Random) -> [u8; 4] {
        let network = match self {
            Self::Good => 10,
            Self::Nameless => 20,
            Self::Early => 21,
            Self::Leaving => 22,
            Self::Denied => 9,
            Self::Listed => 11,
            Self::Limited => return [127, 23, 1, 1],
        };
        address(network, random.below(ADDRESSES))
    }
}

/// What became of the clients.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// All that connected.
    pub came: usize,
    /// They were greeted.
    pub greeted: usize,
    /// They got another answer.
    pub refused: usize,
    /// They left by themselves.
    pub left: usize,
    /// Their rule says that they get no answer.
    pub denied: usize,
    /// They were left without a word, as if their process was killed.
    pub unanswered: usize,
}

/// The state of a client.
enum State {
    Goes,
    Greeted,
    Refused,
    Left,
    Denied,
    Unanswered,
}

struct Client {
    kind: Kind,
    socket: Socket,
    since: Instant,
    leaves: Option<Instant>,
    has_talked: bool,
    heard: Vec<u8>,
}

/// Sends `count` clients to `server`, `at_once` at a time.  Panics if they are not done by
/// `until`, or if one gets no answer for a minute and is not cut off either.
pub fn press(
    server: SocketAddr,
    count: usize,
    at_once: usize,
    random: &mut Random,
    until: Instant,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut clients: Vec<Client> = Vec::new();
    while outcome.came < count || !clients.is_empty() {
        while clients.len() < at_once && outcome.came < count {
            clients.push(Client::come(server, random));
            outcome.came += 1;
        }
        wait_for_one(&clients);
        let now = Instant::now();
        assert!(now < until, "it takes too long: {outcome:?}");
        clients.retain_mut(|client| {
            match client.go_on(now) {
                State::Goes => return true,
                State::Greeted => outcome.greeted += 1,
                State::Refused => outcome.refused += 1,
                State::Left => outcome.left += 1,
                State::Denied => outcome.denied += 1,
                State::Unanswered => outcome.unanswered += 1,
            }
            false
        });
    }
    outcome
}

fn wait_for_one(clients: &[Client]) {
    let mut fds: Vec<PollFd<'_>> = clients
        .iter()
        .map(|client| {
            let talks = client.kind == Kind::Early && !client.has_talked;
            let events = if talks { PollFlags::POLLOUT } else { PollFlags::POLLIN };
            PollFd::new(client.socket.as_fd(), events)
        })
        .collect();
    let _ = poll(&mut fds, TICK);
}

impl Client {
    fn come(server: SocketAddr, random: &mut Random) -> Self {
        let kind = Kind::by_chance(random);
        let stay = Duration::from_millis(random.below(STAY) as u64);
        let since = Instant::now();
        let leaves = (kind == Kind::Leaving).then_some(since + stay);
        let socket = visit_from(kind.address(random), server);
        Self { kind, socket, since, leaves, has_talked: false, heard: Vec::new() }
    }

    fn go_on(&mut self, now: Instant) -> State {
        if self.kind == Kind::Early && !self.has_talked {
            self.has_talked = (&self.socket).write_all(b"EHLO me.example\r\n").is_ok();
        }
        if self.leaves.is_some_and(|leaves| leaves <= now) && self.is_connected() {
            return State::Left;
        }
        let mut room = [0; 512];
        loop {
            match (&self.socket).read(&mut room) {
                Ok(0) => return self.end(),
                Ok(length) => self.heard.extend_from_slice(&room[..length]),
                Err(why) if why.kind() == ErrorKind::WouldBlock => break,
                Err(why) if why.kind() == ErrorKind::NotConnected => break,
                Err(_) => return self.end(),
            }
        }
        assert!(self.since.elapsed() < PATIENCE, "{:?} got no answer", self.kind);
        if self.heard.starts_with(b"220") { State::Greeted } else { State::Goes }
    }

    fn is_connected(&self) -> bool {
        self.socket.peer_addr().is_ok()
    }

    /// The server has closed the connection.
    fn end(&self) -> State {
        match self.heard.first() {
            Some(b'2') => State::Greeted,
            Some(_) => State::Refused,
            None if self.kind == Kind::Denied => State::Denied,
            None => State::Unanswered,
        }
    }
}
