//! Whole processes: the daemon with real clients, servers and name servers.
//! One file a subject; `lab` has what they stand on.

#![allow(clippy::unwrap_used, clippy::format_collect, clippy::format_push_string)]
#![allow(clippy::multiple_unsafe_ops_per_block, clippy::needless_pass_by_value)]
#![allow(clippy::cast_possible_wrap, clippy::similar_names)]

mod lab;

mod background;
mod chain;
mod classes;
mod command_line;
mod config;
mod counters;
mod demo;
mod early;
mod handoff;
mod limits;
mod link;
mod lists;
mod log;
mod lookup;
mod modules;
mod oom;
mod pool;
mod rules;
mod startup;
mod stop;
mod tcprules;
mod tcpserver;
