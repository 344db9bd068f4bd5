//! The stage of the rules: what the administrator says about this client, first by its
//! address alone, then by all that is known about it.

use std::io;

use super::Step;
use crate::connection::client::{Client, Origin};
use crate::connection::decided::Decided;
use crate::connection::decided::exemptions::{Exemptions, exemptions};
use crate::connection::decided::verdict::Verdict;
use crate::connection::lookup::HostName;
use crate::connection::service::Server;
use crate::connection::watched::Watched;
use crate::rules::Match;
use crate::rules::keys::{RuleSubject, matched_host};
use crate::rules::record::Rule;

/// What the environment alone decides.
pub(in crate::connection) fn by_environment(server: Server<'_>, client: &Client) -> Decided {
    let exemptions = exemptions_by(server, client, &Rule::default());
    let rules_exist = server.service.rules.exist();
    Decided::by_environment(exemptions, server.options(), rules_exist)
}

/// A rule for the whole address precedes all others, unless ident is asked for:
/// then no look-up is needed.  (tcpserver looks everything up first, and its log
/// shows that.)
pub(in crate::connection) fn ask_by_address(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Step {
    let options = server.options();
    if options.ident || options.as_tcpserver || !decided.rules_are_open() {
        return Ok(());
    }
    let ip = watched.client().ip().to_string();
    match server.service.rules.match_address(ip.as_bytes()) {
        Ok(None) => Ok(()),
        found => follow(server, watched, decided, found, 0),
    }
}

/// The first rule in tcpserver's order of keys.
pub(in crate::connection) fn ask(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Step {
    if decided.rules_are_open() {
        let (found, host) = first_match(server, watched);
        follow(server, watched, decided, found, host)?;
    }
    log_ignored_variable(server, watched, decided);
    Ok(())
}

/// Also which of the client's names it matches.
fn first_match(server: Server<'_>, watched: &Watched) -> (io::Result<Option<Match>>, usize) {
    let ip = watched.client().ip().to_string();
    let lookup = watched.lookup();
    let names = lookup.name().map(HostName::all).unwrap_or_default();
    let hosts = names.iter().map(String::as_bytes).collect();
    let subject = RuleSubject { ip: ip.as_bytes(), hosts, info: lookup.info() };
    let found = server.service.rules.first_match(&subject);
    let matched = found.as_ref().ok().and_then(Option::as_ref);
    let host = matched.and_then(|rule| matched_host(&subject, &rule.key));
    let host = names.iter().position(|name| Some(name.as_bytes()) == host).unwrap_or(0);
    (found, host)
}

fn follow(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
    found: io::Result<Option<Match>>,
    host: usize,
) -> Step {
    let found = found.map_err(|why| {
        decided.set_unreadable(why);
        Verdict::Dropped
    })?;
    let rule = found.as_ref().map(Match::rule);
    decided.set_rule(found, host);
    let Some(rule) = rule else { return Ok(()) };
    if rule.deny {
        return Err(Verdict::Denied);
    }
    decided.exempt(exemptions_by(server, watched.client(), &rule), server.options());
    watched.apply(decided.early_talk_rule());
    Ok(())
}

/// The exemptions by the variables of `rule`, else by those of the environment.
fn exemptions_by(server: Server<'_>, client: &Client, rule: &Rule) -> Exemptions {
    let by_rule = |name: &str| {
        let mut variables = rule.variables.iter().rev();
        variables.find(|(known, _)| known == name.as_bytes()).map(|(_, value)| value.as_slice())
    };
    let exemptions = exemptions(|name| by_rule(name).or(server.service.environment.get(name)));
    match client.origin {
        Origin::Check => exemptions.of_check(),
        _ if server.options().banner.is_empty() => exemptions,
        _ => exemptions.without_delay(),
    }
}

/// One of the environment was logged at the start.
fn log_ignored_variable(server: Server<'_>, watched: &Watched, decided: &Decided) {
    let by_rule = decided.rule().is_some();
    if let Some((name, value)) = decided.exemptions().ignored.as_ref().filter(|_| by_rule) {
        server.log().ignored_variable(name, value, Some(watched.client().peer));
    }
}
