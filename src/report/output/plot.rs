//! The plots of the page, as SVG: bars, and the curve of a class.  A crate would be more
//! code than these two shapes, in the page's own colours, light and dark.

use std::fmt::Write as _;

use super::html_escape::HtmlEscape;
use crate::report::counting::what_if::{Curve, Effect};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 200.0;
/// Room for the names below, and for the greatest number on the left.
const BELOW: f64 = 22.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 12.0;
/// The most names that fit below bars.
const NAMES: usize = 16;

/// Bars with their names below, one or two beside each other.
#[must_use]
pub(super) fn bars(names: &[&str], series: &[&[u64]], title: &str) -> String {
    let most = series.iter().flat_map(|counts| counts.iter()).copied().max().unwrap_or(0);
    let mut svg = start(title, &most.to_string());
    let step = (WIDTH - LEFT) / length(names.len().max(1));
    let width = step * 0.8 / length(series.len().max(1));
    for (number, (counts, class)) in series.iter().zip(["one", "two"]).enumerate() {
        for (place, count) in counts.iter().enumerate() {
            let height = share(*count, most) * plot_height();
            let x = LEFT + length(place) * step + step * 0.1 + length(number) * width;
            let y = bottom() - height;
            let name = names.get(place).copied().unwrap_or_default();
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
                 height=\"{height:.1}\"><title>{}: {count}</title></rect>",
                HtmlEscape(name)
            );
        }
    }
    let every = names.len().div_ceil(NAMES).max(1);
    for (place, name) in names.iter().enumerate().step_by(every) {
        put_name(&mut svg, LEFT + (length(place) + 0.5) * step, name);
    }
    svg + "</svg>\n"
}

/// What is caught (first colour) and the connection-seconds (second), against the
/// delay; each as a part of its most.
#[must_use]
pub(super) fn curve_plot(curve: &Curve) -> String {
    let title = format!("Class {}: caught, and connection-seconds, by delay", curve.class);
    let mut svg = start(&title, "100 %");
    let longest = curve.points.last().map_or(1.0, |point| point.delay).max(1.0);
    let x = |delay: f64| LEFT + delay / longest * (WIDTH - LEFT - 10.0);
    let caught: fn(&Effect) -> f64 = |effect| length(usize::try_from(effect.caught()).unwrap_or(0));
    let seconds: fn(&Effect) -> f64 = |effect| effect.seconds;
    for (class, value) in [("one", caught), ("two", seconds)] {
        let most = curve.points.iter().map(value).fold(f64::MIN_POSITIVE, f64::max);
        let point = |effect: &Effect| {
            format!("{:.1},{:.1}", x(effect.delay), bottom() - value(effect) / most * plot_height())
        };
        let points = curve.points.iter().map(point).collect::<Vec<_>>().join(" ");
        let _ = writeln!(svg, "<polyline class=\"{class}\" points=\"{points}\"/>");
    }
    let now = x(curve.now.delay.min(longest));
    let _ = writeln!(
        svg,
        "<line class=\"now\" x1=\"{now:.1}\" x2=\"{now:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>",
        bottom()
    );
    for point in curve.points.iter().step_by(5) {
        put_name(&mut svg, x(point.delay), &point.delay.to_string());
    }
    svg + "</svg>\n"
}

fn start(title: &str, most: &str) -> String {
    let (title, most, bottom) = (HtmlEscape(title), HtmlEscape(most), bottom());
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">\n\
         <title>{title}</title>\n\
         <line class=\"axis\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{bottom}\" y2=\"{bottom}\"/>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{most}</text>\n",
        LEFT - 6.0,
        TOP + 6.0
    )
}

fn put_name(svg: &mut String, x: f64, name: &str) {
    let y = HEIGHT - 6.0;
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>",
        HtmlEscape(name)
    );
}

fn bottom() -> f64 {
    HEIGHT - BELOW
}

fn plot_height() -> f64 {
    bottom() - TOP
}

#[allow(clippy::cast_precision_loss)]
fn share(count: u64, most: u64) -> f64 {
    count as f64 / most.max(1) as f64
}

#[allow(clippy::cast_precision_loss)]
fn length(number: usize) -> f64 {
    number as f64
}
