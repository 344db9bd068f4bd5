//! `smtp-delayctl known`: asks the keeper which clients are known, and makes it forget
//! some.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use lexopt::Arg;
use nix::errno::Errno;
use nix::sys::signal::Signal;

use super::failure::Failure;
use crate::class::Class;
use crate::error::{Fatal, NotAnAddress, Usage};
use crate::known::asking::message::{Answer, Engines, Request, Why};
use crate::known::asking::{Asker, NoAnswer};
use crate::known::directory::USUAL;
use crate::known::entry::Entry;
use crate::known::key::Key;
use crate::known::record::{Record, Time};
use crate::known::rules::DAY;
use crate::known::share::decides;
use crate::known::sharing::Sharing;
use crate::options::suggest::hint;
use crate::sys;

/// How long the keeper may take for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The data of each client in a zone.
const ZONE_VALUE: &str = ":127.0.0.2:known to smtp-delay";

/// What is requested.
enum Action {
    List,
    Show(Key),
    Forget(IpNet),
    Export(Export),
}

/// Which clients are exported, and how.
#[derive(Default)]
struct Export {
    all: bool,
    zone: bool,
}

/// Asks the keeper.
///
/// # Errors
/// 100 for wrong usage, 1 where a client that is to be shown is not known, 111 where the
/// keeper does not answer.
pub fn run(arguments: &[OsString]) -> Result<(), Failure> {
    let (directory, action) = read(arguments)?;
    // A reader that has seen enough of a list ends it without a word.
    let _ = sys::reset(Signal::SIGPIPE);
    let keeper = Keeper::of(&directory)?;
    match action {
        Action::List => keeper.each(Key::FIRST, Key::LAST, |key, record| print(&line(key, record))),
        Action::Show(key) => keeper.show(key),
        Action::Forget(net) => keeper.forget(net),
        Action::Export(export) => keeper.export(&export),
    }
}

fn read(arguments: &[OsString]) -> Result<(PathBuf, Action), Usage> {
    let (mut directory, mut export) = (PathBuf::from(USUAL), Export::default());
    let mut words = Vec::new();
    let mut parser = lexopt::Parser::from_args(arguments);
    let unreadable = |why: lexopt::Error| Usage::Unreadable(why.into());
    while let Some(argument) = parser.next().map_err(unreadable)? {
        match argument {
            Arg::Long("known") => {
                let missing = |_| Usage::MissingValue { option: "--known".into(), takes: "DIR" };
                directory = parser.value().map_err(missing)?.into();
            }
            Arg::Long("all") => export.all = true,
            Arg::Long("zone") => export.zone = true,
            Arg::Long(name) => {
                let hint = hint(name, "--", ["known", "all", "zone"]);
                return Err(Usage::UnknownOption { option: format!("--{name}"), hint });
            }
            Arg::Value(value) => words.push(value.to_string_lossy().into_owned()),
            short @ Arg::Short(_) => return Err(unreadable(short.unexpected())),
        }
    }
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let action = match words.as_slice() {
        ["list"] => Action::List,
        ["show", ip] => Action::Show(client(ip)?),
        ["forget", net] => Action::Forget(network(net)?),
        ["export"] => return Ok((directory, Action::Export(export))),
        ["show", ..] => return Err(takes("known show", "IP")),
        ["forget", ..] => return Err(takes("known forget", "IP or NET")),
        [name, ..] if ["list", "export"].contains(name) => {
            return Err(Usage::Behind(format!("known {name}")));
        }
        [name, ..] => {
            let hint = hint(name, "", ["list", "show", "forget", "export"]);
            return Err(Usage::UnknownCommand { command: format!("known {name}"), hint });
        }
        [] => return Err(takes("known", "list, show IP, forget IP|NET or export")),
    };
    if export.all || export.zone {
        return Err(Usage::OnlyFor { options: "--all and --zone", command: "known export" });
    }
    Ok((directory, action))
}

fn takes(what: &str, takes: &'static str) -> Usage {
    Usage::Takes { what: what.into(), takes }
}

