//! How messages name a setting, by where it is.

use super::Options;
use crate::error::Fatal;

impl Options {
    /// The name of a setting in a message: `--rules`, or `rules in FILE line 3`; `-x` for
    /// one that is a letter.
    #[must_use]
    pub fn origin(&self, name: &str) -> String {
        match self.file_line(name) {
            Some(place) => format!("{name} in {place}"),
            None if name.len() == 1 => format!("-{name}"),
            None => format!("--{name}"),
        }
    }

    /// Whether a setting is not a default.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.origins.is_typed(name) || self.origins.line(name).is_some()
    }

    /// The same mistake, with the setting that it comes from.
    #[must_use]
    pub fn with_origin(&self, name: &str, mistake: Fatal) -> Fatal {
        Fatal::Of { origin: self.origin(name), error: Box::new(mistake) }
    }

    /// Where each of two settings is, unless both are on the command line.
    pub(super) fn places(&self, one: &str, other: &str) -> Option<[String; 2]> {
        let places = [one, other].map(|name| self.file_line(name));
        let is_in_file = places.iter().any(Option::is_some);
        is_in_file.then(|| places.map(|place| place.unwrap_or_else(|| "command line".into())))
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
        let places = ["command line", "/etc/x line 3"].map(String::from);
        assert_eq!(options.places("x", "rules"), Some(places));
        assert_eq!(options.places("x", "pidfile"), None);
    }
}
