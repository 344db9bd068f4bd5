//! The stages of a connection, a file or folder each; `serve` has their order.

pub(super) mod arrive;
pub(super) mod classify;
pub(super) mod hand_over;
mod judge;
mod known;
pub(super) mod limits;
pub(super) mod lists;
pub(super) mod look_up;
mod name_server_health;
pub(super) mod proxy;
pub(super) mod refuse;
pub(super) mod rules;
mod tell;
pub(super) mod wait;
pub(super) mod watching;

use super::decided::verdict::Verdict;

/// `Err` is a verdict that ends the connection early.
pub(super) type Step = Result<(), Verdict>;
