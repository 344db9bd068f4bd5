//! From the options to a pool that accepts clients; `start` tells the story.

pub mod background;
pub mod check;
mod cleanup;
mod descriptors;
pub mod host_name;
pub mod listen;
pub mod start;
mod warnings;
