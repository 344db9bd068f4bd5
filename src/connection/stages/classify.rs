//! The stage of the class, which decides the delay.

use super::lists::apply_allowlists;
use crate::class::Class;
use crate::connection::decided::class::class_of;
use crate::connection::decided::exemptions::EarlyTalkRule;
use crate::connection::decided::verdict::Verdict;
use crate::connection::decided::{Decided, Delay};
use crate::connection::lookup::HostName;
use crate::connection::service::Server;
use crate::connection::stages::tell::View;
use crate::connection::watched::Watched;

/// Finds out the client's class, and the delay of that.
///
/// # Errors
/// A verdict of lists, or of early talk, while an allowlist was waited for.
pub(in crate::connection) fn classify(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Result<(Class, Delay), Verdict> {
    let class = by_name(server, watched, decided);
    let class = apply_allowlists(server, watched, decided, class)?;
    let delay = decided.set_class(class, &server.options().delays);
    watched.apply(decided.early_talk_rule());
    let counts = server.acceptor.counts;
    counts.count_class(class);
    counts.describe(class, View { server, watched, decided }.host());
    Ok((class, delay))
}

fn by_name(server: Server<'_>, watched: &Watched, decided: &Decided) -> Class {
    let (options, names) = (server.options(), &server.service.names);
    // Skip classification when it cannot change the delay: the name was given, and no
    // class has a delay.
    let client = watched.client();
    let is_needless = client.host.is_some() && decided.early_talk_rule() == EarlyTalkRule::Never;
    let host = watched.lookup().name().filter(|_| !is_needless).unwrap_or(&HostName::NotAsked);
    for why in names.prepare(host.all()) {
        server.log().error(why);
    }
    class_of(host, client.ip(), names, &options.local_nets)
}
