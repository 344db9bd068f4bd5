//! `smtp-delayctl metrics`: the counters of a daemon as Prometheus reads them, for the
//! textfile collector of its `node_exporter`.

mod families;

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use lexopt::Arg;

use super::failure::Failure;
use super::scoreboard::{Reading, locate, unreadable};
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::stage::Stage;
use crate::daemon::scoreboard::status;
use crate::error::{Fatal, Usage};
use crate::file::entry::Entry;
use crate::file::lock::Holder;
use crate::known::sharing::Sharing;
use crate::options::suggest::hint;
use families::{Families, Kind, Label};

/// The collector often runs as another user.
const MODE: u32 = 0o644;

/// The options.
#[derive(Default)]
struct Asked {
    scoreboard: Option<PathBuf>,
    output: Option<PathBuf>,
    /// A label of every figure, which tells daemons apart.
    label: Option<Label>,
}

/// Prints the figures, or writes them to a file.  Those of a daemon that is gone, or whose
/// scoreboard cannot be read, are replaced by `smtp_delayd_up 0`: a collector would
/// go on showing the last ones.
///
/// # Errors
/// 100 for wrong usage, 111 for a scoreboard that cannot be read or a file that cannot be
/// written, 3 if the daemon is not running.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let Asked { scoreboard, output, label } = read(arguments)?;
    let figures = figures(scoreboard, label.as_ref());
    put(figures.as_deref().unwrap_or(&down(label.as_ref())), output.as_deref())?;
    figures.map(drop)
}

fn read(arguments: &[OsString]) -> Result<Asked, Usage> {
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    let unreadable = |why: lexopt::Error| Usage::Unreadable(why.into());
    while let Some(argument) = parser.next().map_err(unreadable)? {
        let (option, takes) = match argument {
            Arg::Long("scoreboard") => ("--scoreboard", "FILE"),
            Arg::Long("output") => ("--output", "FILE"),
            Arg::Long("label") => ("--label", "NAME=VALUE"),
            Arg::Long(name) => {
                let hint = hint(name, "--", ["scoreboard", "output", "label"]);
                return Err(Usage::UnknownOption { option: format!("--{name}"), hint });
            }
            other => return Err(unreadable(other.unexpected())),
        };
        let missing = |_| Usage::MissingValue { option: option.into(), takes };
        let value = parser.value().map_err(missing)?;
        match option {
            "--scoreboard" => asked.scoreboard = Some(value.into()),
            "--output" => asked.output = Some(value.into()),
            _ => asked.label = Some(Label::parse(&value)?),
        }
    }
    Ok(asked)
}

/// The figures of a daemon that is running.
fn figures(scoreboard: Option<PathBuf>, label: Option<&Label>) -> Result<String, Failure> {
    let file = locate(scoreboard)?;
    let mut reading = Reading::of(&file).map_err(|why| unreadable(&file, why))?;
    let supervisor = reading.supervisor;
    let board = reading.board().map_err(|why| unreadable(&file, io::Error::other(why)))?;
    if supervisor == Holder::NoProcess { Err(Failure::Gone(file)) } else { Ok(up(&board, label)) }
}

fn put(text: &str, output: Option<&Path>) -> Result<(), Failure> {
    let Some(path) = output else {
        return io::stdout().write_all(text.as_bytes()).map_err(Failure::of_output);
    };
    let permissions = Permissions::from_mode(MODE);
    let written = Entry::at(path).and_then(|entry| entry.replace(text.as_bytes(), permissions));
    written.map_err(|why| Fatal::unable(format_args!("write {}", path.display()), why).into())
}

fn add_up(families: &mut Families<'_>, value: u8) {
    let help = "Whether the daemon is running and its scoreboard could be read.";
    families.one("up", Kind::Gauge, help, value);
}

/// What is told of a daemon that is gone.
fn down(label: Option<&Label>) -> String {
    let mut families = Families::new(label);
    add_up(&mut families, 0);
    families.into_text()
}

