//! The memory of known clients: a client that has waited once has shown what the delay
//! is there to find out.

pub mod asker;
mod backend;
mod clock;
pub mod directory;
pub mod disk;
pub mod keeper;
pub mod key;
pub mod memory;
pub mod message;
pub mod order;
pub mod record;
pub mod rules;
pub mod store;
mod worker;
