//! smtp-delay: makes an SMTP server wait before its greeting, and watches the
//! client while it waits.
//!
//! [`daemon`] is the pre-forking server, [`link`] the chain link, [`connection`] what
//! both do with one client.

pub mod class;
pub mod connection;
pub mod ctl;
pub mod daemon;
pub mod databases;
pub mod demo;
pub mod djb;
pub mod dns;
pub mod error;
pub mod escape;
pub mod file;
pub mod findings;
pub mod known;
pub mod link;
pub mod log;
pub mod mistakes;
pub mod names;
pub mod options;
pub mod programs;
pub mod proxy;
pub mod report;
pub mod rules;
pub mod seconds;
pub mod stdout;
pub mod sys;
