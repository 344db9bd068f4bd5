//! Whole processes: the daemon with real clients, servers and name servers.
//! One file a subject; `lab` has what they stand on.

mod lab;

mod classes;
mod command_line;
mod demo;
mod early;
mod handoff;
mod lookup;
mod pool;
mod stop;
