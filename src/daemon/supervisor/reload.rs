//! SIGHUP: files are read again, by a child first, and a mistake leaves
//! everything as it is.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::daemon::files::checker::{CheckOutcome, Checker};
use crate::daemon::files::compile::{Checked, OptionSource};
use crate::daemon::supervisor::spawn_rate::SpawnRate;
use crate::daemon::supervisor::{ACCEPTING, Supervisor};
use crate::options::Options;

/// The interval between attempts to fork a child for a reload.
const RETRY: Duration = Duration::from_secs(1);

/// How a reload ended.
enum Reload {
    Done,
    Failed,
}

impl Supervisor {
    /// Forks a child to read the files, if a reload is due; its end brings the result.
    /// A child that is reading is not interrupted: otherwise signals that arrive faster
    /// than files can be read would prevent every reload.
    pub(super) fn start_reload_if_due(&mut self) {
        let now = Instant::now();
        if self.checker.is_some() || self.reload_due.is_none_or(|due| due > now) {
            return;
        }
        match Checker::start(&self.service.options, OptionSource::ReadAgain) {
            Ok(checker) => {
                self.checker = Some(checker);
                self.reload_due = None;
                self.keeps.manager.reloading();
            }
            Err(why) => {
                self.reload_due = Some(now + RETRY);
                self.log_fork_failure(why);
            }
        }
    }

    /// A mistake leaves everything as it is.
    pub(super) fn finish_reload(&mut self, status: ExitStatus) {
        let Some(checker) = self.checker.take() else { return };
        let reload = self.take_over(checker.outcome(&self.service.options, status));
        self.keeps.manager.ready(match reload {
            Reload::Done => ACCEPTING,
            Reload::Failed => "accepting clients; unable to reload: the old files stay",
        });
    }

    fn take_over(&mut self, outcome: CheckOutcome) -> Reload {
        let log = &self.service.log;
        match outcome {
            CheckOutcome::Usable(files) => {
                self.use_files(*files);
                return Reload::Done;
            }
            CheckOutcome::Mistake(mistake) => {
                log.error(&mistake);
                log.error("unable to reload: the old files stay");
            }
            CheckOutcome::Died(why) => {
                log.error(format_args!("unable to reload: {why}: the old files stay"));
            }
        }
        Reload::Failed
    }

    fn use_files(&mut self, Checked { mut options, names, rules, warnings }: Checked) {
        let service = &mut self.service;
        let kept = keep_what_needs_restart(&service.options, &mut options);
        for name in kept {
            service.log.warning(format_args!("{name} has changed: it needs restart"));
        }
        self.spawn_rate = SpawnRate::new(options.min_idle(), options.max_idle());
        self.pool.set_min_idle(options.min_idle());
        if service.options.resolvers != options.resolvers {
            service.resolvers.replace(options.resolvers());
        }
        service.options = options;
        service.names = names;
        service.rules = rules;
        self.replace_idle_children();
        for warning in warnings {
            self.service.log.warning(warning);
        }
        self.service.log.reload();
    }
}

/// Changed options that need a restart, those with that mark in the table; they keep
/// their values.
fn keep_what_needs_restart(old: &Options, new: &mut Options) -> Vec<&'static str> {
    let mut changed = Vec::new();
    macro_rules! keep {
        ($($field:ident $name:literal),+) => {
            $(if old.$field != new.$field {
                new.$field.clone_from(&old.$field);
                changed.push($name);
            })+
        };
    }
    keep!(daemon "daemon", pidfile "pidfile", scoreboard "scoreboard", log_to "log");
    keep!(tag "tag", syslog_socket "syslog-socket", known "known");
    keep!(known_days "known-days", known_size "known-size", known_share "known-share");
    keep!(known_share_prefix "known-share-prefix", known_share_auth "known-share-auth");
    if old.facility as i32 != new.facility as i32 {
        new.facility = old.facility;
        changed.push("facility");
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known::share::engine::address::Address;
    use crate::options::LogTo;
    use crate::options::daemon::DAEMON;

    #[test]
    fn some_options_need_a_restart() {
        let old = Options { tag: Some("a".into()), ..Options::default() };
        let mut new = Options {
            daemon: true,
            facility: syslog::Facility::LOG_DAEMON,
            slots: 7,
            ..Options::default()
        };
        assert_eq!(keep_what_needs_restart(&old, &mut new), ["daemon", "tag", "facility"]);
        assert_eq!((new.daemon, new.tag.as_deref(), new.slots), (false, Some("a"), 7));
        assert_eq!(keep_what_needs_restart(&old, &mut new), Vec::<&str>::new());
    }

    /// The options with the mark, in alphabetical order.
    fn marked() -> Vec<&'static str> {
        let marked = DAEMON.options.iter().flat_map(|part| part.iter()).filter(|opt| opt.restart);
        let mut names: Vec<&str> = marked.filter_map(|opt| opt.long).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_option_that_needs_a_restart_keeps_its_value() {
        let old = Options::default();
        let mut new = Options {
            daemon: true,
            facility: syslog::Facility::LOG_DAEMON,
            known: Some("/known".into()),
            known_days: old.known_days + 1,
            known_size: old.known_size + 1,
            known_share: Address::parse("redis://192.0.2.1").ok(),
            known_share_auth: Some("/auth".into()),
            known_share_prefix: "other:".into(),
            log_to: Some(LogTo::Syslog),
            pidfile: Some("/pidfile".into()),
            scoreboard: Some("/scoreboard".into()),
            syslog_socket: "/socket".into(),
            tag: Some("tag".into()),
            ..old.clone()
        };
        let mut kept = keep_what_needs_restart(&old, &mut new);
        kept.sort_unstable();
        assert_eq!(kept, marked());
    }

    #[test]
    fn the_manual_names_every_option_that_needs_a_restart() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/smtp-delayd.8");
        let page = std::fs::read_to_string(page).unwrap();
        let (before, _) = page.split_once("is logged as one that needs a restart.").unwrap();
        let (_, list) = before.rsplit_once("A changed\n").unwrap();
        let mut named: Vec<&str> =
            list.split_whitespace().filter_map(|word| word.strip_prefix("\\-")).collect();
        named.sort_unstable();
        assert_eq!(named, marked());
    }
}
