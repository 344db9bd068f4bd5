//! What becomes of a client, and what follows from what was seen of it.  No
//! I/O.

use super::terms::Offence;
use super::watch::{Attention, Seen};
use crate::options::{EarlyTalk, RefuseBy};

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It gets the program.
    Pass,
    /// It talked before the greeting, and is refused for it.
    Early,
    /// It talked before the greeting; the program gets to know, and refuses.
    Condemned,
    /// That was told, and it left while it was held.
    LeftWhileHeld,
    /// It left.
    HangUp,
    /// DNS lists have it.
    Listed,
    /// No place for its session came free in time.
    NoPlace,
    /// It has as many connections as an address may have.
    TooMany,
    /// What is left of the slots is for others.
    NoRoom,
    /// A rule denies it.
    Denied,
    /// The rules cannot be read: nobody knows.
    Dropped,
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It ends so.
    End(Verdict),
    /// It goes on, watched like this.
    GoOn(Attention),
}

/// What follows from `seen`, while the client was watched with `attention`.
#[must_use]
pub fn next(seen: Seen, attention: Attention, offence: Offence, early: EarlyTalk) -> Next {
    match (seen, attention) {
        (Seen::Elapsed | Seen::Known, _) => Next::GoOn(attention),
        (Seen::Talk, _) => match (offence, early) {
            (Offence::Never, _) => Next::GoOn(Attention::Off),
            (Offence::Certain, EarlyTalk::Refuse) => Next::End(Verdict::Early),
            (Offence::Certain, EarlyTalk::Rblsmtpd) => Next::End(Verdict::Condemned),
            (Offence::ByClass, _) | (Offence::Certain, EarlyTalk::Log) => {
                Next::GoOn(Attention::Leaving)
            }
        },
        // An end of file behind early bytes: it may still read what it is told.
        (Seen::Gone, Attention::Leaving) => Next::GoOn(Attention::Reset),
        (Seen::Gone, _) => Next::End(Verdict::HangUp),
    }
}

/// How an early talker is refused: an elaborate refusal is a luxury of a host
/// that has room.
#[must_use]
pub fn refuse_by(wanted: RefuseBy, crowded: bool) -> RefuseBy {
    if crowded { RefuseBy::Drop } else { wanted }
}

/// Whether more than half of the slots are taken.
#[must_use]
pub fn is_crowded(clients: usize, slots: usize) -> bool {
    2 * clients > slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talk_is_dealt_with_as_asked() {
        let of = |offence, early| next(Seen::Talk, Attention::Talk, offence, early);
        let certain = |early| of(Offence::Certain, early);
        assert_eq!(certain(EarlyTalk::Refuse), Next::End(Verdict::Early));
        assert_eq!(certain(EarlyTalk::Rblsmtpd), Next::End(Verdict::Condemned));
        assert_eq!(certain(EarlyTalk::Log), Next::GoOn(Attention::Leaving));
        for early in [EarlyTalk::Refuse, EarlyTalk::Rblsmtpd, EarlyTalk::Log] {
            assert_eq!(of(Offence::ByClass, early), Next::GoOn(Attention::Leaving));
            assert_eq!(of(Offence::Never, early), Next::GoOn(Attention::Off));
        }
    }

    #[test]
    fn leaving_is_a_hang_up_unless_something_was_said() {
        let of = |attention| next(Seen::Gone, attention, Offence::Certain, EarlyTalk::Log);
        assert_eq!(of(Attention::Talk), Next::End(Verdict::HangUp));
        assert_eq!(of(Attention::Leaving), Next::GoOn(Attention::Reset));
        assert_eq!(of(Attention::Reset), Next::End(Verdict::HangUp));
    }

    #[test]
    fn a_crowded_host_makes_it_short() {
        assert_eq!(refuse_by(RefuseBy::Talk, false), RefuseBy::Talk);
        assert_eq!(refuse_by(RefuseBy::Talk, true), RefuseBy::Drop);
        assert!(!is_crowded(20, 40) && is_crowded(21, 40));
        assert!(!is_crowded(0, 1) && is_crowded(1, 1));
    }
}
