//! The supervisor's side: the listener, the pool, and who looks after it.

mod addresses;
pub mod background;
pub mod backoff;
pub mod board;
pub mod child;
pub mod demand;
mod files;
pub mod host_name;
pub mod listen;
pub mod local_names;
mod lookout;
mod networks;
pub mod pidfile;
pub mod pool;
pub mod privileges;
pub mod processors;
mod reap;
mod refused;
pub mod relay;
mod reload;
pub mod scoreboard;
pub mod shown;
mod slots;
pub mod start;
pub mod supervisor;
mod warnings;
pub mod worker;
