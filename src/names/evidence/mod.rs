//! The evidence in a name, which decides if no expression of the administrator's does:
//! signs for and against a dynamic (residential) host name, each with a weight.  The sum of
//! the weights decides; `smtp-delayctl classify` shows them.

mod address;
#[cfg(test)]
mod corpus;
mod domain;
#[cfg(test)]
mod fit;
#[cfg(test)]
mod other_classifiers;
mod registry;
mod shape;
mod signs;
mod stems;
mod words;

use std::fmt;
use std::net::IpAddr;

pub use signs::{Sign, THRESHOLD};

use crate::names::runs::{Run, runs};
use address::{Share, Spelling, spelled};
use domain::Parts;
use stems::{Stem, stem_of};
use words::{Kind, kind_of};

/// A sign that was found, and in which text; displayed as its weight and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What was found.
    pub sign: Sign,
    /// The word or label that it was found in; empty if that is all of the name.
    pub text: &'a str,
    spelling: Option<Spelling>,
}

/// Where a sign is in the name.
#[derive(Clone, Copy, Debug)]
struct Place {
    sign: Sign,
    start: u16,
    end: u16,
}

/// All signs for and against a dynamic name that were found.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    name: &'a str,
    places: [Place; Sign::ALL.len()],
    count: u8,
    spelling: Option<Spelling>,
    /// The signs that were found, a bit each.
    seen: u32,
    score: i32,
}

impl<'a> Evidence<'a> {
    /// Collects the signs of `name`, a host name in lower case, for the client at `ip`.
    /// Takes less than 5 µs for the longest name, and allocates only its own list.
    #[must_use]
    pub fn of(name: &'a str, ip: IpAddr) -> Self {
        let parts = Parts::of(name);
        let place = Place { sign: Sign::NoDigit, start: 0, end: 0 };
        let places = [place; Sign::ALL.len()];
        let mut evidence = Self { name, places, count: 0, spelling: None, seen: 0, score: 0 };
        evidence.add_words(parts.host);
        evidence.add_owner(&parts);
        let digits = shape::find_signs(parts.host, ip, |sign| evidence.add(sign));
        if digits > 0 || has_digit(parts.owner) {
            evidence.add_address(parts.named, ip);
        }
        evidence
    }

    /// The sum of the weights.
    #[must_use]
    pub fn score(&self) -> i32 {
        self.score
    }

    /// Whether the sum reaches the threshold.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.score >= THRESHOLD
    }

    /// The signs, in the order in which they were found.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a>> {
        self.places[..self.count.into()].iter().map(|place| Piece {
            sign: place.sign,
            text: self.name.get(place.start.into()..place.end.into()).unwrap_or_default(),
            spelling: self.spelling.filter(|_| place.sign.is_of_address()),
        })
    }

    fn has(&self, sign: Sign) -> bool {
        self.seen >> sign as u32 & 1 == 1
    }

    /// Each sign counts once.
    fn add_in(&mut self, sign: Sign, start: usize, end: usize) {
        if self.has(sign) {
            return;
        }
        let [start, end] = [start, end].map(|place| u16::try_from(place).unwrap_or(u16::MAX));
        self.places[usize::from(self.count)] = Place { sign, start, end };
        self.count += 1;
        self.seen |= 1 << sign as u32;
        self.score += sign.weight();
    }

    fn add(&mut self, sign: Sign) {
        self.add_in(sign, 0, 0);
    }

    fn add_words(&mut self, host: &str) {
        let first = host.find('.').unwrap_or(host.len());
        let mut end = 0;
        for Run { gap, text } in runs(host, u8::is_ascii_alphabetic) {
            let start = end + gap.len();
            end = start + text.len();
            let sign = match kind_of(text) {
                Some(Kind::Mail | Kind::MailAtStart) if start == 0 => Sign::MailWordFirst,
                Some(Kind::Mail) => Sign::MailWord,
                Some(Kind::MailAtStart) => continue,
                Some(Kind::Fixed) => Sign::FixedWord,
                Some(Kind::Server) => Sign::ServerWord,
                Some(Kind::Dynamic) => Sign::DynamicWord,
                Some(Kind::Residential) => Sign::ResidentialWord,
                Some(Kind::Place) => Sign::PlaceWord,
                Some(Kind::Numbered) if is_numbered(&host[end..first.max(end)]) => {
                    Sign::NumberedWord
                }
                Some(Kind::Numbered | Kind::Any) => Sign::AnyWord,
                None => match stem_of(text) {
                    Some(Stem::Mail) => Sign::MailStem,
                    Some(Stem::Server) => Sign::ServerStem,
                    Some(Stem::Residential) => Sign::ResidentialStem,
                    None => continue,
                },
            };
            self.add_word(sign, start, end);
        }
    }

    /// A second word for residential connections, of another kind than the first, counts as
    /// well.
    fn add_word(&mut self, sign: Sign, start: usize, end: usize) {
        const RESIDENTIAL: [Sign; 3] = [Sign::DynamicWord, Sign::ResidentialWord, Sign::PlaceWord];
        let is_second = RESIDENTIAL.contains(&sign)
            && !self.has(sign)
            && RESIDENTIAL.iter().any(|word| self.has(*word));
        self.add_in(sign, start, end);
        if is_second {
            self.add_in(Sign::SecondResidentialWord, start, end);
        }
    }

    fn add_owner(&mut self, parts: &Parts<'_>) {
        let sign = match stem_of(parts.owner) {
            Some(Stem::Mail) => Sign::OwnerOfMail,
            Some(Stem::Server) => Sign::OwnerOfServers,
            Some(Stem::Residential) => Sign::ResidentialOwner,
            None => return,
        };
        let end = parts.named.len();
        self.add_in(sign, end - parts.owner.len(), end);
    }

    fn add_address(&mut self, named: &str, ip: IpAddr) {
        let Some((share, how)) = spelled(named, ip) else { return };
        self.spelling = Some(how);
        self.add(match (share, how) {
            (Share::Whole, _) => Sign::WholeAddress,
            (Share::Three, _) => Sign::ThreeOctets,
            (Share::Two, Spelling::Decimal) => Sign::TwoOctets,
            (Share::Two, _) => Sign::TwoOctetsAsOne,
        });
    }
}

/// Whether a number follows a word directly, or after a hyphen.
fn is_numbered(behind: &str) -> bool {
    let behind = behind.strip_prefix('-').unwrap_or(behind);
    behind.starts_with(|letter: char| letter.is_ascii_digit())
}

fn has_digit(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

impl fmt::Display for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+} {}", self.sign.weight(), self.sign)?;
        match self.spelling {
            Some(how) => write!(f, " ({how})"),
            None if self.text.is_empty() => Ok(()),
            None => write!(f, " \"{}\"", self.text),
        }
    }
}

impl fmt::Display for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {THRESHOLD} points", self.score)?;
        for (place, piece) in self.pieces().enumerate() {
            write!(f, "{} {piece}", if place == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}
