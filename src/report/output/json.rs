//! The report in JSON.  The shape is an interface: `version` goes up when a key goes
//! away or changes its meaning; smtp-delayctl(8) lists them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::class::Class;
use crate::report::counting::figures::ByVerdict;
use crate::report::counting::summary::{ClassRow, Held, Ranked, Summary};
use crate::report::counting::what_if::{Curve, Effect, Proposal};
use crate::report::reading::line::Verdict;
use crate::report::reading::moment::Moment;

/// The version of the shape.
pub const VERSION: u32 = 1;

/// One object, followed by a line feed.
#[must_use]
pub fn render(summary: &Summary) -> String {
    let Summary { lines, service, .. } = summary;
    let hours = summary.hours.iter().map(clients).collect::<Vec<_>>();
    let days = summary
        .days
        .iter()
        .map(|(date, of)| json!({"day": date.to_string(), "clients": clients(of)}));
    let (first, last) = summary.span.map(|(first, last)| (time(first), time(last))).unzip();
    let [known, new] = summary.greeting.map(percentiles);
    let value = json!({
        "version": VERSION,
        "first": first,
        "last": last,
        "lines": {"read": lines.read, "ours": lines.ours, "bad": lines.bad, "lost": service.lost},
        "service": {"starts": service.starts, "reloads": service.reloads, "stops": service.stops},
        "clients": clients(&summary.clients),
        "told_only": clients(&summary.told_only),
        "classes": summary.classes.iter().map(class).collect::<Vec<_>>(),
        "hours": hours,
        "days": days.collect::<Vec<_>>(),
        "seconds_to_greeting": {"known": known, "new": new},
        "waiting": held(&summary.waiting),
        "held": held(&summary.held),
        "top": {
            "networks": ranked(&summary.networks),
            "domains": ranked(&summary.domains),
            "rules": ranked(&summary.rules),
            "lists": ranked(&summary.lists),
            "limits": ranked(&summary.limits),
            "error": summary.rank_error,
        },
        "curves": summary.curves.iter().map(curve).collect::<Vec<_>>(),
        "what_if": summary.what_if.iter().map(what_if).collect::<Vec<_>>(),
        "suspects": false_positives(summary),
        "delayed": delayed(summary),
    });
    format!("{value:#}\n")
}

fn time(at: Moment) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |time| time.to_string())
}

fn clients(of: &ByVerdict) -> Value {
    let pairs = Verdict::ALL.iter().zip(of);
    pairs
        .map(|(verdict, count)| (verdict.word().to_string(), json!(count)))
        .collect::<Map<_, _>>()
        .into()
}

fn class_name(class: Option<Class>) -> String {
    class.map_or_else(|| "-".into(), |class| class.to_string())
}

fn class(row: &ClassRow) -> Value {
    json!({
        "class": class_name(row.class),
        "delay": row.delay,
        "clients": clients(&row.clients),
        "seconds_waited": percentiles(row.waits),
        "connection_seconds": round(row.seconds),
        "early_by_second": row.talk,
        "hangups_by_second": row.leave,
    })
}

fn percentiles([half, ninety, ninety_nine, most]: [Option<f64>; 4]) -> Value {
    json!({"p50": half, "p90": ninety, "p99": ninety_nine, "max": most})
}

fn held(held: &Held) -> Value {
    let (most, at) = held.most.map(|(most, at)| (most, time(at))).unzip();
    json!({"average": held.average.map(round), "most": most, "most_at": at})
}

fn ranked(list: &Ranked) -> Value {
    list.iter().map(|(name, count)| json!({"name": name, "clients": count})).collect()
}

fn effect(effect: &Effect) -> Value {
    json!({
        "delay": effect.delay,
        "early": effect.early,
        "hangups": effect.hangups,
        "connection_seconds": round(effect.seconds),
        "at_least": effect.at_least,
    })
}

fn curve(curve: &Curve) -> Value {
    let (proposal, delay) = match &curve.proposal {
        Proposal::TooFew => ("too few", None),
        Proposal::Keep => ("keep", None),
        Proposal::Shorter(effect) => ("shorter", Some(effect.delay)),
        Proposal::Longer(delay) => ("longer", Some(*delay)),
    };
    json!({
        "class": curve.class.to_string(),
        "now": effect(&curve.now),
        "points": curve.points.iter().map(effect).collect::<Vec<_>>(),
        "proposal": proposal,
        "proposed_delay": delay,
    })
}

fn what_if((class, now, then): &(Class, Effect, Effect)) -> Value {
    json!({"class": class.to_string(), "now": effect(now), "then": effect(then)})
}

fn false_positives(summary: &Summary) -> Value {
    let false_positives = summary.false_positives.iter().map(|false_positive| {
        let record = false_positive.record;
        json!({
            "host": false_positive.host,
            "left": record.left,
            "refused": record.refused,
            "passed_later": record.passed,
            "static_file": false_positive.exception,
        })
    });
    false_positives.collect()
}

fn delayed(summary: &Summary) -> Value {
    let hosts = summary.delayed.iter();
    hosts
        .map(|(host, times, line)| json!({"host": host, "passed": times, "static_file": line}))
        .collect()
}

/// To the hundredth: sums of hundredths have no more digits.
fn round(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