/// One client, by its address or as it is listed: `2001:db8:1:2::/64`.
fn client(text: &str) -> Result<Key, Usage> {
    let range = network(text).ok().map(Key::range);
    let only = range.filter(|range| range.start() == range.end());
    let invalid =
        || Usage::Invalid { option: "IP".into(), value: text.into(), why: NotAnAddress.into() };
    only.map(|range| *range.start()).ok_or_else(invalid)
}

fn network(text: &str) -> Result<IpNet, Usage> {
    let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    net.map_err(|_| Usage::NoNetwork(text.into()))
}

/// The keeper, as it is asked from here.
struct Keeper<'a> {
    asker: Asker,
    directory: &'a Path,
}

impl<'a> Keeper<'a> {
    fn of(directory: &'a Path) -> Result<Self, Failure> {
        match Asker::of_directory(directory) {
            Ok(asker) => Ok(Self { asker, directory }),
            Err(why) => Err(unanswered(directory, why.into())),
        }
    }

    fn ask(&self, request: Request) -> Result<Answer, Failure> {
        let answer = self.asker.exchange(request, PATIENCE);
        answer.map_err(|why| unanswered(self.directory, why))
    }

    /// Does something with each client from `first` to `last`.
    fn each(
        &self,
        first: Key,
        last: Key,
        mut work: impl FnMut(Key, &Record) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut from = Some(first);
        while let Some(first) = from.filter(|first| *first <= last) {
            let Answer::Page(page, next) = self.ask(Request::List(first))? else { break };
            for (key, record) in page.iter().filter(|(key, _)| *key <= last) {
                work(*key, record)?;
            }
            from = next;
        }
        Ok(())
    }

    fn show(&self, key: Key) -> Result<(), Failure> {
        let Answer::Shown(own, engines) = self.ask(Request::Show(key))? else {
            return Err(Failure::NotKnown(key));
        };
        own.map_or(Ok(()), |record| print(&line(key, &record)))?;
        engines_line(key, engines).map_or(Ok(()), |line| print(&line))?;
        if is_known(own, engines) { Ok(()) } else { Err(Failure::NotKnown(key)) }
    }

    fn forget(&self, net: IpNet) -> Result<(), Failure> {
        let (first, last) = Key::range(net).into_inner();
        let mut forgotten = 0;
        let mut forget = |key| {
            let answer = self.ask(Request::Forget(key, Why::Administrator))?;
            forgotten += u64::from(matches!(answer, Answer::Forgotten(Some(_))));
            Ok(())
        };
        if first == last {
            // Other hosts may know it: the keeper takes over what they have before it
            // answers.
            self.ask(Request::Ask(first))?;
            forget(first)?;
        } else {
            self.each(first, last, |key, _| forget(key))?;
        }
        print(&format!("forgotten: {forgotten}\n"))
    }

    /// IPv4 before IPv6, as the keys are sorted: each has a part of its own in a zone.
    fn export(&self, export: &Export) -> Result<(), Failure> {
        let mut family = None;
        self.each(Key::FIRST, Key::LAST, |key, record| {
            if !export.all && record.class != Class::Static {
                return Ok(());
            }
            let mut text = String::new();
            if export.zone
                && family.replace(key.address().is_ipv4()) != Some(key.address().is_ipv4())
            {
                let kind = if key.address().is_ipv4() { "ip4set" } else { "ip6trie" };
                let _ = writeln!(text, "$DATASET {kind} @\n{ZONE_VALUE}");
            }
            let _ = writeln!(text, "{key}");
            print(&text)
        })
    }
}

/// The keeper of `directory` does not answer.
pub(super) fn unanswered(directory: &Path, why: NoAnswer) -> Failure {
    let hint = match why {
        NoAnswer::System(Errno::ENOENT | Errno::ECONNREFUSED) => {
            ": no keeper is running there (use --known DIR)"
        }
        NoAnswer::System(Errno::EACCES) => ": only its user and root may ask",
        _ => "",
    };
    let what = format!("ask the keeper of {}", directory.display());
    Fatal::Unable { what, why: why.into(), hint, tcpserver: None }.into()
}

