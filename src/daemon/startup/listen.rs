//! Binding the port, and listening on it.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::unistd::geteuid;
use socket2::{Domain, Protocol, Socket, Type};

use crate::connection::serve::SourceRoutes;
use crate::daemon::listener::Listener;
use crate::daemon::startup::host_name;
use crate::databases::services::tcp_port;
use crate::error::Fatal;
use crate::log::Log;
use crate::mistakes::Mistakes;
use crate::options::Options;

/// How long a port may stay in use: the idle children of a supervisor that was killed
/// need a moment to close it.
const PATIENCE: Duration = Duration::from_millis(500);

/// What to do about a port that only root may bind.
const NEEDS_ROOT: &str = ": start as root, and use -u USER to give root up";

/// Where to listen.
enum Host {
    /// All addresses of both families.
    Any,
    /// One address, or all of one family, in a scope (IPv6 link-local).
    One(IpAddr, u32),
}

/// Where to listen, with all names looked up.
pub struct ListenAddress {
    host: Host,
    port: u16,
}

impl ListenAddress {
    /// Looks up where the options say.
    ///
    /// # Errors
    /// An unknown host or port, or both: 111.
    pub fn find(options: &Options) -> Result<Self, Mistakes> {
        match (host(options), port(&options.port)) {
            (Ok(host), Ok(port)) => Ok(Self { host, port }),
            (Err(host), Err(port)) => Err(Mistakes::from(host).and(port)),
            (Err(why), Ok(_)) | (Ok(_), Err(why)) => Err(why.into()),
        }
    }

    /// Checks that this process could bind it, as far as possible without taking the
    /// port.
    ///
    /// # Errors
    /// A port that only root may bind, or an address that is not ours: 111.
    pub fn check(&self) -> Result<(), Fatal> {
        let address = self.address();
        if (1..first_free_port()).contains(&self.port) && !may_bind_all() {
            return Err(cannot_bind(address, Errno::EACCES.into()));
        }
        // Only the kernel knows which addresses are ours, and no TCP client can see a
        // UDP port.
        let mut any_port = address;
        any_port.set_port(0);
        match (UdpSocket::bind(any_port), &self.host) {
            (Err(why), Host::One(..)) => Err(cannot_bind(address, why)),
            _ => Ok(()),
        }
    }

    /// Whether `socket`, which listens at `local`, is here.
    fn has(&self, socket: &Socket, local: SocketAddr) -> bool {
        let has_port = [0, local.port()].contains(&self.port);
        has_port
            && match (&self.host, local) {
                (Host::Any, _) => local.ip().is_unspecified(),
                (Host::One(IpAddr::V6(ip), scope), SocketAddr::V6(local)) => {
                    local.ip() == ip
                        && local.scope_id() == *scope
                        // The wildcard address stands for IPv6 alone.
                        && (!ip.is_unspecified() || socket.only_v6().unwrap_or(false))
                }
                (Host::One(ip, _), _) => local.ip() == *ip,
            }
    }

    /// The address and port; both families have the IPv6 one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self.host {
            Host::Any => SocketAddr::from((Ipv6Addr::UNSPECIFIED, self.port)),
            Host::One(IpAddr::V6(ip), scope) => SocketAddrV6::new(ip, self.port, 0, scope).into(),
            Host::One(ip, _) => SocketAddr::new(ip, self.port),
        }
    }
}

/// The first port that needs no privilege.
fn first_free_port() -> u16 {
    let limit = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    limit.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

/// Whether this process has `CAP_NET_BIND_SERVICE`, as root has (proc(5)).
fn may_bind_all() -> bool {
    const NET_BIND_SERVICE: u64 = 1 << 10;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.map_or_else(|| geteuid().is_root(), |set| set & NET_BIND_SERVICE != 0)
}

/// Binds the port.  A client is refused until [`listen`] is called.
///
/// # Errors
/// An address that is not ours, a port in use: 111.
pub fn bind(place: &ListenAddress, log: &Log) -> Result<Socket, Fatal> {
    match place.host {
        Host::One(..) => bind_to_one(place.address()),
        Host::Any => bind_to_both(place.port, log),
    }
}

/// Takes a listener of the service manager over, which has to be at `place`: what the
/// operands say is what warnings, variables and the administrator go by.
///
/// # Errors
/// Another address or port: 100.
pub(in crate::daemon) fn take_over(
    passed: Socket,
    place: &ListenAddress,
) -> Result<Listener, Fatal> {
    let unable = |why| Fatal::unable("use the socket of the service manager", why);
    let local = passed.local_addr().map_err(unable)?.as_socket();
    let local = local.ok_or(Fatal::Impossible("get local address"))?;
    if !place.has(&passed, local) {
        let what = format!("{local}, where the service manager listens");
        let why = format!("host and port are those of {}", place.address());
        return Err(Fatal::Unusable { what, why: why.into() });
    }
    Listener::passed(passed).map_err(unable)
}

/// Listens on a port that is bound: clients queue from now on.
///
/// # Errors
/// A port that another process has bound at the same time: 111.
pub fn listen(socket: &Socket, options: &Options, log: &Log) -> Result<(), Fatal> {
    let backlog = options.backlog();
    warn_of_kernel_limit(backlog, log);
    let listening = socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX));
    listening.map_err(|why| Fatal::Unable {
        what: "listen".into(),
        why,
        hint: "",
        tcpserver: Some("listen"),
    })
}

/// What the kernel does with source routes (ip-sysctl: all interfaces drop them unless
/// this is set, whatever is set for one).
#[must_use]
pub fn source_routes() -> SourceRoutes {
    let all = fs::read_to_string("/proc/sys/net/ipv4/conf/all/accept_source_route");
    match all {
        Ok(number) if number.trim() == "0" => SourceRoutes::Dropped,
        _ => SourceRoutes::Accepted,
    }
}

