//! Reading a command line: options up to the first operand, then the operands,
//! as tcpserver takes them.

use std::borrow::Cow;
use std::ffi::OsString;

use lexopt::Arg;

use super::table::{Opt, Setter};
use super::{Options, Verbosity, config};
use crate::djb::{self, TCPSERVER_USAGE};
use crate::error::Fatal;

/// The command line of a program.
pub struct CommandLine {
    /// The program's name.
    pub program: &'static str,
    /// Its man page, with the section.
    pub page: &'static str,
    /// How it is called.
    pub usage: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
    /// Its options, in the order of the help text.
    pub options: &'static [&'static [Opt]],
    /// Letters that stand for long options.
    pub letters: &'static [(char, &'static str)],
    /// Puts the operands where they belong.
    pub(super) place: fn(&mut Options, Vec<OsString>) -> Result<(), Fatal>,
    /// Finds options that do not go together.
    pub(super) check: fn(&mut Options) -> Result<(), Fatal>,
}

impl CommandLine {
    /// All options.
    pub fn all(&self) -> impl Iterator<Item = &'static Opt> {
        self.options.iter().flat_map(|options| options.iter())
    }

    /// The letter that stands for a long option.
    #[must_use]
    pub fn letter_of(&self, long: &str) -> Option<char> {
        self.letters.iter().find(|(_, name)| *name == long).map(|(letter, _)| *letter)
    }

    fn by_letter(&self, letter: char) -> Option<&'static Opt> {
        let long = self.letters.iter().find(|(known, _)| *known == letter).map(|(_, long)| *long);
        self.all().find(|opt| opt.letter == Some(letter) || (long.is_some() && opt.long == long))
    }

    pub(super) fn by_name(&self, name: &str) -> Option<&'static Opt> {
        self.all().find(|opt| opt.long == Some(name))
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

/// Reads a command line without the program's name, starting from `options`.
/// Called as tcpserver, mistakes are told as tcpserver tells them.  A file that
/// `--config` names is read first, so that the command line wins over it.
///
/// # Errors
/// An unknown option, a bad value, an operand that is missing, or a mistake in
/// the file: exit 100.
#[must_use]
pub fn parse(line: &CommandLine, arguments: &[OsString], options: Options) -> Parsed {
    parse_with(line, arguments, options, None)
}

/// The same where the file has been read: `config` stands in it.
#[must_use]
pub fn parse_with(
    line: &CommandLine,
    arguments: &[OsString],
    options: Options,
    config: Option<&[u8]>,
) -> Parsed {
    let mut read = options;
    let request = read_all(line, arguments, &mut read, config);
    let request = match request {
        Err(fatal) if read.as_tcpserver => Err(in_tcpservers_words(fatal)),
        request => request,
    };
    let verbosity = read.verbosity;
    let request = request.map(|other| other.unwrap_or(Request::Run(Box::new(read))));
    Parsed { verbosity, request }
}

fn read_all(
    line: &CommandLine,
    arguments: &[OsString],
    options: &mut Options,
    config: Option<&[u8]>,
) -> Result<Option<Request>, Fatal> {
    let base = options.clone();
    let mut words = read(line, arguments, options)?;
    if let (Words::Operands(..), Some(file)) = (&words, options.config.clone()) {
        let verbosity = std::mem::replace(options, base).verbosity;
        let given = words.given();
        let text =
            config.map_or_else(|| config::read(&file).map(Cow::from), |text| Ok(text.into()));
        text.and_then(|text| config::apply(line, (&file, &text), &given, options))
            .inspect_err(|_| options.verbosity = verbosity)?;
        words = read(line, arguments, options)?;
    }
    let operands = match words {
        Words::Request(request) => return Ok(Some(request)),
        Words::Operands(operands, _) => operands,
    };
    (line.place)(options, operands)?;
    (line.check)(options)?;
    options.arguments = arguments.to_vec();
    Ok(None)
}

/// What stands on a command line besides settings.
enum Words {
    /// A question, which is answered at once.
    Request(Request),
    /// The operands, and the options that were given.
    Operands(Vec<OsString>, Vec<&'static Opt>),
}

impl Words {
    /// The long names of the options that were given.
    fn given(&self) -> Vec<&'static str> {
        match self {
            Self::Request(_) => Vec::new(),
            Self::Operands(_, given) => given.iter().filter_map(|opt| opt.long).collect(),
        }
    }
}

fn read(line: &CommandLine, arguments: &[OsString], options: &mut Options) -> Result<Words, Fatal> {
    let mut parser = lexopt::Parser::from_args(arguments);
    parser.set_short_equals(false);
    let (mut operands, mut given) = (Vec::new(), Vec::new());
    loop {
        let opt = match parser.next().map_err(|error| usage(&error.to_string()))? {
            None => break,
            Some(Arg::Value(first)) => {
                operands.push(first);
                operands.extend(parser.raw_args().map_err(|error| usage(&error.to_string()))?);
                break;
            }
            Some(Arg::Long("help")) => return Ok(Words::Request(Request::Help)),
            Some(Arg::Long("version")) => return Ok(Words::Request(Request::Version)),
            Some(Arg::Short(letter)) => known(line.by_letter(letter), &format!("-{letter}"))
                .map_err(|fatal| with_djbs_words(fatal, format!("illegal option -- {letter}"))),
            Some(Arg::Long(name)) => known(line.by_name(name), &format!("--{name}")),
        }?;
        set(opt, options, &mut parser)?;
        given.push(opt);
    }
    Ok(Words::Operands(operands, given))
}

fn in_tcpservers_words(mut fatal: Fatal) -> Fatal {
    let usage = format!("tcpserver: {TCPSERVER_USAGE}");
    let about = fatal.in_djbs_words.take().map(|what| format!("tcpserver: {what}\n"));
    fatal.in_djbs_words = Some(about.unwrap_or_default() + &usage);
    fatal
}

fn known(opt: Option<&'static Opt>, written: &str) -> Result<&'static Opt, Fatal> {
    opt.ok_or_else(|| usage(&format!("unknown option {}", written.escape_debug())))
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
            set(options, &value)
                .map_err(|why| usage(&unusable(&opt.written(), &value.to_string_lossy(), &why)))?;
        }
        Setter::Answer => {}
    }
    Ok(())
}

/// Why `value` is of no use for an option.
pub(super) fn unusable(name: &str, value: &str, why: &str) -> String {
    let shown: String = value.chars().take(60).collect();
    format!("unable to use {name} `{}': {why}", shown.escape_debug())
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

pub(super) fn usage(message: &str) -> Fatal {
    Fatal::usage(format!("{message} (try --help)"))
}

#[cfg(test)]
mod tests {
    use super::super::daemon::DAEMON;
    use super::*;

    fn read_line(line: &str) -> Parsed {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        parse(&DAEMON, &words, Options::default())
    }

    fn run(line: &str) -> Options {
        match read_line(line).request {
            Ok(Request::Run(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn wrong(line: &str) -> String {
        match read_line(line).request {
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
        let parsed = read_line("-q --nonsense");
        assert_eq!(parsed.verbosity, Verbosity::Quiet);
        assert!(parsed.request.is_err());
    }
}
