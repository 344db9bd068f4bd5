//! The look-ups for a client: its name, with forward confirmation if asked for, the
//! name of our own address, DNS lists and ident.  Nothing here blocks: `watch` polls
//! the sockets together with the client's.

pub mod host_name;
pub mod ident;
pub mod lists;
pub(super) mod memory;
mod name_servers;
mod names;
pub mod wanted;

use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::PollFlags;

use crate::dns::list::WantedLists;
use crate::dns::{Failure, Query, Question};
use crate::known::asking::Asker;
use crate::known::key::Key;
pub use host_name::{HostName, LocalName};
use ident::{Ident, Owner};
use lists::Lists;
use memory::Memory;
use name_servers::NameServers;
use names::{Local, Remote};
use wanted::Wanted;

/// The look-ups of one connection.
pub struct Lookup {
    remote: Remote,
    local: Local,
    ident: Option<Ident>,
    lists: Lists,
    /// The probes that tell whether name servers answer at all, one for each.
    probes: Vec<Query>,
    servers: NameServers,
    ip: IpAddr,
    paranoid: bool,
    /// Whether a query that has ended was answered.
    heard: bool,
    /// Why a query had no socket.
    shortage: Option<Errno>,
    /// What the keeper of known clients says.
    memory: Memory,
}

impl Lookup {
    /// Nothing to look up: the client's name is `name`, and ours as given.
    #[must_use]
    pub fn nothing(ip: IpAddr, name: HostName, local_name: Option<String>, now: Instant) -> Self {
        let wanted = Wanted {
            ip,
            name: Some(name),
            paranoid: false,
            local: None,
            local_name,
            raw_names: false,
            ident: None,
            lists: WantedLists::default(),
        };
        Self::start(wanted, None, now, now)
    }

    /// Sends the questions to `servers`; all of them end by `deadline`.
    #[must_use]
    pub fn start(
        wanted: Wanted,
        servers: Option<Rc<[SocketAddr]>>,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        let question = if wanted.raw_names { Question::RawNames } else { Question::Names };
        let servers = NameServers::new(servers, deadline);
        let ask = |ip| servers.ask(question(ip), now);
        let remote = match wanted.name {
            Some(name) => Remote::Settled(name),
            None => Remote::Asking(ask(wanted.ip)),
        };
        let local = match wanted.local {
            Some(ip) => Local::Asking(ask(ip)),
            None => Local::Settled(LocalName::Known(wanted.local_name)),
        };
        let (ip, paranoid, ident) = (wanted.ip, wanted.paranoid, wanted.ident);
        let lists = Lists::ask(&wanted.lists, ip, &servers, now);
        let mut lookup = Self {
            remote,
            local,
            ident,
            lists,
            probes: Vec::new(),
            servers,
            ip,
            paranoid,
            heard: false,
            shortage: None,
            memory: Memory::NotAsked,
        };
        lookup.settle(now);
        lookup
    }

    /// Whether all names are known, including ours.
    #[must_use]
    pub fn knows_names(&self) -> bool {
        self.knows_client() && self.local_name().is_some()
    }

    /// Whether everything about the client is known, except DNS lists.
    #[must_use]
    pub fn knows_client(&self) -> bool {
        self.name().is_some() && self.ident.as_ref().is_none_or(|ident| ident.answer().is_some())
    }

    /// What the client's ident server said (`TCPREMOTEINFO`).
    #[must_use]
    pub fn info(&self) -> Option<&[u8]> {
        match self.ident.as_ref()?.answer()? {
            Owner::Said(info) => Some(info),
            Owner::Unknown => None,
        }
    }

    /// The client's name, once it is known.
    #[must_use]
    pub fn name(&self) -> Option<&HostName> {
        self.remote.name()
    }

    /// Our name, once it is known.
    #[must_use]
    pub fn local_name(&self) -> Option<&LocalName> {
        self.local.name()
    }

