//! One engine, as far as that does not depend on what it is used for.

pub mod address;
pub(super) mod backoff;
pub(super) mod connection;
pub mod credentials;
pub(super) mod resolve;
pub(super) mod resp;
pub(super) mod trouble;
