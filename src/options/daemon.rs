//! The options of the daemon: tcpserver's, and its own.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::rc::Rc;

use super::command_line::CommandLine;
use super::delaying::{DELAYS, KEEPER, KNOWN, PROXIES, REFUSALS, early};
use super::table::{ANSWERS, Opt, flag, letter, letter_with, store, with};
use super::values::{
    Value, choice, count, facility, local_name, networks, number, reply_text, seconds_value, tag,
    text,
};
use super::{LogTo, Options, Verbosity};
use crate::dns::list::DnsList;
use crate::error::{Conflict, Fatal, Operands, Usage};

/// The most slots that `-c` takes: what a process table of 2^22 ids leaves room for.
pub const MOST_SLOTS: u32 = 100_000;

/// The highest threshold for DNS lists.
const MOST_SCORE: u32 = 100_000;

/// `smtp-delayd [options] host port prog [arg ...]`.
pub static DAEMON: CommandLine = CommandLine {
    program: "smtp-delayd",
    page: "smtp-delayd(8)",
    usage: "smtp-delayd [options] host port prog [arg ...]\n       \
            smtp-delayd --demo [host port]",
    about: "Accepts SMTP clients, makes them wait, and runs prog for those that do.",
    options: &[TCPSERVERS, DELAYS, PROXIES, KNOWN, KEEPER, EARLY, REFUSALS, OWN, ANSWERS],
    letters: &[],
    place,
    check,
};

const LOG_TO: &[(&str, LogTo)] = &[("syslog", LogTo::Syslog), ("stderr", LogTo::Stderr)];

fn owned(value: &OsStr) -> Value<String> {
    text(value).map(String::from)
}

static TCPSERVERS: &[Opt] = &[
    letter('q', "print nothing at all", |o| o.verbosity = Verbosity::Quiet),
    letter('Q', "print decisions and errors [yes]", |o| o.verbosity = Verbosity::Normal),
    letter('v', "print tcpserver's status lines too", |o| o.verbosity = Verbosity::Verbose),
    letter_with(
        'c',
        "N",
        "at most N connections at once [40]",
        store!(|v| count(v, 1..=MOST_SLOTS) => slots),
    ),
    letter_with('b', "N", "let about N clients queue for a child [-c, from 20 to 1024]", |o, v| {
        // listen(2) accepts 0, and so does tcpserver.
        let least = u32::from(!o.as_tcpserver);
        o.backlog = Some(number(v, least..=65_535)?);
        Ok(())
    }),
    letter_with('B', "BANNER", "write BANNER at once, and do not watch", |o, v| {
        o.banner = v.as_encoded_bytes().to_vec();
        Ok(())
    }),
    letter_with('g', "GROUP", "switch to this group", store!(|v| owned(v).map(Some) => group)),
    letter_with('u', "USER", "switch to this user", store!(|v| owned(v).map(Some) => user)),
    letter('U', "switch to $UID and $GID", |o| o.ids_from_environment = true),
    letter('1', "print the local port on standard output", |o| o.print_port = true),
    letter_with('l', "NAME", "NAME is the local host's name; do not look it up", |o, v| {
        o.local_name = Some(if o.as_tcpserver { owned(v)? } else { local_name(v)? });
        Ok(())
    }),
    letter('h', "look the client's name up [yes]", |o| o.look_up = true),
    letter('H', "do not, which disables classification", |o| o.look_up = false),
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
        store!(|v| Value::Ok(Some(PathBuf::from(v))) => cdb),
    ),
    letter('X', "allow everybody if that file is missing", |o| o.cdb_may_be_missing = true),
    letter('o', "leave the client's IP options alone", |o| o.kill_ip_options = false),
    letter('O', "take them away [yes]", |o| o.kill_ip_options = true),
    letter('D', "send small packets at once (TCP_NODELAY)", |o| o.no_delay = true),
    letter('d', "let the kernel delay them [yes]", |o| o.no_delay = false),
];

static EARLY: &[Opt] = &[early("early talkers: refuse, rblsmtpd or log [refuse]")];

