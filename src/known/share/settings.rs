//! What the administrator says about sharing.

use std::path::PathBuf;

use super::engine::address::Address;

/// What keys in an engine begin with, unless something else is asked for.
pub const PREFIX: &str = "smtp-delay:known:";

/// Which engine is used, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// What its keys begin with.
    pub prefix: String,
    /// The file with the password.
    pub credentials: Option<PathBuf>,
}
