//! The program that clients get, where it is, and why it cannot be run.

pub mod environment;
pub(super) mod variables;

use std::ffi::{CString, NulError, OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::{error, fmt};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use crate::file;
use crate::sys::{self, Strings};

/// djb's default path, for a daemon that was started without `$PATH`.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// The magic bytes of an executable (elf(5)).
const ELF: &[u8] = b"\x7fELF";
/// Bytes of a script that the kernel reads (execve(2)).
const LOOKED_AT: u64 = 256;

/// What is no program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoProgram {
    /// There is no name, or an empty one.
    NoName,
    /// A word has a NUL in it, which exec(3) cannot pass on.
    Nul(NulError),
}

impl fmt::Display for NoProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("it has no name"),
            Self::Nul(why) => why.fmt(f),
        }
    }
}

impl error::Error for NoProgram {}

/// A program, its arguments, and the paths where it may be.
pub struct Program {
    arguments: Strings,
    files: Vec<CString>,
}

impl Program {
    /// `words` are the program and its arguments; `path` is `$PATH`, in which
    /// a program without a slash is looked for.
    ///
    /// # Errors
    /// If there is no program, or a NUL in a word.
    pub fn new(words: &[OsString], path: Option<&[u8]>) -> Result<Self, NoProgram> {
        let name = words.first().filter(|name| !name.is_empty());
        let name = name.ok_or(NoProgram::NoName)?.as_bytes();
        let directories = path.unwrap_or(DEFAULT_PATH).split(|byte| *byte == b':');
        let files = if name.contains(&b'/') {
            vec![name.to_vec()]
        } else {
            directories.map(|directory| in_directory(directory, name)).collect()
        };
        let arguments = words.iter().map(|word| word.clone().into_vec()).collect();
        Ok(Self { arguments: Strings::new(strings(arguments)?), files: strings(files)? })
    }

    /// One file, run with `arguments` whatever argv\[0\] is.
    ///
    /// # Errors
    /// A NUL in a word.
    pub fn at(file: &str, arguments: &[&str]) -> Result<Self, NoProgram> {
        let arguments = arguments.iter().map(|word| word.as_bytes().to_vec()).collect();
        Ok(Self {
            arguments: Strings::new(strings(arguments)?),
            files: strings(vec![file.into()])?,
        })
    }

    /// The name under which it was given.
    #[must_use]
    pub fn name(&self) -> String {
        self.arguments
            .iter()
            .next()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default()
    }

    /// Checks that a file could be run, as far as its mode and first bytes tell.
    ///
    /// # Errors
    /// Why no file could be run.
    pub fn find(&self) -> io::Result<()> {
        let mut why = Errno::ENOENT;
        for file in &self.files {
            match runnable(Path::new(OsStr::from_bytes(file.as_bytes()))) {
                Ok(()) => return Ok(()),
                Err(Errno::ENOENT) => (),
                Err(error @ (Errno::EACCES | Errno::EPERM | Errno::EISDIR)) => why = error,
                Err(error) => return Err(error.into()),
            }
        }
        Err(why.into())
    }

    /// Execs the first file that can be run, searched as djb's `pathexec_run` does:
    /// files that are missing or must not be run are skipped, and no shell is used.
    pub(super) fn exec(&self, environment: &Strings) -> Errno {
        let mut why = Errno::ENOENT;
        for file in &self.files {
            let error = sys::exec(file, &self.arguments, environment);
            match error {
                Errno::ENOENT => (),
                Errno::EACCES | Errno::EPERM | Errno::EISDIR => why = error,
                _ => return error,
            }
        }
        why
    }
}

/// What keeps the file at `path` from being run, as far as its mode and its first bytes
/// tell.  One that may be run but not read is assumed to be a program.
fn runnable(path: &Path) -> nix::Result<()> {
    access(path, AccessFlags::X_OK)?;
    if !path.is_file() {
        return Err(if path.is_dir() { Errno::EISDIR } else { Errno::EACCES });
    }
    let mut start = Vec::new();
    let opened = file::open(path);
    if opened.and_then(|file| file.take(LOOKED_AT).read_to_end(&mut start)).is_err() {
        return Ok(());
    }
    match start.strip_prefix(b"#!") {
        Some(line) => access(interpreter(line), AccessFlags::X_OK),
        None if start.starts_with(ELF) => Ok(()),
        // The administrator may have registered its format with the kernel
        // (binfmt_misc).
        None if start.first().is_some_and(|byte| !is_text(*byte)) => Ok(()),
        None => Err(Errno::ENOEXEC),
    }
}

fn interpreter(line: &[u8]) -> &Path {
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = line.trim_ascii_start().split(u8::is_ascii_whitespace).next().unwrap_or_default();
    Path::new(OsStr::from_bytes(name))
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte.is_ascii_whitespace()
}

fn in_directory(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let directory = if directory.is_empty() { b"." } else { directory };
    [directory, b"/", name].concat()
}

fn strings(words: Vec<Vec<u8>>) -> Result<Vec<CString>, NoProgram> {
    words.into_iter().map(|word| CString::new(word).map_err(NoProgram::Nul)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(name: &str, path: Option<&[u8]>) -> Vec<String> {
        let program = Program::new(&[name.into()], path).unwrap();
        program.files.iter().map(|file| file.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn programs_are_looked_for_along_the_path() {
        assert_eq!(files("p", Some(b"/a::/b")), ["/a/p", "./p", "/b/p"]);
        assert_eq!(files("p", None), ["/bin/p", "/usr/bin/p"]);
        assert_eq!(files("./p", Some(b"/a")), ["./p"]);
        let why = |words: &[OsString]| Program::new(words, None).err().unwrap();
        assert_eq!(why(&[]), NoProgram::NoName);
        assert!(matches!(why(&[OsString::from_vec(b"a\0b".to_vec())]), NoProgram::Nul(_)));
    }
}
