//! The exemptions that a rule or the environment grants a client, and the delay that
//! follows from them and the class.  No I/O.

use std::time::Duration;

use crate::class::Class;
use crate::options::Delays;
use crate::rules::record::DELAY_VARIABLES;
use crate::seconds::seconds;

/// Where the delay comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayBy {
    /// The class.
    Class,
    /// The class, taken for `static` (`RBLSMTPD` set and empty: anti-listed).
    Trust,
    /// `SMTPDELAY` or one of its synonyms.
    Rule(Duration),
    /// No delay (`RELAYCLIENT`).
    Exempt,
    /// No delay, and the program is run without a look-up: the client was rejected
    /// upstream (`RBLSMTPD` set and not empty).
    RejectedUpstream,
}

/// What a client is exempt from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exemptions {
    /// Where its delay comes from.
    pub delay_source: DelayBy,
    /// Whether DNS lists are acted on.
    pub lists: bool,
    /// Whether limits and shrinking delays apply.
    pub limits: bool,
    /// A variable whose value is not a number of seconds, and that value; it is
    /// ignored.
    pub ignored: Option<(&'static str, Vec<u8>)>,
}

impl Exemptions {
    /// A client without exemptions.
    pub const NONE: Self =
        Self { delay_source: DelayBy::Class, lists: true, limits: true, ignored: None };

    /// The same for a proxy that checks whether we are there.
    #[must_use]
    pub fn of_check(self) -> Self {
        Self { lists: false, limits: false, ..self.without_delay() }
    }

    /// The same for a client that has been greeted already (`-B`): it has no delay.
    #[must_use]
    pub fn without_delay(mut self) -> Self {
        if self.delay_source != DelayBy::RejectedUpstream {
            self.delay_source = DelayBy::Exempt;
        }
        self
    }
}

/// The exemptions from the variables in `get`: those of the rules, else those of the
/// environment.  `RELAYCLIENT` precedes `RBLSMTPD` with a text, that precedes the
/// variables of a delay, and those precede an empty `RBLSMTPD`.
pub fn exemptions<'a>(get: impl Fn(&str) -> Option<&'a [u8]>) -> Exemptions {
    let (rule, ignored) = delay_of_rule(&get);
    let listed = get("RBLSMTPD");
    let lists = listed.is_none();
    let of = |delay_source, lists, limits| Exemptions {
        delay_source,
        lists,
        limits,
        ignored: ignored.clone(),
    };
    match (get("RELAYCLIENT"), listed, rule) {
        (Some(_), _, _) => of(DelayBy::Exempt, false, false),
        (_, Some(text), _) if !text.is_empty() => of(DelayBy::RejectedUpstream, false, true),
        (_, _, Some(delay)) => of(DelayBy::Rule(delay), lists, false),
        (_, Some(_), None) => of(DelayBy::Trust, false, true),
        (_, None, None) => of(DelayBy::Class, true, true),
    }
}

type Ignored = Option<(&'static str, Vec<u8>)>;

fn delay_of_rule<'a>(get: &impl Fn(&str) -> Option<&'a [u8]>) -> (Option<Duration>, Ignored) {
    let mut ignored = None;
    for variable in DELAY_VARIABLES {
        let Some(value) = get(variable) else { continue };
        let delay = std::str::from_utf8(value).ok().and_then(seconds);
        if delay.is_some() {
            return (delay, ignored);
        }
        ignored = Some((variable, value.to_vec()));
    }
    (None, ignored)
}

/// The delay of a client of `class` since it was accepted.
///
/// What it waits in the end is this delay, shrunk by the load (`decided/load.rs`); then
/// shortened for a known client (`stages/known.rs`) and for one that is on an allowlist
/// (`stages/lists.rs`); and then as long as it takes to get a place for its session
/// (`stages/limits/place.rs`).
#[must_use]
pub fn delay(class: Class, by: DelayBy, delays: &Delays) -> Duration {
    let by_class = match class {
        Class::None => delays.none,
        Class::Dynamic => delays.dynamic,
        Class::Unknown => delays.unknown,
        Class::Static | Class::NotLookedUp => delays.of_static,
    };
    match by {
        DelayBy::Class => delays.all.unwrap_or(by_class),
        DelayBy::Trust => delays.all.unwrap_or(delays.of_static),
        DelayBy::Rule(delay) => delay,
        DelayBy::Exempt | DelayBy::RejectedUpstream => Duration::ZERO,
    }
}

/// The delay, if it is the same for all `classes` that are possible.
#[must_use]
pub fn common_delay(classes: &[Class], by: DelayBy, delays: &Delays) -> Option<Duration> {
    let (first, rest) = classes.split_first()?;
    let first = delay(*first, by, delays);
    rest.iter().all(|class| delay(*class, by, delays) == first).then_some(first)
}

/// Whether early talk counts, as far as it is known: from the accept on of the classes
/// that are possible, later of the one that the client has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyTalkRule {
    /// It counts: every possible class has a delay.
    Certain,
    /// It does not count: no possible class has a delay, or a rule exempts the client.
    Never,
    /// The class decides.
    ByClass,
}

