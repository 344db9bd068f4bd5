//! The daemon, in four parts: the start, the supervisor of the pool, the memory that
//! all processes share, and one process of the pool.

pub mod child;
pub mod scoreboard;
pub mod startup;
pub mod supervisor;
