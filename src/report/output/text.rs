//! The report for a terminal.

use std::fmt::{self, Write as _};

use jiff::tz::TimeZone;

use super::wording::{
    both, brief, change, class_name, local_time, percent, proposal, seconds, slots,
};
use crate::escape::Printable;
use crate::report::counting::figures::ByVerdict;
use crate::report::counting::summary::{Held, Ranked, Summary};
use crate::report::counting::what_if::{Curve, Effect};
use crate::report::reading::line::Verdict;
use crate::report::reading::moment::Moment;

/// Characters of the longest bar.
const BAR: u64 = 40;

/// The report; times are those of `zone`.
#[must_use]
pub fn render(summary: &Summary, zone: &TimeZone) -> String {
    let mut text = Text { out: String::new(), span: summary.span, zone };
    text.head(summary);
    text.classes(summary);
    text.times(summary);
    text.when(summary);
    text.top(summary);
    text.delays(summary);
    text.false_positives(summary);
    text.out
}

struct Text<'a> {
    out: String,
    span: Option<(Moment, Moment)>,
    zone: &'a TimeZone,
}

impl Text<'_> {
    fn line(&mut self, line: impl fmt::Display) {
        let _ = writeln!(self.out, "{line}");
    }

    fn title(&mut self, title: &str) {
        self.line(format_args!("\n{title}\n"));
    }

    fn time(&self, at: Moment) -> String {
        local_time(at, self.zone)
    }

    fn head(&mut self, summary: &Summary) {
        let Summary { lines, service, .. } = summary;
        if let Some((first, last)) = summary.span {
            let (first, last) = (self.time(first), self.time(last));
            self.line(format_args!("{first} to {last}"));
        }
        let (read, ours, bad) = (lines.read, lines.ours, lines.bad);
        self.line(format_args!("{read} lines, {ours} of smtp-delay, {bad} of them not understood"));
        let (starts, reloads, stops) = (service.starts, service.reloads, service.stops);
        self.line(format_args!("{starts} starts, {reloads} reloads, {stops} stops"));
        if service.lost > 0 {
            self.line(format_args!("{} lines were lost before they were written", service.lost));
        }
        self.title("Clients");
        let total: u64 = summary.clients.iter().sum();
        for (verdict, count) in Verdict::ALL.iter().zip(summary.clients) {
            let (share, bar) = (percent(count, total), bar(count, total));
            self.line(format_args!("  {:<8}{count:>12} {share:>6}  {bar}", verdict.word()));
        }
        self.line(format_args!("  {:<8}{total:>12}", "all"));
        let told: u64 = summary.told_only.iter().sum();
        if told > 0 {
            self.line(format_args!("  {told} refusals were told and not carried out"));
        }
        self.held("waiting", &summary.waiting);
        self.held("waiting or with the program", &summary.held);
    }

    fn held(&mut self, what: &str, held: &Held) {
        if let (Some(average), Some((most, at))) = (held.average, held.most) {
            let at = self.time(at);
            self.line(format_args!("  {what}: {average:.1} on average, {most} at most ({at})"));
        }
    }

    fn classes(&mut self, summary: &Summary) {
        self.title("Classes");
        self.line(
            "  class    delay      pass     early    hangup   others  conn-seconds   waited by those \
             that passed\n                                                                           \
             half   90 %   99 %    all",
        );
        for row in &summary.classes {
            let [pass, early, hangup, others @ ..] = row.clients;
            let others: u64 = others.iter().sum();
            let waits = row.waits.map(seconds).map(|wait| format!("{wait:>6}")).join(" ");
            let (class, delay) = (class_name(row.class), brief(row.delay));
            self.line(format_args!(
                "  {class:<8}{delay:>6}{pass:>10}{early:>10}{hangup:>10}{others:>9}{:>14.0}   {waits}",
                row.seconds
            ));
        }
        let [known, new] = summary.greeting;
        if known[0].is_some() {
            let line = |of: [Option<f64>; 4]| of.map(seconds).join(", ");
            let (known, new) = (line(known), line(new));
            self.line(format_args!("  to the greeting, known clients: {known}; others: {new}"));
        }
    }

    fn times(&mut self, summary: &Summary) {
        for row in &summary.classes {
            let class = class_name(row.class);
            self.bars(
                &format!("Early talkers of class {class}, by the second they talked in"),
                &row.talk,
            );
            self.bars(&format!("Those of class {class} that left, by the second"), &row.leave);
        }
    }

    fn bars(&mut self, title: &str, counts: &[u64]) {
        let Some(last) = counts.iter().rposition(|count| *count > 0) else { return };
        let most = counts.iter().copied().max().unwrap_or(0);
        self.title(title);
        for (second, count) in counts[..=last].iter().enumerate() {
            let more = if second + 1 == counts.len() { "+" } else { " " };
            self.line(format_args!("  {second:>4}{more}{count:>10}  {}", bar(*count, most)));
        }
    }

    fn when(&mut self, summary: &Summary) {
        if summary.days.is_empty() {
            return;
        }
        self.title("Hours of the day: clients, and those that did not pass");
        self.table(summary.hours.iter().enumerate().map(|(hour, of)| (format!("{hour:02}"), *of)));
        self.title("Days");
        let mut before: Option<u64> = None;
        for (date, of) in &summary.days {
            let (all, caught) = both(of);
            let change = before.map_or(String::new(), |before| change(before, all));
            let day = date.strftime("%a %Y-%m-%d");
            self.line(format_args!("  {day}{all:>12}{caught:>12}  {change}"));
            before = Some(all);
        }
    }

    fn table(&mut self, rows: impl Iterator<Item = (String, ByVerdict)> + Clone) {
        let most = rows.clone().map(|(_, of)| both(&of).0).max().unwrap_or(0);
        for (name, of) in rows {
            let (all, caught) = both(&of);
            self.line(format_args!("  {name}{all:>10}{caught:>10}  {}", bar(all, most)));
        }
    }

    fn top(&mut self, summary: &Summary) {
        self.ranked("Networks of clients that did not pass", &summary.networks);
        self.ranked("Domains of clients that did not pass", &summary.domains);
        self.ranked("Rules that denied", &summary.rules);
        self.ranked("Lists", &summary.lists);
        self.ranked("Limits", &summary.limits);
        if summary.rank_error > 0 {
            self.line(format_args!("  Each count may be {} too small.", summary.rank_error));
        }
    }

    fn ranked(&mut self, title: &str, list: &Ranked) {
        if list.is_empty() {
            return;
        }
        self.title(title);
        for (name, count) in list {
            self.line(format_args!("  {count:>10}  {}", Printable(name.as_bytes())));
        }
    }

    fn delays(&mut self, summary: &Summary) {
        for curve in &summary.curves {
            self.title(&format!("Other delays for class {}", curve.class));
            self.line("   delay  early caught  left before  conn-seconds   slots");
            for effect in curve.points.iter().filter(|effect| is_shown(effect, curve)) {
                self.effect(effect);
            }
            let proposal = proposal(curve);
            self.line(format_args!("  {proposal}"));
        }
        for (class, now, then) in &summary.what_if {
            self.title(&format!("What if --delay-{class} had been {}", brief(Some(then.delay))));
            self.line("   delay  early caught  left before  conn-seconds   slots");
            self.effect(now);
            self.effect(then);
        }
    }

    fn effect(&mut self, effect: &Effect) {
        let Effect { delay, early, hangups, seconds, at_least } = effect;
        let more = if *at_least { "  or more" } else { "" };
        let slots = slots(*seconds, self.span);
        self.line(format_args!(
            "  {delay:>6}{early:>14}{hangups:>13}{seconds:>14.0}{slots:>8}{more}"
        ));
    }

    fn false_positives(&mut self, summary: &Summary) {
        if !summary.false_positives.is_empty() {
            self.title(
                "Hosts that left or were refused, and passed later (a line for --static-file each)",
            );
        }
        for false_positive in &summary.false_positives {
            let (record, line) =
                (false_positive.record, Printable(false_positive.exception.as_bytes()).to_string());
            let (left, refused, passed) = (record.left, record.refused, record.passed);
            self.line(format_args!("  left {left}, refused {refused}, passed {passed}  {line}"));
        }
        if !summary.delayed.is_empty() {
            self.title(
                "Hosts that waited for their name most often (a line for --static-file each)",
            );
        }
        for (_, times, line) in &summary.delayed {
            self.line(format_args!("  {times:>10}  {}", Printable(line.as_bytes())));
        }
    }
}

/// Every fifth second, and the delay itself.
#[allow(clippy::float_cmp)]
fn is_shown(effect: &Effect, curve: &Curve) -> bool {
    effect.delay % 5.0 == 0.0 || effect.delay < 5.0 || effect.delay == curve.now.delay
}

fn bar(count: u64, most: u64) -> String {
    let length = (u128::from(count) * u128::from(BAR)).div_ceil(u128::from(most.max(1)));
    "#".repeat(usize::try_from(length).unwrap_or(0))
}
