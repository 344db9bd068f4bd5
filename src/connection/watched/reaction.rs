//! What follows from what a client was seen to do.  No I/O.

use super::watch::{Seen, WatchFor};
use crate::connection::decided::exemptions::EarlyTalkRule;
use crate::connection::decided::verdict::{Judgement, Verdict};
use crate::options::EarlyTalk;

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It ends with this verdict.
    End(Verdict),
    /// It goes on, watched like this.
    GoOn(WatchFor),
}

/// What follows from `seen`, while the client was watched as `watch_for` says.
pub(super) fn next(
    seen: Seen,
    watch_for: WatchFor,
    early_talk_rule: EarlyTalkRule,
    early: EarlyTalk,
) -> Next {
    match (seen, watch_for) {
        (Seen::Elapsed | Seen::Known, _) => Next::GoOn(watch_for),
        (Seen::Talk, _) => match (early_talk_rule, early) {
            (EarlyTalkRule::Never, _) => Next::GoOn(WatchFor::Off),
            (EarlyTalkRule::Certain, EarlyTalk::Refuse) => {
                Next::End(Verdict::Refused(Judgement::Early))
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn talk_is_dealt_with_as_asked() {
        let of = |early_talk_rule, early| next(Seen::Talk, WatchFor::Talk, early_talk_rule, early);
        let certain = |early| of(EarlyTalkRule::Certain, early);
        let refused = Verdict::Refused(Judgement::Early);
        assert_eq!(certain(EarlyTalk::Refuse), Next::End(refused));
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
}