/// `ADDRESS class=CLASS count=N first=DAYS last=DAYS`: how long ago that was.
fn line(key: Key, record: &Record) -> String {
    format!("{key} {}\n", facts(record))
}

/// `ADDRESS shared ...`: what the engine has by which clients are shared, if there is one.
fn engines_line(key: Key, engines: Engines) -> Option<String> {
    let what = match engines {
        Engines::NotAsked(Sharing::Off) => return None,
        Engines::NotAsked(Sharing::Up) => "slow".into(),
        Engines::NotAsked(state @ Sharing::Down(_)) => state.word().into(),
        Engines::Asked(None) => "-".into(),
        Engines::Asked(Some(Entry::Known(record))) => facts(&record),
        Engines::Asked(Some(Entry::Forgotten(time))) => format!("forgotten={:.2}", age(time)),
    };
    Some(format!("{key} shared {what}\n"))
}

/// Whether a client of which this is remembered is known.
fn is_known(own: Option<Record>, engines: Engines) -> bool {
    let own_entry = own.map(Entry::Known);
    match engines {
        Engines::Asked(Some(entry)) if decides(entry, own_entry) => {
            matches!(entry, Entry::Known(_))
        }
        _ => own.is_some(),
    }
}

/// `class=CLASS count=N first=DAYS last=DAYS`.
pub(super) fn facts(record: &Record) -> String {
    let Record { count, class, first, last } = *record;
    format!("class={class} count={count} first={:.2} last={:.2}", age(first), age(last))
}

/// How many days ago that was.
pub(super) fn age(time: Time) -> f64 {
    time.until(Time::now()).as_secs_f64() / DAY.as_secs_f64()
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::of_output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(line: &str) -> Result<(PathBuf, Action), Usage> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        read(&words)
    }

    #[test]
    fn mistakes_are_reported() {
        let mistake = |line| reading(line).err().unwrap().to_string();
        assert_eq!(mistake(""), "known takes list, show IP, forget IP|NET or export");
        assert_eq!(mistake("lst"), "unknown command known lst: did you mean list?");
        assert_eq!(mistake("show"), "known show takes IP");
        assert!(mistake("show 192.0.2").contains("it is not a valid address"));
        assert!(mistake("forget 192.0.2.0/33").contains("neither an address nor a network"));
        assert_eq!(mistake("list more"), "there is something behind known list");
        assert_eq!(mistake("list --zone"), "--all and --zone are for known export");
        assert_eq!(mistake("--knwn x list"), "unknown option --knwn: did you mean --known?");
        assert_eq!(mistake("list --known"), "--known takes DIR");
    }

    #[test]
    fn one_client_is_shown_however_it_is_written() {
        let shown = |text: &str| client(text).ok().map(|key| key.to_string());
        for text in ["192.0.2.7", "::ffff:192.0.2.7", "::FFFF:c000:207", "192.0.2.7/32"] {
            assert_eq!(shown(text).as_deref(), Some("192.0.2.7"), "{text}");
        }
        for text in
            ["2001:db8:1:2::3", "2001:DB8:1:2:3::", "2001:db8:1:2::/64", "2001:db8:1:2::7/128"]
        {
            assert_eq!(shown(text).as_deref(), Some("2001:db8:1:2::/64"), "{text}");
        }
        for text in ["192.0.2.0/24", "2001:db8::/48", "mx.example.org", ""] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in ["--known /x export --zone", "export --zone --known /x"] {
            let (directory, action) = reading(line).unwrap();
            assert_eq!(directory, Path::new("/x"));
            assert!(matches!(action, Action::Export(Export { all: false, zone: true })));
        }
        assert_eq!(reading("list").unwrap().0, Path::new(USUAL));
    }

    #[test]
    fn a_client_is_a_line() {
        let now = Time::now().0;
        let record = Record {
            first: Time(now - 86_400 * 36),
            last: Time(now - 43_200),
            count: 7,
            class: Class::Static,
        };
        let key = Key::of("2001:db8:1:2::3".parse().unwrap());
        let expected = "2001:db8:1:2::/64 class=static count=7 first=36.00 last=0.50\n";
        assert_eq!(line(key, &record), expected);
    }
}
