//! The service manager that started the daemon, such as systemd: it is told how the daemon
//! is doing.

mod notify;
mod variables;

pub(in crate::daemon) use notify::Notifier;
pub(in crate::daemon) use variables::without_own;
