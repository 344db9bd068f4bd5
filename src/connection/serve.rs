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
use crate::known::asker::Asker;
use crate::log::{EarlyBytes, Log};
use crate::names::Names;
use crate::options::Options;
use crate::rules::{Match, Rules};

/// What is the same for all clients; in the daemon it is made before the pool is
/// forked.
pub struct Service {
    /// The settings.
    pub options: Options,
    /// The expressions and words by which names are classified.
    pub names: Names,
    /// The administrator's rules.
    pub rules: Rules,
    /// The log.
    pub log: Log,
    /// The program for clients that pass.
    pub program: Program,
    /// Our own environment.
    pub environment: Environment,
    /// The name servers.
    pub resolvers: RefCell<Resolvers>,
    /// The host's name.
    pub host_name: Option<String>,
    /// Where the keeper of known clients is asked.
    pub known: Option<Asker>,
}

/// Serves one client.  Execs the program if the client passes; otherwise returns the
/// exit code that tcpserver's child would have had.
pub fn serve(service: &Service, acceptor: Acceptor<'_>, client: Client) -> u8 {
    let mut connection = Connection::begin(service, acceptor, client);
    let verdict = connection.receive().err().unwrap_or(Verdict::Pass);
    connection.conclude(verdict)
}

/// A client, and what is known of it so far.
pub(super) struct Connection<'a> {
    pub(super) service: &'a Service,
    pub(super) acceptor: Acceptor<'a>,
    pub(super) client: Client,
    pub(super) environment: Environment,
    pub(super) exemptions: Exemptions,
    pub(super) early_talk_rule: EarlyTalkRule,
    pub(super) watch_for: WatchFor,
    pub(super) lookup: Lookup,
    pub(super) answer_noted: bool,
    pub(super) dns_time: Option<Duration>,
    pub(super) class: Option<Class>,
    /// Known before the class if it does not depend on it.
    pub(super) delay: Option<Duration>,
    /// The part to which load has shortened the delay, if it has.
    pub(super) shrunk: Option<f64>,
    /// Whether it waits shorter than others of its class, being known.
    pub(super) shortened: bool,
    /// Clients of its address that came before it.
    pub(super) earlier: usize,
    pub(super) early: Option<Early>,
    pub(super) rules_asked: bool,
    pub(super) rule: Option<Match>,
    /// The name that counts.
    pub(super) host: usize,
    /// Why the rules could not be read.
    pub(super) unreadable: Option<io::Error>,
}

/// Early talk.
pub(super) struct Early {
    pub(super) said: EarlyBytes,
    /// Since the accept.
    pub(super) at: Duration,
    /// Whether the class still decides if it counts.
    pub(super) open: bool,
}

/// `Err` is a verdict that ends the connection early.
pub(super) type Step = Result<(), Verdict>;

impl<'a> Connection<'a> {
    fn begin(service: &'a Service, acceptor: Acceptor<'a>, client: Client) -> Self {
        let environment = service.environment.clone();
        let known = || acceptor.findings.local_name(client.local.ip()).flatten();
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
            shortened: false,
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

    /// A client that has left by now costs no look-up.
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

    /// The teaser is sent only to a client that is sure to be delayed.
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
        // Skip classification when it cannot change the delay: the name was given, and
        // no class has a delay.
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
        self.acceptor.counts.count_class(class);
        self.acceptor.counts.describe(class, self.host());
        Ok(())
    }

