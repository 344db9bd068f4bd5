//! `smtp-delayctl report [FILE…]`: what the delays did to the clients of a log, and what
//! other delays would have done.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use lexopt::{Arg, ValueExt};

use super::failure::Failure;
use crate::error::{Fatal, Hint, Usage};
use crate::options::suggest::hint;
use crate::report::asked::{Asked, delays, moment};
use crate::report::counting::summary::Summary;
use crate::report::output::{html, json, text};
use crate::report::{is_empty, report};

const OPTIONS: [&str; 7] = ["html", "json", "since", "tag", "top", "until", "what-if"];

/// Prints the report, or writes it as a page.
///
/// # Errors
/// 100 for wrong usage, 111 for a file that cannot be read or written; the report of
/// all others is printed first.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let zone = TimeZone::system();
    let asked = parse(arguments, &zone)?;
    let (summary, unread) = report(&asked, &zone);
    if is_empty(&summary) && unread.is_empty() {
        return Err(Failure::NoLines);
    }
    put(&summary, &asked, &zone)?;
    if unread.is_empty() { Ok(()) } else { Err(Failure::Unread(unread)) }
}

fn put(summary: &Summary, asked: &Asked, zone: &TimeZone) -> Result<(), Failure> {
    if let Some(path) = &asked.html {
        write_page(path, &html::render(summary, zone))?;
        if !asked.json {
            return Ok(());
        }
    }
    let shown = if asked.json { json::render(summary) } else { text::render(summary, zone) };
    io::stdout().write_all(shown.as_bytes()).map_err(Failure::of_output)
}

fn write_page(path: &Path, page: &str) -> Result<(), Failure> {
    let written = std::fs::write(path, page);
    written.map_err(|why| Fatal::unable(format_args!("write {}", path.display()), why).into())
}

fn takes(what: impl Into<String>, takes: &'static str) -> Usage {
    Usage::Takes { what: what.into(), takes }
}

fn parse(arguments: &[OsString], zone: &TimeZone) -> Result<Asked, Usage> {
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|why| Usage::Unreadable(why.into()))? {
        match argument {
            Arg::Long("json") => asked.json = true,
            Arg::Value(file) => asked.files.push(file),
            Arg::Long(name) => {
                let name = name.to_string();
                take(&mut asked, &name, &mut parser, zone)?;
            }
            Arg::Short(letter) => {
                let option = format!("-{letter}");
                return Err(Usage::UnknownOption { option, hint: Hint::default() });
            }
        }
    }
    if asked.files.is_empty() && io::stdin().is_terminal() {
        return Err(takes("report", "FILE, such as /var/log/mail.log, or - for standard input"));
    }
    if asked.files.is_empty() {
        asked.files.push("-".into());
    }
    Ok(asked)
}

/// An option with a value.
fn take(
    asked: &mut Asked,
    name: &str,
    parser: &mut lexopt::Parser,
    zone: &TimeZone,
) -> Result<(), Usage> {
    let option = format!("--{name}");
    if !OPTIONS.contains(&name) {
        let hint = hint(name, "--", OPTIONS);
        return Err(Usage::UnknownOption { option, hint });
    }
    let missing = |_| Usage::MissingValue { option: option.clone(), takes: "a value" };
    let value = parser.value().map_err(missing)?;
    if name == "html" {
        asked.html = Some(value.into());
        return Ok(());
    }
    let value = value.string().map_err(|_| takes(&option, "UTF-8"))?;
    let time = || {
        let now = ZonedDateTime::now().with_time_zone(zone.clone());
        let wrong = || Usage::NoTime { option: option.clone(), value: value.clone() };
        moment(&value, &now).ok_or_else(wrong)
    };
    match name {
        "since" => asked.since = Some(time()?),
        "until" => asked.until = Some(time()?),
        "tag" => asked.tag = Some(value),
        "what-if" => asked.delays = delays(&value)?,
        _ => {
            let top = value.parse().ok().filter(|top| *top > 0);
            asked.top = top.ok_or_else(|| takes(&option, "a number from 1"))?;
        }
    }
    Ok(())
}
