//! The questions for the names of the two ends of a connection: the client's, with
//! forward confirmation if asked for, and ours.

use std::net::IpAddr;
use std::time::Instant;

use super::host_name::{HostName, LocalName, host_name_of};
use super::name_servers::NameServers;
use crate::dns::{Answer, Query, Question, Records};

/// The client's name.
pub(super) enum Remote {
    /// Its PTR records have been asked for.
    Asking(Query),
    /// The addresses of these names have been asked for (`-p`).
    Confirming(Vec<(String, Query)>),
    /// The look-up has ended.
    Settled(HostName),
}

impl Remote {
    /// The name, once it is known.
    pub(super) fn name(&self) -> Option<&HostName> {
        match self {
            Self::Settled(name) => Some(name),
            Self::Asking(_) | Self::Confirming(_) => None,
        }
    }

    /// The questions that have been asked last.
    pub(super) fn queries(&self) -> impl Iterator<Item = &Query> {
        let (asking, confirming) = match self {
            Self::Asking(query) => (Some(query), [].as_slice()),
            Self::Confirming(queries) => (None, queries.as_slice()),
            Self::Settled(_) => (None, [].as_slice()),
        };
        asking.into_iter().chain(confirming.iter().map(|(_, query)| query))
    }

    /// The same, in the same order.
    pub(super) fn queries_mut(&mut self) -> impl Iterator<Item = &mut Query> {
        let (asking, confirming) = match self {
            Self::Asking(query) => (Some(query), [].as_mut_slice()),
            Self::Confirming(queries) => (None, queries.as_mut_slice()),
            Self::Settled(_) => (None, [].as_mut_slice()),
        };
        asking.into_iter().chain(confirming.iter_mut().map(|(_, query)| query))
    }

    /// Takes the answers about the client at `ip`, if they have come; with `paranoid`
    /// those for its names are followed by questions for the addresses of these.
    pub(super) fn settle(
        &mut self,
        ip: IpAddr,
        paranoid: bool,
        servers: &NameServers,
        now: Instant,
    ) {
        if let Self::Asking(query) = self {
            if let Some(answer) = query.answer() {
                *self = match host_name_of(answer) {
                    HostName::Found(names) if paranoid => Self::confirm(names, ip, servers, now),
                    name => Self::Settled(name),
                };
            }
        }
        if let Self::Confirming(queries) = self {
            if queries.iter().all(|(_, query)| query.answer().is_some()) {
                *self = Self::Settled(confirmed(queries, ip));
            }
        }
    }

    fn confirm(names: Vec<String>, ip: IpAddr, servers: &NameServers, now: Instant) -> Self {
        let forward = |name: String| {
            let question = match ip {
                IpAddr::V4(_) => Question::Ipv4(name.clone()),
                IpAddr::V6(_) => Question::Ipv6(name.clone()),
            };
            (name, servers.ask(question, now))
        };
        Self::Confirming(names.into_iter().map(forward).collect())
    }
}

/// The names that lead back to `ip`.  If none does and one could not be checked, the
/// look-up counts as failed, not as a denial.
fn confirmed(queries: &[(String, Query)], ip: IpAddr) -> HostName {
    let leads_back = |query: &Query| match query.answer() {
        Some(Answer::Found(Records::Addresses(addresses))) => addresses.contains(&ip),
        _ => false,
    };
    let kept = queries.iter().filter(|(_, query)| leads_back(query));
    let kept: Vec<String> = kept.map(|(name, _)| name.clone()).collect();
    if !kept.is_empty() {
        return HostName::Found(kept);
    }
    let failure = queries.iter().find_map(|(_, query)| match query.answer() {
        Some(Answer::Failed(why)) => Some(*why),
        _ => None,
    });
    failure.map_or(HostName::None, HostName::Unknown)
}

/// The name of our own address.
pub(super) enum Local {
    /// Its PTR records have been asked for.
    Asking(Query),
    /// The look-up has ended.
    Settled(LocalName),
}

impl Local {
    /// The name, once it is known.
    pub(super) fn name(&self) -> Option<&LocalName> {
        match self {
            Self::Settled(name) => Some(name),
            Self::Asking(_) => None,
        }
    }

    /// The question, if it has been asked.
    pub(super) fn query(&self) -> Option<&Query> {
        match self {
            Self::Asking(query) => Some(query),
            Self::Settled(_) => None,
        }
    }

    /// The same.
    pub(super) fn query_mut(&mut self) -> Option<&mut Query> {
        match self {
            Self::Asking(query) => Some(query),
            Self::Settled(_) => None,
        }
    }

    /// Takes the answer, if it has come.
    pub(super) fn settle(&mut self) {
        if let Self::Asking(query) = self {
            if let Some(answer) = query.answer() {
                *self = Self::Settled(match host_name_of(answer) {
                    HostName::Unknown(_) => LocalName::Failed,
                    name => LocalName::Learnt(name.first().map(String::from)),
                });
            }
        }
    }
}
