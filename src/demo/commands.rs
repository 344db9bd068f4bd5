//! The commands that the demo prints once it is up.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::time::Duration;

use crate::options::Delays;

/// How long a client stays after the greeting.
const STAY: Duration = Duration::from_secs(3);

/// What to try against a demo that listens on `address`.
pub(super) struct Commands {
    pub(super) address: SocketAddr,
    pub(super) delays: Delays,
}

impl Commands {
    /// A client from `source` that only listens.
    fn listen(
        &self,
        f: &mut Formatter<'_>,
        about: &str,
        source: u8,
        delay: Duration,
    ) -> fmt::Result {
        let delay = self.delays.all.unwrap_or(delay).as_secs_f64();
        let stay = (delay + STAY.as_secs_f64()).ceil();
        let (ip, port) = (self.address.ip(), self.address.port());
        writeln!(f, "# {about}: the greeting comes after {delay} seconds")?;
        writeln!(f, "timeout {stay} nc -d -s 127.0.0.{source} {ip} {port}\n")
    }
}

impl Display for Commands {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Delays { of_static, dynamic, none, unknown, .. } = self.delays;
        let server = format!("/dev/tcp/{}/{}", self.address.ip(), self.address.port());
        let seconds = self.delays.all.unwrap_or(of_static).as_secs_f64();
        // Before it is known: a client that need not wait has hardly time to talk early.
        writeln!(f, "# an early talker: it is refused at once")?;
        let says = "echo \"EHLO spam.example\" >&3; head -n 1 <&3";
        writeln!(f, "bash -c 'exec 3<>{server}; {says}'\n")?;
        writeln!(f, "# a client that leaves after a second")?;
        writeln!(f, "timeout 1 bash -c 'exec 3<>{server}; head -n 1 <&3'\n")?;
        let again = if self.delays.all.is_none() { ", the next time at once" } else { "" };
        writeln!(f, "# a mail server: the greeting comes after {seconds} seconds{again}")?;
        writeln!(f, "bash -c 'exec 3<>{server}; head -n 1 <&3'\n")?;
        // On IPv6 loopback has no other address than ::1.
        if self.address.is_ipv4() {
            self.listen(f, "a dynamic (residential) host name", 2, dynamic)?;
            self.listen(f, "no host name", 3, none)?;
            self.listen(f, "the look-up fails", 4, unknown)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn printed(address: &str) -> String {
        let (address, delays) = (address.parse().unwrap(), Options::default().delays);
        Commands { address, delays }.to_string()
    }

    #[test]
    fn the_readme_has_them() {
        let readme = include_str!("../../README.md");
        assert!(
            readme.contains(&format!("```sh\n{}\n```\n", printed("127.0.0.1:2525").trim_end()))
        );
    }

    #[test]
    fn all_ipv6_clients_come_from_one_address() {
        let printed = printed("[::1]:25250");
        assert!(printed.contains("/dev/tcp/::1/25250;") && !printed.contains("nc "), "{printed}");
    }
}
