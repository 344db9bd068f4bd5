//! What a UCSPI server says about the client in its environment, and what descriptor 0
//! says if there is no such server (inetd).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{SockAddr, SockRef};

use crate::connection::client::stream::Stream;
use crate::connection::client::{Client, Origin, canonical, scope};
use crate::connection::lookup::HostName;
use crate::connection::program::environment::Environment;
use crate::error::Fatal;
use crate::log::Log;
use crate::options::Options;
use crate::seconds::seconds;
use crate::sys;

/// Bytes of an invalid value that a message shows.
const SHOWN: usize = 60;

/// The client on descriptors 0 and 1.
///
/// A client that has left so soon that its address is not available has unspecified
/// ones.
///
/// # Errors
/// 111 if the address is not known or not valid, so that the server drops the
/// connection and the client tries again.
pub(super) fn client(
    environment: &Environment,
    options: &Options,
    log: &Log,
    received: Instant,
) -> Result<Client, Fatal> {
    let introduced = environment.get("TCPREMOTEIP").is_some();
    let (peer, local, scope) = if introduced { told(environment)? } else { read_off_socket()? };
    let waited = waited(environment, peer, log);
    Ok(Client {
        stream: Stream::Given,
        peer,
        local,
        scope,
        accepted: received.checked_sub(waited).unwrap_or(received),
        received,
        host: host(environment.get("TCPREMOTEHOST").filter(|_| introduced), options.look_up),
        introduced,
        origin: Origin::Direct,
    })
}

type Ends = (SocketAddr, SocketAddr, u32);

fn told(environment: &Environment) -> Result<Ends, Fatal> {
    let value = environment.get("TCPREMOTEIP").unwrap_or_default();
    let peer = address(value).ok_or_else(|| {
        let shown = value[..value.len().min(SHOWN)].escape_ascii();
        Fatal::because(format_args!("use TCPREMOTEIP=\"{shown}\""), "it is no IP address")
    })?;
    let local = environment.get("TCPLOCALIP").and_then(address);
    let local = local.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let port = |name| environment.text(name).and_then(|port| port.parse().ok()).unwrap_or(0);
    let peer = SocketAddr::new(peer, port("TCPREMOTEPORT"));
    Ok((peer, SocketAddr::new(local, port("TCPLOCALPORT")), 0))
}

/// An address with or without the zone of a link-local one; IPv4 where it is
/// mapped into IPv6.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn read_off_socket() -> Result<Ends, Fatal> {
    let input = sys::standard_input();
    let socket = SockRef::from(&input);
    let end = |address: std::io::Result<SockAddr>| address.ok()?.as_socket();
    let local = end(socket.local_addr());
    let peer = match socket.peer_addr() {
        // The client has reset the connection already.
        Err(why) if why.raw_os_error() == Some(libc::ENOTCONN) => {
            local.map(|_| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
        }
        peer => end(peer),
    };
    let (peer, local) = peer.zip(local).ok_or_else(|| {
        Fatal::because(
            "tell the client's address",
            "TCPREMOTEIP is not set, and descriptor 0 is no TCP connection: run smtp-delay under \
             a server such as tcpserver",
        )
    })?;
    Ok((canonical(peer), canonical(local), scope(peer)))
}

/// How long the server before us has made the client wait.
fn waited(environment: &Environment, peer: SocketAddr, log: &Log) -> Duration {
    let Some(value) = environment.get("SMTPDELAY_WAITED") else { return Duration::ZERO };
    let waited = std::str::from_utf8(value).ok().and_then(seconds);
    waited.unwrap_or_else(|| {
        log.ignored_variable("SMTPDELAY_WAITED", value, Some(peer));
        Duration::ZERO
    })
}

/// The client's name, if it need not be looked up.  An empty one counts as unset: some
/// servers set it if their own look-up failed.
fn host(told: Option<&[u8]>, look_up: bool) -> Option<HostName> {
    match told.filter(|name| !name.is_empty()) {
        Some(name) => Some(HostName::told(name)),
        None if look_up => None,
        None => Some(HostName::None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_servers_write_them() {
        let of = |text: &str| address(text.as_bytes()).map(|ip| ip.to_string());
        assert_eq!(of("192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("2001:db8::7").as_deref(), Some("2001:db8::7"));
        assert_eq!(of("::ffff:192.0.2.7").as_deref(), Some("192.0.2.7"));
        assert_eq!(of("fe80::1%eth0").as_deref(), Some("fe80::1"));
        for bad in ["", "192.0.2", "192.0.2.7:25", "mx.example.org", "unknown"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_given_name_is_judged_like_one_from_dns() {
        let found = |name: &str| Some(HostName::Found(vec![name.into()]));
        assert_eq!(host(Some(b"MX1.Example.org"), true), found("mx1.example.org"));
        assert_eq!(host(Some(b"mx1.example.org."), true), found("mx1.example.org"));
        for none in [&b"localhost"[..], b"192.0.2.7", b"a\\040b.example.org", b"x y.example.org"] {
            assert_eq!(host(Some(none), true), Some(HostName::None));
        }
        assert_eq!(host(None, true), None);
        assert_eq!(host(Some(b""), true), None, "to be looked up");
        assert_eq!(host(None, false), Some(HostName::None));
        assert_eq!(host(Some(b""), false), Some(HostName::None));
    }

    #[test]
    fn ends_are_read_off_the_environment() {
        let mut environment = Environment::inherit([]);
        environment.set("TCPREMOTEIP", Some("2001:db8::7"));
        environment.set("TCPREMOTEPORT", Some("nonsense"));
        let (peer, local, _) = told(&environment).unwrap();
        assert_eq!(peer.to_string(), "[2001:db8::7]:0");
        assert!(local.ip().is_unspecified());
        environment.set("TCPREMOTEIP", Some("a\nb"));
        let fatal = told(&environment).unwrap_err();
        assert_eq!(fatal.exit_code(), crate::error::TROUBLE);
        assert!(fatal.to_string().contains("TCPREMOTEIP=\"a\\nb\""), "{fatal}");
    }
}
