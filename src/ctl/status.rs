//! `smtp-delayctl status`: what each child is doing, read from the scoreboard while the
//! daemon runs.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use lexopt::Arg;
use serde_json::{Value, json};

use super::failure::Failure;
use super::scoreboard::{Reading, locate, unreadable};
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::keeper::KeeperState;
use crate::daemon::scoreboard::stage::Stage;
use crate::daemon::scoreboard::status::{self, ChildStatus};
use crate::error::Usage;
use crate::file::lock::Holder;
use crate::known::asking::message::Where;
use crate::known::sharing::Sharing;
use crate::log::WOULD_REFUSE;
use crate::options::suggest::hint;

/// The interval of `--watch`.
const INTERVAL: Duration = Duration::from_secs(1);

/// The options.
#[derive(Default)]
struct Asked {
    file: Option<PathBuf>,
    json: bool,
    watch: bool,
}

/// Prints the status, once or until it is interrupted.
///
/// # Errors
/// 100 for wrong usage, 111 for a scoreboard that cannot be read, 3 if the daemon is
/// not running.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let asked = read(arguments)?;
    let file = locate(asked.file)?;
    let mut seen = false;
    loop {
        let mut reading = Reading::of(&file).map_err(|why| match why.kind() {
            io::ErrorKind::NotFound if seen => Failure::Gone(file.clone()),
            _ => unreadable(&file, why),
        })?;
        seen = true;
        let supervisor = reading.supervisor;
        let board = reading.board().map_err(|why| unreadable(&file, io::Error::other(why)))?;
        let text = if asked.json { in_json(&board, supervisor) } else { table(&board, supervisor) };
        show(&text, asked.watch).map_err(Failure::of_output)?;
        if supervisor == Holder::NoProcess {
            return Err(Failure::Gone(file));
        }
        if !asked.watch {
            return Ok(());
        }
        thread::sleep(INTERVAL);
    }
}

fn read(arguments: &[OsString]) -> Result<Asked, Usage> {
    let mut asked = Asked::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    let unreadable = |why: lexopt::Error| Usage::Unreadable(why.into());
    while let Some(argument) = parser.next().map_err(unreadable)? {
        match argument {
            Arg::Long("json") => asked.json = true,
            Arg::Long("watch") => asked.watch = true,
            Arg::Long("scoreboard") => {
                let option = "--scoreboard".into();
                let missing = |_| Usage::MissingValue { option, takes: "FILE" };
                asked.file = Some(parser.value().map_err(missing)?.into());
            }
            Arg::Long(name) => {
                let hint = hint(name, "--", ["json", "watch", "scoreboard"]);
                return Err(Usage::UnknownOption { option: format!("--{name}"), hint });
            }
            other => return Err(unreadable(other.unexpected())),
        }
    }
    Ok(asked)
}