    /// Bytes that came before the class was known are early talk only if the class has
    /// a delay.
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
        let whole = self.delay.unwrap_or_default();
        self.shorten();
        let delay = self.delay.unwrap_or_default();
        if !delay.is_zero() {
            self.acceptor.process.begin_wait();
        }
        self.wait_for_late_answer(delay)?;
        // For those who are known lists hold as well.
        self.wait_for_lists(whole)?;
        self.wait_for_keeper()?;
        match self.delay.unwrap_or_default() {
            // Our own name may still be missing.
            Duration::ZERO => {
                let deadline = self.client.received + self.service.options.dns_timeout;
                self.watch_until(deadline, Until::Names)
            }
            delay => self.watch_until(self.client.accepted + delay, Until::Time),
        }?;
        // Of one that waits no longer nothing has been seen since the look-up.
        if self.shortened { self.look_once() } else { Ok(()) }
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

/// The classes that a client may turn out to have.
pub(super) fn possible_classes(options: &Options) -> &'static [Class] {
    if options.look_up { &Class::JUDGED } else { &[Class::NotLookedUp] }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
    use std::os::unix::net::UnixDatagram;
    use std::path::{Path, PathBuf};
    use std::process;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use nix::errno::Errno;
    use nix::unistd::Pid;
    use socket2::Socket;

    use super::*;
    use crate::connection::acceptor::{
        Counter, Counts, Findings, Limits, Places, Process, SpawnOutcome,
    };
    use crate::connection::load::Load;
    use crate::log::{Syslog, Verbosity};
    use crate::names::Patterns;
    use crate::options::{EarlyTalk, RefuseBy};
    use crate::rules::list::List;

    /// A pool that notes which verdicts it is told to count, each with the lines that
    /// were there by then.
    struct Notes {
        lines: UnixDatagram,
        counted: RefCell<Vec<(Counter, Vec<String>)>>,
        earlier: usize,
        others: usize,
        outcome: SpawnOutcome,
    }

    impl Notes {
        fn new(lines: UnixDatagram) -> Self {
            let (counted, outcome) = (RefCell::default(), SpawnOutcome::Started);
            Self { lines, counted, earlier: 0, others: 0, outcome }
        }

        fn read_lines(&self) -> Vec<String> {
            let mut buffer = [0; 4096];
            let lengths = std::iter::from_fn(|| {
                let length = self.lines.recv(&mut buffer).ok()?;
                Some(String::from_utf8_lossy(&buffer[..length]).into_owned())
            });
            lengths.map(|line| line.split_once("]: ").unwrap().1.to_string()).collect()
        }
    }

    impl Counts for Notes {
        fn count_verdict(&self, counter: Counter) {
            self.counted.borrow_mut().push((counter, self.read_lines()));
        }
    }

    impl Limits for Notes {
        fn earlier_from(&self, _: IpAddr) -> usize {
            self.earlier
        }

        fn load(&self) -> Load {
            Load { slots: 10, reserve: 2, others: self.others }
        }

        fn recently_refused(&self, _: IpAddr) -> Option<Class> {
            Some(Class::None)
        }
    }

    impl Places for Notes {}

    impl Findings for Notes {
        fn local_name(&self, _: IpAddr) -> Option<Option<String>> {
            Some(None)
        }
    }

    impl Process for Notes {
        fn spawn_program(
            &self,
            _: &mut dyn FnMut() -> Errno,
            announce: &dyn Fn(Pid),
        ) -> Option<SpawnOutcome> {
            if self.outcome == SpawnOutcome::Started {
                announce(Pid::from_raw(1));
            }
            Some(self.outcome)
        }

        fn prepare_exec(&self, _: SocketAddr) -> nix::Result<()> {
            Ok(())
        }

        fn exec_failed(&self) {}
    }

    /// Serves a client of 127.0.0.1.
    fn served(
        options: Options,
        rules: Rules,
        change: impl FnOnce(&mut Notes),
        does: Does,
    ) -> Notes {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("serve.{}.{number}", process::id()));
        let lines = UnixDatagram::bind(&path).unwrap();
        lines.set_nonblocking(true).unwrap();
        let syslog = Syslog::new(&path, options.facility, "t").unwrap();
        let mut pool = Notes::new(lines);
        change(&mut pool);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stays = does.act(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
        let (stream, peer) = listener.accept().unwrap();
        let client = Client::accepted(Socket::from(stream), peer, Instant::now()).unwrap();
        let service = Service {
            options: Options { look_up: false, local_nets: Vec::new(), ..options },
            names: Names::new(true, Patterns::default(), Patterns::default()),
            rules,
            log: Log::new("t", Verbosity::Normal).to_syslog(Arc::new(syslog)),
            program: Program::at("/nonexistent/prog", &["prog"]).unwrap(),
            environment: Environment::inherit([]),
            resolvers: RefCell::new(Resolvers::new(&[], None, Path::new("/nonexistent"))),
            host_name: None,
            known: None,
        };
        serve(&service, Acceptor::of(&pool), client);
        std::fs::remove_file(path).unwrap();
        drop(stays);
        pool
    }

