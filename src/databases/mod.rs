//! Users, groups, hosts and ports by name: what the files in `/etc` say, and for those
//! that are not in them what `getent`(1) says, which asks the other services of
//! nsswitch.conf(5).
//!
//! The C library's own functions load shared objects for these services, for which a
//! statically linked program would need the C library that it was built with.

pub mod accounts;
mod getent;
pub mod hosts;
mod lines;
pub mod services;
