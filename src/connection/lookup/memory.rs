//! What the keeper of known clients remembers of a client: a question that is asked
//! together with the look-ups.

use std::os::fd::BorrowedFd;

use nix::poll::PollFlags;

use crate::known::asking::{Asker, NoAnswer, Outcome, Question};
use crate::known::key::Key;
use crate::known::record::Record;

/// What the keeper says about a client.
#[derive(Debug, Default)]
pub(in crate::connection) enum Memory {
    /// It was not asked.
    #[default]
    NotAsked,
    /// It has not answered yet.
    Asked(Question),
    /// It has answered, or will not.
    Settled(Outcome),
}

impl Memory {
    /// Asks about `key`.
    pub(in crate::connection) fn ask(asker: &Asker, key: Key) -> Self {
        let mut memory = match asker.ask(key) {
            Ok(question) => Self::Asked(question),
            Err(why) => Self::Settled(Outcome::Unanswered(why.into())),
        };
        // On a machine with idle processors the answer may be there already.
        memory.advance();
        memory
    }

    /// What to poll, and for what, until there is an answer.
    pub(in crate::connection) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match self {
            Self::Asked(question) => Some(question.interest()),
            Self::NotAsked | Self::Settled(_) => None,
        }
    }

    /// Takes the answer, if it has come.
    pub(in crate::connection) fn advance(&mut self) {
        if let Self::Asked(question) = self {
            if let Some(outcome) = question.proceed() {
                *self = Self::Settled(outcome);
            }
        }
    }

    /// Whether there is nothing to wait for.
    pub(in crate::connection) fn is_settled(&self) -> bool {
        !matches!(self, Self::Asked(_))
    }

    /// What is remembered, as far as the keeper has said.
    pub(in crate::connection) fn record(&self) -> Option<Record> {
        match self {
            Self::Settled(Outcome::Known(record)) => Some(*record),
            _ => None,
        }
    }

    /// Why the keeper has not answered, if it was asked and there is no more time for it.
    pub(in crate::connection) fn failure(&self) -> Option<NoAnswer> {
        match self {
            Self::Asked(question) if !question.is_promised() => Some(NoAnswer::Late),
            Self::Settled(Outcome::Unanswered(why)) => Some(*why),
            Self::NotAsked | Self::Asked(_) | Self::Settled(_) => None,
        }
    }
}
