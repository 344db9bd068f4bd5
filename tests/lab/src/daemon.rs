//! A running `smtp-delayd` and what it logs.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::command::{self, inherit_nothing};
use crate::log::Log;
use crate::{Client, wait_until};

/// Tests that load the machine run alone, so that those that measure a delay
/// are not disturbed.
static MACHINE: RwLock<()> = RwLock::new(());

thread_local! {
    static IS_ALONE: Cell<bool> = const { Cell::new(false) };
    /// How many daemons this test has, and its one share of the machine: a
    /// second one could wait for a writer that waits for the first.
    static SHARE: RefCell<(usize, Option<RwLockReadGuard<'static, ()>>)> =
        const { RefCell::new((0, None)) };
}

/// Keeps all other tests with a daemon waiting.
pub struct Alone {
    _guard: RwLockWriteGuard<'static, ()>,
}

impl Alone {
    /// Waits until no other test has a daemon.
    pub fn on_the_machine() -> Self {
        let guard = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        IS_ALONE.set(true);
        Self { _guard: guard }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        IS_ALONE.set(false);
    }
}

/// A daemon's part in its test's share of the machine.
pub struct Share;

impl Share {
    /// None for a test that is alone on the machine.
    pub fn take() -> Option<Self> {
        if IS_ALONE.get() {
            return None;
        }
        SHARE.with_borrow_mut(|(daemons, guard)| {
            *daemons += 1;
            guard.get_or_insert_with(|| MACHINE.read().unwrap_or_else(PoisonError::into_inner));
        });
        Some(Self)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        SHARE.with_borrow_mut(|(daemons, guard)| {
            *daemons -= 1;
            if *daemons == 0 {
                *guard = None;
            }
        });
    }
}

/// How a daemon is to be started.
#[must_use]
pub struct Setup {
    command: Command,
    host: String,
    port: u16,
    options: Vec<String>,
}

impl Setup {
    /// Adds an option, with its value behind a blank.
    pub fn option(mut self, option: &str) -> Self {
        self.options.extend(option.split(' ').map(String::from));
        self
    }

    /// An option whose value has blanks in it.
    pub fn option_with(mut self, option: &str, value: impl Display) -> Self {
        self.options.extend([option.to_string(), value.to_string()]);
        self
    }

    /// Lets it look our own name up.
    pub fn without_local_name(mut self) -> Self {
        self.options.drain(..2);
        self
    }

    /// Leaves `--per-ip` to the settings.
    pub fn without_per_ip(mut self) -> Self {
        let given = self.options.iter().position(|option| option == "--per-ip").unwrap();
        self.options.drain(given..given + 2);
        self
    }

    /// Listens at `host` and not at 127.0.0.1.
    pub fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// Listens on `port` and not on any that is free.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Alters the command.
    pub fn command(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// The command that starts it in front of `program`.
    pub(crate) fn into_command(mut self, program: &[&str]) -> Command {
        self.command.arg("-1").args(&self.options).arg(&self.host).arg(self.port.to_string());
        self.command.args(program).process_group(0).env("RUST_BACKTRACE", "0");
        self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command
    }

    /// Starts it in front of `program`, and waits until it accepts clients.
    #[track_caller]
    pub fn run(self, program: &[&str]) -> Daemon {
        let shared = Share::take();
        let host = self.host.clone();
        let mut command = self.into_command(program);
        let shown = format!("{command:?}");
        let child = command.spawn();
        let mut child = child.unwrap_or_else(|why| panic!("{shown}: {why}"));
        let log = Log::of(&shown, child.stderr.take().unwrap());
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port = port.trim().parse();
        let port = port.unwrap_or_else(|_| panic!("{shown}\ndid not start:\n{}", log.text()));
        let daemon = Daemon { child, port, log, shown, host, _shared: shared };
        daemon.log("start ");
        // It logs that before it forks, and waits for events afterwards.
        wait_until("the first children", || sleeps(daemon.pid()).then_some(()));
        daemon
    }
}

/// A daemon, which is killed with its process group when this is dropped.
pub struct Daemon {
    child: Child,
    /// The port that it listens on.
    pub port: u16,
    log: Log,
    shown: String,
    host: String,
    _shared: Option<Share>,
}

impl Daemon {
    /// Quick defaults for tests: loopback, any port, no delay, no look-up of
    /// our own name, no trust in loopback addresses, and no limit for them.
    pub fn setup() -> Setup {
        Self::setup_with(Command::new(command::daemon()))
    }

    /// The same for a daemon that is run by `launcher`, which becomes it.
    pub fn setup_under(launcher: &[&str]) -> Setup {
        let mut command = Command::new(launcher[0]);
        command.args(&launcher[1..]).arg(command::daemon());
        Self::setup_with(command)
    }

    fn setup_with(mut command: Command) -> Setup {
        for name in ["RELAYCLIENT", "RBLSMTPD", "DNSCACHEIP"] {
            command.env_remove(name);
        }
        for name in ["SMTPDELAY", "GREETDELAY", "SMTPD_GREETDELAY"] {
            command.env_remove(name);
        }
        // What the test runner was given is not what the daemon was given.
        inherit_nothing(&mut command);
        let options = ["-l", "mx.test.example", "--local-nets", "none", "--per-ip", "0"];
        let options = options.map(String::from).into();
        Setup { command, host: "127.0.0.1".into(), port: 0, options }
    }

    /// The process id of the supervisor.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        let host = if self.host == "0" { "127.0.0.1" } else { &self.host };
        SocketAddr::new(host.parse().unwrap(), self.port)
    }

    /// A client from `source`.
    #[track_caller]
    pub fn client(&self, source: &str) -> Client {
        Client::connect(source, self.address())
    }

    /// The lines that it has logged so far and that start with `start`.
    pub fn lines(&self, start: &str) -> Vec<String> {
        self.log.lines(start)
    }

    /// Waits for a line that starts with `start`.
    #[track_caller]
    pub fn log(&self, start: &str) -> String {
        self.log.wait_for(start)
    }

    /// Waits for `count` lines that start with `start`.
    #[track_caller]
    pub fn log_lines(&self, start: &str, count: usize) -> Vec<String> {
        self.log.wait_for_lines(start, count)
    }

    /// Asks for `stats` until a line has `part` in it.
    #[track_caller]
    pub fn wait_for_stats(&self, part: &str) -> String {
        let told = self.lines("stats ").len();
        wait_until(&format!("stats with {part:?}"), || {
            self.signal(Signal::SIGUSR1);
            let mut lines = self.lines("stats ").into_iter().skip(told);
            lines.find(|line| line.contains(part))
        })
    }

    /// All that it has logged so far.
    pub fn text(&self) -> String {
        self.log.text()
    }

    /// Sends a signal to the supervisor.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Sends a signal to the process group, children and programs included.
    pub fn signal_group(&self, signal: Signal) {
        killpg(self.pid(), signal).unwrap();
    }

    /// Waits for the supervisor to end.
    #[track_caller]
    pub fn wait(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.shown);
        wait_until(&what, || self.child.try_wait().unwrap())
    }

    /// Whether the supervisor has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills the supervisor, and no other process.
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.child.wait().unwrap();
    }

    /// The process ids of the supervisor's children.
    pub fn children(&self) -> Vec<Pid> {
        children_of(self.pid())
    }
}

/// The process ids of the children of `pid`, none if it has ended.
pub fn children_of(pid: Pid) -> Vec<Pid> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
}

/// Whether a process waits in a system call, or has ended.
fn sleeps(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_none_or(|(_, state)| !state.starts_with(['R', 'D']))
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}\n{}\n---", self.shown, self.log.text());
        }
    }
}
