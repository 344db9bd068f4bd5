//! One client, from the accept to the hand-over or the refusal; `serve` runs the stages
//! in order.

pub mod acceptor;
pub mod client;
pub mod decided;
pub mod lookup;
pub mod program;
pub mod refusal;
pub mod serve;
mod service;
mod stages;
mod watched;
