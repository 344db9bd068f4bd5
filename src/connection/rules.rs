//! The stage of the rules: what the administrator says about this client, first by its
//! address alone, then by all that is known about it.

use super::exemptions::{
    DelayBy, EarlyTalkRule, Exemptions, common_delay, early_talk_rule, exemptions,
};
use super::lookup::HostName;
use super::serve::{Connection, Step};
use super::verdict::Verdict;
use super::watch::WatchFor;
use crate::rules::Match;
use crate::rules::keys::{Subject, matched_host};

impl Connection<'_> {
    /// A rule for the whole address precedes all others, unless ident is asked for:
    /// then no look-up is needed.  (tcpserver looks everything up first, and its log
    /// shows that.)
    pub(super) fn ask_rules_by_address(&mut self) -> Step {
        let options = &self.service.options;
        if options.ident || options.as_tcpserver || !self.service.rules.exist() {
            return Ok(());
        }
        let ip = self.client.ip().to_string();
        let found = self.service.rules.match_address(ip.as_bytes());
        match found {
            Ok(None) => Ok(()),
            found => self.follow(found),
        }
    }

    /// The first rule in tcpserver's order of keys.
    pub(super) fn ask_rules(&mut self) -> Step {
        if self.rules_asked || !self.service.rules.exist() {
            return Ok(());
        }
        let ip = self.client.ip().to_string();
        let names = self.lookup.name().map(HostName::all).unwrap_or_default();
        let hosts = names.iter().map(String::as_bytes).collect();
        let subject = Subject { ip: ip.as_bytes(), hosts, info: self.lookup.info() };
        let found = self.service.rules.first_match(&subject);
        let matched = found.as_ref().ok().and_then(Option::as_ref);
        let host = matched.and_then(|rule| matched_host(&subject, &rule.key));
        self.host = names.iter().position(|name| Some(name.as_bytes()) == host).unwrap_or(0);
        self.follow(found)
    }

    /// The client's name: of several the one that a rule matched, else the first.
    pub(super) fn host(&self) -> Option<&str> {
        self.lookup.name()?.all().get(self.host).map(String::as_str)
    }

    fn follow(&mut self, found: std::io::Result<Option<Match>>) -> Step {
        self.rules_asked = true;
        match found {
            Ok(found) => self.rule = found,
            Err(why) => {
                self.unreadable = Some(why);
                return Err(Verdict::Dropped);
            }
        }
        let Some(rule) = self.rule.as_ref().map(Match::rule) else { return Ok(()) };
        if rule.deny {
            return Err(Verdict::Denied);
        }
        for (name, value) in rule.variables {
            self.environment.set_by_rule(name, value);
        }
        self.settle_exemptions();
        Ok(())
    }

    /// Works out the client's exemptions, as far as the rules have been asked.
    pub(super) fn settle_exemptions(&mut self) {
        let options = &self.service.options;
        let mut exemptions: Exemptions = exemptions(|name| self.environment.get(name));
        if !options.banner.is_empty() {
            exemptions = exemptions.without_delay();
        }
        let (classes, delays) = (super::serve::possible_classes(options), &options.delays);
        self.early_talk_rule = early_talk_rule(classes, exemptions.delay, delays);
        self.delay = common_delay(classes, exemptions.delay, delays);
        if self.service.rules.exist()
            && !self.rules_asked
            && self.early_talk_rule != EarlyTalkRule::Never
        {
            self.early_talk_rule = EarlyTalkRule::ByClass;
            self.delay = None;
        }
        if self.early.is_none() {
            let watched = self.early_talk_rule != EarlyTalkRule::Never;
            self.watch_for = if watched { WatchFor::Talk } else { WatchFor::Off };
        }
        self.exemptions = exemptions;
    }

    /// Whether the client was rejected upstream.
    pub(super) fn is_rejected_upstream(&self) -> bool {
        self.exemptions.delay == DelayBy::RejectedUpstream
    }
}
