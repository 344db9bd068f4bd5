//! The life of a connection, from the accept to the program or the refusal.

use std::cell::RefCell;
use std::io;
use std::time::{Duration, Instant};

use super::acceptor::Acceptor;
use super::class::classify;
use super::client::Client;
use super::environment::Environment;
use super::exemptions::{EarlyTalkRule, Exemptions, delay};
use super::handoff::Program;
use super::lookup::{HostName, Lookup};
use super::refuse::send;
use super::stream::Look;
use super::verdict::{Next, Verdict, next};
use super::watch::{Seen, Until, WatchFor, watch};
use crate::class::Class;
use crate::dns::Resolvers;
use crate::log::{EarlyBytes, Log};
use crate::names::Names;
use crate::options::Options;
use crate::rules::{Match, Rules};

/// What is the same for all clients; in the daemon, made before the pool is
/// forked.
pub struct Service {
    /// What the administrator asked for.
    pub options: Options,
    /// The expressions and words that names are judged by.
    pub names: Names,
    /// The administrator's rules.
    pub rules: Rules,
    /// Where decisions are told.
    pub log: Log,
    /// What a client that passes gets.
    pub program: Program,
    /// The environment that we were given.
    pub environment: Environment,
    /// The name servers.
    pub resolvers: RefCell<Resolvers>,
    /// The host's name.
    pub host_name: Option<String>,
}

/// Serves one client.  Becomes the program if the client passes, and comes
/// back if it does not, with the exit code that tcpserver's child would have
/// had.
pub fn serve(service: &Service, acceptor: &dyn Acceptor, client: Client) -> u8 {
    let mut connection = Connection::begin(service, acceptor, client);
    let verdict = connection.receive().err().unwrap_or(Verdict::Pass);
    connection.conclude(verdict)
}

/// A client, and what is known of it so far.
pub(super) struct Connection<'a> {
    pub(super) service: &'a Service,
    pub(super) acceptor: &'a dyn Acceptor,
    pub(super) client: Client,
    pub(super) environment: Environment,
    pub(super) exemptions: Exemptions,
    pub(super) early_talk_rule: EarlyTalkRule,
    pub(super) watch_for: WatchFor,
    pub(super) lookup: Lookup,
    pub(super) answer_noted: bool,
    pub(super) dns_time: Option<Duration>,
    pub(super) class: Option<Class>,
    /// Known before the class where it does not depend on it.
    pub(super) delay: Option<Duration>,
    /// To which part the delay was cut down, if it was.
    pub(super) shrunk: Option<f64>,
    /// Clients of its address that were there before it.
    pub(super) earlier: usize,
    pub(super) early: Option<Early>,
    pub(super) rules_asked: bool,
    pub(super) rule: Option<Match>,
    /// Which of its names counts.
    pub(super) host: usize,
    /// Why the rules could not be asked.
    pub(super) unreadable: Option<io::Error>,
}

/// Early talk.
pub(super) struct Early {
    pub(super) said: EarlyBytes,
    /// Since the accept.
    pub(super) at: Duration,
    /// Whether the class has still to tell if it is held against the client.
    pub(super) open: bool,
}

/// `Err` is a verdict that comes before the end of the story.
pub(super) type Step = Result<(), Verdict>;

impl<'a> Connection<'a> {
    fn begin(service: &'a Service, acceptor: &'a dyn Acceptor, client: Client) -> Self {
        let environment = service.environment.clone();
        let known = || acceptor.local_name(client.local.ip()).flatten();
        let local_name = service.options.local_name.clone().or_else(known);
        let name = client.host.clone().unwrap_or(HostName::NotAsked);
        let lookup = Lookup::nothing(client.ip(), name, local_name, client.accepted);
        Self {
            service,
            acceptor,
            client,
            environment,
            exemptions: Exemptions::NONE,
            early_talk_rule: EarlyTalkRule::Never,
            watch_for: WatchFor::Off,
            lookup,
            answer_noted: false,
            dns_time: None,
            class: None,
            delay: None,
            shrunk: None,
            earlier: 0,
            early: None,
            rules_asked: false,
            rule: None,
            host: 0,
            unreadable: None,
        }
    }

    fn receive(&mut self) -> Step {
        self.set_up_socket();
        self.settle_exemptions();
        self.ask_rules_by_address()?;
        self.limit_address()?;
        self.refuse_again()?;
        self.look_once()?;
        self.tease();
        self.look_up()?;
        self.ask_rules()?;
        self.log_ignored_variable();
        self.apply_lists()?;
        self.classify()?;
        self.admit()?;
        self.judge_talk()?;
        self.wait()
    }

