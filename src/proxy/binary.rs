//! Version 2 of the header: a binary block.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::header::{Header, HeaderError};

/// What a block begins with.
pub(super) const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes in front of the addresses: the signature, version and command, family and
/// protocol, and the length of what follows.
pub(super) const FIXED: usize = SIGNATURE.len() + 4;
/// The most bytes of addresses that are read: those of TCP over IPv6.
pub(super) const ADDRESSES: usize = 36;
/// The most bytes behind the fixed part that a block may have.
const LONGEST: usize = 4096;

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// Unspecified, and what is no TCP: UDP over IPv4 and IPv6, Unix stream and datagram.
const WITHOUT_TCP: [u8; 5] = [0x00, 0x12, 0x22, 0x31, 0x32];

/// How many bytes follow the fixed part of a block: addresses and additional fields.
///
/// # Errors
/// No block that can be used begins like that.
pub(super) fn length_of_rest(fixed: &[u8; FIXED]) -> Result<usize, HeaderError> {
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    match (command, family) {
        (PROXY, TCP4 | TCP6) if length < addresses(family) => return Err(HeaderError::Short),
        (LOCAL, _) | (PROXY, TCP4 | TCP6) => (),
        (PROXY, family) if WITHOUT_TCP.contains(&family) => return Err(HeaderError::NoAddress),
        (PROXY, family) => return Err(HeaderError::UnknownFamily(family)),
        (command, _) => return Err(HeaderError::UnknownCommand(command)),
    }
    if length > LONGEST { Err(HeaderError::TooLong) } else { Ok(length) }
}

/// The bytes of the addresses and ports of `family`.
fn addresses(family: u8) -> usize {
    if family == TCP4 { 12 } else { ADDRESSES }
}

/// Reads the fixed part and the addresses of a block that [`length_of_rest`] takes.
pub(super) fn parse(fixed: &[u8; FIXED], addresses: &[u8; ADDRESSES]) -> Header {
    let [.., command, family, _, _] = *fixed;
    if command == LOCAL {
        return Header::Local;
    }
    let (client, local) =
        if family == TCP4 { pair_of_ipv4(addresses) } else { pair_of_ipv6(addresses) };
    Header::Proxied { client, local }
}

fn pair_of_ipv4(bytes: &[u8; ADDRESSES]) -> (SocketAddr, SocketAddr) {
    let address = |at: usize| Ipv4Addr::from(array::<4>(bytes, at));
    let port = |at: usize| u16::from_be_bytes(array(bytes, at));
    ((address(0), port(8)).into(), (address(4), port(10)).into())
}

fn pair_of_ipv6(bytes: &[u8; ADDRESSES]) -> (SocketAddr, SocketAddr) {
    let address = |at: usize| Ipv6Addr::from(array::<16>(bytes, at));
    let port = |at: usize| u16::from_be_bytes(array(bytes, at));
    ((address(0), port(32)).into(), (address(16), port(34)).into())
}

fn array<const N: usize>(bytes: &[u8; ADDRESSES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}
