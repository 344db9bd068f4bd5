//! DNS lists for one client: all are asked at once, each zone once, their weights add
//! up, and only the list that decides is asked for its TXT record.

use std::mem;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Instant;

use super::name_servers::NameServers;
use crate::dns::list::{DnsList, ListFailure, Listing, WantedLists};
use crate::dns::{Answer, Failure, Query, Question, Records};

/// Bytes of a list's TXT record that are passed on.
const LONGEST_REASON: usize = 200;

/// The questions, and their results.
#[derive(Default)]
pub struct Lists {
    /// The zones, as names that are asked for.
    names: Vec<String>,
    /// One for each of these.
    queries: Vec<Query>,
    blocklists: Vec<Asked>,
    allowlists: Vec<Asked>,
    /// The question for the TXT record.
    reason: Option<Query>,
}

struct Asked {
    list: Rc<DnsList>,
    /// The index of its query: lists of one zone share it, and differ in how they read
    /// the answer.
    query: usize,
}

/// How a list that has not answered counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// As failed: its time is over.
    HasFailed,
    /// As pending.
    MayYetAnswer,
}

impl Lists {
    pub(super) fn ask(
        wanted: &WantedLists,
        ip: IpAddr,
        servers: &NameServers,
        now: Instant,
    ) -> Self {
        let mut lists = Self::default();
        let mut ask = |list: &Rc<DnsList>| {
            let name = list.name_of(ip);
            let known = lists.names.iter().position(|other| *other == name);
            let query = known.unwrap_or_else(|| {
                let question = Question::Ipv4(name.clone());
                lists.queries.push(servers.ask(question, now));
                lists.names.push(name);
                lists.queries.len() - 1
            });
            Asked { list: Rc::clone(list), query }
        };
        let blocklists = wanted.blocklists.iter().map(&mut ask).collect();
        let allowlists = wanted.allowlists.iter().map(&mut ask).collect();
        Self { blocklists, allowlists, ..lists }
    }

    pub(super) fn queries(&self) -> impl Iterator<Item = &Query> {
        self.queries.iter().chain(&self.reason)
    }

    pub(super) fn queries_mut(&mut self) -> impl Iterator<Item = &mut Query> {
        self.queries.iter_mut().chain(&mut self.reason)
    }

    fn listing(&self, asked: &Asked) -> Option<Listing> {
        let answer = self.queries[asked.query].answer()?;
        let same_zone = || self.all().filter(|other| other.query == asked.query);
        let is_known = |address| same_zone().any(|other| other.list.names(address));
        Some(asked.list.read(answer, is_known))
    }

    fn all(&self) -> impl Iterator<Item = &Asked> {
        self.blocklists.iter().chain(&self.allowlists)
    }

    fn address(&self, asked: &Asked) -> Option<Ipv4Addr> {
        match self.listing(asked)? {
            Listing::Listed(address) => Some(address),
            Listing::NotListed | Listing::Failed(_) => None,
        }
    }

    fn have_answered(&self, lists: &[Asked]) -> bool {
        lists.iter().all(|asked| self.queries[asked.query].answer().is_some())
    }

    /// The sum of the weights of the lists that have the client.
    #[must_use]
    pub fn score(&self) -> u32 {
        let listed = self.blocklists.iter().filter(|asked| self.address(asked).is_some());
        listed.map(|asked| asked.list.weight).sum()
    }

    /// Whether the score is final.
    #[must_use]
    pub fn know_score(&self) -> bool {
        self.have_answered(&self.blocklists)
    }

    /// Whether an allowlist has the client; `None` as long as one may still answer.
    #[must_use]
    pub fn allowed(&self) -> Option<bool> {
        if self.allowlists.iter().any(|asked| self.address(asked).is_some()) {
            return Some(true);
        }
        self.have_answered(&self.allowlists).then_some(false)
    }

    /// The lists that have the client, as `ZONE:ADDRESS`, with commas between
    /// them.
    #[must_use]
    pub fn zones(&self) -> String {
        let listed = self.blocklists.iter().filter_map(|asked| {
            self.address(asked).map(|address| format!("{}:{address}", asked.list.zone))
        });
        listed.collect::<Vec<_>>().join(",")
    }

    /// The first list that has the client.
    #[must_use]
    pub fn first(&self) -> Option<&DnsList> {
        let mut listed = self.blocklists.iter().filter(|asked| self.address(asked).is_some());
        listed.next().map(|asked| &*asked.list)
    }

    /// Asks the first list that has the client why.
    pub(super) fn ask_reason(&mut self, ip: IpAddr, servers: &NameServers) {
        let name = self.first().map(|list| list.name_of(ip));
        self.reason = name.map(|name| servers.ask(Question::Text(name), Instant::now()));
    }

    /// Whether it has said so, or cannot.
    #[must_use]
    pub fn know_reason(&self) -> bool {
        self.reason.as_ref().is_none_or(|query| query.answer().is_some())
    }

    /// What it says: printable ASCII, 200 bytes at most.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let Some(Answer::Found(Records::Texts(texts))) = self.reason.as_ref()?.answer() else {
            return None;
        };
        let text = texts.first()?;
        let printable = |byte: &u8| (b' '..=b'~').contains(byte);
        let text = text.iter().map(|byte| if printable(byte) { char::from(*byte) } else { '?' });
        let text: String = text.take(LONGEST_REASON).collect();
        let text = text.trim().trim_start_matches('-').trim_start();
        (!text.is_empty()).then(|| text.into())
    }

    /// The zones of the lists that could not tell, and why; what is made of late
    /// blocklists and allowlists.
    pub fn failed(&self, block: Late, allow: Late) -> impl Iterator<Item = (&str, ListFailure)> {
        let blocklists = self.blocklists.iter().map(move |asked| (asked, block));
        let all = blocklists.chain(self.allowlists.iter().map(move |asked| (asked, allow)));
        let failed = all.filter_map(|(asked, late)| Some((asked, self.failure(asked, late)?)));
        // Those of one query once.
        let mut told = vec![false; self.queries.len()];
        let once = failed.filter(move |(asked, _)| !mem::replace(&mut told[asked.query], true));
        once.map(|(asked, why)| (asked.list.zone.as_str(), why))
    }

    fn failure(&self, asked: &Asked, late: Late) -> Option<ListFailure> {
        match (self.listing(asked), late) {
            (Some(Listing::Failed(why)), _) => Some(why),
            (None, Late::HasFailed) => Some(ListFailure::Failure(Failure::TimedOut)),
            _ => None,
        }
    }
}