    fn set_up_socket(&self) {
        if self.service.options.kill_ip_options {
            self.client.kill_ip_options();
        }
        if self.service.options.no_delay {
            self.client.send_at_once();
        }
        if !self.service.options.banner.is_empty() {
            send(&self.client, &self.service.options.banner);
        }
    }

    fn log_ignored_variable(&self) {
        let by_rule = self.rule.is_some();
        if let Some((name, value)) = self.exemptions.ignored.as_ref().filter(|_| by_rule) {
            self.service.log.ignored_variable(name, value, Some(self.client.peer));
        }
    }

    /// A client that is gone already costs no look-up.
    fn look_once(&mut self) -> Step {
        if self.watch_for == WatchFor::Off {
            return Ok(());
        }
        match self.client.look() {
            Look::Silence => Ok(()),
            Look::Talk => self.act_on(Seen::Talk),
            Look::Gone => self.act_on(Seen::Gone),
        }
    }

    /// Only a client that is sure to be delayed is teased.
    fn tease(&self) {
        let teaser = self
            .service
            .options
            .teaser
            .as_ref()
            .filter(|_| self.early_talk_rule == EarlyTalkRule::Certain);
        if let Some(text) = teaser {
            send(&self.client, format!("220-{text}\r\n").as_bytes());
        }
    }

    fn classify(&mut self) -> Step {
        let options = &self.service.options;
        let Some(host) = self.lookup.name() else { return Ok(()) };
        // Of a client that does not wait nobody has to know, where its name has
        // come for nothing.
        let needless = self.client.host.is_some() && self.early_talk_rule == EarlyTalkRule::Never;
        let host = if needless { &HostName::NotAsked } else { host };
        for why in self.service.names.prepare(host.all()) {
            self.service.log.error(why);
        }
        let class = classify(host, self.client.ip(), &self.service.names, &options.local_nets);
        let class = self.apply_allowlists(class)?;
        let delay = delay(class, self.exemptions.delay, &options.delays);
        self.class = Some(class);
        self.settle_delay(delay);
        self.acceptor.count_class(class);
        self.acceptor.describe(class, self.host());
        Ok(())
    }

    /// What was said before the class was known is early talk only in a class
    /// that has a delay.
    fn judge_talk(&mut self) -> Step {
        let Some(early) = self.early.as_mut().filter(|early| early.open) else { return Ok(()) };
        early.open = false;
        match next(Seen::Talk, self.watch_for, self.early_talk_rule, self.service.options.early) {
            _ if self.early_talk_rule == EarlyTalkRule::Never => self.early = None,
            Next::End(verdict) => return Err(verdict),
            Next::GoOn(_) => self.log_early("log", None),
        }
        Ok(())
    }

    fn wait(&mut self) -> Step {
        let delay = self.delay.unwrap_or_default();
        if !delay.is_zero() {
            self.acceptor.begin_wait();
        }
        self.wait_for_late_answer(delay)?;
        self.wait_for_lists(delay)?;
        match delay {
            // Our own name may be missing.
            Duration::ZERO => {
                let deadline = self.client.received + self.service.options.dns_timeout;
                self.watch_until(deadline, Until::Names)
            }
            delay => self.watch_until(self.client.accepted + delay, Until::Time),
        }
    }

    pub(super) fn watch_until(&mut self, until: Instant, goal: Until) -> Step {
        loop {
            let seen = watch(&self.client, self.watch_for, &mut self.lookup, until, goal);
            self.act_on(seen)?;
            if matches!(seen, Seen::Elapsed | Seen::Known) {
                return Ok(());
            }
        }
    }

    pub(super) fn act_on(&mut self, seen: Seen) -> Step {
        let open = self.early_talk_rule == EarlyTalkRule::ByClass;
        if seen == Seen::Talk {
            let (said, at) = (self.client.early_bytes(), self.client.waited());
            self.early = Some(Early { said, at, open });
        }
        match next(seen, self.watch_for, self.early_talk_rule, self.service.options.early) {
            Next::End(verdict) => Err(verdict),
            Next::GoOn(watch_for) => {
                self.watch_for = watch_for;
                if seen == Seen::Talk && !open {
                    self.log_early("log", None);
                }
                Ok(())
            }
        }
    }
}

/// What a client may turn out to be.
pub(super) fn possible_classes(options: &Options) -> &'static [Class] {
    if options.look_up { &Class::JUDGED } else { &[Class::NotLookedUp] }
}
