//! A keeper of known clients, alone, and what is asked of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request, Where};
use smtp_delay::known::key::Key;
use smtp_delay::known::record::Record;
use smtp_delay::known::rules::Pass;

use lab::daemon::Share;
use lab::log::Log;
use lab::{PATIENCE, wait_until};

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

    fn spawn(home: &Path, launcher: &[&str]) -> Self {
        Self::spawn_with(home, launcher, &[])
    }

    fn spawn_with(home: &Path, launcher: &[&str], options: &[&str]) -> Self {
        let own = lab::command::ctl();
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
            Some(Answer::Status(count, place)) => (count, place),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn log(&self, start: &str) -> String {
        self.log.wait_for(start)
    }

    pub(crate) fn text(&self) -> String {
        self.log.text()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Ends it by a signal, and waits for that.
    #[track_caller]
    pub(crate) fn end(mut self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
        let status = wait_until("the keeper's end", || self.child.try_wait().unwrap());
        assert!(status.success(), "{status}: {}", self.log.text());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
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
