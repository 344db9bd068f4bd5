//! The stage of the limit on connections from one address, and which clients limits apply to.

use crate::connection::client::Client;
use crate::connection::decided::Decided;
use crate::connection::decided::exemptions::Exemptions;
use crate::connection::decided::verdict::Judgement;
use crate::connection::service::Server;
use crate::connection::stages::Step;
use crate::connection::stages::judge::judge;
use crate::connection::watched::Watched;
use crate::options::Options;

/// Before anything is looked up.  Trusted networks are not counted: webmail hosts
/// have many connections.
pub(in crate::connection) fn limit(
    server: Server<'_>,
    watched: &Watched,
    decided: &mut Decided,
) -> Step {
    let (options, client) = (server.options(), watched.client());
    let is_limited = is_limited(options, client, decided.exemptions());
    let Some(most) = options.per_ip().filter(|_| is_limited) else {
        return Ok(());
    };
    let held = server.acceptor.limits.earlier_from(client.ip());
    if held < most {
        return Ok(());
    }
    judge(server, watched, decided, Judgement::TooMany { held })
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
