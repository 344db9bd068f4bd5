//! Where a setting stands: on the command line, or on a line of the file that
//! `--config` names.

use super::Options;
use crate::error::Fatal;

/// Where each setting stands that is not a default.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    /// The long names of those on the command line.
    typed: Vec<&'static str>,
    /// The long names of those in the file that count, and their lines.
    lines: Vec<(&'static str, usize)>,
}

impl Origins {
    /// Forgets what stands on the command line, which is to be read again.
    pub(super) fn forget_typed(&mut self) {
        self.typed.clear();
    }

    pub(super) fn add_typed(&mut self, name: &'static str) {
        self.typed.push(name);
    }

    pub(super) fn add_line(&mut self, name: &'static str, line: usize) {
        self.lines.push((name, line));
    }

    /// Whether it stands on the command line.
    pub(super) fn is_typed(&self, name: &str) -> bool {
        self.typed.contains(&name)
    }

    fn line(&self, name: &str) -> Option<usize> {
        self.lines.iter().find(|(known, _)| *known == name).map(|(_, line)| *line)
    }
}

impl Options {
    /// What a message calls a setting: `--rules`, or `rules in FILE line 3`.  One
    /// that is a letter is `-x`.
    #[must_use]
    pub fn origin(&self, name: &str) -> String {
        match self.file_line(name) {
            Some(place) => format!("{name} in {place}"),
            None if name.len() == 1 => format!("-{name}"),
            None => format!("--{name}"),
        }
    }

    /// The same mistake, and the setting that it comes from.
    #[must_use]
    pub fn with_origin(&self, name: &str, mistake: Fatal) -> Fatal {
        Fatal { message: format!("{} ({})", mistake.message, self.origin(name)), ..mistake }
    }

    /// Behind a message about two settings: where each of them stands, unless both
    /// stand on the command line.
    pub(super) fn places(&self, one: &str, other: &str) -> String {
        let places = [one, other].map(|name| self.file_line(name));
        if places.iter().all(Option::is_none) {
            return String::new();
        }
        let [one, other] = places.map(|place| place.unwrap_or_else(|| "command line".into()));
        format!(" ({one}, {other})")
    }

    fn file_line(&self, name: &str) -> Option<String> {
        let (file, line) = (self.config.as_ref()?, self.origins.line(name)?);
        Some(format!("{} line {line}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_called_by_where_it_stands() {
        let mut options = Options { config: Some("/etc/x".into()), ..Options::default() };
        options.origins.add_line("rules", 3);
        options.origins.add_typed("pidfile");
        assert_eq!(options.origin("rules"), "rules in /etc/x line 3");
        assert_eq!(options.origin("pidfile"), "--pidfile");
        assert_eq!(options.origin("x"), "-x");
        assert_eq!(options.places("x", "rules"), " (command line, /etc/x line 3)");
        assert_eq!(options.places("x", "pidfile"), "");
    }
}
