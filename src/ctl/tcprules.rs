//! `tcprules rules.cdb rules.tmp`: compiles rules in text form from standard
//! input.  The file, the messages and the exit codes are those of ucspi-tcp
//! 0.88; like it, this ignores a line without a colon.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use cdb2::CDBMake;

use super::ucspi_errors::{Action, Tool, ToolError};
use crate::escape::Message;
use crate::rules::lint::Linter;
use crate::rules::text::{Line, Parsed, keys, parse, trimmed};

/// Compiles `input` into a temporary file and renames that, without warnings about rules
/// that do not do what they seem to.
///
/// # Errors
/// 100 for wrong usage or a line that cannot be parsed, 111 for system trouble.
pub fn run(arguments: &[OsString], input: &mut impl BufRead) -> Result<(), ToolError> {
    run_with(arguments, input, |_| ())
}

/// The same with a warning about each such rule on standard error, as with `--rules`.
///
/// # Errors
/// As [`run`].
pub fn run_with_warnings(
    arguments: &[OsString],
    input: &mut impl BufRead,
) -> Result<(), ToolError> {
    let mut linter = Linter::default();
    let done = run_with(arguments, input, |line| linter.look_at(line));
    for warning in linter.finish() {
        let warning = Message(&warning).to_string();
        let _ = writeln!(io::stderr(), "smtp-delayctl: warning: {warning}");
    }
    done
}

fn run_with(
    arguments: &[OsString],
    input: &mut impl BufRead,
    mut look_at: impl FnMut(&[u8]),
) -> Result<(), ToolError> {
    let [target, temporary, ..] = arguments else {
        return Err(ToolError::Usage(Tool::Tcprules));
    };
    let file = create(Path::new(temporary))
        .map_err(|why| ToolError::Unable(Action::Create(temporary.clone()), why))?;
    let unable_to_write = |why| ToolError::Unable(Action::Write(temporary.clone()), why);
    let sync = file.try_clone().map_err(unable_to_write)?;
    let mut cdb = CDBMake::new(file).map_err(unable_to_write)?;
    let mut line = Vec::new();
    while read_line(input, &mut line)? {
        look_at(&line);
        compile(&line, |key, record| cdb.add(key, record).map_err(unable_to_write))?;
    }
    cdb.finish().map_err(unable_to_write)?;
    sync.sync_all().map_err(unable_to_write)?;
    fs::rename(temporary, target).map_err(|why| {
        let action = Action::Move { from: temporary.clone(), to: target.clone() };
        ToolError::Unable(action, why)
    })
}

fn create(path: &Path) -> io::Result<File> {
    let flags = libc::O_NDELAY;
    File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .custom_flags(flags)
        .open(path)
}

/// Whether there was a line; its newline is kept.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, ToolError> {
    line.clear();
    let length = input.read_until(b'\n', line);
    let length = length.map_err(|why| ToolError::Unable(Action::ReadInput, why))?;
    Ok(length > 0)
}

fn compile(
    line: &[u8],
    mut add: impl FnMut(&[u8], &[u8]) -> Result<(), ToolError>,
) -> Result<(), ToolError> {
    let bad = || {
        let shown = trimmed(line).split(|byte| *byte == 0).next().unwrap_or_default();
        ToolError::Line(shown.to_vec())
    };
    match parse(line) {
        Parsed::Empty | Parsed::NoColon => Ok(()),
        Parsed::Bad => Err(bad()),
        Parsed::Rules(Line { address, rule }) => {
            let record = rule.encode();
            keys(address).map_err(|_| bad())?.try_for_each(|key| add(&key, &record))
        }
    }
}
