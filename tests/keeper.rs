//! A keeper of known clients, alone, and what is asked of it; and daemons that ask one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use domain::base::iana::Rcode;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smtp_delay::class::Class;
use smtp_delay::file::lock::{Holder, owner_at};
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request, Where, Why};
use smtp_delay::known::key::Key;
use smtp_delay::known::record::Record;
use smtp_delay::known::rules::Pass;
use smtp_delay::known::store::disk::Disk;

use lab::daemon::{Setup, Share};
use lab::dns::{FakeDns, Fault};
use lab::log::Log;
use lab::{Client, Daemon, PATIENCE, directory, wait_until};

/// The pass of a client with a good name that has waited.
pub(crate) const STATIC: Pass = Pass::Full(Class::Static);
/// A program that greets.
pub(crate) const ANSWER: &[&str] = &["sh", "-c", "echo 220 hi"];

/// A running `smtp-delayctl keep`.
pub(crate) struct Keeper {
    child: Child,
    log: Log,
    home: PathBuf,
    _shared: Option<Share>,
}

impl Keeper {
    /// One that answers already.
    #[track_caller]
    pub(crate) fn start(home: &Path) -> Self {
        Self::start_under(home, &[])
    }

    /// The same with these options.
    #[track_caller]
    pub(crate) fn start_with(home: &Path, options: &[&str]) -> Self {
        let keeper = Self::spawn_with(home, &[], options);
        keeper.wait_until_it_answers();
        keeper
    }

    /// The same, run by `launcher`, which becomes it.
    #[track_caller]
    pub(crate) fn start_under(home: &Path, launcher: &[&str]) -> Self {
        let keeper = Self::spawn(home, launcher);
        keeper.wait_until_it_answers();
        keeper
    }

    /// The same, whose directory is there for it alone.
    #[track_caller]
    pub(crate) fn start_in_private(home: &Path, launcher: &[&str]) -> Self {
        let mut keeper = Self::spawn(home, launcher);
        let root = format!("/proc/{}/root", keeper.child.id());
        keeper.home = Path::new(&root).join(home.strip_prefix("/").unwrap());
        keeper.wait_until_it_answers();
        keeper
    }

    /// One that has to wait for another.
    pub(crate) fn start_waiting(home: &Path) -> Self {
        Self::spawn(home, &[])
    }

    /// One that another user runs, who may not reach the usual program, but this copy of
    /// it.
    #[track_caller]
    pub(crate) fn start_copy(home: &Path, launcher: &[&str], copy: &Path) -> Self {
        let keeper = Self::spawn_program(home, launcher, copy.to_str().unwrap(), &[]);
        keeper.wait_until_it_answers();
        keeper
    }

    fn spawn(home: &Path, launcher: &[&str]) -> Self {
        Self::spawn_with(home, launcher, &[])
    }

    fn spawn_with(home: &Path, launcher: &[&str], options: &[&str]) -> Self {
        Self::spawn_program(home, launcher, lab::command::ctl(), options)
    }

    fn spawn_program(home: &Path, launcher: &[&str], own: &str, options: &[&str]) -> Self {
        let words: Vec<&str> = launcher.iter().copied().chain([own, "keep"]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).args(options).arg(home).env("RUST_BACKTRACE", "0");
        let shared = Share::take();
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Log::of(&format!("{command:?}"), child.stderr.take().unwrap());
        Self { child, log, home: home.into(), _shared: shared }
    }

    #[track_caller]
    fn wait_until_it_answers(&self) {
        wait_until("a keeper that answers", || self.exchange(Request::Status));
    }

    fn asker(&self) -> Asker {
        Asker::of_directory(&self.home).unwrap()
    }

    fn exchange(&self, request: Request) -> Option<Answer> {
        self.asker().exchange(request, PATIENCE).ok()
    }

    /// Tells it of a pass.
    #[track_caller]
    pub(crate) fn tell(&self, ip: &str, pass: Pass) {
        let key = Key::of(ip.parse().unwrap());
        self.asker().tell(Request::Tell(key, pass), PATIENCE).unwrap();
    }

    /// Tells it of a pass that follows from a full wait, and waits until it knows of it.
    #[track_caller]
    pub(crate) fn learn(&self, ip: &str) {
        self.tell(ip, STATIC);
        self.wait_for_record(ip);
    }

    /// Tells it to forget a client.
    #[track_caller]
    pub(crate) fn forget(&self, ip: &str) {
        let key = Key::of(ip.parse().unwrap());
        self.exchange(Request::Forget(key, Why::Administrator)).expect("no answer");
    }

    /// What it remembers.
    #[track_caller]
    pub(crate) fn ask(&self, ip: &str) -> Option<Record> {
        let key = Key::of(ip.parse().unwrap());
        match self.exchange(Request::Ask(key)).expect("no answer") {
            Answer::Known(record) => Some(record),
            _ => None,
        }
    }

    /// What it remembers, once that is something.
    #[track_caller]
    pub(crate) fn wait_for_record(&self, ip: &str) -> Record {
        let key = Key::of(ip.parse().unwrap());
        wait_until(&format!("a record of {ip}"), || match self.exchange(Request::Ask(key)) {
            Some(Answer::Known(record)) => Some(record),
            _ => None,
        })
    }