    #[track_caller]
    fn assert_told_and_counted(pool: &Notes, counter: Counter, line: &str) {
        let all = pool.counted.borrow();
        let (first, lines) = all.first().expect(line);
        assert_eq!(*first, counter, "{all:?}");
        assert!(lines.last().is_some_and(|last| last.starts_with(line)), "{line}: {all:?}");
    }

    /// What a client does at once.
    #[derive(PartialEq, Eq)]
    enum Does {
        Leaves,
        Stays,
        Talks,
    }

    impl Does {
        /// The client's end, if it stays.
        fn act(self, mut stream: TcpStream) -> Option<TcpStream> {
            if self == Self::Talks {
                stream.write_all(b"QUIT\r\n").unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            }
            (self != Self::Leaves).then_some(stream)
        }
    }

    fn nothing(_: &mut Notes) {}

    fn list(text: &str) -> Rules {
        Rules::List(List::parse("", text.as_bytes()).unwrap().0)
    }

    // Of a client whose child is killed before it is told of and counted, the supervisor
    // does both.

    #[test]
    fn an_early_talker_is_counted_when_its_line_is_written() {
        for early in [EarlyTalk::Refuse, EarlyTalk::Rblsmtpd] {
            for refuse in [RefuseBy::Drop, RefuseBy::Talk] {
                for hold in [0, 1].map(Duration::from_millis) {
                    let options = Options { early, refuse, hold, ..Options::default() };
                    let pool = served(options, Rules::None, nothing, Does::Talks);
                    assert_told_and_counted(&pool, Counter::Early, "early ip=127.0.0.1 ");
                }
            }
        }
    }

    #[test]
    fn a_client_that_does_not_get_the_program_is_counted_when_its_line_is_written() {
        let options = Options::default;
        let pool = served(options(), Rules::None, nothing, Does::Leaves);
        assert_told_and_counted(&pool, Counter::HangUp, "hangup ip=127.0.0.1 ");
        let pool = served(options(), list("127.:deny"), nothing, Does::Stays);
        assert_told_and_counted(&pool, Counter::Deny, "deny ip=127.0.0.1 ");
        let pool = served(options(), Rules::None, |pool| pool.earlier = 100, Does::Leaves);
        assert_told_and_counted(&pool, Counter::Limit, "limit ip=127.0.0.1 ");
        let pool = served(options(), Rules::None, |pool| pool.others = 9, Does::Leaves);
        assert_told_and_counted(&pool, Counter::Limit, "limit ip=127.0.0.1 ");
        let path: PathBuf = "/nonexistent/rules.cdb".into();
        let options = Options { cdb: Some(path.clone()), ..options() };
        let pool =
            served(options, Rules::Cdb { path, may_be_missing: false }, nothing, Does::Stays);
        let line = "warning: dropping connection, unable to read /nonexistent/rules.cdb: ";
        assert_told_and_counted(&pool, Counter::Error, line);
    }

    #[test]
    fn a_client_that_passes_is_counted_when_its_line_is_written() {
        let rules = || list("127.0.0.1:allow,SMTPDELAY=\"0\"");
        let pool = served(Options::default(), rules(), nothing, Does::Stays);
        assert_told_and_counted(&pool, Counter::Pass, "pass ip=127.0.0.1 ");
        let fails = |pool: &mut Notes| pool.outcome = SpawnOutcome::Failed(Errno::ENOENT);
        let pool = served(Options::default(), rules(), fails, Does::Stays);
        assert_told_and_counted(&pool, Counter::Error, "error: unable to run prog: ");
    }
}
