//! One poll(2) for the client and all look-ups in progress for it.

use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use crate::connection::client::Client;
use crate::connection::client::poll::{PollEnd, poll_for, poll_with_signals};
use crate::connection::client::stream::Look;
use crate::connection::lookup::Lookup;

/// The client has closed its side; nix has no name for it.
const RDHUP: PollFlags = PollFlags::from_bits_retain(libc::POLLRDHUP);

/// Which events of the client are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) enum WatchFor {
    /// None.
    Off,
    /// Talk, and hang-ups.
    Talk,
    /// Hang-ups: it has talked already, and more of that changes nothing.
    Leaving,
    /// A reset: it has talked and closed its side, and may still read.
    Reset,
}

/// What the watch waits for, besides the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) enum Until {
    /// Only the deadline.
    Time,
    /// SIGURG, which is blocked except during this wait.
    Wake,
    /// The client's name, and the ident answer if that is asked for.
    Client,
    /// All names, including ours.
    Names,
    /// An answer of any name server.
    Answer,
    /// An allowlist with the client, or all answers, or this score of the blocklists.
    Allowed(u32),
    /// This score of the DNS lists, or all answers.
    Score(u32),
    /// The TXT record of the list that decides.
    Reason,
    /// The answer of the keeper of known clients.
    Remembered,
}

impl Until {
    /// Whether `lookup` has got this far.
    pub(in crate::connection) fn is_reached(self, lookup: &Lookup) -> bool {
        match self {
            Self::Time | Self::Wake => false,
            Self::Client => lookup.knows_client(),
            Self::Names => lookup.knows_names(),
            Self::Answer => lookup.has_heard(),
            Self::Allowed(enough) => {
                lookup.lists().allowed().is_some() || lookup.lists().score() >= enough
            }
            Self::Score(enough) => lookup.lists().score() >= enough || lookup.lists().know_score(),
            Self::Reason => lookup.lists().know_reason(),
            Self::Remembered => lookup.memory().is_settled(),
        }
    }
}

/// Why the watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::connection) enum Seen {
    /// The deadline.
    Elapsed,
    /// What was waited for is known.
    Known,
    /// The client talked.
    Talk,
    /// The client left.
    Gone,
}

/// Watches `client` until `deadline`, or until what `until` names is there, and moves
/// the look-up on all the while.
pub(in crate::connection) fn watch(
    client: &Client,
    watch_for: WatchFor,
    lookup: &mut Lookup,
    deadline: Instant,
    until: Until,
) -> Seen {
    loop {
        let now = Instant::now();
        if until.is_reached(lookup) {
            return Seen::Known;
        }
        if now >= deadline {
            return Seen::Elapsed;
        }
        let due = lookup.due().map_or(deadline, |due| due.min(deadline));
        let time = due.saturating_duration_since(now);
        let woken = wait(client, watch_for, lookup, time, until);
        if woken.by_client {
            if let Some(seen) = judge(client, watch_for) {
                return seen;
            }
        }
        if woken.by_signal && until == Until::Wake {
            return Seen::Known;
        }
        lookup.advance(Instant::now(), &woken.ready);
    }
}

/// What ended a wait.
struct Woken {
    /// Whether the client's socket is ready.
    by_client: bool,
    by_signal: bool,
    /// Which of the look-up's sockets are ready.
    ready: Vec<bool>,
}

fn wait(
    client: &Client,
    watch_for: WatchFor,
    lookup: &Lookup,
    time: Duration,
    until: Until,
) -> Woken {
    let mut own = own_interest(client, watch_for);
    // Most of the time nothing is looked up, and a list would take memory.
    if lookup.interests().next().is_none() {
        let end = poll_until(own.as_mut_slice(), time, until);
        let by_client = own.is_some_and(|fd| end == PollEnd::Ready && is_ready(&fd));
        return Woken { by_client, by_signal: end == PollEnd::Signal, ready: Vec::new() };
    }
    let looked_up = lookup.interests().map(|(fd, flags)| PollFd::new(fd, flags));
    let mut fds: Vec<PollFd<'_>> = looked_up.chain(own.clone()).collect();
    let end = poll_until(&mut fds, time, until);
    let mut ready: Vec<bool> = fds.iter().map(|fd| end == PollEnd::Ready && is_ready(fd)).collect();
    let by_client = own.is_some() && ready.pop() == Some(true);
    Woken { by_client, by_signal: end == PollEnd::Signal, ready }
}

/// What is polled of the client.
fn own_interest(client: &Client, watch_for: WatchFor) -> Option<PollFd<'_>> {
    match watch_for {
        WatchFor::Off => None,
        WatchFor::Talk => Some(PollFd::new(client.stream.input(), PollFlags::POLLIN | RDHUP)),
        WatchFor::Leaving => Some(PollFd::new(client.stream.input(), RDHUP)),
        // A pipe whose writer has left reports that for ever, and nothing more.
        WatchFor::Reset => Some(PollFd::new(client.stream.output(), PollFlags::empty())),
    }
}

fn poll_until(fds: &mut [PollFd<'_>], time: Duration, until: Until) -> PollEnd {
    match until {
        Until::Wake => poll_with_signals(fds, time),
        _ => poll_for(fds, time),
    }
}

fn is_ready(fd: &PollFd<'_>) -> bool {
    // `None` for flags that nix has no name for, such as RDHUP.
    fd.any().unwrap_or(true)
}

/// `None` if it was nothing to act on.
fn judge(client: &Client, watch_for: WatchFor) -> Option<Seen> {
    match (watch_for, client.look()) {
        (WatchFor::Talk, Look::Talk) => Some(Seen::Talk),
        (WatchFor::Talk, Look::Silence) | (WatchFor::Off, _) => None,
        _ => Some(Seen::Gone),
    }
}
