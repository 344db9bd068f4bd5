//! The environment of the program: what the daemon itself was given, with the
//! variables of one connection laid over it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

/// A variable that is set or, without a value, removed.
type Own = (Cow<'static, [u8]>, Option<Vec<u8>>);

/// Variables by name.  Cloning costs little: what was inherited is shared.
#[derive(Clone, Default)]
pub struct Environment {
    inherited: Rc<BTreeMap<Vec<u8>, Vec<u8>>>,
    own: Vec<Own>,
}

impl Environment {
    /// Starts from `variables`, as [`std::env::vars_os`] gives them.
    pub fn inherit(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let bytes = |(name, value): (OsString, OsString)| (name.into_vec(), value.into_vec());
        let inherited = variables.into_iter().map(bytes).collect();
        Self { inherited: Rc::new(inherited), own: Vec::new() }
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
        self.own.retain(|(known, _)| *known != name);
        self.own.push((name, value));
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        match self.own.iter().find(|(known, _)| **known == *name.as_bytes()) {
            Some((_, value)) => value.as_deref(),
            None => self.inherited.get(name.as_bytes()).map(Vec::as_slice),
        }
    }

    /// The value of a variable, if it is UTF-8.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// `NAME=value` strings for execve(2).
    #[must_use]
    pub fn strings(&self) -> Vec<CString> {
        let is_own = |name: &[u8]| self.own.iter().any(|(own, _)| **own == *name);
        let inherited = self.inherited.iter().filter(|(name, _)| !is_own(name));
        let inherited = inherited.map(|(name, value)| (name.as_slice(), value.as_slice()));
        let own = self.own.iter();
        let own = own.filter_map(|(name, value)| Some((&**name, value.as_deref()?)));
        inherited.chain(own).filter_map(|(name, value)| string(name, value)).collect()
    }
}

/// `None` where a NUL is in it, which execve(2) cannot express.
fn string(name: &[u8], value: &[u8]) -> Option<CString> {
    CString::new([name, b"=", value].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_variables_replace_and_remove_inherited_ones() {
        let variable = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
        let inherited =
            [variable("PATH", "/bin"), variable("TCPREMOTEHOST", "forged"), variable("A", "1")];
        let mut environment = Environment::inherit(inherited);
        environment.set("TCPREMOTEHOST", None::<&str>);
        environment.set("A", Some("2"));
        environment.set("A", Some("3"));
        assert_eq!(environment.get("TCPREMOTEHOST"), None);
        assert_eq!(environment.get("A"), Some(&b"3"[..]));
        assert_eq!(environment.get("PATH"), Some(&b"/bin"[..]));
        assert_eq!(environment.strings(), [c"PATH=/bin".into(), CString::from(c"A=3")]);
    }
}
