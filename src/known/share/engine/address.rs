//! Where an engine is: `redis://HOST[:PORT][/DB]` or `redis+unix:///PATH`.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::{error, fmt};

use nix::sys::socket::UnixAddr;

/// The port of an engine, unless the address has one.
const PORT: u16 = 6379;
/// The most bytes of a host name (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// At a host.
    Host {
        /// Its name, or its IP address.
        host: String,
        /// The port, from 1.
        port: u16,
        /// The number of the database.
        database: u16,
    },
    /// At a socket of this host.
    Socket(PathBuf),
}

/// Why a text is not the address of an engine.  Displayed as what would have been right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// It does not begin with one of the two schemes.
    Scheme,
    /// It asks for TLS.
    Tls,
    /// It has a password, which other users would see on the command line.
    Password,
    /// It has no valid host.
    Host,
    /// It has no valid port.
    Port,
    /// It has no valid database.
    Database,
    /// It has no valid path of a socket.
    Path,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "it takes redis://HOST[:PORT][/DB] or redis+unix:///PATH",
            Self::Tls => "it takes redis://, without TLS: use stunnel in front of the engine",
            Self::Password => "user and password stand in the file of --known-share-auth",
            Self::Host => "it takes a host name, an IPv4 address or [an IPv6 address]",
            Self::Port => "its port is a number from 1 to 65535",
            Self::Database => "its database is a number from 0 to 65535",
            Self::Path => "the path of its socket begins with / and has 107 bytes at most",
        })
    }
}

impl error::Error for AddressError {}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("redis+unix://") {
            return socket(path);
        }
        if text.starts_with("rediss://") {
            return Err(AddressError::Tls);
        }
        host(text.strip_prefix("redis://").ok_or(AddressError::Scheme)?)
    }

    /// The database to select; the first one is selected already.
    pub(in crate::known::share) fn database(&self) -> Option<u16> {
        match self {
            Self::Host { database, .. } => Some(*database).filter(|database| *database > 0),
            Self::Socket(_) => None,
        }
    }
}

fn socket(path: &str) -> Result<Address, AddressError> {
    let fits = path.len() > 1 && UnixAddr::new(path).is_ok();
    if path.starts_with('/') && fits {
        Ok(Address::Socket(path.into()))
    } else {
        Err(AddressError::Path)
    }
}

fn host(text: &str) -> Result<Address, AddressError> {
    if text.contains('@') {
        return Err(AddressError::Password);
    }
    let (place, database) = text.split_once('/').unwrap_or((text, ""));
    let database = match database {
        "" => 0,
        number => digits(number).ok_or(AddressError::Database)?,
    };
    let (host, port) = host_and_port(place)?;
    let port = match port {
        None => PORT,
        Some(port) => digits(port).filter(|port| *port > 0).ok_or(AddressError::Port)?,
    };
    Ok(Address::Host { host: host.into(), port, database })
}

/// A host, and the port behind it; an IPv6 address stands in brackets.
fn host_and_port(place: &str) -> Result<(&str, Option<&str>), AddressError> {
    if let Some(rest) = place.strip_prefix('[') {
        let (ip, rest) = rest.split_once(']').ok_or(AddressError::Host)?;
        ip.parse::<Ipv6Addr>().map_err(|_| AddressError::Host)?;
        return match rest.strip_prefix(':') {
            None if rest.is_empty() => Ok((ip, None)),
            None => Err(AddressError::Port),
            port => Ok((ip, port)),
        };
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (place, None),
    };
    let is_of_names = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_host = (1..=LONGEST_NAME).contains(&host.len()) && host.bytes().all(is_of_names);
    if is_host { Ok((host, port)) } else { Err(AddressError::Host) }
}

fn digits(text: &str) -> Option<u16> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { host, port, database } => {
                let is_ipv6 = host.contains(':');
                let (open, close) = if is_ipv6 { ("[", "]") } else { ("", "") };
                write!(f, "redis://{open}{host}{close}:{port}/{database}")
            }
            Self::Socket(path) => write!(f, "redis+unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_may_have_a_port_and_a_database() {
        for (text, shown) in [
            ("redis://engine.example", "redis://engine.example:6379/0"),
            ("redis://engine.example/", "redis://engine.example:6379/0"),
            ("redis://192.0.2.7:7000/3", "redis://192.0.2.7:7000/3"),
            ("redis://[2001:db8::1]", "redis://[2001:db8::1]:6379/0"),
            ("redis://[2001:db8::1]:7000/15", "redis://[2001:db8::1]:7000/15"),
            ("redis+unix:///run/valkey/socket", "redis+unix:///run/valkey/socket"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(Address::parse(shown), Ok(address));
        }
        let database = |text| Address::parse(text).unwrap().database();
        assert_eq!([database("redis://h/0"), database("redis://h/3")], [None, Some(3)]);
    }

    #[test]
    fn mistakes_are_told_apart() {
        use AddressError::*;
        let long = format!("redis+unix:///{}", "x".repeat(107));
        for (text, mistake) in [
            ("", Scheme),
            ("engine.example:6379", Scheme),
            ("http://engine.example", Scheme),
            ("redis:/engine.example", Scheme),
            ("rediss://engine.example", Tls),
            ("redis://:secret@engine.example", Password),
            ("redis://user:secret@engine.example", Password),
            ("redis://", Host),
            ("redis:///3", Host),
            ("redis://en gine", Host),
            ("redis://engine?db=1", Host),
            ("redis://2001:db8::1", Port),
            ("redis://[2001:db8::1", Host),
            ("redis://[engine]", Host),
            ("redis://[::1]x", Port),
            ("redis://engine:", Port),
            ("redis://engine:0", Port),
            ("redis://engine:+1", Port),
            ("redis://engine:65536", Port),
            ("redis://engine/x", Database),
            ("redis://engine/1/2", Database),
            ("redis+unix://run/socket", Path),
            ("redis+unix:///", Path),
            (&long, Path),
        ] {
            assert_eq!(Address::parse(text), Err(mistake), "{text}");
        }
    }
}
