//! Where settings are: on the command line, or on a line of the file that `--config` names.

use std::path::{Path, PathBuf};

/// A setting, one of several if it may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<'a> {
    /// Its name, without dashes.
    pub(super) name: &'a str,
    /// Which of those with this name it is, from 0.
    number: usize,
}

impl Setting<'static> {
    /// The settings of this name that name `files`.
    pub(crate) fn each<'f>(
        name: &'static str,
        files: &'f [PathBuf],
    ) -> impl Iterator<Item = (Self, &'f Path)> {
        let of =
            move |(number, path): (usize, &'f PathBuf)| (Self { name, number }, path.as_path());
        files.iter().enumerate().map(of)
    }
}

impl<'a> From<&'a str> for Setting<'a> {
    fn from(name: &'a str) -> Self {
        Self { name, number: 0 }
    }
}

/// Where each setting is that is not a default.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The long names of those on the command line.
    typed: Vec<&'static str>,
    /// The long names of those in the file that count, and their lines.
    lines: Vec<(&'static str, usize)>,
}

impl Origins {
    /// Forgets those on the command line, which is to be read again.
    pub(super) fn forget_typed(&mut self) {
        self.typed.clear();
    }

    pub(super) fn add_typed(&mut self, name: &'static str) {
        self.typed.push(name);
    }

    pub(super) fn add_line(&mut self, name: &'static str, line: usize) {
        self.lines.push((name, line));
    }

    /// Whether it is on the command line.
    pub(super) fn is_typed(&self, name: &str) -> bool {
        self.typed.contains(&name)
    }

    /// The line of the file that it is on.
    pub(super) fn line(&self, Setting { name, number }: Setting<'_>) -> Option<usize> {
        let mut lines = self.lines.iter().filter(|(known, _)| *known == name);
        lines.nth(number).map(|(_, line)| *line)
    }
}