fn up(board: &Scoreboard<'_>, label: Option<&Label>) -> String {
    let mut families = Families::new(label);
    add_up(&mut families, 1);
    let help = "When the daemon was started, in seconds since 1970.";
    families.one("start_time_seconds", Kind::Gauge, help, started(board).as_secs());
    let stats = status::stats(board);
    let help = "Clients that were served, by verdict.";
    families.each("clients_total", Kind::Counter, help, "verdict", stats.by_verdict());
    let help = "Clients that a dry run would have refused; they have another verdict.";
    families.one("would_refuse_total", Kind::Counter, help, stats.would_refuse);
    let help = "Clients that were classified, by class.";
    families.each("classified_total", Kind::Counter, help, "class", stats.by_class());
    let children = Stage::ALL.into_iter().map(|stage| (stage.word(), board.count(stage)));
    let help = "Children by state: idle, waiting with a client, or running the program.";
    families.each("children", Kind::Gauge, help, "state", children);
    families.one("slots", Kind::Gauge, "The most children that there may be.", stats.max);
    let help = "Log lines that no syslog daemon, or reader of standard error, has taken.";
    families.one("log_lines_lost_total", Kind::Counter, help, board.lost());
    if let Some(clients) = board.keeper().clients() {
        let help = "Clients that the keeper of known clients remembers.";
        families.one("known_clients", Kind::Gauge, help, clients);
    }
    if let Some(is_up) = board.keeper().sharing().and_then(Sharing::is_up) {
        let help = "Whether known clients are shared with other hosts.";
        families.one("share_up", Kind::Gauge, help, u8::from(is_up));
    }
    families.into_text()
}

/// Since 1970, rounded to a second: whoever counts restarts by its changes must not see
/// the microseconds between two clocks.
fn started(board: &Scoreboard<'_>) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(board.age()) + Duration::from_millis(500)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::scoreboard::damaged;

    fn reading(line: &str) -> Result<Asked, Usage> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        read(&words)
    }

    #[test]
    fn mistakes_are_reported() {
        let mistake = |line| reading(line).err().unwrap().to_string();
        assert_eq!(mistake("--outptu x"), "unknown option --outptu: did you mean --output?");
        assert_eq!(mistake("--output"), "--output takes FILE");
        assert!(mistake("x").contains('x') && mistake("-x").contains("-x"));
        assert_eq!(mistake("--label"), "--label takes NAME=VALUE");
        assert!(mistake("--label up").starts_with("--label takes NAME=VALUE"));
        let asked = reading("--output=a --scoreboard b").unwrap();
        assert_eq!((asked.output, asked.scoreboard), (Some("a".into()), Some("b".into())));
    }

    /// Checks that `text` is families of HELP, TYPE and at least one figure; their names.
    fn families_of(text: &str) -> Vec<&str> {
        let mut lines = text.lines().peekable();
        let mut names = Vec::new();
        while let Some(help) = lines.next() {
            let name = help.strip_prefix("# HELP ").unwrap().split(' ').next().unwrap();
            let kind = lines.next().unwrap().strip_prefix(&format!("# TYPE {name} ")).unwrap();
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} {kind}");
            let mut figures = 0;
            while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
                let (figure, value) = line.rsplit_once(' ').unwrap();
                assert_eq!(figure.split('{').next(), Some(name), "{line}");
                value.parse::<u64>().unwrap();
                figures += 1;
            }
            assert!(figures > 0, "{name}");
            names.push(name.strip_prefix("smtp_delayd_").unwrap());
        }
        names
    }

    const ALWAYS: [&str; 8] = [
        "up",
        "start_time_seconds",
        "clients_total",
        "would_refuse_total",
        "classified_total",
        "children",
        "slots",
        "log_lines_lost_total",
    ];

    #[test]
    fn whatever_a_scoreboard_holds_is_in_the_format() {
        damaged::each(|board, slots| {
            let text = up(board, None);
            let families = families_of(&text);
            let (always, known) = families.split_at(ALWAYS.len());
            assert_eq!(always, ALWAYS, "{text}");
            assert_eq!(!known.is_empty(), board.keeper().clients().is_some(), "{text}");
            let stats = status::stats(board);
            let has = |line: String| assert!(text.contains(&format!("\n{line}\n")), "{line}{text}");
            has(format!("smtp_delayd_slots {slots}"));
            has(format!("smtp_delayd_children{{state=\"idle\"}} {}", stats.idle));
            for (key, count) in stats.by_verdict() {
                has(format!("smtp_delayd_clients_total{{verdict=\"{key}\"}} {count}"));
            }
            for (key, count) in stats.by_class() {
                has(format!("smtp_delayd_classified_total{{class=\"{key}\"}} {count}"));
            }
        });
    }

    #[test]
    fn of_a_daemon_that_is_gone_nothing_else_is_told() {
        let text = down(None);
        assert_eq!(families_of(&text), ["up"]);
        assert!(text.ends_with("\nsmtp_delayd_up 0\n"), "{text}");
    }
}
