//! The stages of the limits: on connections from one address, of the reserve of slots, and
//! on sessions.

pub(in crate::connection) mod per_ip;
pub(in crate::connection) mod place;
pub(in crate::connection) mod reserve;
