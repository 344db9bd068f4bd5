//! IP addresses by name.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::getent::ask;
use super::lines::{find, words};

/// The first IPv4 address that the system has for `name`, or its first IPv6 address if
/// it has no other.
///
/// # Errors
/// If `/etc/hosts` cannot be read or `getent` does not answer.
pub fn address(name: &str) -> io::Result<Option<IpAddr>> {
    let mut six = None;
    let four = find(Path::new("/etc/hosts"), |line| {
        let ip = address_in(line, name)?;
        six = six.or(Some(ip).filter(IpAddr::is_ipv6));
        Some(ip).filter(IpAddr::is_ipv4)
    })?;
    if let Some(ip) = four.or(six) {
        return Ok(Some(ip));
    }
    // Without the option there are no IPv6 addresses on a host whose interfaces have none.
    let answer = ask(&["--no-addrconfig", "ahosts"], name)?;
    let found: Vec<IpAddr> =
        answer.iter().flat_map(|answer| answer.lines()).filter_map(first).collect();
    Ok(found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied())
}

/// The address of a line of hosts(5) that has `name`.
fn address_in(line: &str, name: &str) -> Option<IpAddr> {
    let mut words = words(line);
    let ip = words.next()?.parse().ok()?;
    words.any(|word| word.eq_ignore_ascii_case(name)).then_some(ip)
}

/// The address at the beginning of a line of `getent ahosts`.
fn first(line: &str) -> Option<IpAddr> {
    words(line).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_found_by_each_of_its_names() {
        let line = "192.0.2.7\tmx1.example.org  MX1 # mx2";
        let ip = "192.0.2.7".parse().ok();
        assert_eq!([address_in(line, "MX1.example.ORG"), address_in(line, "mx1")], [ip; 2]);
        for (line, name) in [(line, "mx2"), (line, "192.0.2.7"), ("mx1 mx1", "mx1"), ("", "")] {
            assert_eq!(address_in(line, name), None, "{line}");
        }
    }

    #[test]
    fn the_system_knows_this_host() {
        assert_eq!(address("localhost").unwrap(), "127.0.0.1".parse().ok());
        assert_eq!(address("nosuchhost.invalid").unwrap_or_default(), None);
        assert_eq!(address("--help").unwrap(), None);
    }
}
