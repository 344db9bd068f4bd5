//! What the administrator asked for: the settings with their defaults, and how
//! they are read from the command line.  [`table`] has the options themselves.

pub mod table;
pub(crate) mod values;

use std::ffi::{OsStr, OsString};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use lexopt::Arg;

use crate::error::Fatal;
use table::{OPTIONS, Opt, Setter};

/// How much goes to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing at all (`-q`).
    Quiet,
    /// A line for every decision, warnings and errors (`-Q`).
    Normal,
    /// tcpserver's own lines as well (`-v`).
    Verbose,
}

/// What is done with a client that talks before the greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlyTalk {
    /// Refuse it.
    Refuse,
    /// Set `RBLSMTPD` to the refusal and run the program at once.
    Rblsmtpd,
    /// Note it, and go on as if nothing had been said.
    Log,
}

/// How a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseBy {
    /// One line and the end of the connection.
    Drop,
    /// A limited SMTP conversation, as rblsmtpd holds it.
    Talk,
}

/// The delay of each class, in seconds since the connection was accepted.
#[derive(Clone, Debug)]
pub struct Delays {
    /// A name that is neither of the others.
    pub ordinary: Duration,
    /// A name that looks like an end user's line.
    pub dynamic: Duration,
    /// No name.
    pub none: Duration,
    /// A look-up that failed.
    pub unknown: Duration,
    /// One delay for all of them.
    pub all: Option<Duration>,
}

/// Everything that can be set.
#[allow(clippy::struct_excessive_bools)]
#[derive(Clone, Debug)]
pub struct Options {
    /// `-q`, `-Q`, `-v`.
    pub verbosity: Verbosity,
    /// `-c`: children altogether, so connections at once.
    pub slots: usize,
    /// `-b`: how many clients the kernel may hold ready for accept(2).
    pub backlog: Option<u32>,
    /// `-B`: written to every client at once.
    pub banner: Vec<u8>,
    /// `-g`: a group, by name or number.
    pub group: Option<String>,
    /// `-u`: a user, by name or number.
    pub user: Option<String>,
    /// `-U`: user and group from `$UID` and `$GID`.
    pub ids_from_environment: bool,
    /// `-1`: print the port.
    pub print_port: bool,
    /// `-l`: the local host's name, instead of looking it up.
    pub local_name: Option<String>,
    /// `-h`, `-H`: look the client's name up.
    pub look_up: bool,
    /// `-p`, `-P`: check that the name leads back to the address.
    pub paranoid: bool,
    /// `-d`, `-D`: enable `TCP_NODELAY`.
    pub no_delay: bool,
    /// The class delays.
    pub delays: Delays,
    /// The deadline of all look-ups of one connection.
    pub dns_timeout: Duration,
    /// Name servers, instead of those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// Expressions for names of end users' lines.
    pub dynamic_file: Option<PathBuf>,
    /// Expressions for names that are none.
    pub static_file: Option<PathBuf>,
    /// Whether the built-in lists of words are used.
    pub builtin_patterns: bool,
    /// Networks whose nameless clients are trusted.
    pub local_nets: Vec<IpNet>,
    /// What to do on early talk.
    pub early: EarlyTalk,
    /// How to refuse.
    pub refuse: RefuseBy,
    /// Whether refusals of early talkers are permanent.
    pub refuse_permanent: bool,
    /// How long an early talker is kept before its refusal.
    pub hold: Duration,
    /// The first line of a multi-line greeting, sent before the delay.
    pub teaser: Option<String>,
    /// The refusal of an early talker, instead of the built-in text.
    pub text_early: Option<String>,
    /// The refusal when all slots are busy, instead of the built-in text.
    pub text_reserve: Option<String>,
    /// Idle children to keep ahead of the demand.
    pub min_idle: Option<usize>,
    /// Idle children beyond which one that comes back ends.
    pub max_idle: Option<usize>,
    /// Children handed over at once.
    pub max_prog: Option<usize>,
    /// Run the demo.
    pub demo: bool,
    /// Where to listen: a name, an address, `0` or nothing for any.
    pub host: String,
    /// A port number or a name of services(5).
    pub port: String,
    /// The program and its arguments.
    pub program: Vec<OsString>,
}

