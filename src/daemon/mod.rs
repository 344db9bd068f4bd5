//! The daemon, in five parts: the start, the supervisor of the pool, the memory that
//! all processes share, one process of the pool, and the relay of what programs write
//! on standard error.

pub mod child;
pub mod relay;
pub mod scoreboard;
pub mod startup;
pub mod supervisor;
