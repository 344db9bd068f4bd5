//! What another delay would have done to the clients of the log, and which delay the log
//! suggests.

use super::figures::{CLASSES, Figures, OfClass};
use super::histogram::Histogram;
use crate::class::Class;
use crate::report::reading::line::Verdict;

/// The longest delay that is considered, in seconds: callout verifiers and common
/// client libraries give up at 30.
pub const LONGEST: u32 = 25;
/// A shorter delay is proposed if it catches this part of what the present one does.
const ENOUGH: f64 = 0.99;
/// With fewer early talkers and hang-ups than this nothing is proposed.
const FEWEST: u64 = 100;
/// A longer delay is proposed if more than this part is caught in the last tenth.
const STILL_RISING: f64 = 0.05;

/// What one delay would have done for one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effect {
    /// The delay, in seconds.
    pub delay: f64,
    /// Early talkers that it would have caught.
    pub early: u64,
    /// Clients that would have left before its end.
    pub hangups: u64,
    /// Seconds that the clients would have waited, all together.
    pub seconds: f64,
    /// It is longer than the delay that was used: there may be more that it catches.
    pub at_least: bool,
}

impl Effect {
    /// Early talkers and those who left.
    #[must_use]
    pub fn caught(&self) -> u64 {
        self.early + self.hangups
    }
}

/// A class, its delay, and what other delays would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// The class.
    pub class: Class,
    /// What its usual delay did.
    pub now: Effect,
    /// What delays of 0 to [`LONGEST`] seconds would have done.
    pub points: Vec<Effect>,
    /// What the log suggests.
    pub proposal: Proposal,
}

/// What the log suggests.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposal {
    /// Too little was caught to say.
    TooFew,
    /// The delay is as good as another.
    Keep,
    /// Nearly as much is caught in less time.
    Shorter(Effect),
    /// Many are caught at the very end: a longer delay, of so many seconds, may catch more.
    Longer(f64),
}

/// The curve of each class that had a delay.
#[must_use]
pub fn curves(figures: &Figures) -> Vec<Curve> {
    let pairs = CLASSES.iter().zip(&figures.classes);
    pairs.filter_map(|(class, of)| curve((*class)?, of)).collect()
}

fn curve(class: Class, of: &OfClass) -> Option<Curve> {
    let delay = of.usual_delay().filter(|delay| *delay > 0.0)?;
    let now = effect(of, delay, delay);
    let points: Vec<Effect> =
        (0..=LONGEST).map(|other| effect(of, delay, f64::from(other))).collect();
    let proposal = match proposal(of, &now, &points) {
        // It would delay wanted mail.
        Proposal::Longer(_) if class == Class::Static => Proposal::Keep,
        proposal => proposal,
    };
    Some(Curve { class, now, points, proposal })
}

/// What `other` would have done to clients that had `delay`; both in seconds.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn effect(of: &OfClass, delay: f64, other: f64) -> Effect {
    // Clients that talked or left in the last hundredth were caught by the delay that they
    // had.
    let before = |histogram: &Histogram| {
        if other < delay { histogram.below(other) } else { histogram.total() }
    };
    // Known clients do not wait for the delay of their class.
    let waited = of.clients[Verdict::Pass as usize].saturating_sub(of.known);
    let longer = (other - delay).max(0.0) * waited as f64;
    let held =
        [&of.talk, &of.leave, &of.pass].map(|histogram| histogram.sum_capped(other.max(0.0)));
    let held =
        if other < delay { held } else { [&of.talk, &of.leave, &of.pass].map(Histogram::sum) };
    Effect {
        delay: other,
        early: before(&of.talk),
        hangups: before(&of.leave),
        seconds: held.iter().sum::<f64>() + longer,
        at_least: other > delay,
    }
}

