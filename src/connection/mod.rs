//! One client's side, in the order of its life; `serve` tells the story.

pub mod acceptor;
mod ask;
pub mod class;
pub mod client;
mod conclude;
pub mod crowd;
pub mod environment;
pub mod handoff;
pub mod hosts;
pub mod ident;
mod limits;
mod listed;
pub mod lists;
pub mod lookup;
mod peer;
pub mod refusal;
mod refuse;
mod rules;
pub mod serve;
pub mod stream;
mod talk;
pub mod terms;
pub mod verdict;
pub mod wanted;
pub mod watch;
