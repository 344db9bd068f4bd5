//! `--config FILE`: long options without their dashes, one a line, as
//! `name value`.

use std::path::Path;

use super::parse::{CommandLine, unusable};
use super::table::{Opt, Setter};
use super::{Options, files};
use crate::error::Fatal;

/// The biggest file, in bytes.
pub(crate) const LARGEST: usize = 1 << 20;

/// Reads the file.
///
/// # Errors
/// Where that cannot be done: 100.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Fatal> {
    files::read("--config", path, LARGEST)
}

/// Sets what `text`, which stands in the file `path`, says.  Options that add
/// up, and that are among `given`, are left to the command line.
///
/// # Errors
/// A mistake in it, with its line: 100.
pub(super) fn apply(
    line: &CommandLine,
    (path, text): (&Path, &[u8]),
    given: &[&'static str],
    options: &mut Options,
) -> Result<(), Fatal> {
    let text = utf_8(path, text)?;
    let mut seen: Vec<(&'static str, usize)> = Vec::new();
    for (number, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let bad = |why: String| {
            Fatal::usage(format!("unable to use {} line {number}: {why}", path.display()))
        };
        let (name, value) = content.split_once([' ', '\t']).unwrap_or((content, ""));
        let opt = find(line, name).map_err(bad)?;
        let before = seen.iter().find(|(known, _)| Some(*known) == opt.long && !opt.repeats);
        if let Some((name, first)) = before {
            return Err(bad(format!("{name} stands on line {first} already")));
        }
        seen.extend(opt.long.map(|long| (long, number)));
        let left_out = opt.repeats && given.iter().any(|long| Some(*long) == opt.long);
        set(opt, value.trim(), options, left_out).map_err(bad)?;
    }
    Ok(())
}

fn utf_8<'a>(path: &Path, text: &'a [u8]) -> Result<&'a str, Fatal> {
    std::str::from_utf8(text).map_err(|error| {
        let before = &text[..error.valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        Fatal::usage(format!("unable to use {} line {line}: it is not UTF-8", path.display()))
    })
}

fn find(line: &CommandLine, name: &str) -> Result<&'static Opt, String> {
    let shown = name.escape_debug();
    if let Some(bare) = name.strip_prefix('-') {
        let bare = bare.trim_start_matches('-').escape_debug();
        return Err(format!("options stand here without dashes: {bare}, not {shown}"));
    }
    let opt = line.by_name(name).ok_or_else(|| format!("unknown option {shown}"))?;
    if opt.typed {
        return Err(format!("{shown} is for the command line only"));
    }
    Ok(opt)
}

fn set(opt: &Opt, value: &str, options: &mut Options, left_out: bool) -> Result<(), String> {
    let name = opt.long.unwrap_or_default();
    match opt.setter {
        Setter::Flag(_) if !value.is_empty() => Err(format!("{name} takes no value")),
        Setter::Flag(set) => {
            set(options);
            Ok(())
        }
        Setter::Value(_) if value.is_empty() => {
            Err(format!("{name} takes {}", opt.argument.unwrap_or("a value")))
        }
        Setter::Value(set) => {
            let set = |options: &mut Options| set(options, value.as_ref());
            let done = if left_out { set(&mut options.clone()) } else { set(options) };
            done.map_err(|why| unusable(name, value, &why))
        }
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
            Err(fatal) => Err(fatal.message.replace(file.to_str().unwrap(), "FILE")),
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
        assert!(parsed.request.unwrap_err().message.starts_with("unable to read /nonexistent: "));
    }

    #[test]
    fn options_that_do_not_go_together_are_found_across_both() {
        let why = read_with("d", "rules /x\n", "-x /y --config FILE 0 25 p").unwrap_err();
        assert!(why.contains("-x and --rules exclude each other"), "{why}");
    }
}
