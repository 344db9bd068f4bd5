//! The stage of the look-up: what is asked about a client, and for how long.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ident::Ident;
use super::lookup::{HostName, Lookup};
use super::serve::{Connection, Step};
use super::wanted::Wanted;
use super::watch::{Seen, Until, watch};
use crate::error::Reason;
use crate::options::EarlyTalk;

/// How long the look-up goes on for a client that has talked, if its class decides
/// whether that counts.
const GRACE: Duration = Duration::from_secs(1);
/// How long before its end a look-up without any answer probes the name servers.
const PROBE_TIME: Duration = Duration::from_secs(1);

impl Connection<'_> {
    pub(super) fn look_up(&mut self) -> Step {
        let name = self.name_without_asking();
        let asked = name.is_none();
        let limit = if asked { self.look_up_limit() } else { None };
        self.start_look_up(name);
        let answered = self.wait_for_names(asked, limit.unwrap_or(Duration::MAX));
        self.log_shortage();
        answered?;
        self.note_answer();
        self.dns_time = asked.then(|| self.client.received.elapsed());
        Ok(())
    }

    fn wait_for_names(&mut self, asked: bool, limit: Duration) -> Step {
        let options = &self.service.options;
        let ident_time = if options.ident { options.ident_timeout } else { Duration::ZERO };
        let received = self.client.received;
        let deadline = received + options.dns_timeout.max(ident_time).min(limit);
        let answers_until = received + options.dns_timeout.min(limit);
        let probed_at = answers_until.checked_sub(PROBE_TIME).unwrap_or(received);
        let mut to_probe = asked.then_some(probed_at);
        // tcpserver's log shows our own name when a client is denied.
        let wanted = if options.as_tcpserver { Until::Names } else { Until::Client };
        while !wanted.is_reached(&self.lookup) {
            let until = self.end_of_grace().map_or(deadline, |end| end.min(deadline));
            let probe = to_probe.filter(|at| *at < until);
            let pause = probe.unwrap_or(until);
            let seen = watch(&self.client, self.watch_for, &mut self.lookup, pause, wanted);
            self.act_on(seen)?;
            if seen == Seen::Elapsed && probe.is_some() {
                to_probe = None;
                self.probe_name_servers(deadline);
            } else if seen == Seen::Elapsed {
                self.lookup.give_up();
            }
        }
        Ok(())
    }

    /// Without sockets every client is `unknown`, through no fault of a name server.
    fn log_shortage(&self) {
        let why = self.lookup.shortage().filter(|_| self.acceptor.findings.may_log_shortage());
        if let Some(why) = why.map(io::Error::from) {
            let why = Reason(&why);
            self.service.log.error(format_args!("unable to make a socket for look-ups: {why}"));
        }
    }

    /// The deadline of the look-up for a client that has talked.  With `--early log`
    /// talk changes nothing.
    fn end_of_grace(&self) -> Option<Instant> {
        let matters = self.service.options.early != EarlyTalk::Log;
        let early = self.early.as_ref().filter(|early| early.open && matters)?;
        Some(self.client.accepted + early.at + GRACE)
    }

    /// The client's name is asked for unless it is known.
    fn start_look_up(&mut self, name: Option<HostName>) {
        let options = &self.service.options;
        let rejected = self.is_rejected_upstream();
        let local_ip = self.client.local.ip();
        let known = match &options.local_name {
            Some(name) => Some(Some(name.clone())),
            None => self.acceptor.findings.local_name(local_ip),
        };
        let asked = name.is_none();
        let wanted = Wanted {
            ip: self.client.ip(),
            name,
            paranoid: options.paranoid,
            local: (known.is_none() && !rejected).then_some(local_ip),
            local_name: known.flatten(),
            raw_names: options.as_tcpserver,
            ident: self.ident().filter(|_| !rejected),
            lists: self.wanted_lists(),
        };
        let lists = !wanted.lists.blocklists.is_empty() || !wanted.lists.allowlists.is_empty();
        let servers = if asked || wanted.local.is_some() || lists {
            self.service.resolvers.borrow_mut().servers()
        } else {
            Rc::new([])
        };
        let deadline = self.client.received + options.dns_timeout;
        self.lookup = Lookup::start(wanted, servers, Instant::now(), deadline);
        self.ask_keeper();
    }

    /// The client's name, or that it does not matter; `None` if a name server has to be
    /// asked.
    fn name_without_asking(&self) -> Option<HostName> {
        let skipped = self.is_rejected_upstream() || !self.service.options.look_up;
        let given = self.client.host.clone();
        given.or_else(|| skipped.then_some(HostName::NotAsked))
    }

    fn ident(&self) -> Option<Ident> {
        let options = &self.service.options;
        let deadline = self.client.received + options.ident_timeout;
        let ask = || Ident::ask(self.client.peer, self.client.local, deadline).ok();
        options.ident.then(ask).flatten()
    }
}
