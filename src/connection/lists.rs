//! DNS lists about one client: all are asked at once, their weights add up, and
//! only the one that decides is asked why.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use crate::dns::list::{List, Listing, WhyNot};
use crate::dns::{Answer, Failure, Query, Question, Records};

/// Bytes of a list's own words that are passed on.
const LONGEST_REASON: usize = 200;

/// The questions, and what came of them.
#[derive(Default)]
pub struct Lists {
    /// Lists of bad clients.
    black: Vec<Asked>,
    /// Lists of good ones.
    white: Vec<Asked>,
    /// The question why.
    reason: Option<Query>,
}

struct Asked {
    list: Rc<List>,
    query: Query,
}

impl Asked {
    fn listing(&self) -> Option<Listing> {
        self.query.answer().map(|answer| self.list.read(answer))
    }

    fn address(&self) -> Option<Ipv4Addr> {
        match self.listing()? {
            Listing::Listed(address) => Some(address),
            Listing::NotListed | Listing::Failed(_) => None,
        }
    }
}

/// The lists to ask.
#[derive(Clone, Debug, Default)]
pub struct WantedLists {
    /// Lists of bad clients.
    pub black: Vec<Rc<List>>,
    /// Lists of good ones.
    pub white: Vec<Rc<List>>,
}

impl Lists {
    pub(super) fn ask(
        wanted: &WantedLists,
        ip: IpAddr,
        servers: &Rc<[SocketAddr]>,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        let ask = |list: &Rc<List>| {
            let question = Question::Ipv4(list.name_of(ip));
            let query = Query::ask(question, Rc::clone(servers), now, deadline);
            Asked { list: Rc::clone(list), query }
        };
        let all = |lists: &[Rc<List>]| lists.iter().map(ask).collect();
        Self { black: all(&wanted.black), white: all(&wanted.white), reason: None }
    }

    pub(super) fn queries(&self) -> impl Iterator<Item = &Query> {
        let lists = self.black.iter().chain(&self.white).map(|asked| &asked.query);
        lists.chain(&self.reason)
    }

    pub(super) fn queries_mut(&mut self) -> impl Iterator<Item = &mut Query> {
        let lists = self.black.iter_mut().chain(&mut self.white).map(|asked| &mut asked.query);
        lists.chain(&mut self.reason)
    }

    /// The sum of the weights of the lists that have the client.
    #[must_use]
    pub fn score(&self) -> u32 {
        let listed = self.black.iter().filter(|asked| asked.address().is_some());
        listed.map(|asked| asked.list.weight).sum()
    }

    /// Whether the score will change no more.
    #[must_use]
    pub fn know_score(&self) -> bool {
        self.black.iter().all(|asked| asked.query.answer().is_some())
    }

    /// Whether a list of good clients has it; `None` as long as one may.
    #[must_use]
    pub fn welcome(&self) -> Option<bool> {
        if self.white.iter().any(|asked| asked.address().is_some()) {
            return Some(true);
        }
        self.white.iter().all(|asked| asked.query.answer().is_some()).then_some(false)
    }

    /// The lists that have the client, as `ZONE:ADDRESS`, with commas between
    /// them.
    #[must_use]
    pub fn zones(&self) -> String {
        let listed = self.black.iter().filter_map(|asked| {
            asked.address().map(|address| format!("{}:{address}", asked.list.zone))
        });
        listed.collect::<Vec<_>>().join(",")
    }

    /// The first list that has the client.
    #[must_use]
    pub fn first(&self) -> Option<&List> {
        let mut listed = self.black.iter().filter(|asked| asked.address().is_some());
        listed.next().map(|asked| &*asked.list)
    }

    /// Asks the first list that has the client why.
    pub fn ask_reason(&mut self, ip: IpAddr, servers: &Rc<[SocketAddr]>, deadline: Instant) {
        let name = self.first().map(|list| list.name_of(ip));
        self.reason = name.map(|name| {
            Query::ask(Question::Text(name), Rc::clone(servers), Instant::now(), deadline)
        });
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

    /// The lists that could not tell, and why; those that have not answered by now
    /// are late.
    pub fn failed(&self) -> impl Iterator<Item = (&List, WhyNot)> {
        let late = || Listing::Failed(WhyNot::Failure(Failure::TimedOut));
        let all = self.black.iter().chain(&self.white);
        all.filter_map(move |asked| match asked.listing().unwrap_or_else(late) {
            Listing::Failed(why) => Some((&*asked.list, why)),
            Listing::Listed(_) | Listing::NotListed => None,
        })
    }
}
