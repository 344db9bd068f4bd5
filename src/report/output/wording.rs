//! How figures are written, in the text and on the page.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::class::Class;
use crate::report::counting::figures::ByVerdict;
use crate::report::counting::what_if::{Curve, Proposal};
use crate::report::reading::line::Verdict;
use crate::report::reading::moment::Moment;

/// What the log suggests, and why.
pub(super) fn proposal(curve: &Curve) -> String {
    let (now, caught) = (&curve.now, curve.now.caught());
    match &curve.proposal {
        Proposal::TooFew => format!("Too few were caught ({caught}) to propose another delay."),
        Proposal::Keep => format!(
            "Proposed: keep {}. No shorter one catches 99 % as many.",
            brief(Some(now.delay))
        ),
        Proposal::Shorter(effect) => format!(
            "Proposed: --delay-{} {}. It would have caught {} of {caught} in {:.0} % of the \
             connection-seconds.",
            curve.class,
            brief(Some(effect.delay)),
            effect.caught(),
            100.0 * effect.seconds / now.seconds.max(0.01)
        ),
        Proposal::Longer(delay) => format!(
            "Proposed: try --delay-{} {}. Many were caught in the last tenth of the delay; more may \
             be behind it.",
            curve.class,
            brief(Some(*delay))
        ),
    }
}

/// A time for display, to the second.
pub(super) fn local_time(at: Moment, zone: &TimeZone) -> String {
    let time = Timestamp::from_millisecond(at.0).unwrap_or_default();
    time.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The average number of slots that were taken, for so many connection-seconds.
#[allow(clippy::cast_precision_loss)]
pub(super) fn slots(seconds: f64, span: Option<(Moment, Moment)>) -> String {
    let long = span.map(|(first, last)| (last.0 - first.0) as f64 / 1000.0);
    let long = long.filter(|long| *long > 0.0);
    long.map_or_else(|| "-".into(), |long| format!("{:.1}", seconds / long))
}

/// All clients, and those that did not pass.
pub(super) fn both(of: &ByVerdict) -> (u64, u64) {
    let all: u64 = of.iter().sum();
    (all, all - of[Verdict::Pass as usize])
}

/// By how much a day differs from the one before.
#[allow(clippy::cast_precision_loss)]
pub(super) fn change(before: u64, now: u64) -> String {
    if before == 0 {
        return String::new();
    }
    format!("{:+.0} %", (now as f64 / before as f64 - 1.0) * 100.0)
}

/// `-` for a class that is not known.
pub(super) fn class_name(class: Option<Class>) -> String {
    class.map_or_else(|| "-".into(), |class| class.to_string())
}

/// A delay without trailing zeros.
pub(super) fn brief(delay: Option<f64>) -> String {
    delay.map_or_else(|| "-".into(), |delay| delay.to_string())
}

/// Seconds to the hundredth.
pub(super) fn seconds(time: Option<f64>) -> String {
    time.map_or_else(|| "-".into(), |time| format!("{time:.2}"))
}

/// A part of the whole, in percent.
#[allow(clippy::cast_precision_loss)]
pub(super) fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", 100.0 * part as f64 / whole.max(1) as f64)
}
