//! Telling the service manager how the daemon is doing, as `sd_notify(3)` does.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::sys;

/// How long a service manager that does not read may hold the daemon up.
const PATIENCE: Duration = Duration::from_secs(1);

/// The way to the service manager.  Without one everything here does nothing; a message
/// that cannot be sent is lost, as with `sd_notify(3)`.
#[derive(Default)]
pub(in crate::daemon) struct Notifier {
    socket: Option<SocketAddr>,
}

impl Notifier {
    /// The service manager that listens at `NOTIFY_SOCKET`, if one does.
    pub(in crate::daemon) fn of_environment() -> Self {
        let socket = env::var_os("NOTIFY_SOCKET");
        Self { socket: socket.as_deref().and_then(address) }
    }

    /// The daemon is up, or has done what it was reloading for; `status` says what it does.
    pub(in crate::daemon) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// Files are being read again, until the next [`Self::ready`].
    pub(in crate::daemon) fn reloading(&self) {
        let micros = sys::monotonic_micros();
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=reading files again"));
    }

    /// The daemon is about to end.
    pub(in crate::daemon) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    fn send(&self, message: &str) {
        let Some(address) = &self.socket else { return };
        let send = || -> io::Result<usize> {
            let socket = UnixDatagram::unbound()?;
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.send_to_addr(message.as_bytes(), address)
        };
        let _ = send();
    }
}

/// A path, or an `@` and an abstract name.  An address of any other kind is not one that
/// systemd gives to a service.
fn address(text: &OsStr) -> Option<SocketAddr> {
    match text.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(text).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn messages_go_to_a_path_or_an_abstract_name() {
        let name = format!("@smtp-delay-test.{}", std::process::id());
        let path = env::temp_dir().join(&name[1..]);
        for text in [OsStr::new(&name), path.as_os_str()] {
            let address = address(text).unwrap();
            let manager = UnixDatagram::bind_addr(&address).unwrap();
            let notifier = Notifier { socket: Some(address) };
            notifier.ready("accepting");
            assert_eq!(received(&manager), "READY=1\nSTATUS=accepting");
            notifier.reloading();
            assert!(received(&manager).starts_with("RELOADING=1\nMONOTONIC_USEC="));
            notifier.stopping("waiting");
            assert_eq!(received(&manager), "STOPPING=1\nSTATUS=waiting");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_service_manager_that_is_gone_holds_nobody_up() {
        let gone = address(OsStr::new("/nonexistent/notify"));
        assert!(gone.is_some());
        Notifier { socket: gone }.ready("accepting");
        Notifier::default().ready("accepting");
        for text in ["", "relative", "vsock:2:1234"] {
            assert!(address(OsStr::new(text)).is_none(), "{text}");
        }
    }
}
