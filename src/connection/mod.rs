//! One client, from the accept to the hand-over or the refusal; `serve` runs the stages
//! in order.

pub mod acceptor;
pub mod class;
pub mod client;
mod conclude;
mod dnsbl;
pub mod environment;
pub mod exemptions;
pub mod handoff;
pub mod host_name;
pub mod ident;
mod known;
mod limits;
pub mod lists;
pub mod load;
pub mod lookup;
mod memory;
pub mod refusal;
mod refuse;
mod resolve;
mod rules;
pub mod serve;
pub mod stream;
mod talk;
mod variables;
pub mod verdict;
pub mod wanted;
pub mod watch;
