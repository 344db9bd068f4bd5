//! The memory of known clients: a client that has waited once has shown what the delay
//! is there to find out.

pub mod asking;
pub mod directory;
pub mod keeper;
pub mod key;
pub mod record;
pub mod rules;
pub mod store;
