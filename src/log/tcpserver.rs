//! tcpserver's own lines (`-v`), for scripts that read them.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::unistd::Pid;
use syslog::Severity;

use super::logger::Log;
use super::syslog::Wait;

/// The two ends of a connection, with their names.
pub struct Ends<'a> {
    /// Our side.
    pub local: SocketAddr,
    /// Our name.
    pub local_name: Option<&'a str>,
    /// The client's side.
    pub remote: SocketAddr,
    /// The client's name.
    pub remote_name: Option<&'a str>,
    /// What its ident server said.
    pub info: Option<&'a [u8]>,
}

/// tcpserver cuts a field at 100 bytes and replaces bytes that could confuse a log
/// reader.
fn safe(text: &[u8]) -> String {
    let masked = text.iter().take(100).map(|byte| match byte {
        b'%' | b':' | ..=b' ' | 0x7f.. => '?',
        _ => char::from(*byte),
    });
    let mut masked: String = masked.collect();
    if text.len() > 100 {
        masked.push_str("...");
    }
    masked
}

impl Log {
    /// `busy` connections of `limit`.
    pub fn tcpserver_status(&self, busy: impl FnOnce() -> usize, limit: usize) {
        self.tcpserver(|| format!("status: {}/{limit}", busy()));
    }

    /// This process has accepted a client.
    pub fn tcpserver_pid(&self, remote: SocketAddr) {
        self.tcpserver(|| format!("pid {} from {}", std::process::id(), remote.ip()));
    }

    /// This process runs the program for its client (`ok`), or does not
    /// (`deny`).
    pub fn tcpserver_decision(&self, decision: &str, ends: &Ends<'_>) {
        self.tcpserver(|| {
            format!(
                "{decision} {} {}:{}:{} {}:{}:{}:{}",
                std::process::id(),
                safe(ends.local_name.unwrap_or_default().as_bytes()),
                ends.local.ip(),
                ends.local.port(),
                safe(ends.remote_name.unwrap_or_default().as_bytes()),
                ends.remote.ip(),
                safe(ends.info.unwrap_or_default()),
                ends.remote.port(),
            )
        });
    }

    /// A process that had a client ended, with its raw wait status.
    pub fn tcpserver_end(&self, pid: Pid, status: ExitStatus) {
        self.tcpserver(|| format!("end {pid} status {}", status.into_raw()));
    }

    /// This process is done with a client, and goes on; tcpserver's would have exited
    /// with `code`.
    pub fn tcpserver_goes_on(&self, code: u8) {
        let status = u32::from(code) << 8;
        self.tcpserver(|| format!("end {} status {status}", std::process::id()));
    }

    fn tcpserver(&self, message: impl FnOnce() -> String) {
        if self.announces_processes() {
            self.put_message(Severity::LOG_INFO, &message(), Wait::None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_masked_and_cut_as_in_tcpserver() {
        assert_eq!(safe(b"a:b%c d\x7f"), "a?b?c?d?");
        assert_eq!(safe(&[b'x'; 101]), format!("{}...", "x".repeat(100)));
        assert_eq!(safe(&[b'x'; 100]), "x".repeat(100));
    }
}
