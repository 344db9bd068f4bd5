//! Where settings are: on the command line, or on a line of the file that `--config` names.

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
    pub(super) fn line(&self, name: &str) -> Option<usize> {
        self.lines.iter().find(|(known, _)| *known == name).map(|(_, line)| *line)
    }
}
