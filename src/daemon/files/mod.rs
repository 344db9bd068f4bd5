//! The files that the options name, expressions and rules: a process of its own reads them,
//! at the start and on SIGHUP, and what it has accepted is compiled and used.

pub(in crate::daemon) mod checker;
pub(in crate::daemon) mod compile;
mod texts;
