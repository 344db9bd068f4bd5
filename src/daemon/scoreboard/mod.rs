//! What each child is doing, in memory that the supervisor, its children and
//! smtp-delayctl share.

pub(in crate::daemon) mod address;
pub mod board;
pub mod claim;
mod client;
pub mod file;
pub mod keeper;
pub mod layout;
pub mod local_names;
pub(in crate::daemon) mod per_network;
pub mod pool;
pub(in crate::daemon) mod process_state;
pub(in crate::daemon) mod queue;
mod refusals;
pub(in crate::daemon) mod settle;
pub mod slots;
pub mod snapshot;
pub mod stage;
pub(in crate::daemon) mod starts;
pub mod status;
pub(in crate::daemon) mod stuck;
mod tally;
