//! Reading a command line: options up to the first operand, then the operands,
//! as tcpserver takes them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::{iter, mem};

use lexopt::Arg;

use super::command_line::CommandLine;
use super::table::{Opt, Setter};
use super::unknown::Name;
use super::{Options, Verbosity, config};
use crate::djb;
use crate::error::{Fatal, Usage};
use crate::mistakes::Mistakes;

/// What a command line requests.
#[derive(Debug)]
pub enum Request {
    /// To run.
    Run(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// The result of reading a command line.
pub struct Parsed {
    /// How much to print, also if there are mistakes: the options before the first mistake
    /// count (`-q` silences its message, as in tcpserver).
    pub verbosity: Verbosity,
    /// The request, or what is wrong.
    pub request: Result<Request, Rejected>,
}

/// A command line, with the file of its settings, that cannot be used.
#[derive(Debug)]
pub struct Rejected {
    /// What is wrong with it.
    pub mistakes: Mistakes,
    /// The settings that could be read; the defaults of the others.
    pub options: Box<Options>,
}

/// For a caller that stops at the first mistake.
impl From<Rejected> for Fatal {
    fn from(rejected: Rejected) -> Self {
        rejected.mistakes.into()
    }
}

/// Reads a command line without the program's name, starting from `options`.  Called as
/// tcpserver, mistakes in tcpserver's own options are reported as tcpserver reports them.
/// A file that `--config` names is read first, so that the command line takes precedence
/// over it.
///
/// # Errors
/// All that is wrong: unknown options, bad values, operands that are missing, and
/// mistakes in the file: exit 100.
#[must_use]
pub fn parse(line: &CommandLine, arguments: &[OsString], options: Options) -> Parsed {
    parse_with(line, arguments, options, None)
}

/// The same with the contents of the file given: `config`.
#[must_use]
pub fn parse_with(
    line: &CommandLine,
    arguments: &[OsString],
    options: Options,
    config: Option<&[u8]>,
) -> Parsed {
    let base = options.clone();
    let mut reading = Reading { line, arguments, options, mistakes: Vec::new(), verbosity: None };
    let question = match reading.command_line() {
        Words::Question(question) => Some(question),
        Words::Operands(operands) => {
            reading.settings(base, config);
            reading.operands(operands);
            None
        }
    };
    reading.finish(question)
}

/// What has been read so far.
struct Reading<'a> {
    line: &'a CommandLine,
    arguments: &'a [OsString],
    options: Options,
    mistakes: Vec<Fatal>,
    /// How much to print by the options before the first mistake.
    verbosity: Option<Verbosity>,
}

/// The parts of a command line that are not settings.
enum Words {
    /// A question, such as `--help`, which is answered at once.
    Question(Request),
    /// The operands.
    Operands(Vec<OsString>),
}

impl Reading<'_> {
    /// Mistakes in tcpserver's own options are reported as tcpserver reports them.
    fn note_as_tcpserver(&mut self, mistake: Fatal) {
        let ours = !self.options.as_tcpserver;
        self.note(if ours { mistake } else { Fatal::AsTcpserver(Box::new(mistake)) });
    }

    fn note(&mut self, mistake: Fatal) {
        self.verbosity.get_or_insert(self.options.verbosity);
        self.mistakes.push(mistake);
    }

    /// Reads the options up to the first operand.
    fn command_line(&mut self) -> Words {
        let mut parser = lexopt::Parser::from_args(self.arguments);
        parser.set_short_equals(false);
        loop {
            let name = match parser.next() {
                Ok(None) => return Words::Operands(Vec::new()),
                Ok(Some(Arg::Long("help"))) => return Words::Question(Request::Help),
                Ok(Some(Arg::Long("version"))) => return Words::Question(Request::Version),
                Ok(Some(Arg::Short(letter))) => Name::Letter(letter),
                Ok(Some(Arg::Long(name))) => Name::Long(name.into()),
                Ok(Some(Arg::Value(first))) => {
                    let rest = parser.raw_args().into_iter().flatten();
                    return Words::Operands(iter::once(first).chain(rest).collect());
                }
                Err(why) => {
                    self.note_as_tcpserver(Usage::Unreadable(why.into()).into());
                    return Words::Operands(Vec::new());
                }
            };
            match name.find(self.line) {
                Some(opt) => self.option(opt, &mut parser),
                None => self.unknown(&name, &mut parser),
            }
        }
    }

