//! `smtp-delayctl report [FILE…]`: what the delays did to the clients of a log, and
//! what others would have done.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;
use lexopt::{Arg, ValueExt};

use super::{Failure, unprintable};
use crate::error::{Fatal, TROUBLE};
use crate::options::suggest::hint;
use crate::report::asked::{Asked, delays, moment};
use crate::report::counting::summary::Summary;
use crate::report::output::{html, json, text};
use crate::report::reading::merge::Unread;
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
        let message = "smtp-delayctl: fatal: there is no line of smtp-delay in the log \
                       (another tag is named by --tag)";
        return Err(Failure::new(TROUBLE, message));
    }
    put(&summary, &asked, &zone)?;
    match unread.iter().map(told).reduce(|all, one| all + "\n    " + &one) {
        Some(message) => Err(Failure::new(TROUBLE, message)),
        None => Ok(()),
    }
}

fn told(Unread { name, why }: &Unread) -> String {
    format!("smtp-delayctl: fatal: unable to read {name}: {why}")
}

fn put(summary: &Summary, asked: &Asked, zone: &TimeZone) -> Result<(), Failure> {
    if let Some(path) = &asked.html {
        write_page(path, &html::render(summary, zone))?;
        if !asked.json {
            return Ok(());
        }
    }
    let shown = if asked.json { json::render(summary) } else { text::render(summary, zone) };
    io::stdout().write_all(shown.as_bytes()).map_err(unprintable)
}

fn write_page(path: &Path, page: &str) -> Result<(), Failure> {
    let written = std::fs::write(path, page);
    written.map_err(|why| Fatal::unable(format_args!("write {}", path.display()), why).into())
}

fn usage(why: impl Into<String>) -> Failure {
    Fatal::Usage(why.into()).into()
}

fn parse(arguments: &[OsString], zone: &TimeZone) -> Result<Asked, Failure> {
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|why| usage(why.to_string()))? {
        match argument {
            Arg::Long("json") => asked.json = true,
            Arg::Value(file) => asked.files.push(file),
            Arg::Long(name) => {
                let name = name.to_string();
                take(&mut asked, &name, &mut parser, zone)?;
            }
            Arg::Short(letter) => return Err(usage(format!("unknown option -{letter}"))),
        }
    }
    if asked.files.is_empty() && io::stdin().is_terminal() {
        return Err(usage("report takes FILE, such as /var/log/mail.log, or - for standard input"));
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
) -> Result<(), Failure> {
    if !OPTIONS.contains(&name) {
        let hint = hint(name, "--", OPTIONS);
        return Err(usage(format!("unknown option --{}{hint}", name.escape_debug())));
    }
    let value = parser.value().map_err(|_| usage(format!("--{name} takes a value")))?;
    if name == "html" {
        asked.html = Some(value.into());
        return Ok(());
    }
    let value = value.string().map_err(|_| usage(format!("--{name} takes UTF-8")))?;
    let time = || {
        let now = ZonedDateTime::now().with_time_zone(zone.clone());
        let shown = value.escape_debug();
        let takes = "takes a time such as 2026-11-27, 2026-11-27T06:50, yesterday or 7d";
        moment(&value, &now).ok_or_else(|| usage(format!("--{name} {takes}, not `{shown}`")))
    };
    match name {
        "since" => asked.since = Some(time()?),
        "until" => asked.until = Some(time()?),
        "tag" => asked.tag = Some(value),
        "what-if" => asked.delays = delays(&value).map_err(usage)?,
        _ => {
            let top = value.parse().ok().filter(|top| *top > 0);
            asked.top = top.ok_or_else(|| usage("--top takes a number from 1"))?;
        }
    }
    Ok(())
}
