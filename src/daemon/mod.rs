//! The daemon.  From the top: the start, the supervisor of the pool, one process of the
//! pool, the files that the options name, the relay of what programs write on standard
//! error, the memory that all processes share, the way to the service manager, and what the
//! daemon is to the system.  Each uses those after it alone.

pub mod child;
mod files;
mod listener;
pub mod process;
pub mod relay;
pub mod scoreboard;
mod service_manager;
pub mod startup;
pub mod supervisor;