impl Default for Options {
    fn default() -> Self {
        let delays = Delays {
            ordinary: Duration::from_secs(2),
            dynamic: Duration::from_secs(12),
            none: Duration::from_secs(20),
            unknown: Duration::from_secs(12),
            all: None,
        };
        Self {
            verbosity: Verbosity::Normal,
            slots: 40,
            backlog: None,
            banner: Vec::new(),
            group: None,
            user: None,
            ids_from_environment: false,
            print_port: false,
            local_name: None,
            look_up: true,
            paranoid: false,
            no_delay: false,
            delays,
            dns_timeout: Duration::from_secs(8),
            resolvers: Vec::new(),
            dynamic_file: None,
            static_file: None,
            builtin_patterns: true,
            local_nets: values::networks(OsStr::new(table::LOCAL_NETS)).unwrap_or_default(),
            early: EarlyTalk::Refuse,
            refuse: RefuseBy::Drop,
            refuse_permanent: false,
            hold: Duration::ZERO,
            teaser: None,
            text_early: None,
            text_reserve: None,
            min_idle: None,
            max_idle: None,
            max_prog: None,
            demo: false,
            host: String::new(),
            port: String::new(),
            program: Vec::new(),
        }
    }
}

impl Options {
    /// Idle children to keep, within the slots.
    #[must_use]
    pub fn min_idle(&self) -> usize {
        self.min_idle.unwrap_or(5).clamp(1, self.slots)
    }

    /// Idle children to keep at most, within the slots.
    #[must_use]
    pub fn max_idle(&self) -> usize {
        self.max_idle.unwrap_or(4 * self.min_idle()).clamp(self.min_idle(), self.slots)
    }

    /// Children handed over at once.
    #[must_use]
    pub fn max_prog(&self) -> usize {
        self.max_prog.unwrap_or(self.slots).min(self.slots)
    }

