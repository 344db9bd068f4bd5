//! The life of a connection, from the accept to the program or the refusal, a line for
//! each stage.

use super::acceptor::Acceptor;
use super::client::Client;
use super::decided::Decided;
use super::decided::verdict::{Passed, Verdict};
use super::service::Server;
use super::stages::arrive::{arrive, tease};
use super::stages::classify::classify;
use super::stages::hand_over::hand_over;
use super::stages::limits::{per_ip, place, reserve};
use super::stages::look_up::look_up;
use super::stages::refuse::early;
use super::stages::refuse::refuse;
use super::stages::wait::wait;
use super::stages::watching::{look_once, settle_talk};
use super::stages::{lists, proxy, rules};
use super::watched::Watched;

pub use super::service::{Service, SourceRoutes};

/// Serves one client.  Execs the program if the client passes; otherwise returns the
/// exit code that tcpserver's child would have had.
pub fn serve(service: &Service, acceptor: Acceptor<'_>, client: Client) -> u8 {
    let server = Server { service, acceptor };
    let client = match proxy::name_client(server, client) {
        Ok(client) => client,
        Err(code) => return code,
    };
    server.log().tcpserver_pid(client.peer);
    let decided = &mut rules::by_environment(server, &client);
    let watched = &mut arrive(server, client);
    let passed = receive(server, watched, decided);
    let passed = leave_to_program(server, watched, decided, passed);
    let placed = passed.and_then(|passed| Ok((passed, place::take(server, watched, decided)?)));
    match placed {
        Ok((passed, place)) => hand_over(server, watched, decided, passed, place),
        Err(verdict) => refuse(server, watched, decided, verdict),
    }
}

/// From the accept to the end of the delay.
fn receive(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &mut Decided,
) -> Result<Passed, Verdict> {
    watched.apply(decided.early_talk_rule());
    rules::ask_by_address(server, watched, decided)?;
    per_ip::limit(server, watched, decided)?;
    reserve::refuse_again(server, watched.client(), decided)?;
    look_once(server, watched, decided)?;
    tease(server.options(), watched.client(), decided.early_talk_rule());
    let dns_time = look_up(server, watched, decided)?;
    rules::ask(server, watched, decided)?;
    lists::apply(server, watched, decided)?;
    let (class, delay) = classify(server, watched, decided)?;
    let time = reserve::admit(server, watched, decided, class, delay)?;
    settle_talk(server, watched, decided)?;
    wait(server, watched, decided, time)?;
    Ok(Passed::Waited { dns_time })
}

/// With `--early rblsmtpd` an early talker gets the program as well.
fn leave_to_program(
    server: Server<'_>,
    watched: &mut Watched,
    decided: &Decided,
    passed: Result<Passed, Verdict>,
) -> Result<Passed, Verdict> {
    match passed {
        Err(Verdict::EarlyToProgram) => {
            early::leave_to_program(server, watched, decided).map(|()| Passed::Talked)
        }
        passed => passed,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io::Write;
    use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
    use std::os::unix::net::UnixDatagram;
    use std::path::{Path, PathBuf};
    use std::process;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, Instant};

    use nix::errno::Errno;
    use nix::unistd::Pid;
    use socket2::Socket;

    use super::*;
    use crate::class::Class;
    use crate::connection::acceptor::{
        Counter, Counts, Limits, Places, Process, SharedFindings, SpawnOutcome,
    };
    use crate::connection::decided::load::Load;
    use crate::connection::program::Program;
    use crate::connection::program::environment::Environment;
    use crate::dns::Resolvers;
    use crate::log::{Log, Syslog, Verbosity};
    use crate::names::Names;
    use crate::options::{Delays, EarlyTalk, Options, RefuseBy};
    use crate::rules::Rules;
    use crate::rules::list::RuleList;

    /// A pool that notes which verdicts are counted, each with the lines that
    /// were there by then.
    struct Notes {
        lines: UnixDatagram,
        counted: RefCell<Vec<(Counter, Vec<String>)>>,
        would_refuse: Cell<usize>,
        earlier: usize,
        others: usize,
        outcome: SpawnOutcome,
    }

    impl Notes {
        fn new(lines: UnixDatagram) -> Self {
            let (counted, would_refuse) = (RefCell::default(), Cell::default());
            let outcome = SpawnOutcome::Started;
            Self { lines, counted, would_refuse, earlier: 0, others: 0, outcome }
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

        fn count_would_refuse(&self) {
            self.would_refuse.set(self.would_refuse.get() + 1);
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

    impl SharedFindings for Notes {
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

        fn reset_signals(&self) -> nix::Result<()> {
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
        let client = Client::accepted(Socket::from(stream), peer, None, Instant::now()).unwrap();
        let service = Service {
            options: Options { look_up: false, local_nets: Vec::new(), ..options },
            names: Names::new(true, Vec::new(), Vec::new()),
            rules,
            log: Log::new("t", Verbosity::Normal).to_syslog(Arc::new(syslog)),
            program: Program::at("/nonexistent/prog", &["prog"]).unwrap(),
            environment: Environment::inherit([]),
            resolvers: RefCell::new(Resolvers::new(&[], None, Path::new("/nonexistent"))),
            host_name: None,
            source_routes: SourceRoutes::Dropped,
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
        Rules::List(RuleList::parse("", text.as_bytes()).unwrap().0)
    }

    // If a child is killed before it has logged and counted its client, the supervisor
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
    fn a_dry_run_tells_each_refusal_and_counts_the_client_as_passed() {
        let delays = Delays { all: Some(Duration::from_millis(50)), ..Options::default().delays };
        let options = Options { dry_run: true, delays, ..Options::default() };
        let too_many = |pool: &mut Notes| pool.earlier = 100;
        for early in [EarlyTalk::Refuse, EarlyTalk::Rblsmtpd] {
            let options = Options { early, ..options.clone() };
            let pool = served(options, Rules::None, too_many, Does::Talks);
            assert_told_and_counted(&pool, Counter::Pass, "pass ip=127.0.0.1 ");
            let lines = &pool.counted.borrow()[0].1;
            assert_eq!(lines.len(), 3, "{lines:?}");
            assert!(lines[0].ends_with(" kind=per-ip held=100 would=refuse"), "{lines:?}");
            assert!(lines[1].ends_with(" action=log would=refuse"), "{lines:?}");
            assert_eq!((pool.counted.borrow().len(), pool.would_refuse.get()), (1, 1));
        }
        let log = Options { early: EarlyTalk::Log, ..options.clone() };
        let pool = served(log, Rules::None, nothing, Does::Talks);
        assert!(pool.counted.borrow()[0].1[0].ends_with(" action=log"));
        assert_eq!(pool.would_refuse.get(), 0, "nor would it be refused otherwise");
        let pool = served(options, list("127.:deny"), nothing, Does::Stays);
        assert_told_and_counted(&pool, Counter::Deny, "deny ip=127.0.0.1 ");
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
