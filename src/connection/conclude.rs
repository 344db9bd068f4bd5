//! The end of a connection on our side: the line in the log, then the program
//! or the refusal.

use std::io;
use std::time::{Duration, Instant};

use super::acceptor::Counter;
use super::handoff::run;
use super::limits::SessionPlace;
use super::lists::Late;
use super::refusal::{Refusal, Why, our_name};
use super::refuse::drop_with;
use super::serve::Connection;
use super::talk::talk;
use super::variables::{self, Names};
use super::verdict::{Verdict, refuse_by};
use super::watch::{Seen, Until, WatchFor, watch};
use crate::class::Class;
use crate::error::{TROUBLE, USAGE};
use crate::known::message::Why as Forgotten;
use crate::log::{Ends, Log, Said, Subject};
use crate::options::RefuseBy;

/// How often a held early talker is checked against the load.
const HOLD_INTERVAL: Duration = Duration::from_secs(1);

/// The outcome of holding a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It may still read a reply.
    Listens,
    /// It has reset the connection.
    Gone,
}

impl<'a> Connection<'a> {
    /// Does what `verdict` says; returns the exit code that tcpserver's child would
    /// have had.
    pub(super) fn conclude(&mut self, verdict: Verdict) -> u8 {
        if verdict != Verdict::Pass {
            self.log_failed_lists(Late::MayYetAnswer);
        }
        match verdict {
            Verdict::Pass | Verdict::EarlyToProgram => {
                return match self.prepare_for_program(verdict) {
                    Ok(place) => self.hand_over(verdict, place),
                    Err(verdict) => self.conclude(verdict),
                };
            }
            Verdict::LeftWhileHeld => (),
            Verdict::Early => self.refuse_early_talker(),
            Verdict::Listed => self.refuse_listed(),
            Verdict::HangUp => self.note_hangup(),
            Verdict::NoPlace => {
                self.limit("max-prog", self.acceptor.places.sessions(), Why::AllBusy);
            }
            Verdict::NoRoom => {
                self.limit("reserve", self.acceptor.limits.load().others, Why::AllBusy);
            }
            Verdict::TooMany => self.limit("per-ip", self.earlier, Why::TooMany),
            Verdict::Denied => {
                self.deny();
                return USAGE;
            }
            Verdict::Dropped => {
                self.drop_for_lack_of_rules();
                return TROUBLE;
            }
        }
        0
    }

    /// `--quiet-nets`: monitors connect and leave all day.
    fn note_hangup(&self) {
        self.tell(Counter::HangUp, |log| {
            if !self.service.options.is_quiet(self.client.ip()) {
                log.hangup(&self.subject(self.client.waited()));
            }
        });
    }

    fn deny(&self) {
        let key = self.rule.as_ref().map(|rule| rule.key.as_slice()).unwrap_or_default();
        self.tell(Counter::Deny, |log| log.deny(&self.subject(self.client.waited()), key));
        self.service.log.tcpserver_decision("deny", &self.ends());
    }

    fn drop_for_lack_of_rules(&self) {
        self.tell(Counter::Error, |log| {
            if let (Some(why), Some(file)) = (&self.unreadable, &self.service.options.cdb) {
                log.dropping(Some(self.client.peer), format_args!("read {}", file.display()), why);
            }
        });
    }

