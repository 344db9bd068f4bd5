//! Version 1 of the header: a line of text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{Header, HeaderError};

/// The most bytes of a line, its end included.
pub(super) const LONGEST: usize = 107;
/// The beginnings that a line may have.
const BEGINNINGS: [&str; 3] = ["PROXY TCP4 ", "PROXY TCP6 ", UNKNOWN];
/// Of a connection whose client cannot be told; it may end here, or name any addresses.
const UNKNOWN: &str = "PROXY UNKNOWN";
/// Fields of a line.
const FIELDS: usize = 6;

/// A lower bound, of 1 or more, for the bytes that are missing of the line that begins
/// with `start`, so that none behind its end is read.
///
/// # Errors
/// No line begins like that.
pub(super) fn missing(start: &[u8]) -> Result<usize, HeaderError> {
    let is_beginning = |beginning: &str| {
        let length = start.len().min(beginning.len());
        start[..length] == beginning.as_bytes()[..length]
    };
    if !BEGINNINGS.into_iter().any(is_beginning) {
        return Err(HeaderError::Missing);
    }
    if start.starts_with(UNKNOWN.as_bytes()) {
        return Err(HeaderError::NoAddress);
    }
    if start.len() >= LONGEST {
        return Err(HeaderError::TooLong);
    }
    let fields = start.split(|byte| *byte == b' ').count();
    let least = match start {
        [.., b'\r'] => 1,
        // Each field that is still to come has a space before it, and a letter at least.
        _ => 2 * FIELDS.saturating_sub(fields) + "\r\n".len(),
    };
    Ok(least.min(LONGEST - start.len()))
}

/// Reads a line that ends with its first line feed.
///
/// # Errors
/// [`HeaderError::Malformed`], or [`HeaderError::NoAddress`].
pub(super) fn parse(line: &[u8]) -> Result<Header, HeaderError> {
    if line.starts_with(UNKNOWN.as_bytes()) {
        return Err(HeaderError::NoAddress);
    }
    parsed(line).ok_or(HeaderError::Malformed)
}

fn parsed(line: &[u8]) -> Option<Header> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix("\r\n")?;
    let fields: Vec<&str> = line.split(' ').collect();
    let [_, family, client, local, client_port, local_port] = fields[..] else { return None };
    let address = |text: &str| -> Option<IpAddr> {
        Some(match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok()?.into(),
            _ => text.parse::<Ipv6Addr>().ok()?.into(),
        })
    };
    let client = SocketAddr::new(address(client)?, port(client_port)?);
    let local = SocketAddr::new(address(local)?, port(local_port)?);
    Some(Header::Proxied { client, local })
}

/// A port without a sign or a leading zero.
fn port(text: &str) -> Option<u16> {
    let is_canonical = text == "0" || text.starts_with(|first| matches!(first, '1'..='9'));
    text.parse().ok().filter(|_| is_canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxied(client: &str, local: &str) -> Header {
        Header::Proxied { client: client.parse().unwrap(), local: local.parse().unwrap() }
    }

    #[test]
    fn addresses_and_ports_are_read() {
        assert_eq!(
            parse(b"PROXY TCP4 192.0.2.1 198.51.100.25 56324 25\r\n"),
            Ok(proxied("192.0.2.1:56324", "198.51.100.25:25"))
        );
        assert_eq!(
            parse(b"PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.9 0 65535\r\n"),
            Ok(proxied("[2001:db8::1]:0", "[::ffff:192.0.2.9]:65535"))
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_malformed() {
        let lines = [
            "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP6 fe80::1%1 2001:db8::2 1 2\r\n",
            "PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 \u{662}\r\n",
        ];
        for line in lines {
            assert_eq!(parse(line.as_bytes()), Err(HeaderError::Malformed), "{line:?}");
        }
        assert_eq!(
            parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 \xff\r\n"),
            Err(HeaderError::Malformed)
        );
    }

    #[test]
    fn a_bound_never_reaches_behind_the_end() {
        for line in ["PROXY TCP4 1.2.3.4 5.6.7.8 9 0\r\n", "PROXY TCP6 :: :: 1 2\r\n"] {
            for length in 0..line.len() {
                let least = missing(&line.as_bytes()[..length]).unwrap();
                assert!(least >= 1 && length + least <= line.len(), "{length}");
            }
        }
    }
}
