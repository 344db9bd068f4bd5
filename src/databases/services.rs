//! TCP ports by name.

use std::io;
use std::path::Path;

use super::lines::{find, words};

/// The TCP port that services(5) has for `name`, or for an alias of that name.
///
/// # Errors
/// A file that cannot be read.
pub fn tcp_port(name: &str) -> io::Result<Option<u16>> {
    find(Path::new("/etc/services"), |line| port_in(line, name))
}

fn port_in(line: &str, name: &str) -> Option<u16> {
    let mut words = words(line);
    let (official, port) = (words.next()?, words.next()?);
    let port = port.strip_suffix("/tcp")?.parse().ok()?;
    (official == name || words.any(|alias| alias == name)).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_a_name_and_aliases() {
        let line = "smtp\t\t25/tcp\t\tmail  # no more";
        assert_eq!([port_in(line, "smtp"), port_in(line, "mail")], [Some(25); 2]);
        for (line, name) in [
            (line, "no"),
            (line, "25/tcp"),
            ("smtp 25/udp", "smtp"),
            ("#smtp 25/tcp", "smtp"),
            ("smtp 99999/tcp", "smtp"),
            ("smtp", "smtp"),
            ("", ""),
        ] {
            assert_eq!(port_in(line, name), None, "{line}");
        }
        assert_eq!(tcp_port("nosuchservice").unwrap(), None);
    }
}
