//! Whole processes: the daemon with real clients, servers and name servers.
//! One file a subject; `tests/lab` is what they stand on.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(
    clippy::format_collect,
    clippy::format_push_string,
    clippy::similar_names,
    reason = "a test is short, and runs once"
)]

mod accounts;
mod background;
mod chain;
mod classes;
mod command_line;
mod completions;
mod config;
mod counters;
mod demo;
mod dry_run;
mod early;
mod handoff;
mod keeper;
mod known;
mod known_faults;
mod known_link;
mod limits;
mod link;
mod lists;
mod log;
mod lookup;
mod metrics;
mod modules;
mod oom;
mod places;
mod pool;
mod privileges;
mod proxy;
mod relay;
mod report;
mod rules;
mod service_manager;
mod share;
mod startup;
mod stop;
mod tcprules;
mod tcpserver;
