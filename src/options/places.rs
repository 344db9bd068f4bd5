//! How messages name a setting, by where it is.

use super::{Options, Setting};
use crate::error::Fatal;

impl Options {
    /// The name of a setting in a message: `--rules`, or `rules in FILE line 3`; `-x` for
    /// one that is a letter.
    #[must_use]
    pub fn origin<'a>(&self, setting: impl Into<Setting<'a>>) -> String {
        let setting = setting.into();
        let name = setting.name;
        match self.file_line(setting) {
            Some(place) => format!("{name} in {place}"),
            None if name.len() == 1 => format!("-{name}"),
            None => format!("--{name}"),
        }
    }

    /// Whether a setting is not a default.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.origins.is_typed(name) || self.origins.line(name.into()).is_some()
    }

    /// The same mistake, with the setting that it comes from.
    #[must_use]
    pub fn with_origin(&self, name: &str, mistake: Fatal) -> Fatal {
        Fatal::Of { origin: self.origin(name), error: Box::new(mistake) }
    }

    /// Where each of two settings is, unless both are on the command line.
    pub(super) fn places(&self, one: &str, other: &str) -> Option<[String; 2]> {
        let places = [one, other].map(|name| self.file_line(name.into()));
        let is_in_file = places.iter().any(Option::is_some);
        is_in_file.then(|| places.map(|place| place.unwrap_or_else(|| "command line".into())))
    }

    fn file_line(&self, setting: Setting<'_>) -> Option<String> {
        let (file, line) = (self.config.as_ref()?, self.origins.line(setting)?);
        Some(format!("{} line {line}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_setting_is_called_by_where_it_stands() {
        let mut options = Options { config: Some("/etc/x".into()), ..Options::default() };
        options.origins.add_line("rules", 3);
        options.origins.add_typed("pidfile");
        assert_eq!(options.origin("rules"), "rules in /etc/x line 3");
        assert_eq!(options.origin("pidfile"), "--pidfile");
        assert_eq!(options.origin("x"), "-x");
        options.origins.add_line("static-file", 4);
        options.origins.add_line("static-file", 6);
        let files = ["a", "b"].map(PathBuf::from);
        let settings: Vec<_> = Setting::each("static-file", &files).collect();
        assert_eq!(settings.iter().map(|(_, path)| *path).collect::<Vec<_>>(), files);
        let origins: Vec<_> = settings.iter().map(|(it, _)| options.origin(*it)).collect();
        assert_eq!(origins, [4, 6].map(|line| format!("static-file in /etc/x line {line}")));
        let places = ["command line", "/etc/x line 3"].map(String::from);
        assert_eq!(options.places("x", "rules"), Some(places));
        assert_eq!(options.places("x", "pidfile"), None);
    }
}
