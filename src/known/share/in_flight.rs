//! Commands that an engine has not replied to, in the order in which they were sent, and
//! who waits for the replies.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use nix::sys::socket::UnixAddr;

use super::outbound::Number;
use crate::known::asking::message::Request;
use crate::known::key::Key;

/// The most commands.  Further questions are answered without the engine.
pub(super) const MOST: usize = 4096;
/// How long a waiter is kept without a word.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// A command.
pub(super) enum Sent {
    /// One whose reply says only whether the engine can be used.
    Greeting,
    /// A question about a client.
    Ask(Key, Option<Waiter>),
    /// A question about a client before the engine is told something of it.
    Compare(Key, Number),
    /// The engine was told something of a client.
    Tell(Key, Number),
}

/// What becomes of a waiter after [`PATIENCE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Late {
    /// It is answered without the engine.
    Answered,
    /// It is told that an answer follows.
    Promised,
}

/// A process that waits for an answer of the keeper.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Waiter {
    /// Its address.
    pub address: UnixAddr,
    /// Its request.
    pub request: Request,
}

/// Commands, from the oldest.
#[derive(Default)]
pub(super) struct InFlight {
    sent: VecDeque<(Sent, Instant)>,
    /// The number of the oldest.
    first: u64,
    /// Numbers of questions whose waiters hear something by then, and what.
    patience: VecDeque<(u64, Instant, Late)>,
}

impl InFlight {
    pub(super) fn push(&mut self, command: Sent, now: Instant) {
        self.sent.push_back((command, now));
    }

    /// Adds a question, and what becomes of its waiter after [`PATIENCE`].
    pub(super) fn push_question(&mut self, key: Key, waiter: Waiter, late: Late, now: Instant) {
        let number = self.first + self.sent.len() as u64;
        self.patience.push_back((number, now + PATIENCE, late));
        self.push(Sent::Ask(key, Some(waiter)), now);
    }

    /// The oldest command, whose reply has come.
    pub(super) fn pop(&mut self) -> Option<Sent> {
        let (command, _) = self.sent.pop_front()?;
        self.first += 1;
        Some(command)
    }

    /// The waiter of a question that has waited for long enough, the client, and what
    /// becomes of the waiter.
    pub(super) fn take_late(&mut self, now: Instant) -> Option<(Key, Waiter, Late)> {
        while let Some((number, until, late)) = self.patience.front().copied() {
            if until > now {
                break;
            }
            let place = number.checked_sub(self.first).and_then(|place| place.try_into().ok());
            self.patience.pop_front();
            let found = place.and_then(|place: usize| self.sent.get_mut(place));
            if let Some((Sent::Ask(key, waiter), _)) = found {
                let heard = match late {
                    Late::Answered => waiter.take(),
                    Late::Promised => *waiter,
                };
                if let Some(waiter) = heard {
                    return Some((*key, waiter, late));
                }
            }
        }
        None
    }

    /// When [`take_late`](Self::take_late) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.patience.front().map(|(_, until, _)| *until)
    }

    /// When the oldest command was sent.
    pub(super) fn since(&self) -> Option<Instant> {
        self.sent.front().map(|(_, since)| *since)
    }

    /// All waiters, and their clients; nothing is in flight afterwards.
    pub(super) fn take_all(&mut self) -> Vec<(Key, Waiter)> {
        self.patience.clear();
        self.first += self.sent.len() as u64;
        let waiting = self.sent.drain(..).filter_map(|(command, _)| match command {
            Sent::Ask(key, waiter) => Some((key, waiter?)),
            _ => None,
        });
        waiting.collect()
    }

    pub(super) fn len(&self) -> usize {
        self.sent.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(sent: &mut InFlight, number: u8, late: Late, now: Instant) {
        let address = UnixAddr::new_unnamed();
        let waiter = Waiter { address, request: Request::Ask(key(number)) };
        sent.push_question(key(number), waiter, late, now);
    }

    fn key(number: u8) -> Key {
        Key::of([192, 0, 2, number].into())
    }

    #[test]
    fn waiters_are_answered_in_time() {
        let (start, mut sent) = (Instant::now(), InFlight::default());
        ask(&mut sent, 1, Late::Promised, start);
        ask(&mut sent, 2, Late::Answered, start);
        ask(&mut sent, 3, Late::Answered, start + PATIENCE / 2);
        assert_eq!((sent.due(), sent.since()), (Some(start + PATIENCE), Some(start)));
        assert_eq!(sent.take_late(start), None);
        let late = |sent: &mut InFlight, at| sent.take_late(at).map(|(key, _, late)| (key, late));
        assert_eq!(late(&mut sent, start + PATIENCE), Some((key(1), Late::Promised)));
        assert_eq!(late(&mut sent, start + PATIENCE), Some((key(2), Late::Answered)));
        assert_eq!(late(&mut sent, start + PATIENCE), None);
        // The replies come all the same.
        assert!(matches!(sent.pop(), Some(Sent::Ask(_, Some(_)))));
        assert!(matches!(sent.pop(), Some(Sent::Ask(_, None))));
        assert_eq!(sent.since(), Some(start + PATIENCE / 2));
        assert!(matches!(sent.pop(), Some(Sent::Ask(_, Some(_)))));
        assert_eq!(late(&mut sent, start + 2 * PATIENCE), None, "it was answered");
        assert!(sent.is_empty() && sent.due().is_none());
    }

    #[test]
    fn all_waiters_are_given_back() {
        let (start, mut sent) = (Instant::now(), InFlight::default());
        sent.push(Sent::Greeting, start);
        ask(&mut sent, 1, Late::Promised, start);
        ask(&mut sent, 2, Late::Answered, start);
        assert_eq!(sent.take_late(start + PATIENCE).unwrap().2, Late::Promised);
        assert_eq!(sent.take_late(start + PATIENCE).unwrap().2, Late::Answered);
        ask(&mut sent, 3, Late::Answered, start);
        let keys: Vec<Key> = sent.take_all().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [key(1), key(3)]);
        assert!(sent.is_empty() && sent.due().is_none() && sent.take_all().is_empty());
        ask(&mut sent, 4, Late::Answered, start);
        assert_eq!(sent.take_late(start + PATIENCE).map(|(key, ..)| key), Some(key(4)));
    }
}
