//! Reading a command line: options up to `host`, then the operands, as
//! tcpserver takes them.

use std::ffi::OsString;

use lexopt::Arg;

use super::table::{OPTIONS, Opt, Setter};
use super::{Options, Verbosity};
use crate::djb::{self, TCPSERVER_USAGE};
use crate::error::Fatal;

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
    parse_with(arguments, Options::default())
}

/// The same, starting from `options`; called as tcpserver, mistakes are told
/// as tcpserver tells them.
///
/// # Errors
/// As [`parse`].
pub fn parse_with(arguments: impl IntoIterator<Item = OsString>, mut options: Options) -> Parsed {
    let request = read(arguments, &mut options);
    let request = match request {
        Err(fatal) if options.as_tcpserver => Err(in_tcpservers_words(fatal)),
        request => request,
    };
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
                    .map_err(|fatal| with_djbs_words(fatal, format!("illegal option -- {letter}")))
            }
            Some(Arg::Long(name)) => find(|opt| opt.long == Some(name), &format!("--{name}")),
        }?;
        set(opt, options, &mut parser)?;
    }
    place_operands(options, operands)?;
    check_together(options)?;
    Ok(None)
}

fn in_tcpservers_words(mut fatal: Fatal) -> Fatal {
    let usage = format!("tcpserver: {TCPSERVER_USAGE}");
    let about = fatal.in_djbs_words.take().map(|what| format!("tcpserver: {what}\n"));
    fatal.in_djbs_words = Some(about.unwrap_or_default() + &usage);
    fatal
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
                let takes = opt.argument.unwrap_or("a value");
                let fatal = usage(&format!("{} takes {takes}", opt.written()));
                let letter = opt.letter.unwrap_or_default();
                with_djbs_words(fatal, format!("option requires an argument -- {letter}"))
            })?;
            let value = if options.as_tcpserver { as_djb_reads(opt, value) } else { value };
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

fn with_djbs_words(mut fatal: Fatal, words: String) -> Fatal {
    fatal.in_djbs_words = Some(words);
    fatal
}

/// tcpserver takes the digits at the start of a number, and no mistake for
/// one.
fn as_djb_reads(opt: &Opt, value: OsString) -> OsString {
    let most = match opt.letter {
        Some('c' | 'b') => 65_535,
        Some('t') => 86_400,
        Some('u' | 'g') => u64::from(u32::MAX),
        _ => return value,
    };
    let least = u64::from(opt.letter == Some('c'));
    djb::scan_ulong(value.as_encoded_bytes()).clamp(least, most).to_string().into()
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
    if options.cdb.is_some() && options.rules.is_some() {
        return Err(usage("-x and --rules exclude each other"));
    }
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
}