#[allow(clippy::cast_precision_loss)]
fn proposal(of: &OfClass, now: &Effect, points: &[Effect]) -> Proposal {
    if now.caught() < FEWEST {
        return Proposal::TooFew;
    }
    let caught = now.caught() as f64;
    let late = now.caught() - effect(of, now.delay, now.delay * 0.9).caught();
    if late as f64 > caught * STILL_RISING && now.delay < f64::from(LONGEST) {
        return Proposal::Longer((now.delay * 1.25).ceil().min(f64::from(LONGEST)));
    }
    let enough = |effect: &&Effect| {
        effect.delay >= 1.0 && effect.delay < now.delay && effect.caught() as f64 >= caught * ENOUGH
    };
    points.iter().find(enough).map_or(Proposal::Keep, |effect| Proposal::Shorter(*effect))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(talk: &[(f64, u64)], leave: &[(f64, u64)], passed: u64, delay: u32) -> OfClass {
        let mut of = OfClass::default();
        for (seconds, times) in talk {
            of.talk.add(*seconds, *times);
        }
        for (seconds, times) in leave {
            of.leave.add(*seconds, *times);
        }
        of.pass.add(f64::from(delay), passed);
        of.clients[Verdict::Pass as usize] = passed;
        of.delays.insert(delay * 1000, 1);
        of
    }

    #[test]
    fn a_shorter_delay_catches_who_came_before_it() {
        let of = class(&[(0.5, 10), (8.0, 5)], &[(9.0, 3)], 4, 20);
        let effect = effect(&of, 20.0, 8.0);
        assert_eq!((effect.early, effect.hangups, effect.at_least), (10, 0, false));
        assert!((effect.seconds - (5.0 + 40.0 + 24.0 + 32.0)).abs() < 1e-6);
    }

    #[test]
    fn a_longer_one_catches_at_least_as_many() {
        let of = class(&[(0.5, 10)], &[], 4, 10);
        let effect = effect(&of, 10.0, 12.0);
        assert_eq!((effect.early, effect.at_least), (10, true));
        assert!((effect.seconds - (5.0 + 48.0)).abs() < 1e-6);
    }

    #[test]
    fn known_clients_do_not_wait_longer() {
        let mut of = class(&[], &[], 4, 10);
        of.pass.add(0.0, 6);
        of.clients[Verdict::Pass as usize] += 6;
        of.known = 6;
        assert!((effect(&of, 10.0, 12.0).seconds - 48.0).abs() < 1e-6);
    }

    #[test]
    fn what_is_proposed() {
        let proposal = |of: &OfClass| curve(Class::None, of).unwrap().proposal;
        assert_eq!(proposal(&class(&[(0.5, 99)], &[], 9, 20)), Proposal::TooFew);
        let early = class(&[(0.5, 900), (4.2, 95)], &[(15.0, 5)], 9, 20);
        assert_eq!(proposal(&early), Proposal::Shorter(effect(&early, 20.0, 5.0)));
        let late = class(&[(0.5, 900)], &[(19.5, 90)], 9, 20);
        assert_eq!(proposal(&late), Proposal::Longer(25.0));
        let spread = class(&[(1.0, 50), (6.0, 50), (9.0, 50), (17.5, 50)], &[], 9, 20);
        assert_eq!(proposal(&spread), Proposal::Shorter(effect(&spread, 20.0, 18.0)));
        let needed = class(&[(0.5, 900), (17.9, 40), (18.1, 30)], &[], 9, 20);
        assert_eq!(proposal(&needed), Proposal::Shorter(effect(&needed, 20.0, 19.0)));
    }

    #[test]
    fn no_longer_delay_is_proposed_for_static_clients() {
        let late = class(&[(1.9, 900)], &[], 9, 2);
        assert_eq!(curve(Class::Static, &late).unwrap().proposal, Proposal::Keep);
        assert_eq!(curve(Class::None, &late).unwrap().proposal, Proposal::Longer(3.0));
    }

    #[test]
    fn a_class_without_a_delay_has_no_curve() {
        assert_eq!(curve(Class::Static, &class(&[(0.1, 500)], &[], 9, 0)), None);
    }
}
