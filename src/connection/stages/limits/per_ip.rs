//! The stage of the limit on connections from one address, and which clients limits apply to.

use crate::connection::client::Client;
use crate::connection::decided::exemptions::Exemptions;
use crate::connection::decided::verdict::Verdict;
use crate::connection::service::Server;
use crate::connection::stages::Step;
use crate::options::Options;

/// Before anything is looked up.  Trusted networks are not counted: webmail hosts
/// have many connections.
pub(in crate::connection) fn limit(
    server: Server<'_>,
    client: &Client,
    exemptions: &Exemptions,
) -> Step {
    let options = server.options();
    let Some(most) = options.per_ip().filter(|_| is_limited(options, client, exemptions)) else {
        return Ok(());
    };
    let held = server.acceptor.limits.earlier_from(client.ip());
    if held >= most { Err(Verdict::TooMany { held }) } else { Ok(()) }
}

/// Whether limits apply to the client, as far as its address tells.
pub(in crate::connection::stages) fn is_limited(
    options: &Options,
    client: &Client,
    exemptions: &Exemptions,
) -> bool {
    exemptions.limits && !options.trusts(client.ip())
}

/// Whether a client may be refused for the reserve.  Under the name tcpserver there is
/// one only if an option sets it.
pub(in crate::connection::stages) fn is_bound_by_reserve(
    options: &Options,
    client: &Client,
    exemptions: &Exemptions,
) -> bool {
    let has_reserve = !options.as_tcpserver || options.reserve_percent.is_some();
    has_reserve && is_limited(options, client, exemptions)
}
