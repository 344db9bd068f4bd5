//! One client, from the accept to the hand-over or the refusal; `serve` runs the stages
//! in order.

pub mod acceptor;
pub mod class;
pub mod client;
mod closing;
mod decided;
pub mod environment;
pub mod exemptions;
pub mod handoff;
pub mod host_name;
pub mod ident;
pub mod lists;
pub mod load;
pub mod lookup;
mod memory;
pub mod refusal;
pub mod serve;
mod service;
mod stages;
pub mod stream;
mod talk;
mod variables;
pub mod verdict;
pub mod wanted;
pub mod watch;
mod watched;
