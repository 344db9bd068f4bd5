//! A question about a client, from the request to the answer.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;

use super::message::{ANSWER, Answer, Request};
use super::no_answer::NoAnswer;
use crate::known::record::Record;
use crate::sys;

/// The outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// This is remembered of the client.
    Known(Record),
    /// The keeper does not know the client.
    NotKnown,
    /// The same, but others may, with which it shares its clients.
    NotKnownHere,
    /// The keeper does not answer.
    Unanswered(NoAnswer),
}

/// A question that is being asked.
#[derive(Debug)]
pub struct Question {
    socket: OwnedFd,
    request: Request,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The keeper had no room for it.
    Unsent,
    Sent,
    /// The keeper has said that it will answer.
    Promised,
}

impl Question {
    pub(super) fn new(socket: OwnedFd, request: Request) -> nix::Result<Self> {
        let mut question = Self { socket, request, stage: Stage::Unsent };
        question.send()?;
        Ok(question)
    }

    /// Whether the keeper has received it.
    #[cfg(test)]
    pub(super) fn is_sent(&self) -> bool {
        self.stage == Stage::Sent
    }

    /// What to poll, and for what.
    #[must_use]
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let events = match self.stage {
            Stage::Unsent => PollFlags::POLLOUT,
            Stage::Sent | Stage::Promised => PollFlags::POLLIN,
        };
        (self.socket.as_fd(), events)
    }

    /// Makes progress without waiting; returns the outcome of a question about a client,
    /// once there is one.
    pub fn proceed(&mut self) -> Option<Outcome> {
        self.advance().map(|answer| match answer {
            Ok(Answer::Known(record)) => Outcome::Known(record),
            Ok(Answer::NotKnown) => Outcome::NotKnown,
            Ok(Answer::NotKnownHere) => Outcome::NotKnownHere,
            Ok(_) => Outcome::Unanswered(NoAnswer::OtherVersion),
            Err(why) => Outcome::Unanswered(why),
        })
    }

    /// The same for any question whose answer is not a page.
    ///
    /// # Errors
    /// Inside: those of send(2) and recv(2); a keeper of another version.
    pub fn advance(&mut self) -> Option<Result<Answer, NoAnswer>> {
        if self.stage == Stage::Unsent {
            if let Err(why) = self.send() {
                return Some(Err(why.into()));
            }
        }
        let mut room = [0; ANSWER + 1];
        match sys::take(&self.socket, &mut room) {
            Err(Errno::EAGAIN | Errno::EINTR) => None,
            Err(why) => Some(Err(why.into())),
            Ok(length) => match Answer::read(&room[..length]) {
                Some(Answer::NotYet) => {
                    self.stage = Stage::Promised;
                    self.advance()
                }
                answer => Some(answer.ok_or(NoAnswer::OtherVersion)),
            },
        }
    }

    /// Whether the keeper has said that it will answer.
    #[must_use]
    pub fn is_promised(&self) -> bool {
        self.stage == Stage::Promised
    }

    fn send(&mut self) -> nix::Result<()> {
        match sys::put(&self.socket, &self.request.bytes()) {
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(why) => Err(why),
            Ok(_) => {
                self.stage = Stage::Sent;
                Ok(())
            }
        }
    }
}
