//! The stages of a connection, a file each; `serve` has their order.

pub(super) mod arrive;
pub(super) mod classify;
pub(super) mod early;
pub(super) mod hand_over;
mod hold;
mod known;
pub(super) mod lists;
pub(super) mod look_up;
mod name_servers;
pub(super) mod per_ip;
pub(super) mod place;
pub(super) mod refuse;
pub(super) mod reserve;
pub(super) mod rules;
mod tell;
pub(super) mod wait;
pub(super) mod watching;

use super::verdict::Verdict;

/// `Err` is a verdict that ends the connection early.
pub(super) type Step = Result<(), Verdict>;
