//! The one table of options.  The command line, `--help` and the test that
//! holds the man page against the code all read it.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

use super::values::{
    Value, choice, count, networks, number, reply_text, resolver, seconds_value, text,
};
use super::{EarlyTalk, Options, RefuseBy, Verbosity};

/// The networks whose nameless clients count as `static` unless
/// `--local-nets` says otherwise.
pub const LOCAL_NETS: &str = "127.0.0.1 ::1 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 \
                              169.254.0.0/16 fc00::/7 fe80::/10";

/// Most slots that `-c` takes: what a process table of 2^22 ids leaves room for.
const MOST_SLOTS: u32 = 100_000;

/// What an option does.
#[derive(Clone, Copy)]
pub enum Setter {
    /// It stands alone.
    Flag(fn(&mut Options)),
    /// It takes an argument.
    Value(fn(&mut Options, &OsStr) -> Value<()>),
    /// It is answered at once, and nothing runs (`--help`).
    Answer,
}

/// One option.
pub struct Opt {
    /// The long name, without dashes.
    pub long: Option<&'static str>,
    /// The letter.
    pub letter: Option<char>,
    /// What its argument is called.
    pub argument: Option<&'static str>,
    /// What it does, in a few words; the default in brackets.
    pub help: &'static str,
    /// What it sets.
    pub setter: Setter,
}

impl Opt {
    /// The name as it is typed: `-c` or `--delay`.
    #[must_use]
    pub fn written(&self) -> String {
        match (self.letter, self.long) {
            (Some(letter), _) => format!("-{letter}"),
            (None, Some(long)) => format!("--{long}"),
            (None, None) => String::new(),
        }
    }
}

type SetFlag = fn(&mut Options);
type SetValue = fn(&mut Options, &OsStr) -> Value<()>;

const fn letter(letter: char, help: &'static str, set: SetFlag) -> Opt {
    Opt { long: None, letter: Some(letter), argument: None, help, setter: Setter::Flag(set) }
}

const fn letter_with(
    letter: char,
    argument: &'static str,
    help: &'static str,
    set: SetValue,
) -> Opt {
    let setter = Setter::Value(set);
    Opt { long: None, letter: Some(letter), argument: Some(argument), help, setter }
}

const fn flag(long: &'static str, help: &'static str, set: SetFlag) -> Opt {
    Opt { long: Some(long), letter: None, argument: None, help, setter: Setter::Flag(set) }
}

const fn with(
    long: &'static str,
    argument: &'static str,
    help: &'static str,
    set: SetValue,
) -> Opt {
    let setter = Setter::Value(set);
    Opt { long: Some(long), letter: None, argument: Some(argument), help, setter }
}

const fn answer(long: &'static str, help: &'static str) -> Opt {
    Opt { long: Some(long), letter: None, argument: None, help, setter: Setter::Answer }
}

/// Assigns what a reader makes of the argument.
macro_rules! store {
    ($reader:expr => $($field:ident).+) => {
        |options, value| {
            options.$($field).+ = $reader(value)?.into();
            Ok(())
        }
    };
}

const EARLY: &[(&str, EarlyTalk)] =
    &[("refuse", EarlyTalk::Refuse), ("rblsmtpd", EarlyTalk::Rblsmtpd), ("log", EarlyTalk::Log)];
const REFUSE: &[(&str, RefuseBy)] = &[("drop", RefuseBy::Drop), ("talk", RefuseBy::Talk)];

fn owned(value: &OsStr) -> Value<String> {
    text(value).map(String::from)
}

