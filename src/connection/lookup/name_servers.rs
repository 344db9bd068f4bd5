//! The name servers that the questions of one connection are sent to.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use crate::dns::{Query, Question};

/// Name servers, and the deadline of what they are asked.
pub(super) struct NameServers {
    /// None without a question for them: even an empty list would take memory.
    addresses: Option<Rc<[SocketAddr]>>,
    deadline: Instant,
}

impl NameServers {
    /// Questions to `addresses`, which are asked in turn, end by `deadline`.
    pub(super) fn new(addresses: Option<Rc<[SocketAddr]>>, deadline: Instant) -> Self {
        Self { addresses, deadline }
    }

    /// The same name servers with another deadline.
    pub(super) fn until(&self, deadline: Instant) -> Self {
        Self { addresses: self.addresses.clone(), deadline }
    }

    /// Sends `question`.
    pub(super) fn ask(&self, question: Question, now: Instant) -> Query {
        let addresses = self.addresses.clone().unwrap_or_else(|| Rc::new([]));
        Query::ask(question, addresses, now, self.deadline)
    }

    /// Asks each of them at once for a name that it answers or refuses by itself
    /// (RFC 6303, section 4.2): a question about the client may be one that no server
    /// answers.
    pub(super) fn probe(&self, now: Instant) -> Vec<Query> {
        let question = || Question::Names(Ipv4Addr::LOCALHOST.into());
        let probe =
            |server: &SocketAddr| Query::ask(question(), Rc::new([*server]), now, self.deadline);
        self.addresses.iter().flat_map(|addresses| addresses.iter()).map(probe).collect()
    }
}