    fn option(&mut self, opt: &'static Opt, parser: &mut lexopt::Parser) {
        match set(opt, &mut self.options, parser) {
            Ok(()) => (),
            Err(mistake) if opt.long.is_some() => self.note(mistake.into()),
            Err(mistake) => self.note_as_tcpserver(mistake.into()),
        }
        opt.long.into_iter().for_each(|long| self.options.origins.add_typed(long));
    }

    /// Skips an option that does not exist.
    fn unknown(&mut self, name: &Name, parser: &mut lexopt::Parser) {
        self.note_as_tcpserver(name.mistake(self.line, self.arguments).into());
        if parser.optional_value().is_none() {
            let rest = parser.try_raw_args();
            if rest.is_some_and(|rest| name.takes(self.line, rest.as_slice())) {
                let _ = parser.value();
            }
        }
    }

    /// Reads the file of settings, if there is one, unless its contents are given by
    /// `text`; then the command line again, which takes precedence; `base` is what both
    /// start from.
    fn settings(&mut self, base: Options, text: Option<&[u8]>) {
        let Some(file) = self.options.config.clone() else { return };
        let typed = mem::replace(&mut self.options, base);
        self.options.origins = typed.origins;
        let text = text.map_or_else(
            || config::read(&self.options, &file).map(Cow::from),
            |text| Ok(text.into()),
        );
        let mistakes = match text {
            Ok(text) => config::apply(self.line, (&file, &text), &mut self.options),
            Err(mistake) => vec![mistake],
        };
        self.options.origins.forget_typed();
        // Mistakes in the command line are known already.
        let known = mem::take(&mut self.mistakes);
        self.command_line();
        self.mistakes = known;
        for mistake in mistakes {
            self.note(mistake);
        }
    }

    fn operands(&mut self, operands: Vec<OsString>) {
        if let Err(mistake) = (self.line.place)(&mut self.options, operands) {
            self.note_as_tcpserver(mistake);
        }
        for mistake in (self.line.check)(&mut self.options) {
            self.note(mistake);
        }
    }

    fn finish(mut self, question: Option<Request>) -> Parsed {
        self.options.arguments = self.arguments.to_vec();
        let verbosity = self.verbosity.unwrap_or(self.options.verbosity);
        let options = Box::new(self.options);
        let mistakes = Mistakes::of(self.mistakes);
        let request = match mistakes {
            Some(mistakes) => Err(Rejected { mistakes, options }),
            None => Ok(question.unwrap_or(Request::Run(options))),
        };
        Parsed { verbosity, request }
    }
}

fn set(opt: &Opt, options: &mut Options, parser: &mut lexopt::Parser) -> Result<(), Usage> {
    match opt.setter {
        Setter::Flag(_) if opt.long.is_some() && parser.optional_value().is_some() => {
            return Err(Usage::TakesNoValue(opt.written()));
        }
        Setter::Flag(set) => set(options),
        Setter::Value(set) => {
            let value = parser.value().map_err(|_| Usage::MissingValue {
                option: opt.written(),
                takes: opt.argument.unwrap_or("a value"),
            })?;
            let value = if options.as_tcpserver { as_djb_reads(opt, value) } else { value };
            set(options, &value).map_err(|why| Usage::Invalid {
                option: opt.written(),
                value: value.to_string_lossy().into_owned(),
                why: why.into(),
            })?;
        }
        Setter::Answer => {}
    }
    Ok(())
}

