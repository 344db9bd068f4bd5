//! What is known about the names of the client and of our own address.

use crate::dns::{Answer, Failure, Records};
use crate::names::host_name;

/// What is known about a client's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostName {
    /// It was not looked up.
    NotAsked,
    /// These host names, at least one.
    Found(Vec<String>),
    /// The name server says that there is none, or gives none that is a host name or
    /// that leads back to the address.
    None,
    /// The look-up failed.
    Unknown(Failure),
}

impl HostName {
    /// A name that a server before us or the administrator gave, in the form of an
    /// answer.
    #[must_use]
    pub fn told(name: &[u8]) -> Self {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let name = host_name(name.split(|byte| *byte == b'.'));
        name.map_or(Self::None, |name| Self::Found(vec![name]))
    }

    /// All of its names.
    #[must_use]
    pub fn all(&self) -> &[String] {
        match self {
            Self::Found(names) => names,
            _ => &[],
        }
    }

    /// The name for the program and the log.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        match self {
            Self::Found(names) => names.first().map(String::as_str),
            _ => None,
        }
    }
}

/// What is known about our own name; `None` if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalName {
    /// It was given, or was looked up before.
    Known(Option<String>),
    /// A name server has just answered: the answer is worth storing.
    Learnt(Option<String>),
    /// No name server answered just now.
    Failed,
}

/// The meaning of an answer to a question for names.
pub(crate) fn host_name_of(answer: &Answer) -> HostName {
    match answer {
        Answer::Found(Records::Names(names)) if !names.is_empty() => HostName::Found(names.clone()),
        Answer::Found(_) | Answer::Absent => HostName::None,
        Answer::Failed(why) => HostName::Unknown(*why),
    }
}
