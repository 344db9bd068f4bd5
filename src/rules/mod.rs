//! The administrator's rules: which clients are denied, and which variables a client's
//! program gets.

pub mod cdb;
pub mod keys;
mod line_error;
pub(crate) mod lint;
pub(crate) mod lint_cdb;
pub mod list;
pub mod record;
pub mod text;

use std::io;
use std::path::PathBuf;

use cdb::Cdb;
use keys::{RuleSubject, SearchKey, search_keys};
use list::RuleList;
pub use record::Match;

/// Where rules come from.
pub enum Rules {
    /// There are none: all clients are allowed.
    None,
    /// A cdb that tcprules compiled, opened for every client.
    Cdb {
        /// The file.
        path: PathBuf,
        /// Whether all clients are allowed if the file is missing (`-X`).
        may_be_missing: bool,
    },
    /// Rules that were compiled at start (`--rules`).
    List(RuleList),
}

impl Rules {
    /// Whether there are any.
    #[must_use]
    pub fn exist(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The first rule for `subject`, in tcpserver's order of keys.
    ///
    /// # Errors
    /// A cdb that cannot be read, or that is damaged.
    pub fn first_match(&self, subject: &RuleSubject<'_>) -> io::Result<Option<Match>> {
        self.search(search_keys(subject))
    }

    /// The rule for the whole address, which precedes all others unless ident is asked for.
    ///
    /// # Errors
    /// As [`Rules::first_match`].
    pub fn match_address(&self, ip: &[u8]) -> io::Result<Option<Match>> {
        self.search(vec![SearchKey::Key(ip.to_vec())])
    }

    fn search(&self, keys: Vec<SearchKey>) -> io::Result<Option<Match>> {
        match self {
            Self::None => Ok(None),
            Self::List(list) => Ok(list.search(&keys)),
            Self::Cdb { path, may_be_missing } => match Cdb::open(path) {
                Ok(cdb) => search_cdb(&cdb, keys),
                Err(why) if *may_be_missing && why.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(why) => Err(why),
            },
        }
    }
}

/// The record of the first of `keys` that a cdb has; it contains no networks.
///
/// # Errors
/// As [`Cdb::find`].
pub fn search_cdb(cdb: &Cdb, keys: Vec<SearchKey>) -> io::Result<Option<Match>> {
    for key in keys {
        let SearchKey::Key(key) = key else { continue };
        if let Some(record) = cdb.find(&key)? {
            return Ok(Some(Match { key, record }));
        }
    }
    Ok(None)
}