/// All options, in the order of the help text.
pub static OPTIONS: &[Opt] = &[
    letter('q', "print nothing at all", |o| o.verbosity = Verbosity::Quiet),
    letter('Q', "print decisions and errors [yes]", |o| o.verbosity = Verbosity::Normal),
    letter('v', "print tcpserver's status lines too", |o| o.verbosity = Verbosity::Verbose),
    letter_with(
        'c',
        "N",
        "at most N connections at once [40]",
        store!(|v| count(v, 1..=MOST_SLOTS) => slots),
    ),
    letter_with(
        'b',
        "N",
        "let about N clients queue for a child [-c, from 20 to 1024]",
        store!(|v| number(v, 0..=65_535).map(Some) => backlog),
    ),
    letter_with('B', "BANNER", "write BANNER at once, and do not watch", |o, v| {
        o.banner = v.as_encoded_bytes().to_vec();
        Ok(())
    }),
    letter_with('g', "GROUP", "switch to this group", store!(|v| owned(v).map(Some) => group)),
    letter_with('u', "USER", "switch to this user", store!(|v| owned(v).map(Some) => user)),
    letter('U', "switch to $UID and $GID", |o| o.ids_from_environment = true),
    letter('1', "print the local port on standard output", |o| o.print_port = true),
    letter_with(
        'l',
        "NAME",
        "NAME is the local host's name; do not look it up",
        store!(|v| owned(v).map(Some) => local_name),
    ),
    letter('h', "look the client's name up [yes]", |o| o.look_up = true),
    letter('H', "do not, and give up the classes", |o| o.look_up = false),
    letter('p', "drop a name that does not lead back to the address", |o| o.paranoid = true),
    letter('P', "keep it [yes]", |o| o.paranoid = false),
    letter('r', "ask the client's ident server (TCPREMOTEINFO)", |o| o.ident = true),
    letter('R', "do not [yes]", |o| o.ident = false),
    letter_with(
        't',
        "SECS",
        "how long the ident server has [26]",
        store!(seconds_value => ident_timeout),
    ),
    letter_with(
        'x',
        "CDB",
        "rules that tcprules compiled",
        store!(|v| Ok::<_, String>(Some(PathBuf::from(v))) => cdb),
    ),
    letter('X', "allow everybody if that file is missing", |o| o.cdb_may_be_missing = true),
    letter('o', "leave the client's IP options alone", |o| o.kill_ip_options = false),
    letter('O', "take them away [yes]", |o| o.kill_ip_options = true),
    letter('D', "send small packets at once (TCP_NODELAY)", |o| o.no_delay = true),
    letter('d', "let the kernel delay them [yes]", |o| o.no_delay = false),
    with(
        "delay-static",
        "SECS",
        "delay of every other client [2]",
        store!(seconds_value => delays.ordinary),
    ),
    with(
        "delay-dynamic",
        "SECS",
        "delay of names that look like an end user's line [12]",
        store!(seconds_value => delays.dynamic),
    ),
    with(
        "delay-none",
        "SECS",
        "delay of clients without a name [20]",
        store!(seconds_value => delays.none),
    ),
    with(
        "delay-unknown",
        "SECS",
        "delay where the look-up failed [12]",
        store!(seconds_value => delays.unknown),
    ),
    with(
        "delay",
        "SECS",
        "one delay for all of them; 0 for none",
        store!(|v| seconds_value(v).map(Some) => delays.all),
    ),
    with(
        "dns-timeout",
        "SECS",
        "deadline of a connection's look-ups [8]",
        store!(seconds_value => dns_timeout),
    ),
    with(
        "resolver",
        "ADDR[:PORT]",
        "a name server to ask; may be repeated [$DNSCACHEIP, resolv.conf]",
        |o, v| {
            o.resolvers.push(resolver(v)?);
            Ok(())
        },
    ),
    with(
        "dynamic-file",
        "FILE",
        "expressions for names of end users' lines",
        store!(|v| Ok::<_, String>(Some(PathBuf::from(v))) => dynamic_file),
    ),
    with(
        "static-file",
        "FILE",
        "expressions for names that are none",
        store!(|v| Ok::<_, String>(Some(PathBuf::from(v))) => static_file),
    ),
    flag("no-builtin-patterns", "leave the built-in rules for names out", |o| {
        o.builtin_patterns = false;
    }),
    with(
        "local-nets",
        "LIST",
        "networks whose nameless clients are trusted; none [private ones]",
        store!(networks => local_nets),
    ),
    with(
        "early",
        "ACTION",
        "early talkers: refuse, rblsmtpd or log [refuse]",
        store!(|v| choice(v, EARLY) => early),
    ),
    with("refuse", "HOW", "refuse by drop or talk [drop]", store!(|v| choice(v, REFUSE) => refuse)),
    flag("refuse-permanent", "refuse early talkers for good, with 5xx", |o| {
        o.refuse_permanent = true;
    }),
    with(
        "hold",
        "SECS",
        "keep an early talker that long before the refusal [0]",
        store!(seconds_value => hold),
    ),
    with(
        "teaser",
        "TEXT",
        "send `220-TEXT' before the delay",
        store!(|v| reply_text(v).map(Some) => teaser),
    ),
    with(
        "text-early",
        "TEXT",
        "the refusal of an early talker",
        store!(|v| reply_text(v).map(Some) => text_early),
    ),
    with(
        "text-reserve",
        "TEXT",
        "the refusal when all slots are busy",
        store!(|v| reply_text(v).map(Some) => text_reserve),
    ),
    with(
        "rules",
        "FILE",
        "rules in text form, read at start and on SIGHUP",
        store!(|v| Ok::<_, String>(Some(PathBuf::from(v))) => rules),
    ),
    with(
        "min-idle",
        "N",
        "idle children to keep ahead of the demand [5]",
        store!(|v| count(v, 1..=MOST_SLOTS).map(Some) => min_idle),
    ),
    with(
        "max-idle",
        "N",
        "idle children to keep at most [4 x min-idle]",
        store!(|v| count(v, 1..=MOST_SLOTS).map(Some) => max_idle),
    ),
    with(
        "max-prog",
        "N",
        "children that run prog at once [-c]",
        store!(|v| count(v, 1..=MOST_SLOTS).map(Some) => max_prog),
    ),
    flag("demo", "show the decisions on 127.0.0.1 port 2525, without a prog", |o| o.demo = true),
    answer("help", "print this text"),
    answer("version", "print the version"),
];

/// The help text of `program`.
#[must_use]
pub fn help(program: &str) -> String {
    let mut text = format!(
        "usage: {program} [options] host port prog [arg ...]\n       \
         {program} --demo [host port]\n\n\
         Accepts SMTP clients, makes them wait, and runs prog for those that do.\n\n"
    );
    for opt in OPTIONS {
        let argument = opt.argument.map(|name| format!(" {name}")).unwrap_or_default();
        let left = format!("{}{argument}", opt.written());
        let gap = if left.len() > 22 { format!("\n{:26}", "") } else { String::new() };
        let _ = writeln!(text, "  {left:<22}  {gap}{}", opt.help);
    }
    text.push_str("\nSee smtp-delayd(8).\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_stands_in_the_help_text_once() {
        let help = help("smtp-delayd");
        for opt in OPTIONS {
            let names = help.lines().filter_map(|line| line.strip_prefix("  "));
            let names = names.filter_map(|line| line.split(' ').next());
            assert_eq!(names.filter(|name| *name == opt.written()).count(), 1, "{}", opt.written());
            assert!(help.contains(opt.help), "{}", opt.written());
        }
        assert!(help.lines().all(|line| line.len() <= 96), "{help}");
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = OPTIONS.iter().map(Opt::written).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