static OWN: &[Opt] = &[
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
        store!(|v| Value::Ok(Some(PathBuf::from(v))) => rules),
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
    with(
        "per-ip",
        "N",
        "connections at once from an address; 0 for any [-c / 4, at least 4]",
        store!(|v| number(v, 0..=MOST_SLOTS).map(|n| Some(n as usize)) => per_ip),
    ),
    with(
        "reserve",
        "PERCENT",
        "slots that only hosts with a good name get [20]",
        store!(|v| number(v, 0..=100).map(|n| Some(n as usize)) => reserve_percent),
    ),
    with(
        "quiet-nets",
        "LIST",
        "networks whose clients may leave without a log line; none [none]",
        store!(networks => quiet_nets),
    ),
    with(
        "text-limit",
        "TEXT",
        "the refusal of a connection too many from an address",
        store!(|v| reply_text(v).map(Some) => text_limit),
    ),
    with("dnsbl", "ZONE[=ADDRS][*N]", "a DNS blocklist, with weight N; may be repeated", |o, v| {
        o.lists.blocklists.push(Rc::new(DnsList::parse_blocklist(text(v)?)?));
        Ok(())
    })
    .repeated(),
    with(
        "dnswl",
        "ZONE[=ADDRS]",
        "a DNS allowlist, whose clients are static; may be repeated",
        |o, v| {
            o.lists.allowlists.push(Rc::new(DnsList::parse_allowlist(text(v)?)?));
            Ok(())
        },
    )
    .repeated(),
    with(
        "dnsbl-threshold",
        "N",
        "the sum of weights from which a client is refused [1]",
        store!(|v| number(v, 1..=MOST_SCORE) => dnsbl_threshold),
    ),
    with("log", "WHERE", "syslog or stderr [stderr; syslog with --daemon]", |o, v| {
        o.log_to = Some(choice(v, LOG_TO)?);
        Ok(())
    })
    .restart(),
    with("facility", "NAME", "syslog's facility [mail]", store!(facility => facility)).restart(),
    with("tag", "NAME", "syslog's tag [smtp-delayd]", store!(|v| tag(v).map(Some) => tag))
        .restart(),
    with(
        "syslog-socket",
        "PATH",
        "where syslog listens [/dev/log]",
        store!(|v| Value::Ok(PathBuf::from(v)) => syslog_socket),
    )
    .restart(),
    flag("daemon", "go into the background once all is up", |o| o.daemon = true).restart(),
    with(
        "pidfile",
        "FILE",
        "write the process id to FILE and lock it",
        store!(|v| Value::Ok(Some(PathBuf::from(v))) => pidfile),
    )
    .restart(),
    with(
        "scoreboard",
        "FILE",
        "shown by smtp-delayctl status [/run/smtp-delayd.PORT.sb]",
        store!(|v| Value::Ok(Some(PathBuf::from(v))) => scoreboard),
    )
    .restart(),
    with(
        "config",
        "FILE",
        "long options, one a line, without the dashes",
        store!(|v| Value::Ok(Some(PathBuf::from(v))) => config),
    )
    .typed(),
    flag("check", "read all files, say what is wrong or ok, and end", |o| o.check = true).typed(),
    flag("demo", "show the decisions on 127.0.0.1 port 2525, without a prog", |o| o.demo = true)
        .typed(),
];

fn place(options: &mut Options, operands: Vec<OsString>) -> Result<(), Fatal> {
    let mut operands = operands.into_iter();
    let mut word = |name| {
        let next = operands.next().map(OsString::into_string).transpose();
        next.map_err(|_| Usage::NotUtf8(name))
    };
    let host = word("host")?;
    let port = word("port")?;
    options.program = operands.collect();
    if options.demo {
        options.host = host.unwrap_or_else(|| "127.0.0.1".into());
        options.port = port.unwrap_or_else(|| "2525".into());
        if let Some(program) = options.program.first() {
            let program = program.to_string_lossy().into_owned();
            return Err(Usage::DemoRunsNone(program).into());
        }
        return Ok(());
    }
    options.host = host.ok_or(Usage::Missing(Operands::Host))?;
    options.port = port.ok_or(Usage::Missing(Operands::Port))?;
    if options.program.is_empty() {
        return Err(Usage::Missing(Operands::Program).into());
    }
    Ok(())
}

fn check(options: &mut Options) -> Vec<Fatal> {
    let conflict = |one: &str, other: &str, conflict| {
        Usage::Conflict { conflict, places: options.places(one, other) }.into()
    };
    let both_rules = options.cdb.is_some() && options.rules.is_some();
    let same_file = options.pidfile.is_some() && options.pidfile == options.scoreboard;
    let idle = options.min_idle.zip(options.max_idle).filter(|(min, max)| min > max);
    let conflicts = [
        both_rules.then(|| conflict("x", "rules", Conflict::Rules)),
        same_file.then(|| conflict("pidfile", "scoreboard", Conflict::SameFile)),
        idle.map(|(least, most)| conflict("min-idle", "max-idle", Conflict::Idle { least, most })),
    ];
    conflicts.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::super::parse::{Request, parse};
    use super::*;

    fn read(line: &str, base: Options) -> Option<Options> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        match parse(&DAEMON, &words, base).request {
            Ok(Request::Run(options)) => Some(*options),
            _ => None,
        }
    }

    #[test]
    fn tcpserver_takes_what_others_do_not() {
        for option in ["-b0", "-lbad\tname"] {
            let line = format!("{option} 0 25 p");
            assert!(read(&line, Options::default()).is_none(), "{option}");
            assert!(read(&line, Options::for_tcpserver()).is_some(), "{option}");
        }
        assert_eq!(read("-b1 0 25 p", Options::default()).unwrap().backlog(), 1);
        assert_eq!(read("-b0 0 25 p", Options::for_tcpserver()).unwrap().backlog(), 0);
    }
}
