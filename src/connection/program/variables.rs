//! The variables about the two ends of the connection: tcpserver's, and for IPv6 those
//! of ucspi-tcp6 as well.

use std::net::IpAddr;

use nix::net::if_::if_indextoname;

use super::environment::Environment;
use crate::connection::client::Client;

/// The names that were found.
pub(in crate::connection) struct Names<'a> {
    /// Ours.
    pub(in crate::connection) local_host: Option<&'a str>,
    /// The client's.
    pub(in crate::connection) remote_host: Option<&'a str>,
    /// What the client's ident server said.
    pub(in crate::connection) info: Option<&'a [u8]>,
}

/// Sets them all; a name that is not known is unset, even if the daemon inherited one.
/// If a server before us has set them they stay as they are: a name that it left out
/// may be one that it does not trust.
pub(in crate::connection) fn set_variables(
    environment: &mut Environment,
    client: &Client,
    names: &Names<'_>,
) {
    let six = matches!(client.ip(), IpAddr::V6(_));
    if client.introduced {
        return;
    }
    let text = |value: String| Some(value.into_bytes());
    let own = |value: Option<&str>| value.map(Vec::from);
    let values = [
        ("TCPLOCALIP", "TCP6LOCALIP", text(client.local.ip().to_string())),
        ("TCPLOCALPORT", "TCP6LOCALPORT", text(client.local.port().to_string())),
        ("TCPLOCALHOST", "TCP6LOCALHOST", own(names.local_host)),
        ("TCPREMOTEIP", "TCP6REMOTEIP", text(client.ip().to_string())),
        ("TCPREMOTEPORT", "TCP6REMOTEPORT", text(client.peer.port().to_string())),
        ("TCPREMOTEHOST", "TCP6REMOTEHOST", own(names.remote_host)),
        ("TCPREMOTEINFO", "TCP6REMOTEINFO", names.info.map(<[u8]>::to_vec)),
    ];
    environment.set("PROTO", Some(if six { "TCP6" } else { "TCP" }));
    for (name, six_name, value) in values {
        environment.set(six_name, value.clone().filter(|_| six));
        environment.set(name, value);
    }
    let scoped = six && client.scope > 0;
    let interface = scoped.then(|| if_indextoname(client.scope).ok()).flatten();
    environment.set("TCP6INTERFACE", interface.map(std::ffi::CString::into_bytes));
}