    /// Whether a name server has answered, even with a failure.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.heard || self.queries().any(Query::has_heard)
    }

    /// Why this host had no socket for a question, if that happened.
    #[must_use]
    pub fn shortage(&self) -> Option<Errno> {
        self.shortage
    }

    /// Asks each name server at once for a name that it can answer for.
    pub fn probe(&mut self, now: Instant) {
        self.probes = self.servers.probe(now);
    }

    /// Once the look-up has ended: whether no name server is reachable, as opposed to
    /// having no answer.
    #[must_use]
    pub fn has_reached_no_name_server(&self) -> bool {
        let unreachable = matches!(
            self.name(),
            Some(HostName::Unknown(Failure::ServersFailed | Failure::Shortage(_)))
        );
        !self.has_heard() && (unreachable || !self.probes.is_empty())
    }

    /// Asks the keeper whether the client is known.
    pub(super) fn ask_keeper(&mut self, asker: &Asker, key: Key) {
        self.memory = Memory::ask(asker, key);
    }

    /// What the keeper says of the client.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// What DNS lists say.
    #[must_use]
    pub fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Asks the list that decides for its TXT record.
    pub fn ask_reason(&mut self, deadline: Instant) {
        self.lists.ask_reason(self.ip, &self.servers.until(deadline));
    }

    /// Ends all questions: what is not known is unknown.
    pub fn give_up(&mut self) {
        self.ident.take_if(|ident| ident.answer().is_none());
        if self.name().is_none() {
            self.remote = Remote::Settled(HostName::Unknown(Failure::TimedOut));
        }
        if self.local_name().is_none() {
            self.local = Local::Settled(LocalName::Known(None));
        }
    }

    /// Our name, as far as it is known by now.
    #[must_use]
    pub fn local_name_so_far(&self) -> Option<&str> {
        match self.local_name()? {
            LocalName::Known(name) | LocalName::Learnt(name) => name.as_deref(),
            LocalName::Failed => None,
        }
    }

    fn queries(&self) -> impl Iterator<Item = &Query> {
        let names = self.remote.queries().chain(self.local.query());
        names.chain(self.lists.queries()).chain(&self.probes)
    }

    /// The same, in the same order.
    fn queries_mut(&mut self) -> impl Iterator<Item = &mut Query> {
        let names = self.remote.queries_mut().chain(self.local.query_mut());
        names.chain(self.lists.queries_mut()).chain(&mut self.probes)
    }

    /// The sockets to poll, and for what.
    pub fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let ident = self.open_ident().map(Ident::interest);
        self.queries().flat_map(Query::interests).chain(ident).chain(self.memory.interest())
    }

    fn open_ident(&self) -> Option<&Ident> {
        self.ident.as_ref().filter(|ident| ident.answer().is_none())
    }

    /// When [`Lookup::advance`] is due even if no socket is ready.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        let queries = self.queries().filter(|query| query.answer().is_none()).map(Query::due);
        queries.chain(self.open_ident().map(Ident::due)).min()
    }

    /// Handles the sockets that are ready, in the order of [`Lookup::interests`].
    pub fn advance(&mut self, now: Instant, ready: &[bool]) {
        if self.memory.interest().is_some() && ready.last() == Some(&true) {
            self.memory.advance();
        }
        let mut rest = ready;
        for query in self.queries_mut() {
            let (mine, others) = rest.split_at(query.interests().count().min(rest.len()));
            rest = others;
            query.advance(now, mine);
        }
        if let Some(ident) = self.ident.as_mut().filter(|ident| ident.answer().is_none()) {
            ident.advance(now, rest.first().copied().unwrap_or(false));
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        self.heard = self.has_heard();
        let shortage = self.queries().find_map(Query::shortage);
        self.shortage = shortage.or(self.shortage);
        self.remote.settle(self.ip, self.paranoid, &self.servers, now);
        self.local.settle();
    }
}
