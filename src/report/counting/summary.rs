//! The figures that a report shows, for the text, the JSON and the page.

use jiff::civil::Date;

use super::false_positives::{Record, exception};
use super::figures::{ByVerdict, CLASSES, Figures, Service, row};
use super::histogram::Histogram;
use super::what_if::{Curve, Effect, curves, effect};
use crate::class::Class;
use crate::report::reading::line::Verdict;
use crate::report::reading::moment::Moment;

/// Bars of the histograms, of a second each; the last one includes all that is longer.
pub const BARS: usize = 31;

/// Lines that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// All.
    pub read: u64,
    /// Ours.
    pub ours: u64,
    /// Ours by their beginning, but malformed.
    pub bad: u64,
}

/// A class of clients.
#[derive(Debug)]
pub struct ClassRow {
    /// `None` if it was not known.
    pub class: Option<Class>,
    /// Its usual delay, in seconds.
    pub delay: Option<f64>,
    /// Clients by verdict.
    pub clients: ByVerdict,
    /// The seconds that half, 90, 99 of 100 and all of those that passed did not exceed.
    pub waits: [Option<f64>; 4],
    /// Seconds that its clients waited.
    pub seconds: f64,
    /// Early talkers by the second in which they talked.
    pub talk: Vec<u64>,
    /// Clients that left, by the second.
    pub leave: Vec<u64>,
}

/// Connections at once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// On average over the time of the log.
    pub average: Option<f64>,
    /// At most, and when.
    pub most: Option<(u64, Moment)>,
}

/// A name and how often it came.
pub type Ranked = Vec<(String, u64)>;

/// What the log says.
#[derive(Debug)]
pub struct Summary {
    /// The first and the last time.
    pub span: Option<(Moment, Moment)>,
    /// Lines that were read.
    pub lines: Lines,
    /// Starts, stops, reloads, lost lines.
    pub service: Service,
    /// Clients by verdict.
    pub clients: ByVerdict,
    /// Verdicts that were logged and not carried out (`--dry-run`, `--early log`).
    pub told_only: ByVerdict,
    /// The classes that had clients.
    pub classes: Vec<ClassRow>,
    /// By hour of the day.
    pub hours: [ByVerdict; 24],
    /// By day.
    pub days: Vec<(Date, ByVerdict)>,
    /// Percentiles of the time to the greeting, of known clients and of others.
    pub greeting: [[Option<f64>; 4]; 2],
    /// Clients that waited, at once.
    pub waiting: Held,
    /// Clients that waited or had the program; `None` if the log has no end of a program.
    pub held: Held,
    /// Networks that did not pass.
    pub networks: Ranked,
    /// Domains of clients that did not pass.
    pub domains: Ranked,
    /// Rules that denied.
    pub rules: Ranked,
    /// Lists that had clients.
    pub lists: Ranked,
    /// Limits that were reached.
    pub limits: Ranked,
    /// By how much a count of these lists may be too small.
    pub rank_error: u64,
    /// Other delays, by class.
    pub curves: Vec<Curve>,
    /// The delays that were asked for, each with what the usual one did.
    pub what_if: Vec<(Class, Effect, Effect)>,
    /// Hosts that were refused or left, and passed later.
    pub false_positives: Vec<FalsePositive>,
    /// Hosts that waited most often because of their name.
    pub delayed: Vec<(String, u64, String)>,
}

/// A suspected false positive.
#[derive(Debug, PartialEq, Eq)]
pub struct FalsePositive {
    /// The name.
    pub host: String,
    /// What became of it.
    pub record: Record,
    /// The line for `--static-file`.
    pub exception: String,
}

/// The summary of `figures`, with lists of `top` lines, and what `delays` would have
/// done.
#[must_use]
pub fn summarize(
    figures: &mut Figures,
    lines: Lines,
    top: usize,
    delays: &[(Class, f64)],
) -> Summary {
    let span = figures.span;
    let mut waiting = held(span, figures.waiting.seconds());
    waiting.most = figures.waiting.most();
    let mut both = Held::default();
    if figures.ends.total() > 0 {
        both = held(span, figures.held.seconds());
        both.most = figures.held.most();
    }
    let tops = &figures.top;
    let lists = [&tops.networks, &tops.domains, &tops.rules, &tops.lists, &tops.limits];
    let [networks, domains, rules, lists_first, limits] = lists.map(|list| ranked(list.first(top)));
    Summary {
        span,
        lines,
        service: figures.service,
        clients: all(figures),
        told_only: figures.told_only,
        classes: rows(figures),
        hours: figures.hours,
        days: figures.days.iter().map(|(date, clients)| (*date, *clients)).collect(),
        greeting: figures.known.each_ref().map(percentiles),
        waiting,
        held: both,
        networks,
        domains,
        rules,
        lists: lists_first,
        limits,
        rank_error: lists.iter().map(|list| list.error()).max().unwrap_or(0),
        curves: curves(figures),
        what_if: what_if(figures, delays),
        false_positives: false_positives(figures, top),
        delayed: delayed(figures, top),
    }
}

fn all(figures: &Figures) -> ByVerdict {
    let mut sum = [0; Verdict::ALL.len()];
    for class in &figures.classes {
        sum.iter_mut().zip(class.clients).for_each(|(sum, clients)| *sum += clients);
    }
    sum
}

fn rows(figures: &Figures) -> Vec<ClassRow> {
    let pairs = CLASSES.iter().zip(&figures.classes);
    let there = pairs.filter(|(_, of)| of.clients.iter().sum::<u64>() + of.talk.total() > 0);
    there
        .map(|(class, of)| ClassRow {
            class: *class,
            delay: of.usual_delay(),
            clients: of.clients,
            waits: percentiles(&of.pass),
            seconds: of.seconds,
            talk: of.talk.bars(1.0, BARS),
            leave: of.leave.bars(1.0, BARS),
        })
        .collect()
}

fn percentiles(of: &Histogram) -> [Option<f64>; 4] {
    [0.5, 0.9, 0.99, 1.0].map(|part| of.quantile(part))
}

/// An average needs a log with times.
#[allow(clippy::cast_precision_loss)]
fn held(span: Option<(Moment, Moment)>, seconds: f64) -> Held {
    let long = span.map(|(first, last)| (last.0 - first.0) as f64 / 1000.0);
    let average = long.filter(|long| *long > 0.0).map(|long| seconds / long);
    Held { average, most: None }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn ranked(list: Vec<(&[u8], u64)>) -> Ranked {
    list.into_iter().map(|(key, count)| (text(key), count)).collect()
}

fn what_if(figures: &Figures, delays: &[(Class, f64)]) -> Vec<(Class, Effect, Effect)> {
    let one = |(class, other): &(Class, f64)| {
        let of = &figures.classes[row(Some(*class))];
        let delay = of.usual_delay()?;
        Some((*class, effect(of, delay, delay), effect(of, delay, *other)))
    };
    delays.iter().filter_map(one).collect()
}

fn false_positives(figures: &Figures, top: usize) -> Vec<FalsePositive> {
    let found = figures.false_positives.first(top);
    let false_positive = |(host, record): (&[u8], Record)| {
        let host = text(host);
        FalsePositive { exception: exception(&host), host, record }
    };
    found.into_iter().map(false_positive).collect()
}

fn delayed(figures: &Figures, top: usize) -> Vec<(String, u64, String)> {
    let found = ranked(figures.false_positives.delayed.first(top));
    found.into_iter().map(|(host, times)| (host.clone(), times, exception(&host))).collect()
}