    fn ends(&self) -> Ends<'_> {
        Ends {
            local: self.client.local,
            local_name: self.lookup.local_name_so_far(),
            remote: self.client.peer,
            remote_name: self.host(),
            info: self.lookup.info(),
        }
    }

    fn prepare_for_program(&mut self, verdict: Verdict) -> Result<SessionPlace<'a>, Verdict> {
        if verdict == Verdict::EarlyToProgram {
            self.tell(Counter::Early, |_| self.log_early("rblsmtpd", None));
            if self.hold() == Held::Gone {
                return Err(Verdict::LeftWhileHeld);
            }
            self.watch_for = WatchFor::Off;
        }
        self.take_place()
    }

    fn hand_over(&mut self, verdict: Verdict, place: SessionPlace<'_>) -> u8 {
        self.learn_local_name();
        let waited = self.client.waited();
        self.set_environment(verdict, waited);
        if verdict == Verdict::Pass {
            self.log_failed_lists(Late::HasFailed);
        }
        let announce = |pid| {
            if verdict == Verdict::Pass {
                let times = (self.dns_time, self.last_pass());
                self.service.log.pass(&self.subject(waited), times, pid);
                self.tell_pass();
            }
        };
        // As in tcpserver, whether the program can be run or not.
        self.service.log.tcpserver_decision("ok", &self.ends());
        let program = &self.service.program;
        match run(program, &self.client, &self.environment, self.acceptor, &announce) {
            Ok(()) => {
                place.transfer();
                0
            }
            Err(why) => {
                drop(place);
                self.log_program_failure(&why)
            }
        }
    }

    fn log_program_failure(&self, why: &io::Error) -> u8 {
        let (program, peer) = (self.service.program.name(), self.client.peer);
        if self.service.options.as_tcpserver {
            self.tell(Counter::Error, |log| {
                log.dropping(Some(peer), format_args!("run {program}"), why);
            });
        } else {
            self.tell(Counter::Error, |log| {
                log.error_about(peer, format_args!("unable to run {program}: {why}"));
            });
            self.refuse(&Refusal::temporary(Why::NoProgram, None, &self.our_name()));
        }
        TROUBLE
    }

    /// What is known about the connection, then what a rule says about it, then the
    /// result.
    fn set_environment(&mut self, verdict: Verdict, waited: Duration) {
        let remote_host = self.host().map(String::from);
        let environment = &mut self.environment;
        let local_host = self.lookup.local_name_so_far();
        let names =
            Names { local_host, remote_host: remote_host.as_deref(), info: self.lookup.info() };
        variables::set_variables(environment, &self.client, &names);
        for (name, value) in
            self.rule.as_ref().map(|rule| rule.rule().variables).unwrap_or_default()
        {
            environment.set_by_rule(name, value);
        }
        if !self.service.options.as_tcpserver {
            let waited = format!("{:.2}", waited.as_secs_f64());
            environment
                .set("SMTPDELAY_CLASS", Some(self.class.unwrap_or(Class::NotLookedUp).to_string()));
            environment.set("SMTPDELAY_WAITED", Some(waited));
        }
        if verdict == Verdict::EarlyToProgram {
            let refusal = self.early_refusal().rblsmtpd();
            self.environment.set("RBLSMTPD", Some(refusal));
        }
    }

    fn learn_local_name(&self) {
        if let Some(name) = self.lookup.local_name() {
            self.acceptor.findings.learn_local_name(self.client.local.ip(), name);
        }
    }

    fn refuse_early_talker(&mut self) {
        let options = &self.service.options;
        let refusal = self.early_refusal();
        self.acceptor.counts.note_refusal();
        match refuse_by(options.refuse, self.acceptor.limits.is_under_pressure()) {
            RefuseBy::Drop => {
                self.tell(Counter::Early, |_| self.log_early("refuse", None));
                self.hold();
                self.refuse(&refusal);
            }
            RefuseBy::Talk => {
                self.hold();
                let said = talk(&self.client, &self.our_name(), &refusal);
                self.tell(Counter::Early, |_| self.log_early("talk", Some(&said)));
            }
        }
    }

    fn refuse_listed(&mut self) {
        self.forget(Forgotten::Listed);
        let lists = self.lookup.lists();
        let (zones, score) = (lists.zones(), lists.score());
        let zone = lists.first().map(|list| list.zone.clone()).unwrap_or_default();
        let words = lists.reason().map_or_else(
            || format!("4.7.1 {} your address is listed by {zone}", self.our_name()),
            |reason| format!("4.7.1 {reason}"),
        );
        let options = &self.service.options;
        let refusal = Refusal::temporary(Why::Listed, Some(&words), &self.our_name());
        let refusal = refusal.permanently_if(options.refuse_permanent);
        let subject = self.subject(self.client.waited());
        self.acceptor.counts.note_refusal();
        match refuse_by(options.refuse, self.acceptor.limits.is_under_pressure()) {
            RefuseBy::Drop => {
                self.tell(Counter::Listed, |log| log.listed(&subject, &zones, score, None));
                self.refuse(&refusal);
            }
            RefuseBy::Talk => {
                let said = talk(&self.client, &self.our_name(), &refusal);
                self.tell(Counter::Listed, |log| log.listed(&subject, &zones, score, Some(&said)));
            }
        }
    }

    /// From all names at once: the first must not hide the others.
    fn log_failed_lists(&self, late: Late) {
        let needed = self.class.is_some_and(|class| self.needs_allowlists(class));
        let good = if needed { late } else { Late::MayYetAnswer };
        let mut failed = self.lookup.lists().failed(late, good).peekable();
        if self.exemptions.lists
            && failed.peek().is_some()
            && self.acceptor.findings.may_log_lists()
        {
            let peer = self.client.peer;
            for (zone, why) in failed {
                let log = &self.service.log;
                log.warning_about(peer, format_args!("list {zone} failed: {why}"));
            }
        }
    }

    /// Keeps an early talker waiting (`--hold`), unless it closes its side or the slots
    /// are needed.
    fn hold(&mut self) -> Held {
        let until = Instant::now() + self.service.options.hold;
        while Instant::now() < until && !self.acceptor.limits.is_under_pressure() {
            let next = until.min(Instant::now() + HOLD_INTERVAL);
            if self.look_for(WatchFor::Leaving, next) == Seen::Gone {
                // After an end of file it may still read a reply; after a reset it
                // cannot.
                let now = Instant::now() + Duration::from_millis(1);
                let reset = self.look_for(WatchFor::Reset, now) == Seen::Gone;
                return if reset { Held::Gone } else { Held::Listens };
            }
        }
        Held::Listens
    }

    fn look_for(&mut self, watch_for: WatchFor, until: Instant) -> Seen {
        watch(&self.client, watch_for, &mut self.lookup, until, Until::Time)
    }

    fn limit(&self, kind: &str, held: usize, why: Why) {
        self.tell(Counter::Limit, |log| {
            log.limit(&self.subject(self.client.waited()), kind, held);
        });
        let options = &self.service.options;
        let words = match why {
            Why::TooMany => &options.text_limit,
            _ => &options.text_reserve,
        };
        self.refuse(&Refusal::temporary(why, words.as_deref(), &self.our_name()));
    }

    fn refuse(&self, refusal: &Refusal) {
        self.acceptor.counts.note_refusal();
        if !self.service.options.speaks {
            return;
        }
        drop_with(&self.client, &refusal.closing_line(), self.acceptor.limits.is_under_pressure());
    }

    fn early_refusal(&self) -> Refusal {
        let options = &self.service.options;
        let words = options.text_early.as_deref();
        let refusal = Refusal::temporary(Why::EarlyTalk, words, &self.our_name());
        refusal.permanently_if(options.refuse_permanent)
    }

    fn our_name(&self) -> String {
        let local_host = match &self.service.options.local_name {
            Some(name) => Some(name.as_str()),
            None => self.lookup.local_name_so_far(),
        };
        our_name(local_host, self.service.host_name.as_deref(), self.client.local.ip())
    }

    pub(super) fn log_early(&self, action: &str, said: Option<&Said>) {
        if let Some(early) = &self.early {
            self.service.log.early(&self.subject(early.at), &early.said, action, said);
            self.forget(Forgotten::Early);
        }
    }

    fn subject(&self, waited: Duration) -> Subject<'_> {
        Subject {
            peer: self.client.peer,
            host: self.host(),
            class: self.class,
            delay: self.delay,
            shrunk: self.shrunk,
            waited,
        }
    }

    /// Writes the line of the client's verdict and counts it, with nothing between: of a
    /// client whose child is killed before that the supervisor does both.
    fn tell(&self, counter: Counter, write: impl FnOnce(&Log)) {
        write(&self.service.log);
        self.acceptor.counts.count_verdict(counter);
    }
}
