//! What the daemon is to the system: the user that it runs as, its pidfile, the signals that
//! it takes, and which of its processes the kernel kills first if memory runs out.

pub(in crate::daemon) mod oom;
pub mod pidfile;
pub mod privileges;
pub mod signals;