/// Whether early talk counts whatever the class; `classes` are those that are possible.
#[must_use]
pub fn early_talk_rule(classes: &[Class], by: DelayBy, delays: &Delays) -> EarlyTalkRule {
    let waits = |class: &&Class| delay(**class, by, delays) > Duration::ZERO;
    match classes.iter().filter(waits).count() {
        0 => EarlyTalkRule::Never,
        waiting if waiting == classes.len() => EarlyTalkRule::Certain,
        _ => EarlyTalkRule::ByClass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    type Variables = &'static [(&'static str, &'static str)];

    fn exemptions_of(variables: &[(&str, &'static str)]) -> Exemptions {
        exemptions(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.as_bytes())
        })
    }

    #[test]
    fn each_variable_exempts_from_its_own() {
        let second = Duration::from_secs(1);
        let half = Duration::from_millis(500);
        let cases: &[(Variables, DelayBy, bool, bool)] = &[
            (&[], DelayBy::Class, true, true),
            (&[("RELAYCLIENT", "")], DelayBy::Exempt, false, false),
            (&[("RELAYCLIENT", "x"), ("SMTPDELAY", "5")], DelayBy::Exempt, false, false),
            (&[("RELAYCLIENT", ""), ("RBLSMTPD", "no")], DelayBy::Exempt, false, false),
            (&[("SMTPDELAY", "1")], DelayBy::Rule(second), true, false),
            (&[("SMTPDELAY", "0")], DelayBy::Rule(Duration::ZERO), true, false),
            (&[("GREETDELAY", "0.5")], DelayBy::Rule(half), true, false),
            (&[("SMTPD_GREETDELAY", "1")], DelayBy::Rule(second), true, false),
            (&[("SMTPD_GREETDELAY", "9"), ("GREETDELAY", "1")], DelayBy::Rule(second), true, false),
            (&[("GREETDELAY", "9"), ("SMTPDELAY", "1")], DelayBy::Rule(second), true, false),
            (&[("RBLSMTPD", "")], DelayBy::Trust, false, true),
            (&[("RBLSMTPD", ""), ("SMTPDELAY", "1")], DelayBy::Rule(second), false, false),
            (&[("RBLSMTPD", "listed")], DelayBy::RejectedUpstream, false, true),
            (&[("RBLSMTPD", "listed"), ("SMTPDELAY", "1")], DelayBy::RejectedUpstream, false, true),
        ];
        for (variables, delay, lists, limits) in cases {
            let (delay, lists, limits) = (*delay, *lists, *limits);
            let expected = Exemptions { delay_source: delay, lists, limits, ignored: None };
            assert_eq!(exemptions_of(variables), expected, "{variables:?}");
        }
    }

    #[test]
    fn a_delay_that_is_no_number_is_ignored_and_reported() {
        for bad in ["", "soon", "-1", "1e9"] {
            let exemptions = exemptions_of(&[("SMTPDELAY", bad)]);
            assert_eq!(
                (exemptions.delay_source, exemptions.limits),
                (DelayBy::Class, true),
                "{bad}"
            );
            assert_eq!(exemptions.ignored, Some(("SMTPDELAY", bad.into())));
        }
        let exemptions = exemptions_of(&[("SMTPDELAY", "soon"), ("GREETDELAY", "1")]);
        assert_eq!(exemptions.delay_source, DelayBy::Rule(Duration::from_secs(1)));
        assert!(exemptions.ignored.is_some());
    }

    #[test]
    fn delays_by_class() {
        let mut delays = Options::default().delays;
        let seconds = |class, by, delays: &Delays| delay(class, by, delays).as_secs();
        let classes =
            [Class::None, Class::Dynamic, Class::Unknown, Class::Static, Class::NotLookedUp];
        let all = classes.map(|class| seconds(class, DelayBy::Class, &delays));
        assert_eq!(all, [20, 12, 12, 2, 2]);
        assert_eq!(classes.map(|class| seconds(class, DelayBy::Trust, &delays)), [2; 5]);
        assert_eq!(classes.map(|class| seconds(class, DelayBy::Exempt, &delays)), [0; 5]);
        delays.all = Some(Duration::from_secs(7));
        assert_eq!(classes.map(|class| seconds(class, DelayBy::Class, &delays)), [7; 5]);
        assert_eq!(classes.map(|class| seconds(class, DelayBy::Trust, &delays)), [7; 5]);
    }

    #[test]
    fn a_delay_is_known_before_the_class_where_all_have_the_same() {
        let mut delays = Options::default().delays;
        let classes = [Class::Dynamic, Class::Unknown];
        let twelve = Some(Duration::from_secs(12));
        assert_eq!(common_delay(&classes, DelayBy::Class, &delays), twelve);
        delays.unknown = Duration::ZERO;
        assert_eq!(common_delay(&classes, DelayBy::Class, &delays), None);
    }

    #[test]
    fn early_talk_counts_only_with_a_delay() {
        let classes = [Class::None, Class::Static];
        let mut delays = Options::default().delays;
        assert_eq!(early_talk_rule(&classes, DelayBy::Class, &delays), EarlyTalkRule::Certain);
        assert_eq!(early_talk_rule(&classes, DelayBy::Exempt, &delays), EarlyTalkRule::Never);
        assert_eq!(
            early_talk_rule(&classes, DelayBy::Rule(Duration::ZERO), &delays),
            EarlyTalkRule::Never
        );
        delays.of_static = Duration::ZERO;
        assert_eq!(early_talk_rule(&classes, DelayBy::Class, &delays), EarlyTalkRule::ByClass);
        assert_eq!(early_talk_rule(&classes, DelayBy::Trust, &delays), EarlyTalkRule::Never);
    }
}
