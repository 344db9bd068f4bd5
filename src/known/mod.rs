//! Known clients: a client that was silent for its whole delay once need not wait as long
//! again.

pub mod asking;
pub mod directory;
pub mod entry;
pub mod keeper;
pub mod key;
pub mod record;
pub mod rules;
pub mod share;
pub mod sharing;
pub mod store;
pub mod unanswered;
