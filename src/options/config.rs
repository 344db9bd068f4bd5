//! `--config FILE`: long options without their dashes, one a line, as
//! `name value`.

use std::path::Path;
use std::{error, fmt};

use super::command_line::CommandLine;
use super::suggest::hint;
use super::table::{Opt, Setter};
use super::{Options, files};
use crate::error::{Fatal, Usage};

/// What is wrong with a line of the file.
#[derive(Debug)]
enum SettingError {
    /// What is wrong with the same option on a command line, too.
    Usage(Usage),
    /// It is not UTF-8.
    NotUtf8,
    /// An option with its dashes.
    Dashes(String),
    /// An option that makes no sense here.
    CommandLineOnly(String),
    /// An option that is on this line already.
    Twice(&'static str, usize),
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(usage) => usage.fmt(f),
            Self::NotUtf8 => f.write_str("it is not UTF-8"),
            Self::Dashes(name) => {
                let bare = name.trim_start_matches('-').escape_debug();
                let name = name.escape_debug();
                write!(f, "options stand here without dashes: {bare}, not {name}")
            }
            Self::CommandLineOnly(name) => {
                write!(f, "{} is for the command line only", name.escape_debug())
            }
            Self::Twice(name, first) => write!(f, "{name} stands on line {first} already"),
        }
    }
}

impl error::Error for SettingError {}

impl From<Usage> for SettingError {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage)
    }
}

/// The most bytes of a file.
pub(crate) const LARGEST: usize = 1 << 20;

/// Reads the file.
///
/// # Errors
/// A file that cannot be read: 100.
pub(super) fn read(options: &Options, path: &Path) -> Result<Vec<u8>, Fatal> {
    files::read(options, "config", path, LARGEST)
}

/// Applies the settings of `text`, the contents of the file `path`, as far as they are
/// valid, and returns what is wrong with the others: exit 100.  The command line takes
/// precedence.
pub(super) fn apply(
    line: &CommandLine,
    (path, text): (&Path, &[u8]),
    options: &mut Options,
) -> Vec<Fatal> {
    let text = match utf_8(path, text) {
        Ok(text) => text,
        Err(mistake) => return vec![mistake],
    };
    let mut settings = Settings { line, options, seen: Vec::new() };
    let mut mistakes = Vec::new();
    for (number, content) in (1..).zip(text.lines()) {
        if let Err(why) = settings.line(number, content.trim()) {
            mistakes.push(Fatal::At {
                file: path.display().to_string(),
                line: number,
                why: why.into(),
            });
        }
    }
    mistakes
}

struct Settings<'a> {
    line: &'a CommandLine,
    options: &'a mut Options,
    /// The options so far, and their lines.
    seen: Vec<(&'static str, usize)>,
}

impl Settings<'_> {
    fn line(&mut self, number: usize, content: &str) -> Result<(), SettingError> {
        if content.is_empty() || content.starts_with('#') {
            return Ok(());
        }
        let (name, value) = content.split_once([' ', '\t']).unwrap_or((content, ""));
        let opt = find(self.line, name)?;
        let Some(long) = opt.long else { return Ok(()) };
        let before = self.seen.iter().find(|(known, _)| *known == long && !opt.repeats);
        if let Some((name, first)) = before {
            return Err(SettingError::Twice(name, *first));
        }
        self.seen.push((long, number));
        if self.options.origins.is_typed(long) {
            set(opt, value.trim(), &mut self.options.clone())?;
            return Ok(());
        }
        self.options.origins.add_line(long, number);
        set(opt, value.trim(), self.options)?;
        Ok(())
    }
}

fn utf_8<'a>(path: &Path, text: &'a [u8]) -> Result<&'a str, Fatal> {
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        Fatal::At { file: path.display().to_string(), line, why: SettingError::NotUtf8.into() }
    })
}

fn find(line: &CommandLine, name: &str) -> Result<&'static Opt, SettingError> {
    if name.starts_with('-') {
        return Err(SettingError::Dashes(name.into()));
    }
    let in_file = line.all().filter(|opt| !opt.typed).filter_map(|opt| opt.long);
    let unknown = || Usage::UnknownOption { option: name.into(), hint: hint(name, "", in_file) };
    let opt = line.by_name(name).ok_or_else(unknown)?;
    if opt.typed {
        return Err(SettingError::CommandLineOnly(name.into()));
    }
    Ok(opt)
}