    /// The backlog: `-b`, else the number of slots within 20 and 1024.
    #[must_use]
    pub fn backlog(&self) -> u32 {
        self.backlog.unwrap_or_else(|| u32::try_from(self.slots.clamp(20, 1024)).unwrap_or(1024))
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Request {
    /// To run.
    Run(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// What was read off a command line, and how far: where it went wrong, what
/// stands before still counts (`-q` silences the message, as in tcpserver).
pub struct Parsed {
    /// How much is to be said, the error below included.
    pub verbosity: Verbosity,
    /// What is asked for, or what is wrong.
    pub request: Result<Request, Fatal>,
}

/// Reads a command line without the program's name.  Options end at `host`.
///
/// # Errors
/// An unknown option, a bad value, or an operand that is missing: exit 100.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
    let mut options = Options::default();
    let request = read(arguments, &mut options);
    let verbosity = options.verbosity;
    let request = request.map(|other| other.unwrap_or(Request::Run(Box::new(options))));
    Parsed { verbosity, request }
}

fn read(
    arguments: impl IntoIterator<Item = OsString>,
    options: &mut Options,
) -> Result<Option<Request>, Fatal> {
    let mut parser = lexopt::Parser::from_args(arguments);
    parser.set_short_equals(false);
    let mut operands = Vec::new();
    loop {
        let opt = match parser.next().map_err(|error| usage(&error.to_string()))? {
            None => break,
            Some(Arg::Value(host)) => {
                operands.push(host);
                operands.extend(parser.raw_args().map_err(|error| usage(&error.to_string()))?);
                break;
            }
            Some(Arg::Long("help")) => return Ok(Some(Request::Help)),
            Some(Arg::Long("version")) => return Ok(Some(Request::Version)),
            Some(Arg::Short(letter)) => {
                find(|opt| opt.letter == Some(letter), &format!("-{letter}"))
            }
            Some(Arg::Long(name)) => find(|opt| opt.long == Some(name), &format!("--{name}")),
        }?;
        set(opt, options, &mut parser)?;
    }
    place_operands(options, operands)?;
    check_together(options)?;
    Ok(None)
}

fn find(is_it: impl Fn(&Opt) -> bool, written: &str) -> Result<&'static Opt, Fatal> {
    let found = OPTIONS.iter().find(|opt| is_it(opt));
    found.ok_or_else(|| usage(&format!("unknown option {}", written.escape_debug())))
}

fn set(opt: &Opt, options: &mut Options, parser: &mut lexopt::Parser) -> Result<(), Fatal> {
    match opt.setter {
        Setter::Flag(set) => set(options),
        Setter::Value(set) => {
            let value = parser.value().map_err(|_| {
                usage(&format!("{} takes {}", opt.written(), opt.argument.unwrap_or("a value")))
            })?;
            set(options, &value).map_err(|why| {
                let value = value.to_string_lossy();
                let shown: String = value.chars().take(60).collect();
                usage(&format!("unable to use {} `{}': {why}", opt.written(), shown.escape_debug()))
            })?;
        }
        Setter::Answer => {}
    }
    Ok(())
}

fn place_operands(options: &mut Options, operands: Vec<OsString>) -> Result<(), Fatal> {
    let mut operands = operands.into_iter();
    let mut word = |name: &str| -> Result<Option<String>, Fatal> {
        let next = operands.next().map(OsString::into_string).transpose();
        next.map_err(|_| usage(&format!("unable to use {name}: it is not UTF-8")))
    };
    let host = word("host")?;
    let port = word("port")?;
    options.program = operands.collect();
    if options.demo {
        options.host = host.unwrap_or_else(|| "127.0.0.1".into());
        options.port = port.unwrap_or_else(|| "2525".into());
        if let Some(program) = options.program.first() {
            return Err(usage(&format!(
                "--demo runs no program, {} is left over",
                program.to_string_lossy()
            )));
        }
        return Ok(());
    }
    options.host = host.ok_or_else(|| usage("host, port and prog are missing"))?;
    options.port = port.ok_or_else(|| usage("port and prog are missing"))?;
    if options.program.is_empty() {
        return Err(usage("prog is missing"));
    }
    Ok(())
}

fn check_together(options: &Options) -> Result<(), Fatal> {
    if let (Some(min), Some(max)) = (options.min_idle, options.max_idle) {
        if min > max {
            return Err(usage(&format!("--min-idle {min} is more than --max-idle {max}")));
        }
    }
    Ok(())
}

fn usage(message: &str) -> Fatal {
    Fatal::usage(format!("{message} (try --help)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Options {
        match parse(line.split(' ').map(OsString::from)).request {
            Ok(Request::Run(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn wrong(line: &str) -> String {
        match parse(line.split(' ').map(OsString::from)).request {
            Err(fatal) => {
                assert_eq!(fatal.code, crate::error::USAGE, "{line}");
                fatal.message
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn letters_are_bundled_as_tcpserver_users_bundle_them() {
        let options = run("-vRHl0 -c 100 0 smtp qmail-smtpd -v");
        assert_eq!(options.verbosity, Verbosity::Verbose);
        assert!(!options.look_up);
        assert_eq!(options.local_name.as_deref(), Some("0"));
        assert_eq!(options.slots, 100);
        assert_eq!((options.host.as_str(), options.port.as_str()), ("0", "smtp"));
        assert_eq!(options.program, ["qmail-smtpd", "-v"]);
    }

    #[test]
    fn options_end_at_the_host() {
        let options = run("-c5 ::1 25 prog --delay 3 -q");
        assert_eq!(options.delays.all, None);
        assert_eq!(options.program, ["prog", "--delay", "3", "-q"]);
        let options = run("-Q -- 0 25 prog");
        assert_eq!(options.host, "0");
    }

    #[test]
    fn a_later_option_wins() {
        assert_eq!(run("-v -q 0 25 p").verbosity, Verbosity::Quiet);
        assert!(run("-H -h 0 25 p").look_up);
        assert!(!run("-p -P 0 25 p").paranoid);
        assert!(!run("-D -d 0 25 p").no_delay);
    }

    #[test]
    fn resolvers_add_up() {
        assert_eq!(run("--resolver 192.0.2.1 --resolver ::1 0 25 p").resolvers.len(), 2);
    }

    #[test]
    fn mistakes_name_the_option_and_what_it_takes() {
        assert!(wrong("-c 0 0 25 p").contains("-c `0': it takes a number from 1"));
        assert!(wrong("-c many 0 25 p").contains("`many'"));
        assert!(wrong("--delay 2s 0 25 p").contains("--delay `2s': it takes seconds"));
        assert!(wrong("--early never 0 25 p").contains("refuse or rblsmtpd or log"));
        assert!(wrong("--nonsense 0 25 p").contains("unknown option --nonsense"));
        assert!(wrong("-vZ 0 25 p").contains("unknown option -Z"));
        assert!(wrong("0 25").contains("prog is missing"));
        assert!(wrong("-v").contains("host, port and prog are missing"));
        assert!(wrong("--min-idle 9 --max-idle 3 0 25 p").contains("--max-idle 3"));
        assert!(wrong("--demo 127.0.0.1 25 prog").contains("runs no program"));
    }

    #[test]
    fn quiet_holds_for_the_error_that_follows_it() {
        let parsed = parse(["-q", "--nonsense"].map(OsString::from));
        assert_eq!(parsed.verbosity, Verbosity::Quiet);
        assert!(parsed.request.is_err());
    }

    #[test]
    fn limits_stay_within_the_slots() {
        let options = run("-c 3 0 25 p");
        assert_eq!((options.min_idle(), options.max_idle(), options.max_prog()), (3, 3, 3));
        assert_eq!(options.backlog(), 20);
        let options = run("-c 2000 --min-idle 10 0 25 p");
        assert_eq!((options.min_idle(), options.max_idle()), (10, 40));
        assert_eq!(options.backlog(), 1024);
    }
}
