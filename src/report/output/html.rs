//! The report as one page without scripts, and without fonts or pictures from elsewhere; no
//! host name can add any.

use std::fmt::{self, Write as _};

use jiff::tz::TimeZone;

use super::html_escape::HtmlEscape;
use super::plot::{bars, curve_plot};
use super::wording::{both, brief, change, class_name, local_time, proposal, seconds, slots};
use crate::report::counting::summary::{Held, Ranked, Summary};
use crate::report::counting::what_if::{Curve, Effect};
use crate::report::reading::line::Verdict;
use crate::report::reading::moment::Moment;

/// Nothing is loaded and nothing runs, whatever the page contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'";
const STYLE: &str = include_str!("page.css");

/// The page; times are those of `zone`.
#[must_use]
pub fn render(summary: &Summary, zone: &TimeZone) -> String {
    let mut page = Page { out: String::new(), span: summary.span, zone };
    page.head(summary);
    page.clients(summary);
    page.classes(summary);
    page.times(summary);
    page.when(summary);
    page.delays(summary);
    page.false_positives(summary);
    page.top(summary);
    page.put("</main></body></html>\n");
    page.out
}

struct Page<'a> {
    out: String,
    span: Option<(Moment, Moment)>,
    zone: &'a TimeZone,
}

impl Page<'_> {
    fn put(&mut self, html: impl fmt::Display) {
        let _ = write!(self.out, "{html}");
    }

    fn title(&mut self, title: &str) {
        self.put(format_args!("<h2>{}</h2>\n", HtmlEscape(title)));
    }

    /// A plot; it may be wider than a telephone's screen.
    fn plot(&mut self, svg: &str) {
        self.put(format_args!("<div class=\"wide\">{svg}</div>\n"));
    }

    /// The meaning of the two colours of the plot below.
    fn key(&mut self, one: &str, two: &str) {
        self.put(format_args!(
            "<p class=\"key\"><b>{}</b><b>{}</b></p>\n",
            HtmlEscape(one),
            HtmlEscape(two)
        ));
    }

    fn paragraph(&mut self, text: &str) {
        self.put(format_args!("<p>{}</p>\n", HtmlEscape(text)));
    }

    /// A table; all cells but the first of a row are numbers.
    fn table(&mut self, head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) {
        let long = if head[0].is_empty() || head[0].starts_with("line") { " long" } else { "" };
        self.put(format_args!("<div class=\"wide{long}\"><table><thead><tr>"));
        for cell in head {
            self.put(format_args!("<th>{}</th>", HtmlEscape(cell)));
        }
        self.put("</tr></thead><tbody>\n");
        for row in rows {
            self.put("<tr>");
            for cell in &row {
                self.put(format_args!("<td>{}</td>", HtmlEscape(cell)));
            }
            self.put("</tr>\n");
        }
        self.put("</tbody></table></div>\n");
    }

    fn head(&mut self, summary: &Summary) {
        self.put(format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta name=\"referrer\" content=\"no-referrer\">\n\
             <title>smtp-delay: report</title>\n<style>\n{STYLE}</style></head><body><main>\n\
             <h1>smtp-delay: report</h1>\n"
        ));
        let (lines, service) = (&summary.lines, &summary.service);
        if let Some((first, last)) = summary.span {
            let (first, last) = (local_time(first, self.zone), local_time(last, self.zone));
            self.paragraph(&format!("{first} to {last}"));
        }
        self.paragraph(&format!(
            "{} lines, {} of smtp-delay, {} of them not understood; {} lost. \
             {} starts, {} reloads, {} stops.",
            lines.read,
            lines.ours,
            lines.bad,
            service.lost,
            service.starts,
            service.reloads,
            service.stops
        ));
    }

    fn clients(&mut self, summary: &Summary) {
        self.title("Clients");
        let names = Verdict::ALL.map(Verdict::word);
        self.plot(&bars(&names, &[&summary.clients], "Clients by verdict"));
        let told: u64 = summary.told_only.iter().sum();
        if told > 0 {
            self.paragraph(&format!("{told} refusals were told and not carried out."));
        }
        self.held("Waiting", &summary.waiting);
        self.held("Waiting or with the program", &summary.held);
    }

    fn held(&mut self, what: &str, held: &Held) {
        if let (Some(average), Some((most, at))) = (held.average, held.most) {
            let at = local_time(at, self.zone);
            self.paragraph(&format!("{what}: {average:.1} on average, {most} at most ({at})."));
        }
    }

    fn classes(&mut self, summary: &Summary) {
        self.title("Classes");
        let head = [
            "class",
            "delay",
            "pass",
            "early",
            "hangup",
            "others",
            "conn-seconds",
            "half waited",
            "90 %",
            "99 %",
            "all",
        ];
        let rows = summary.classes.iter().map(|row| {
            let [pass, early, hangup, others @ ..] = row.clients;
            let mut cells = vec![class_name(row.class), brief(row.delay)];
            let others: u64 = others.iter().sum();
            cells.extend([pass, early, hangup, others].map(|count| count.to_string()));
            cells.push(format!("{:.0}", row.seconds));
            cells.extend(row.waits.map(seconds));
            cells
        });
        self.table(&head, rows);
        let [known, new] = summary.greeting;
        if known[0].is_some() {
            let row = |name: &str, of: [Option<f64>; 4]| {
                [vec![name.to_string()], of.map(seconds).to_vec()].concat()
            };
            let head = ["seconds to the greeting", "half", "90 %", "99 %", "all"];
            self.table(&head, [row("known clients", known), row("others", new)]);
        }
    }

    fn times(&mut self, summary: &Summary) {
        let count = summary.classes.first().map_or(0, |row| row.talk.len());
        let names: Vec<String> = (0..count).map(|second| second.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for row in &summary.classes {
            let class = class_name(row.class);
            if row.talk.iter().chain(&row.leave).all(|count| *count == 0) {
                continue;
            }
            self.title(&format!("Class {class}: the second in which clients talked or left"));
            let what = format!("Early talkers and hang-ups of class {class}, by second");
            self.key("talked", "left");
            self.plot(&bars(&names, &[&row.talk, &row.leave], &what));
        }
    }

    fn when(&mut self, summary: &Summary) {
        if summary.days.is_empty() {
            return;
        }
        self.title("Hours of the day");
        let names: Vec<String> = (0..24).map(|hour| format!("{hour:02}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let (all, caught): (Vec<u64>, Vec<u64>) = summary.hours.iter().map(both).unzip();
        self.key("all", "not passed");
        self.plot(&bars(&names, &[&all, &caught], "Clients by hour of the day"));
        self.title("Days");
        let mut before = 0;
        let rows: Vec<Vec<String>> = summary
            .days
            .iter()
            .map(|(date, of)| {
                let (all, caught) = both(of);
                let change = change(std::mem::replace(&mut before, all), all);
                vec![date.to_string(), all.to_string(), caught.to_string(), change]
            })
            .collect();
        self.table(&["day", "clients", "not passed", "change"], rows);
    }

    fn delays(&mut self, summary: &Summary) {
        for curve in &summary.curves {
            self.title(&format!("Other delays for class {}", curve.class));
            self.key("caught", "connection-seconds");
            self.plot(&curve_plot(curve));
            self.paragraph(&proposal(curve));
            self.points(curve);
        }
        for (class, now, then) in &summary.what_if {
            self.title(&format!("What if --delay-{class} had been {}", brief(Some(then.delay))));
            self.effects([now, then].into_iter());
        }
    }

    fn points(&mut self, curve: &Curve) {
        self.put("<details><summary>As a table</summary>\n");
        self.effects(curve.points.iter());
        self.put("</details>\n");
    }

    fn effects<'a>(&mut self, effects: impl Iterator<Item = &'a Effect>) {
        let span = self.span;
        let rows = effects.map(|effect| {
            let Effect { delay, early, hangups, seconds, at_least } = effect;
            let more = if *at_least { "or more" } else { "" };
            vec![
                delay.to_string(),
                early.to_string(),
                hangups.to_string(),
                format!("{seconds:.0}"),
                slots(*seconds, span),
                more.to_string(),
            ]
        });
        self.table(&["delay", "early caught", "left before", "conn-seconds", "slots", ""], rows);
    }

    fn false_positives(&mut self, summary: &Summary) {
        if !summary.false_positives.is_empty() {
            self.title("Hosts that left or were refused, and passed later");
            let rows = summary.false_positives.iter().map(|false_positive| {
                let record = false_positive.record;
                let counts =
                    [record.left, record.refused, record.passed].map(|count| count.to_string());
                [vec![false_positive.exception.clone()], counts.to_vec()].concat()
            });
            self.table(&["line for --static-file", "left", "refused", "passed"], rows);
        }
        if !summary.delayed.is_empty() {
            self.title("Hosts that waited for their name most often");
            let rows = summary
                .delayed
                .iter()
                .map(|(_, times, line)| vec![line.clone(), times.to_string()]);
            self.table(&["line for --static-file", "passed"], rows);
        }
    }

    fn top(&mut self, summary: &Summary) {
        self.ranked("Networks of clients that did not pass", &summary.networks);
        self.ranked("Domains of clients that did not pass", &summary.domains);
        self.ranked("Rules that denied", &summary.rules);
        self.ranked("Lists", &summary.lists);
        self.ranked("Limits", &summary.limits);
        if summary.rank_error > 0 {
            self.paragraph(&format!("Each count may be {} too small.", summary.rank_error));
        }
    }

    fn ranked(&mut self, title: &str, list: &Ranked) {
        if !list.is_empty() {
            self.title(title);
            let rows = list.iter().map(|(name, count)| vec![name.clone(), count.to_string()]);
            self.table(&["", "clients"], rows);
        }
    }
}
