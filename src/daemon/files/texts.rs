//! The contents of the files that the options name, each read once, and the tables that
//! were made of them: the daemon uses exactly what a checker has accepted, even if the
//! files change meanwhile.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::iter;
use std::path::{Path, PathBuf};

use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::error::Fatal;
use crate::names::Patterns;
use crate::options::{Options, Setting, config, files};
use crate::rules::list::RuleList;

/// The length that stands for a file that no option names.
const NONE: u64 = u64::MAX;

/// The contents; `None` for a file that no option names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::daemon) struct Texts {
    /// `--config`.
    pub(in crate::daemon) config: Option<Vec<u8>>,
    /// Each `--dynamic-file`.
    pub(in crate::daemon) dynamic: Vec<Vec<u8>>,
    /// Each `--static-file`.
    pub(in crate::daemon) exceptions: Vec<Vec<u8>>,
    /// `--rules`.
    pub(in crate::daemon) rules: Option<Vec<u8>>,
    /// What [`Patterns::tables`] gives of each in `dynamic`, once they are compiled.
    pub(in crate::daemon) dynamic_tables: Vec<Vec<u8>>,
    /// The same for `exceptions`.
    pub(in crate::daemon) exceptions_tables: Vec<Vec<u8>>,
    /// Warnings about the files, each followed by a NUL.
    pub(in crate::daemon) warnings: Option<Vec<u8>>,
}

impl Texts {
    /// Whether `options` name any file.
    pub(in crate::daemon) fn are_named_by(options: &Options) -> bool {
        let Options { config, dynamic_files, static_files, rules, .. } = options;
        let has_expressions = !dynamic_files.is_empty() || !static_files.is_empty();
        has_expressions || config.is_some() || rules.is_some()
    }

    /// Reads the file of `--config`, which names the others.
    ///
    /// # Errors
    /// A file that cannot be read: 100.
    pub(in crate::daemon) fn read_config(options: &Options) -> Result<Self, Fatal> {
        let config = read(options, "config", options.config.as_deref(), config::LARGEST)?;
        Ok(Self { config, ..Self::default() })
    }

    /// Reads the others.
    ///
    /// # Errors
    /// A file that cannot be read: 100.
    pub(in crate::daemon) fn read_others(&mut self, options: &Options) -> Result<(), Fatal> {
        self.dynamic = read_all(options, "dynamic-file", &options.dynamic_files)?;
        self.exceptions = read_all(options, "static-file", &options.static_files)?;
        self.rules = read(options, "rules", options.rules.as_deref(), RuleList::LARGEST_FILE)?;
        Ok(())
    }

    /// Expressions that do not do what they seem to.
    pub(in crate::daemon) fn expression_warnings(&self, options: &Options) -> Vec<String> {
        let dynamic = options.dynamic_files.iter().zip(&self.dynamic);
        let exceptions = options.static_files.iter().zip(&self.exceptions);
        let files = dynamic.chain(exceptions);
        files
            .flat_map(|(path, text)| Patterns::warnings(&path.display().to_string(), text))
            .collect()
    }

    /// Hands `warnings` over.
    pub(in crate::daemon) fn set_warnings(&mut self, warnings: &[String]) {
        let bytes = warnings.iter().flat_map(|warning| [warning.as_bytes(), b"\0"].concat());
        self.warnings = Some(bytes.collect());
    }

    /// Warnings about the files, in order.
    pub(in crate::daemon) fn warnings(&self) -> impl Iterator<Item = String> {
        let told = self.warnings.as_deref().unwrap_or_default().split(|byte| *byte == 0);
        let told = told.filter(|warning| !warning.is_empty());
        told.map(|warning| String::from_utf8_lossy(warning).into_owned())
    }
}

fn read(
    options: &Options,
    name: &str,
    path: Option<&Path>,
    most: usize,
) -> Result<Option<Vec<u8>>, Fatal> {
    path.map(|path| files::read(options, name, path, most)).transpose()
}

/// Reads files of expressions.
fn read_all(
    options: &Options,
    name: &'static str,
    paths: &[PathBuf],
) -> Result<Vec<Vec<u8>>, Fatal> {
    let read = |(setting, path)| files::read(options, setting, path, Patterns::LARGEST_FILE);
    Setting::each(name, paths).map(read).collect()
}

