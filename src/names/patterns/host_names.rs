//! Whether an expression matches any host name.

use std::collections::HashSet;

use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::{Look, LookMatcher};
use regex_automata::util::primitives::StateID;

/// The longest host name, in bytes (RFC 1035, section 2.3.4, without the root's label).
const LONGEST: usize = 253;

/// What stands beside a position in a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Beside {
    /// Nothing: the name begins or ends there.
    Edge,
    /// What `\w` matches.
    Word,
    Hyphen,
    Dot,
}

impl Beside {
    const ALL: [Self; 4] = [Self::Edge, Self::Word, Self::Hyphen, Self::Dot];

    /// A text that represents it.
    fn example(self) -> &'static str {
        match self {
            Self::Edge => "",
            Self::Word => "a",
            Self::Hyphen => "-",
            Self::Dot => ".",
        }
    }

    /// Whether one of its bytes is from `start` to `end`.
    fn overlaps(self, start: u8, end: u8) -> bool {
        let ranges: &[(u8, u8)] = match self {
            Self::Edge => &[],
            Self::Word => &[(b'a', b'z'), (b'0', b'9'), (b'_', b'_')],
            Self::Hyphen => &[(b'-', b'-')],
            Self::Dot => &[(b'.', b'.')],
        };
        ranges.iter().any(|(first, last)| start <= *last && *first <= end)
    }

    /// The bytes of the shortest name that ends so far, if this is the last byte.
    fn shortest(self) -> usize {
        match self {
            Self::Edge => 0,
            Self::Word | Self::Hyphen => 1,
            Self::Dot => 2,
        }
    }

    /// What may follow it: labels are not empty, and neither is a name.
    fn may_be_followed_by(self, next: Self) -> bool {
        let between_labels = |side| matches!(side, Self::Edge | Self::Dot);
        !(between_labels(self) && between_labels(next))
    }
}

/// How `^`, `$`, `\b` and the like are decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchors {
    Heeded,
    Ignored,
}

/// A state of the expression at a position between `before` and `after`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    state: StateID,
    before: Beside,
    after: Beside,
}

/// Whether the expression that starts at `start` matches some host name.
pub(super) fn has_match(nfa: &NFA, start: StateID, anchors: Anchors) -> bool {
    let mut walk = Walk { nfa, anchors, seen: HashSet::new(), open: Vec::new(), next: Vec::new() };
    for length in 0..=LONGEST {
        for before in Beside::ALL.into_iter().filter(|before| before.shortest() == length) {
            walk.enter(start, before);
        }
        walk.open.append(&mut walk.next);
        if walk.reaches_match(length) {
            return true;
        }
        if walk.next.is_empty() && length > Beside::Dot.shortest() {
            return false;
        }
    }
    false
}

/// All positions that are reached with a length, before those of the next length.
struct Walk<'a> {
    nfa: &'a NFA,
    anchors: Anchors,
    seen: HashSet<Place>,
    open: Vec<Place>,
    next: Vec<Place>,
}

impl Walk<'_> {
    /// A state that is reached after `before`, with all bytes that may follow.
    fn enter(&mut self, state: StateID, before: Beside) {
        let after = Beside::ALL.into_iter().filter(|after| before.may_be_followed_by(*after));
        self.next.extend(after.map(|after| Place { state, before, after }));
    }

    fn reaches_match(&mut self, length: usize) -> bool {
        while let Some(place) = self.open.pop() {
            if !self.seen.insert(place) {
                continue;
            }
            // What follows the match, a dot with a label, has to fit as well.
            if matches!(self.nfa.state(place.state), State::Match { .. })
                && length + place.after.shortest() <= LONGEST
            {
                return true;
            }
            self.step(place);
        }
        false
    }

    fn step(&mut self, place: Place) {
        let Place { before, after, .. } = place;
        let nfa = self.nfa;
        let to = |state: &StateID| Place { state: *state, ..place };
        match nfa.state(place.state) {
            State::ByteRange { trans } if after.overlaps(trans.start, trans.end) => {
                self.enter(trans.next, after);
            }
            State::Sparse(sparse) => {
                for trans in &sparse.transitions {
                    if after.overlaps(trans.start, trans.end) {
                        self.enter(trans.next, after);
                    }
                }
            }
            State::Dense(dense) => {
                for (byte, next) in (0..=u8::MAX).zip(&dense.transitions) {
                    if *next != StateID::ZERO && after.overlaps(byte, byte) {
                        self.enter(*next, after);
                    }
                }
            }
            State::Look { look, next } if self.holds(*look, before, after) => {
                self.open.push(to(next));
            }
            State::Union { alternates } => self.open.extend(alternates.iter().map(to)),
            State::BinaryUnion { alt1, alt2 } => self.open.extend([alt1, alt2].map(to)),
            State::Capture { next, .. } => self.open.push(to(next)),
            State::ByteRange { .. } | State::Look { .. } | State::Fail | State::Match { .. } => (),
        }
    }

    fn holds(&self, look: Look, before: Beside, after: Beside) -> bool {
        let text = [before.example(), after.example()].concat();
        let at = before.example().len();
        self.anchors == Anchors::Ignored || LookMatcher::new().matches(look, text.as_bytes(), at)
    }
}