    /// How many clients it knows, and where it has them.
    #[track_caller]
    pub(crate) fn status(&self) -> (u64, Where) {
        match self.exchange(Request::Status) {
            Some(Answer::Status(count, place, _)) => (count, place),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn log(&self, start: &str) -> String {
        self.log.wait_for(start)
    }

    /// Waits for so many lines.
    #[track_caller]
    pub(crate) fn log_lines(&self, start: &str, count: usize) -> Vec<String> {
        self.log.wait_for_lines(start, count)
    }

    pub(crate) fn lines(&self, start: &str) -> Vec<String> {
        self.log.lines(start)
    }

    /// Its directory, as this process sees it.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn text(&self) -> String {
        self.log.text()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Ends it by a signal, and waits for that.
    #[track_caller]
    pub(crate) fn end(self, signal: Signal) {
        self.signal(signal);
        self.wait_for_end();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait_for_end(mut self) {
        let status = wait_until("the keeper's end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.log.text());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Stops it, and waits for that.
    #[track_caller]
    pub(crate) fn stop(&self) {
        stop(self.pid());
    }

    /// Kills it, and waits for that.
    pub(crate) fn kill(mut self) {
        kill(self.pid(), Signal::SIGKILL).unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- the keeper of {}\n{}\n---", self.home.display(), self.log.text());
        }
    }
}

/// A copy of a program that all users may run.
pub(crate) fn copy_for_all_users(program: &str) -> PathBuf {
    let copy = directory().join("program");
    assert!(Command::new("cp").arg(program).arg(&copy).status().unwrap().success());
    copy
}

/// A directory for a keeper, its owner's alone.
pub(crate) fn home() -> PathBuf {
    let home = directory();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    home
}

/// Which of these clients are in the store, as the next keeper will find it.
fn written(home: &Path, ips: &[&str]) -> usize {
    let copy = directory().join("store");
    fs::copy(home.join("store"), &copy).unwrap();
    let file = fs::File::options().read(true).write(true).open(&copy).unwrap();
    let Ok(store) = Disk::open(file) else { return 0 };
    let is_there = |ip: &&&str| matches!(store.get(Key::of(ip.parse().unwrap())), Ok(Some(_)));
    ips.iter().filter(is_there).count()
}

/// Waits until these clients are in the store.
#[track_caller]
pub(crate) fn wait_until_written(home: &Path, ips: &[&str]) {
    let all = || (written(home, ips) == ips.len()).then_some(());
    wait_until(&format!("{ips:?} in the store"), all);
}

/// Stops a process, and waits for that.
#[track_caller]
pub(crate) fn stop(pid: Pid) {
    kill(pid, Signal::SIGSTOP).unwrap();
    wait_until("a process that is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T').then_some(())
    });
}

/// The process that has the lock.
pub(crate) fn keeper_of(home: &Path) -> Option<Pid> {
    match owner_at(&home.join("lock")).ok()? {
        Holder::Process(pid) => Some(Pid::from_raw(pid)),
        _ => None,
    }
}

/// A name server that has a good name for every address.
pub(crate) fn named() -> FakeDns {
    FakeDns::start(Fault::Turning(&["mx.good.example"]))
}

/// A name server that has no name for any.
pub(crate) fn nameless() -> FakeDns {
    FakeDns::start(Fault::Code(Rcode::NXDOMAIN))
}

/// A daemon with the memory in `home`, and a delay for each class.
pub(crate) fn daemon(home: &Path, dns: &FakeDns) -> Setup {
    with_memory(Daemon::setup(), home, dns)
}

/// The same for one that is set up already.
pub(crate) fn with_memory(setup: Setup, home: &Path, dns: &FakeDns) -> Setup {
    let known = format!("--known {}", home.display());
    let delays = "--delay-static 1.5 --delay-dynamic 2 --delay-none 2.5 --delay-unknown 3";
    setup.option(&known).option(delays).option(&dns.option())
}

/// A daemon that keeps the memory itself, and a client that has passed.
pub(crate) fn daemon_with_a_known_client(home: &Path, dns: &FakeDns) -> Daemon {
    let daemon = daemon(home, dns).run(ANSWER);
    assert_greeted(daemon.client("127.0.0.1"));
    wait_until_written(home, &["127.0.0.1"]);
    daemon
}

#[track_caller]
pub(crate) fn assert_greeted(mut client: Client) {
    let (line, _) = client.read_line();
    assert!(line.starts_with("220"), "{line}");
}

/// The `pass` line of a client of 127.0.0.1, which is greeted.
#[track_caller]
pub(crate) fn pass_of_a_client(daemon: &Daemon) -> String {
    let count = daemon.lines("pass ").len() + 1;
    assert_greeted(daemon.client("127.0.0.1"));
    daemon.log_lines("pass ", count).pop().unwrap()
}

/// Whether a client of 127.0.0.1 is known, and does not wait.
#[track_caller]
pub(crate) fn passes_at_once(daemon: &Daemon) -> bool {
    pass_of_a_client(daemon).contains(" delay=0 ")
}

/// A client of 127.0.0.1 counts as new, and waits for the delay of its class.
#[track_caller]
pub(crate) fn assert_waits_as_new(daemon: &Daemon) {
    let line = pass_of_a_client(daemon);
    assert!(line.contains(" class=static delay=1.5 ") && line.contains(" known=- "), "{line}");
    lab::assert_waited(lab::waited(&line), 1.5..10.0);
}