/// With `--watch` a terminal is cleared first.
fn show(text: &str, watch: bool) -> io::Result<()> {
    let mut output = io::stdout().lock();
    if watch && output.is_terminal() {
        output.write_all(b"\x1b[H\x1b[2J")?;
    }
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// Clients in the order of their arrival, then idle children.
fn children(board: &Scoreboard<'_>) -> Vec<ChildStatus> {
    let mut children: Vec<ChildStatus> = status::children(board).collect();
    children.sort_by_key(|child| std::cmp::Reverse(child.client.map(|client| client.1)));
    children
}

fn host(child: &ChildStatus) -> Option<String> {
    child.host.as_ref().map(|host| host.escape_ascii().to_string())
}

fn table(board: &Scoreboard<'_>, supervisor: Holder) -> String {
    let mut text = String::new();
    let running = match supervisor {
        Holder::NoProcess => "is gone".into(),
        process => format!("has {process}"),
    };
    let (stats, sessions) = (status::stats(board), board.count(Stage::Prog));
    let _ = writeln!(
        text,
        "smtp-delayd on port {} {running}, started {} ago",
        board.port(),
        brief(board.age())
    );
    let _ = writeln!(
        text,
        "{}: {} idle, {} waiting, {sessions} with prog; {} lost",
        counted(stats.max as u64, "slot"),
        stats.idle,
        board.count(Stage::Busy),
        counted(board.lost(), "log line")
    );
    if let Some(time) = board.losing_for() {
        let _ = writeln!(
            text,
            "no log line has been taken for {}: is there a syslog daemon, or who reads standard \
             error?",
            brief(time)
        );
    }
    if let Some(keeper) = keeper_line(board.keeper()) {
        let _ = writeln!(text, "{keeper}");
    }
    if let Some(sharing) = board.keeper().sharing().and_then(sharing_line) {
        let _ = writeln!(text, "{sharing}");
    }
    let would_refuse = [(WOULD_REFUSE, stats.would_refuse)];
    let verdicts = in_line(stats.by_verdict().chain(would_refuse));
    let _ = writeln!(text, "{verdicts}\n{}\n", in_line(stats.by_class()));
    let _ = writeln!(text, "STATE    CLASS    SECONDS      PID  ADDRESS          NAME");
    for child in children(board) {
        let class = child.class.map_or("-".into(), |class| class.to_string());
        let seconds = child.client.map(|client| format!("{:.1}", client.1.as_secs_f64()));
        let ip = child.client.map(|client| client.0.to_string());
        let _ = writeln!(
            text,
            "{:<8} {class:<8} {:>7} {:>8}  {:<15}  {}",
            child.stage.word(),
            seconds.as_deref().unwrap_or("-"),
            child.pid,
            ip.as_deref().unwrap_or("-"),
            host(&child).as_deref().unwrap_or("-"),
        );
    }
    text
}

/// What the keeper of known clients says of itself, if there is one.
fn keeper_line(state: KeeperState) -> Option<String> {
    match state {
        KeeperState::Off => None,
        KeeperState::Silent => {
            Some("the keeper of known clients does not answer: every client counts as new".into())
        }
        KeeperState::Knows(clients, Where::Disk, _) => Some(counted(clients, "known client")),
        KeeperState::Knows(clients, Where::Memory, _) => {
            Some(format!("{}, in memory alone", counted(clients, "known client")))
        }
    }
}

/// A number of things that are called `noun` if there is one.
fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Whether known clients are shared, if they are to be.
fn sharing_line(sharing: Sharing) -> Option<String> {
    match sharing {
        Sharing::Off => None,
        Sharing::Up => Some("known clients are shared with other hosts".into()),
        Sharing::Down(_) => {
            Some(format!("known clients are not shared: the engine is {}", sharing.word()))
        }
    }
}

/// Counters on a line.
fn in_line(counters: impl Iterator<Item = (&'static str, u64)>) -> String {
    counters.map(|(key, count)| format!("{key} {count}")).collect::<Vec<_>>().join("  ")
}

/// `3d 4h`, `4h 5m`, `5m 6s` or `6s`.
fn brief(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [("d", seconds / 86_400), ("h", seconds / 3600 % 24), ("m", seconds / 60 % 60)];
    let units = units.into_iter().chain([("s", seconds % 60)]);
    let shown: Vec<String> = units
        .skip_while(|(unit, count)| *count == 0 && *unit != "s")
        .take(2)
        .map(|(unit, count)| format!("{count}{unit}"))
        .collect();
    shown.join(" ")
}

fn in_json(board: &Scoreboard<'_>, supervisor: Holder) -> String {
    let pid = match supervisor {
        Holder::Process(pid) => Some(pid),
        Holder::NoProcess | Holder::Unknown => None,
    };
    let stats = status::stats(board);
    let counters: serde_json::Map<String, Value> =
        stats.counters().map(|(key, count)| (key.into(), count.into())).collect();
    let children: Vec<Value> = children(board).iter().map(child_in_json).collect();
    let shown = json!({
        "pid": pid,
        "port": board.port(),
        "seconds": board.age().as_secs_f64(),
        "slots": stats.max,
        "idle": stats.idle,
        "waiting": board.count(Stage::Busy),
        "prog": board.count(Stage::Prog),
        "lost_log_lines": board.lost(),
        "known_clients": board.keeper().clients(),
        "keeper": board.keeper().word(),
        "sharing": board.keeper().sharing().map(Sharing::word),
        "losing_log_lines_for": board.losing_for().map(|time| time.as_secs_f64()),
        "counters": counters,
        "children": children,
    });
    format!("{shown}\n")
}

fn child_in_json(child: &ChildStatus) -> Value {
    json!({
        "state": child.stage.word(),
        "class": child.class.map(|class| class.to_string()),
        "address": child.client.map(|client: (IpAddr, Duration)| client.0.to_string()),
        "name": host(child),
        "seconds": child.client.map(|client| client.1.as_secs_f64()),
        "pid": child.pid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctl::scoreboard::damaged;

    #[test]
    fn times_are_brief() {
        let of = |seconds| brief(Duration::from_secs(seconds));
        assert_eq!([of(0), of(66), of(3600), of(90_000)], ["0s", "1m 6s", "1h 0m", "1d 1h"]);
    }

    #[test]
    fn one_known_client_is_one() {
        let line =
            |clients, place| keeper_line(KeeperState::Knows(clients, place, Sharing::Off)).unwrap();
        assert_eq!(line(0, Where::Disk), "0 known clients");
        assert_eq!(line(1, Where::Disk), "1 known client");
        assert_eq!(line(1, Where::Memory), "1 known client, in memory alone");
        assert_eq!(line(2, Where::Memory), "2 known clients, in memory alone");
    }

    #[test]
    fn whatever_a_file_holds_is_shown_or_refused() {
        damaged::each(|board, slots| {
            let text = table(board, Holder::Unknown);
            assert!(text.lines().count() <= 9 + slots, "{text}");
            let printable = |byte| (b' '..=b'~').contains(&byte) || byte == b'\n';
            assert!(text.bytes().all(printable), "{text}");
            let json = in_json(board, Holder::Process(1));
            let json: Value = serde_json::from_str(&json).unwrap();
            assert_eq!((&json["pid"], &json["slots"]), (&1.into(), &slots.into()));
        });
    }
}