/// How a checker hands over what it has read, or a mistake: an anonymous file, which
/// both processes have open.
#[derive(Debug)]
pub(in crate::daemon) struct Handover(File);

impl Handover {
    /// Makes one.
    ///
    /// # Errors
    /// Errors of `memfd_create(2)`.
    pub(in crate::daemon) fn new() -> nix::Result<Self> {
        memfd_create(c"smtp-delayd", MFdFlags::MFD_CLOEXEC).map(|fd| Self(fd.into()))
    }

    /// Hands over what was read.
    pub(in crate::daemon) fn put(&self, texts: &Texts) -> io::Result<()> {
        // In the order in which they are taken.
        let Texts {
            config,
            dynamic,
            exceptions,
            rules,
            dynamic_tables,
            exceptions_tables,
            warnings,
        } = texts;
        [config, rules, warnings].into_iter().try_for_each(|text| self.put_one(text.as_deref()))?;
        let lists = [dynamic, exceptions, dynamic_tables, exceptions_tables];
        lists.into_iter().try_for_each(|list| self.put_list(list))
    }

    fn put_one(&self, text: Option<&[u8]>) -> io::Result<()> {
        let length = text.map_or(NONE, |text| text.len() as u64);
        (&self.0).write_all(&length.to_ne_bytes())?;
        (&self.0).write_all(text.unwrap_or_default())
    }

    /// A list ends where one that no option names would be.
    fn put_list(&self, list: &[Vec<u8>]) -> io::Result<()> {
        list.iter().try_for_each(|text| self.put_one(Some(text)))?;
        self.put_one(None)
    }

    /// What was read.
    ///
    /// # Errors
    /// ENOMEM, or if nothing was handed over.
    pub(in crate::daemon) fn take(&self) -> io::Result<Texts> {
        (&self.0).rewind()?;
        // In the order in which they are put there.
        Ok(Texts {
            config: self.take_one()?,
            rules: self.take_one()?,
            warnings: self.take_one()?,
            dynamic: self.take_list()?,
            exceptions: self.take_list()?,
            dynamic_tables: self.take_list()?,
            exceptions_tables: self.take_list()?,
        })
    }

    fn take_list(&self) -> io::Result<Vec<Vec<u8>>> {
        iter::from_fn(|| self.take_one().transpose()).collect()
    }

    fn take_one(&self) -> io::Result<Option<Vec<u8>>> {
        let (mut length, mut text) = ([0; 8], Vec::new());
        (&self.0).read_exact(&mut length)?;
        let length = u64::from_ne_bytes(length);
        if length == NONE {
            return Ok(None);
        }
        let read = (&self.0).take(length).read_to_end(&mut text)?;
        if read as u64 == length { Ok(Some(text)) } else { Err(ErrorKind::UnexpectedEof.into()) }
    }

    /// Hands over a mistake instead.
    pub(in crate::daemon) fn put_mistake(&self, fatal: &Fatal) -> io::Result<()> {
        self.0.set_len(0)?;
        (&self.0).rewind()?;
        (&self.0).write_all(fatal.to_string().as_bytes())
    }

    /// The mistake.
    pub(in crate::daemon) fn take_mistake(&self) -> io::Result<String> {
        let mut message = String::new();
        (&self.0).rewind()?;
        (&self.0).read_to_string(&mut message)?;
        Ok(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_handed_over() {
        let texts = Texts {
            dynamic_tables: vec![vec![1; 5000], Vec::new(), vec![2]],
            exceptions_tables: Vec::new(),
            warnings: Some(b"one\0two\0".to_vec()),
            config: None,
            dynamic: vec![b"^a\n".to_vec(), Vec::new(), b"^b\n".to_vec()],
            exceptions: vec![Vec::new()],
            rules: Some(vec![0xff; 100_000]),
        };
        let handover = Handover::new().unwrap();
        assert!(handover.take().is_err(), "nothing has been handed over");
        handover.put(&texts).unwrap();
        assert_eq!(handover.take().unwrap(), texts);
        assert_eq!(texts.warnings().collect::<Vec<_>>(), ["one", "two"]);
        handover.put_mistake(&Fatal::NoAddress("caf\u{e9}".into())).unwrap();
        assert_eq!(handover.take_mistake().unwrap(), "no IP address for caf\u{e9}");
        assert!(handover.take().is_err());
    }
}
