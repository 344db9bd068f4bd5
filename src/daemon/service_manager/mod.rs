//! The service manager that started the daemon, such as systemd: it is told how the daemon
//! is doing, and may pass the listener.

mod activation;
mod notify;
mod variables;

pub(in crate::daemon) use activation::passed_listener;
pub(in crate::daemon) use notify::Notifier;
pub(in crate::daemon) use variables::without_own;
