//! What the program is told about the two ends of the connection: the
//! variables of tcpserver, and for IPv6 those of ucspi-tcp6 beside them.

use std::net::IpAddr;

use nix::net::if_::if_indextoname;

use super::client::Client;
use super::environment::Environment;

/// Sets them all; a name that is not known is unset, also where the daemon
/// inherited one.
pub(super) fn set_variables(
    environment: &mut Environment,
    client: &Client,
    local_host: Option<&str>,
    remote_host: Option<&str>,
) {
    let six = matches!(client.ip(), IpAddr::V6(_));
    let text = |value: String| Some(value);
    let own = |value: Option<&str>| value.map(String::from);
    let values = [
        ("TCPLOCALIP", "TCP6LOCALIP", text(client.local.ip().to_string())),
        ("TCPLOCALPORT", "TCP6LOCALPORT", text(client.local.port().to_string())),
        ("TCPLOCALHOST", "TCP6LOCALHOST", own(local_host)),
        ("TCPREMOTEIP", "TCP6REMOTEIP", text(client.ip().to_string())),
        ("TCPREMOTEPORT", "TCP6REMOTEPORT", text(client.peer.port().to_string())),
        ("TCPREMOTEHOST", "TCP6REMOTEHOST", own(remote_host)),
        ("TCPREMOTEINFO", "TCP6REMOTEINFO", None),
    ];
    environment.set("PROTO", Some(if six { "TCP6" } else { "TCP" }));
    for (name, six_name, value) in values {
        environment.set(six_name, value.clone().filter(|_| six));
        environment.set(name, value);
    }
    let interface = if_indextoname(client.scope).ok().filter(|_| six && client.scope > 0);
    environment.set("TCP6INTERFACE", interface.map(std::ffi::CString::into_bytes));
}