fn port(text: &str) -> Result<u16, Fatal> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let unable = |why| Fatal::unable(format_args!("look up port {text}"), why);
    tcp_port(text).map_err(unable)?.ok_or_else(|| Fatal::NoPort(text.into()))
}

fn host(options: &Options) -> Result<Host, Fatal> {
    let text = options.host.as_str();
    if text.is_empty() || text == "0" {
        let any = Host::One(Ipv4Addr::UNSPECIFIED.into(), 0);
        return Ok(if options.as_tcpserver { any } else { Host::Any });
    }
    if let Ok(ip) = text.parse() {
        return Ok(Host::One(ip, 0));
    }
    match text.split_once('%') {
        Some((ip, zone)) => scoped(ip, zone),
        None if options.as_tcpserver => host_name::in_dns(options).map(|ip| Host::One(ip, 0)),
        None => host_name::on_this_system(text).map(|ip| Host::One(ip, 0)),
    }
}

fn scoped(ip: &str, zone: &str) -> Result<Host, Fatal> {
    let scope = if_nametoindex(zone);
    let scope = scope.map_err(|why| Fatal::unable(format_args!("find interface {zone}"), why))?;
    let ip: Ipv6Addr =
        ip.parse().map_err(|why| Fatal::because(format_args!("use host {ip}"), why))?;
    Ok(Host::One(ip.into(), scope))
}

fn bind_to_both(port: u16, log: &Log) -> Result<Socket, Fatal> {
    let six = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match bind_patiently(six, false) {
        Ok(socket) => Ok(socket),
        Err(error) if error.raw_os_error() == Some(Errno::EADDRINUSE as i32) => {
            Err(cannot_bind(six, error))
        }
        Err(why) => {
            log.warning(format_args!("unable to bind {six}: {why}: listening on IPv4 alone"));
            bind_to_one(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
        }
    }
}

fn bind_to_one(address: SocketAddr) -> Result<Socket, Fatal> {
    bind_patiently(address, true).map_err(|why| cannot_bind(address, why))
}

fn cannot_bind(address: SocketAddr, why: io::Error) -> Fatal {
    let needs_root = why.kind() == io::ErrorKind::PermissionDenied;
    let hint = if needs_root { NEEDS_ROOT } else { "" };
    Fatal::Unable { what: format!("bind {address}"), why, hint, tcpserver: Some("bind") }
}

fn bind_patiently(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let until = Instant::now() + PATIENCE;
    loop {
        match try_to_bind(address, only_v6) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(10));
            }
            result => return result,
        }
    }
}

fn try_to_bind(address: SocketAddr, only_v6: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

fn warn_of_kernel_limit(backlog: u32, log: &Log) {
    let limit = fs::read_to_string("/proc/sys/net/core/somaxconn");
    let limit = limit.ok().and_then(|text| text.trim().parse::<u32>().ok());
    if let Some(limit) = limit.filter(|limit| *limit < backlog) {
        log.warning(format_args!(
            "backlog {backlog} is cut to {limit}: raise net.core.somaxconn, or set -b"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_only_root_may_bind_says_what_is_needed() {
        let fatal = |why: Errno| {
            let address = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 25));
            cannot_bind(address, why.into())
        };
        let denied = fatal(Errno::EACCES);
        assert!(denied.to_string().starts_with("unable to bind 0.0.0.0:25: Permission denied"));
        assert!(denied.to_string().ends_with(": start as root, and use -u USER to give root up"));
        assert_eq!(denied.tcpserver_message().as_deref(), Some("unable to bind: access denied"));
        assert!(!fatal(Errno::EADDRINUSE).to_string().contains("root"));
    }

    #[test]
    fn a_listener_of_the_service_manager_has_to_be_where_the_operands_say() {
        let listening = |address: &str| {
            let address: SocketAddr = address.parse().unwrap();
            let socket = try_to_bind(address, false).unwrap();
            let local = socket.local_addr().unwrap().as_socket().unwrap();
            (socket, local)
        };
        let (wildcard, local) = listening("0.0.0.0:0");
        let has = |host, port| ListenAddress { host, port }.has(&wildcard, local);
        let any_v4 = || Host::One(Ipv4Addr::UNSPECIFIED.into(), 0);
        assert!(has(Host::Any, 0) && has(Host::Any, local.port()) && has(any_v4(), 0));
        assert!(!has(Host::Any, local.port() ^ 1));
        assert!(!has(Host::One(Ipv4Addr::LOCALHOST.into(), 0), 0));
        let (loopback, local) = listening("127.0.0.1:0");
        let place = |host| ListenAddress { host, port: local.port() };
        assert!(place(Host::One(Ipv4Addr::LOCALHOST.into(), 0)).has(&loopback, local));
        assert!(!place(Host::Any).has(&loopback, local));
        let why = take_over(loopback, &place(any_v4())).err().unwrap().to_string();
        assert!(why.contains("where the service manager listens: host and port are"), "{why}");
        let six = || Host::One(Ipv6Addr::UNSPECIFIED.into(), 0);
        for only_v6 in [true, false] {
            let any: SocketAddr = "[::]:0".parse().unwrap();
            let Ok(socket) = try_to_bind(any, only_v6) else { return };
            let local = socket.local_addr().unwrap().as_socket().unwrap();
            assert_eq!(ListenAddress { host: six(), port: 0 }.has(&socket, local), only_v6);
            assert!(ListenAddress { host: Host::Any, port: 0 }.has(&socket, local));
        }
    }
}
