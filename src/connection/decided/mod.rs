//! What was decided about a client, in the order of the decisions: exemptions, what the
//! rules say, the class, its delay, and what the load leaves of that.  No I/O.

pub mod class;
pub mod exemptions;
pub mod load;
pub mod verdict;

use std::io;
use std::time::{Duration, Instant};

use crate::class::Class;
use crate::options::{Delays, Options};
use crate::rules::Match;
use exemptions::{DelayBy, EarlyTalkRule, Exemptions, common_delay, delay, early_talk_rule};
use verdict::Judgement;

/// What was decided about a client so far.
pub(super) struct Decided {
    ruling: Ruling,
    /// The number of the client's name that counts.
    host: usize,
    exemptions: Exemptions,
    early_talk_rule: EarlyTalkRule,
    class: Option<Class>,
    /// Known before the class if it does not depend on it.
    delay: Option<Duration>,
    /// The part to which load has shortened the delay, if it has.
    shrunk: Option<f64>,
    /// Whether it waits shorter than others of its class, being known.
    shortened: bool,
    /// Why it would be refused, but for `--dry-run`, in order.
    would_refuse: Vec<Judgement>,
}

/// What the rules say.
enum Ruling {
    /// They have still to be asked.
    Open,
    /// They could not be read.
    Unreadable(io::Error),
    /// They have been asked.
    Final(Option<Match>),
}

/// The delay of a client's class.  The load decides what is left of it.
#[must_use]
pub(super) struct Delay(Duration);

/// How long a client waits, counted from its accept.
#[derive(Clone, Copy)]
#[must_use]
pub(super) struct Wait(Duration);

impl Wait {
    pub(super) fn time(self) -> Duration {
        self.0
    }

    pub(super) fn is_zero(self) -> bool {
        self.0.is_zero()
    }

    /// Until when a client waits that was accepted at `accepted`.
    pub(super) fn until(self, accepted: Instant) -> Instant {
        accepted + self.0
    }
}

impl Decided {
    /// Before the rules are asked, if there are any.
    pub(super) fn by_environment(
        exemptions: Exemptions,
        options: &Options,
        rules_exist: bool,
    ) -> Self {
        let mut decided = Self {
            ruling: if rules_exist { Ruling::Open } else { Ruling::Final(None) },
            host: 0,
            exemptions: Exemptions::NONE,
            early_talk_rule: EarlyTalkRule::Never,
            class: None,
            delay: None,
            shrunk: None,
            shortened: false,
            would_refuse: Vec::new(),
        };
        decided.exempt(exemptions, options);
        decided
    }

    /// Sets the exemptions, and what follows from them before the class is known.
    pub(super) fn exempt(&mut self, exemptions: Exemptions, options: &Options) {
        let (classes, delays) = (possible_classes(options), &options.delays);
        self.early_talk_rule = early_talk_rule(classes, exemptions.delay_source, delays);
        self.delay = common_delay(classes, exemptions.delay_source, delays);
        self.exemptions = exemptions;
        if self.rules_are_open() && self.early_talk_rule != EarlyTalkRule::Never {
            self.early_talk_rule = EarlyTalkRule::ByClass;
            self.delay = None;
        }
    }

    /// Whether the rules have still to be asked.
    pub(super) fn rules_are_open(&self) -> bool {
        matches!(self.ruling, Ruling::Open)
    }

    /// The rules have been asked: this rule decides, or none; `host` is the number of
    /// the client's name that it matches.
    pub(super) fn set_rule(&mut self, rule: Option<Match>, host: usize) {
        self.ruling = Ruling::Final(rule);
        self.host = host;
    }

    /// The number of the client's name that counts.
    pub(super) fn host(&self) -> usize {
        self.host
    }

    /// The rules cannot be read.
    pub(super) fn set_unreadable(&mut self, why: io::Error) {
        self.ruling = Ruling::Unreadable(why);
    }

    /// Decides the class; [`Self::admit`] takes its delay.
    pub(super) fn set_class(&mut self, class: Class, delays: &Delays) -> Delay {
        let delay = delay(class, self.exemptions.delay_source, delays);
        self.class = Some(class);
        self.set_delay(delay);
        Delay(delay)
    }

    /// Decides how long the client waits: this part of the delay, from 0 to 1.
    pub(super) fn admit(&mut self, Delay(delay): Delay, part: f64) -> Wait {
        if part >= 1.0 {
            return Wait(delay);
        }
        let delay = delay.mul_f64(part);
        self.shrunk = Some(part);
        self.set_delay(delay);
        Wait(delay)
    }

    /// Shortens the wait of a client that is known, which is watched as before.
    pub(super) fn shorten(&mut self, wait: Wait, time: Duration) -> Wait {
        if time >= wait.0 {
            return wait;
        }
        self.shortened = true;
        self.delay = Some(time);
        Wait(time)
    }

    /// Takes the class without a look-up for a client that is going to be refused.
    pub(super) fn assume(&mut self, class: Class) {
        self.class = Some(class);
    }

    /// It would be refused for this, but for `--dry-run`.
    pub(super) fn note_would_refuse(&mut self, why: Judgement) {
        self.would_refuse.push(why);
    }

    /// Why it would be refused, but for `--dry-run`, in order.
    pub(super) fn would_refuse(&self) -> &[Judgement] {
        &self.would_refuse
    }

    fn set_delay(&mut self, delay: Duration) {
        self.delay = Some(delay);
        self.early_talk_rule =
            if delay.is_zero() { EarlyTalkRule::Never } else { EarlyTalkRule::Certain };
    }

    pub(super) fn exemptions(&self) -> &Exemptions {
        &self.exemptions
    }

    pub(super) fn early_talk_rule(&self) -> EarlyTalkRule {
        self.early_talk_rule
    }

    /// Whether the client was rejected upstream.
    pub(super) fn is_rejected_upstream(&self) -> bool {
        self.exemptions.delay_source == DelayBy::RejectedUpstream
    }

    /// The rule that decides.
    pub(super) fn rule(&self) -> Option<&Match> {
        match &self.ruling {
            Ruling::Final(rule) => rule.as_ref(),
            Ruling::Open | Ruling::Unreadable(_) => None,
        }
    }

    /// Why the rules could not be read.
    pub(super) fn unreadable(&self) -> Option<&io::Error> {
        match &self.ruling {
            Ruling::Unreadable(why) => Some(why),
            Ruling::Open | Ruling::Final(_) => None,
        }
    }

    pub(super) fn class(&self) -> Option<Class> {
        self.class
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        self.delay
    }

    pub(super) fn shrunk(&self) -> Option<f64> {
        self.shrunk
    }

    /// Whether the client waits shorter than others of its class, being known.
    pub(super) fn is_shortened(&self) -> bool {
        self.shortened
    }

    /// Whether an allowlist would shorten the delay of `class`.
    pub(super) fn needs_allowlists(&self, class: Class) -> bool {
        self.exemptions.delay_source == DelayBy::Class
            && !matches!(class, Class::Static | Class::NotLookedUp)
    }
}

/// The classes that a client may turn out to have.
fn possible_classes(options: &Options) -> &'static [Class] {
    if options.look_up { &Class::JUDGED } else { &[Class::NotLookedUp] }
}
