//! The verdict on a client, and how it follows from what was seen.  No I/O.

use super::exemptions::EarlyTalkRule;
use crate::connection::watched::watch::{Seen, WatchFor};
use crate::options::{EarlyTalk, RefuseBy};

/// The verdict on a client that does not get the program, or not to be served by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It talked before the greeting, and is refused for it.
    Early,
    /// It talked before the greeting; the program is run to refuse it.
    EarlyToProgram,
    /// The same, and it left while it was held.
    LeftWhileHeld,
    /// It left.
    HangUp,
    /// DNS lists have it.
    Listed,
    /// No place for its session became free in time.
    NoPlace,
    /// It has as many connections as an address may have.
    TooMany {
        /// That many came before it.
        held: usize,
    },
    /// Only the reserve is left, which is not for its class.
    NoRoom,
    /// A rule denies it.
    Denied,
    /// The rules cannot be read.
    Dropped,
}

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It ends with this verdict.
    End(Verdict),
    /// It goes on, watched like this.
    GoOn(WatchFor),
}

/// What follows from `seen`, while the client was watched as `watch_for` says.
#[must_use]
pub fn next(
    seen: Seen,
    watch_for: WatchFor,
    early_talk_rule: EarlyTalkRule,
    early: EarlyTalk,
) -> Next {
    match (seen, watch_for) {
        (Seen::Elapsed | Seen::Known, _) => Next::GoOn(watch_for),
        (Seen::Talk, _) => match (early_talk_rule, early) {
            (EarlyTalkRule::Never, _) => Next::GoOn(WatchFor::Off),
            (EarlyTalkRule::Certain, EarlyTalk::Refuse) => Next::End(Verdict::Early),
            (EarlyTalkRule::Certain, EarlyTalk::Rblsmtpd) => Next::End(Verdict::EarlyToProgram),
            (EarlyTalkRule::ByClass, _) | (EarlyTalkRule::Certain, EarlyTalk::Log) => {
                Next::GoOn(WatchFor::Leaving)
            }
        },
        // An end of file behind early bytes: the client may still read a reply.
        (Seen::Gone, WatchFor::Leaving) => Next::GoOn(WatchFor::Reset),
        (Seen::Gone, _) => Next::End(Verdict::HangUp),
    }
}

/// How an early talker is refused: a conversation is held only if slots are free.
#[must_use]
pub fn refuse_by(wanted: RefuseBy, under_pressure: bool) -> RefuseBy {
    if under_pressure { RefuseBy::Drop } else { wanted }
}

/// Whether more than half of the slots are taken.
#[must_use]
pub fn is_under_pressure(clients: usize, slots: usize) -> bool {
    2 * clients > slots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talk_is_dealt_with_as_asked() {
        let of = |early_talk_rule, early| next(Seen::Talk, WatchFor::Talk, early_talk_rule, early);
        let certain = |early| of(EarlyTalkRule::Certain, early);
        assert_eq!(certain(EarlyTalk::Refuse), Next::End(Verdict::Early));
        assert_eq!(certain(EarlyTalk::Rblsmtpd), Next::End(Verdict::EarlyToProgram));
        assert_eq!(certain(EarlyTalk::Log), Next::GoOn(WatchFor::Leaving));
        for early in [EarlyTalk::Refuse, EarlyTalk::Rblsmtpd, EarlyTalk::Log] {
            assert_eq!(of(EarlyTalkRule::ByClass, early), Next::GoOn(WatchFor::Leaving));
            assert_eq!(of(EarlyTalkRule::Never, early), Next::GoOn(WatchFor::Off));
        }
    }

    #[test]
    fn leaving_is_a_hang_up_unless_something_was_said() {
        let of = |watch_for| next(Seen::Gone, watch_for, EarlyTalkRule::Certain, EarlyTalk::Log);
        assert_eq!(of(WatchFor::Talk), Next::End(Verdict::HangUp));
        assert_eq!(of(WatchFor::Leaving), Next::GoOn(WatchFor::Reset));
        assert_eq!(of(WatchFor::Reset), Next::End(Verdict::HangUp));
    }

    #[test]
    fn under_pressure_refusals_are_short() {
        assert_eq!(refuse_by(RefuseBy::Talk, false), RefuseBy::Talk);
        assert_eq!(refuse_by(RefuseBy::Talk, true), RefuseBy::Drop);
        assert!(!is_under_pressure(20, 40) && is_under_pressure(21, 40));
        assert!(!is_under_pressure(0, 1) && is_under_pressure(1, 1));
    }
}
