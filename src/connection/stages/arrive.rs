//! The first stage: the socket is set up, and the client may be sent something at once.

use crate::connection::client::Client;
use crate::connection::client::closing::send;
use crate::connection::decided::exemptions::EarlyTalkRule;
use crate::connection::lookup::{HostName, Lookup};
use crate::connection::service::{Server, SourceRoutes};
use crate::connection::watched::Watched;
use crate::options::Options;

/// Sets the client's socket up, and greets it if `-B` asks for that.
pub(in crate::connection) fn arrive(server: Server<'_>, client: Client) -> Watched {
    set_up_socket(server, &client);
    let local_name = known_local_name(server, &client).flatten();
    let name = client.host.clone().unwrap_or(HostName::NotAsked);
    let lookup = Lookup::nothing(client.ip(), name, local_name, client.accepted);
    Watched::new(client, lookup)
}

/// The name of our end of the connection: `None` if it has to be looked up.  That of `-l`
/// is [`View::local_name`]'s: a copy would be memory that each client costs.
///
/// [`View::local_name`]: super::tell::View::local_name
#[allow(clippy::option_option, reason = "as in `SharedFindings`")]
pub(super) fn known_local_name(server: Server<'_>, client: &Client) -> Option<Option<String>> {
    match server.options().local_name {
        Some(_) => Some(None),
        None => server.acceptor.findings.local_name(client.local.ip()),
    }
}

fn set_up_socket(server: Server<'_>, client: &Client) {
    let options = server.options();
    if options.kill_ip_options && server.service.source_routes == SourceRoutes::Accepted {
        client.kill_ip_options();
    }
    if options.no_delay {
        client.send_at_once();
    }
    if !options.banner.is_empty() {
        send(client, &options.banner);
    }
}

/// The teaser is sent only to a client that is sure to be delayed.
pub(in crate::connection) fn tease(options: &Options, client: &Client, rule: EarlyTalkRule) {
    let teaser = options.teaser.as_ref().filter(|_| rule == EarlyTalkRule::Certain);
    if let Some(text) = teaser {
        send(client, format!("220-{text}\r\n").as_bytes());
    }
}