fn set(opt: &Opt, value: &str, options: &mut Options) -> Result<(), Usage> {
    let option = opt.long.unwrap_or_default();
    match opt.setter {
        Setter::Flag(_) if !value.is_empty() => Err(Usage::TakesNoValue(option.into())),
        Setter::Flag(set) => {
            set(options);
            Ok(())
        }
        Setter::Value(_) if value.is_empty() => {
            let takes = opt.argument.unwrap_or("a value");
            Err(Usage::MissingValue { option: option.into(), takes })
        }
        Setter::Value(set) => set(options, value.as_ref()).map_err(|why| Usage::Invalid {
            option: option.into(),
            value: value.into(),
            why: why.into(),
        }),
        Setter::Answer => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::time::Duration;

    use super::super::EarlyTalk;
    use super::super::daemon::DAEMON;
    use super::super::parse::{Request, parse};
    use super::*;

    /// Reads a command line with `text` as its file.
    fn read_with(name: &str, text: &str, line: &str) -> Result<Options, String> {
        let file = std::env::temp_dir().join(format!("config.{name}.{}", std::process::id()));
        fs::write(&file, text).unwrap();
        let words: Vec<OsString> =
            line.replace("FILE", file.to_str().unwrap()).split(' ').map(OsString::from).collect();
        let parsed = parse(&DAEMON, &words, Options::default());
        fs::remove_file(&file).unwrap();
        match parsed.request {
            Ok(Request::Run(options)) => Ok(*options),
            Ok(other) => panic!("{other:?}"),
            Err(rejected) => {
                let messages = rejected.mistakes.into_iter().map(|fatal| fatal.to_string());
                let messages: Vec<String> = messages.collect();
                Err(messages.join("; ").replace(file.to_str().unwrap(), "FILE"))
            }
        }
    }

    #[test]
    fn a_file_sets_what_the_command_line_does_not() {
        let text = "# ours\n\ndelay-none 25\n  early\tlog  \ntext-early 4.7.1 not so fast\n\
                    resolver 192.0.2.1\nresolver 192.0.2.2\nno-builtin-patterns\n";
        let options = read_with("a", text, "--config FILE 0 25 p").unwrap();
        assert_eq!(options.delays.none, Duration::from_secs(25));
        assert_eq!(options.early, EarlyTalk::Log);
        assert_eq!(options.text_early.as_deref(), Some("4.7.1 not so fast"));
        assert_eq!((options.resolvers.len(), options.builtin_patterns), (2, false));
        let line = "--early refuse --resolver ::1 --config FILE --delay-none 1 0 25 p";
        let options = read_with("b", text, line).unwrap();
        assert_eq!(options.delays.none, Duration::from_secs(1));
        assert_eq!(options.early, EarlyTalk::Refuse);
        assert_eq!(options.resolvers.len(), 1, "the command line wins");
    }

    #[test]
    fn mistakes_are_pointed_at() {
        for (text, message) in [
            ("\nnonsense 1\n", "line 2: unknown option nonsense"),
            ("dely 1\n", "line 1: unknown option dely: did you mean delay?"),
            ("--delay 1\n", "line 1: options stand here without dashes: delay, not --delay"),
            ("c 40\n", "line 1: unknown option c"),
            ("delay soon\n", "line 1: unable to use delay `soon': it takes seconds"),
            ("delay\n", "line 1: delay takes SECS"),
            ("daemon yes\n", "line 1: daemon takes no value"),
            ("delay 1\n#\ndelay 1\n", "line 3: delay stands on line 1 already"),
            ("resolver nowhere\n", "line 1: unable to use resolver `nowhere'"),
            ("config x\n", "line 1: config is for the command line only"),
            ("help\n", "line 1: help is for the command line only"),
        ] {
            let why = read_with("c", text, "--config FILE --resolver ::1 0 25 p").unwrap_err();
            assert!(why.starts_with("unable to use FILE line ") && why.contains(message), "{why}");
        }
        let missing: Vec<OsString> =
            ["--config", "/nonexistent", "0", "25", "p"].map(OsString::from).into();
        let parsed = parse(&DAEMON, &missing, Options::default());
        let message = Fatal::from(parsed.request.unwrap_err()).to_string();
        assert!(message.starts_with("unable to read /nonexistent: "), "{message}");
    }

    #[test]
    fn options_that_do_not_go_together_are_found_across_both() {
        let why = read_with("d", "rules /x\n", "-x /y --config FILE 0 25 p").unwrap_err();
        let expected = "-x and --rules exclude each other (command line, FILE line 1)";
        assert!(why.contains(expected), "{why}");
        let text = "max-idle 2\n\nmin-idle 9\n";
        let why = read_with("e", text, "--config FILE 0 25 p").unwrap_err();
        let expected = "--min-idle 9 is more than --max-idle 2 (FILE line 3, FILE line 1)";
        assert!(why.starts_with(expected), "{why}");
        let why = read_with("f", text, "--config FILE --max-idle 5 0 25 p").unwrap_err();
        assert!(why.contains("--max-idle 5 (FILE line 3, command line)"), "{why}");
    }

    #[test]
    fn every_line_that_is_wrong_is_reported() {
        let text = "delay soon\nnonsense\nearly log\nhold -1\n";
        let why = read_with("g", text, "--config FILE -c 0 0 25 p").unwrap_err();
        let places: Vec<&str> = why.split("; ").map(|why| why.split(':').next().unwrap()).collect();
        let [one, two, three] = [1, 2, 4].map(|line| format!("unable to use FILE line {line}"));
        assert_eq!(places, ["unable to use -c `0'", &one, &two, &three]);
    }

    #[test]
    fn what_the_command_line_says_too_is_read_all_the_same() {
        let why = read_with("h", "delay soon\n", "--config FILE --delay 1 0 25 p").unwrap_err();
        assert!(why.contains("FILE line 1: unable to use delay `soon'"), "{why}");
    }
}
