//! The supervisor's side, in four rooms: what a start does, who looks after the
//! pool, the memory that all share, and one process of the pool.

pub mod child;
pub mod scoreboard;
pub mod startup;
pub mod supervisor;