/// tcpserver reads the leading digits of a number, and ignores the rest.
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

#[cfg(test)]
mod tests {
    use super::super::daemon::DAEMON;
    use super::*;
    use crate::djb::TCPSERVER_USAGE;

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
            Err(rejected) => {
                let fatal = Fatal::from(rejected);
                assert_eq!(fatal.exit_code(), crate::error::USAGE, "{line}");
                fatal.to_string()
            }
            other => panic!("{line}: {other:?}"),
        }
    }

    /// All that is wrong, each cut at the first colon.
    fn all_wrong(line: &str) -> Vec<String> {
        let rejected = read_line(line).request.unwrap_err();
        let start =
            |fatal: Fatal| fatal.to_string().split([':', '(']).next().unwrap().trim().into();
        rejected.mistakes.into_iter().map(start).collect()
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
    fn what_was_meant_is_suggested() {
        for (line, question) in [
            ("--static-delay 3 0 25 p", ": did you mean --delay-static? (try --help)"),
            ("--delay-stat=3 0 25 p", "--delay-stat: did you mean --delay-static? "),
            ("-daemon 0 25 p", "unknown option -a: did you mean --daemon? "),
            ("-help", "unknown option -e: did you mean --help? "),
            ("--early=Refuse 0 25 p", "rblsmtpd or log: did you mean refuse? "),
            ("--nonsense 0 25 p", "unknown option --nonsense (try --help)"),
        ] {
            let message = wrong(line);
            assert!(message.contains(question), "{message}");
        }
    }

    #[test]
    fn all_mistakes_are_found() {
        let line = "--dely 3 -c 0 --early no --daemon=yes -Z --hold x 0 25 p";
        let expected = [
            "unknown option --dely",
            "unable to use -c `0'",
            "unable to use --early `no'",
            "--daemon takes no value",
            "unknown option -Z",
            "unable to use --hold `x'",
        ];
        assert_eq!(all_wrong(line), expected);
        assert_eq!(all_wrong("-c 0"), ["unable to use -c `0'", "host, port and prog are missing"]);
    }

    #[test]
    fn an_unknown_option_does_not_hide_the_operands() {
        for line in [
            "--nonsense 0 25 p",
            "--nonsense x 0 25 p",
            "--nonsense=x 0 25 p",
            "--nonsense x mx.example.org smtp p 9",
            "--nonsense --daemon 0 25 p",
            "--demon 0 25 p",
            "--dely 3 0 25 p",
            "-Z 0 25 p",
            "-Z5 0 25 p",
            "-Zx -d 0 25 p",
        ] {
            let rejected = read_line(line).request.unwrap_err();
            let options = &rejected.options;
            assert!(["25", "smtp"].contains(&options.port.as_str()), "{line}: {}", options.port);
            assert_eq!(options.program[0], "p", "{line}");
            assert_eq!(rejected.mistakes.into_iter().count(), 1, "{line}");
        }
    }

    #[test]
    fn only_tcpservers_own_mistakes_are_reported_in_its_words() {
        let words = |line: &str| {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let parsed = parse(&DAEMON, &words, Options::for_tcpserver());
            Fatal::from(parsed.request.unwrap_err()).tcpserver_message()
        };
        for line in ["-Z", "0 25", "-c", "--nonsense"] {
            assert!(words(line).unwrap().ends_with(TCPSERVER_USAGE), "{line}");
        }
        for line in [
            "--delay",
            "--delay soon 0 25 p",
            "--config /nonexistent 0 25 p",
            "-x a --rules b 0 25 p",
        ] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    #[test]
    fn quiet_holds_for_the_error_that_follows_it() {
        let parsed = read_line("-q --nonsense");
        assert_eq!(parsed.verbosity, Verbosity::Quiet);
        assert!(parsed.request.is_err());
    }
}
