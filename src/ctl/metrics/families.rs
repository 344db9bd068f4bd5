//! Families of figures in Prometheus's text format, version 0.0.4, which the textfile
//! collector reads; it does not read `OpenMetrics`.

use std::ffi::OsStr;
use std::fmt::{Display, Write as _};

use crate::error::Usage;

/// Labels that the figures have anyway.
const OWN: [&str; 3] = ["verdict", "class", "state"];

/// A label that all figures of a daemon have, so that those of two daemons on one host are
/// not the same.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// As the format has it, `NAME="VALUE"`.
    text: String,
}

impl Label {
    /// Reads `NAME=VALUE`.
    ///
    /// # Errors
    /// A name that no label, or none of ours, may have, or a value that is not UTF-8.
    pub(super) fn parse(argument: &OsStr) -> Result<Self, Usage> {
        let (name, value) =
            argument.to_str().and_then(|text| text.split_once('=')).unwrap_or_default();
        let is_of_names = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let is_name = name.starts_with(|first: char| first.is_ascii_alphabetic())
            && name.chars().all(is_of_names);
        if !is_name || OWN.contains(&name) {
            let takes = "NAME=VALUE, such as port=25; a name has letters, digits and _";
            return Err(Usage::Takes { what: "--label".into(), takes });
        }
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        Ok(Self { text: format!("{name}=\"{value}\"") })
    }
}

/// What a figure does.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It only grows, as long as the daemon runs.
    Counter,
    /// It may also fall.
    Gauge,
}

/// The families that were written so far.
pub(super) struct Families<'a> {
    label: Option<&'a Label>,
    text: String,
}

impl<'a> Families<'a> {
    /// None, whose figures will have `label`.
    pub(super) fn new(label: Option<&'a Label>) -> Self {
        Self { label, text: String::new() }
    }

    /// A family of one figure.
    pub(super) fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.begin(name, kind, help);
        self.add(name, None, value);
    }

    /// A family with a figure for each value of `label`, which are words of ours that need
    /// no escaping.
    pub(super) fn each<V: Display>(
        &mut self,
        name: &str,
        kind: Kind,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'static str, V)>,
    ) {
        self.begin(name, kind, help);
        for (word, value) in values {
            self.add(name, Some(format!("{label}=\"{word}\"")), value);
        }
    }

    fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let _ = writeln!(self.text, "# HELP smtp_delayd_{name} {help}");
        let _ = writeln!(self.text, "# TYPE smtp_delayd_{name} {kind}");
    }

    fn add(&mut self, name: &str, own: Option<String>, value: impl Display) {
        let given = self.label.map(|label| label.text.clone());
        let labels: Vec<String> = given.into_iter().chain(own).collect();
        let labels = match labels.join(",") {
            none if none.is_empty() => none,
            some => format!("{{{some}}}"),
        };
        let _ = writeln!(self.text, "smtp_delayd_{name}{labels} {value}");
    }

    /// The text of all of them.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(text: &str) -> Option<Label> {
        Label::parse(OsStr::new(text)).ok()
    }

    #[test]
    fn a_label_is_in_front_of_the_others() {
        let port = label("port=25").unwrap();
        let mut families = Families::new(Some(&port));
        families.one("up", Kind::Gauge, "x.", 1);
        families.each("children", Kind::Gauge, "x.", "state", [("idle", 5)].into_iter());
        let text = families.into_text();
        assert!(text.contains("\nsmtp_delayd_up{port=\"25\"} 1\n"), "{text}");
        assert!(text.ends_with("\nsmtp_delayd_children{port=\"25\",state=\"idle\"} 5\n"), "{text}");
    }

    #[test]
    fn a_value_is_escaped_and_a_name_is_checked() {
        assert_eq!(label("a_1=x\"\\\n=y").unwrap().text, "a_1=\"x\\\"\\\\\\n=y\"");
        assert_eq!(label("a=").unwrap().text, "a=\"\"");
        for bad in ["", "a", "=x", "1a=x", "__a=x", "a-b=x", "a b=x", "class=x", "state=x"] {
            assert_eq!(label(bad), None, "{bad}");
        }
    }
}
