//! The environment of the program: the daemon's own, overlaid with the variables of one
//! connection.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;

use crate::sys::Strings;

/// A variable that is set or, without a value, removed.
type Own = (Cow<'static, [u8]>, Option<Vec<u8>>);

/// Variables by name.  Cloning is cheap: what was inherited is shared, and formatted
/// for execve(2) once.  It lives as long as the process: every child would write a
/// reference count, and so copy the page.
#[derive(Clone)]
pub struct Environment {
    inherited: &'static Inherited,
    own: Vec<Own>,
}

struct Inherited {
    /// Sorted by name.
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// `NAME=value`, in the same order.
    strings: Vec<CString>,
}

impl Inherited {
    fn find(&self, name: &[u8]) -> Option<usize> {
        self.variables.binary_search_by(|(known, _)| known.as_slice().cmp(name)).ok()
    }
}

impl Environment {
    /// Starts with `variables`, as [`std::env::vars_os`] returns them.
    pub fn inherit(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let bytes = |(name, value): (OsString, OsString)| (name.into_vec(), value.into_vec());
        // Sorted, and of two with the same name the last counts.
        let variables: BTreeMap<_, _> = variables.into_iter().map(bytes).collect();
        let spelled = variables.into_iter().filter_map(|(name, value)| {
            let string = string(&name, &value)?;
            Some(((name, value), string))
        });
        let (variables, strings) = spelled.unzip();
        Self { inherited: Box::leak(Box::new(Inherited { variables, strings })), own: Vec::new() }
    }

    /// Sets a variable, or removes it.
    pub fn set(&mut self, name: &'static str, value: Option<impl Into<Vec<u8>>>) {
        self.put(Cow::Borrowed(name.as_bytes()), value.map(Into::into));
    }

    /// Sets a variable of a rule.
    pub fn set_by_rule(&mut self, name: Vec<u8>, value: Vec<u8>) {
        self.put(Cow::Owned(name), Some(value));
    }

    fn put(&mut self, name: Cow<'static, [u8]>, value: Option<Vec<u8>>) {
        match self.own.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => self.own.push((name, value)),
        }
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let name = name.as_bytes();
        match self.own.iter().find(|(known, _)| **known == *name) {
            Some((_, value)) => value.as_deref(),
            None => self.inherited.find(name).map(|index| &*self.inherited.variables[index].1),
        }
    }

    /// The value of a variable, if it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// `NAME=value` strings for execve(2).
    #[must_use]
    pub fn strings(&self) -> Strings {
        let set = self.own.iter().filter_map(|(name, value)| string(name, value.as_deref()?));
        let replaced: Vec<usize> =
            self.own.iter().filter_map(|(name, _)| self.inherited.find(name)).collect();
        Strings::beside(&self.inherited.strings, |index| !replaced.contains(&index), set.collect())
    }
}

/// `None` for a NUL, which execve(2) cannot express.
fn string(name: &[u8], value: &[u8]) -> Option<CString> {
    let mut bytes = Vec::with_capacity(name.len() + value.len() + 2);
    bytes.extend_from_slice(name);
    bytes.push(b'=');
    bytes.extend_from_slice(value);
    CString::new(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(environment: &Environment) -> Vec<String> {
        let mut texts: Vec<String> = environment
            .strings()
            .iter()
            .map(|string| string.to_string_lossy().into_owned())
            .collect();
        texts.sort();
        texts
    }

    #[test]
    fn own_variables_replace_and_remove_inherited_ones() {
        let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let inherited = [
            variable("PATH", "/bin"),
            variable("TCPREMOTEHOST", "forged"),
            variable("A", "1"),
            variable("Z", "twice"),
            variable("Z", ""),
        ];
        let mut environment = Environment::inherit(inherited);
        assert_eq!(texts(&environment), ["A=1", "PATH=/bin", "TCPREMOTEHOST=forged", "Z="]);
        environment.set("TCPREMOTEHOST", None::<&str>);
        environment.set("NEW", Some("4"));
        environment.set("A", Some("2"));
        environment.set("A", Some("3"));
        environment.set_by_rule(b"NEW".to_vec(), b"5".to_vec());
        environment.set_by_rule(b"NUL".to_vec(), b"a\0b".to_vec());
        assert_eq!(environment.get("TCPREMOTEHOST"), None);
        assert_eq!(environment.get("A"), Some(&b"3"[..]));
        assert_eq!(environment.get("PATH"), Some(&b"/bin"[..]));
        assert_eq!(environment.get("ZZ"), None);
        assert_eq!(texts(&environment), ["A=3", "NEW=5", "PATH=/bin", "Z="]);
    }
}
