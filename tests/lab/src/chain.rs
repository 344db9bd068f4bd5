//! A chain of programs under a real UCSPI server, and the link alone on a socket
//! of the test's.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::command::{self, clean_command, use_stdin_as_stderr, words};
use crate::daemon::Share;
use crate::log::Log;
use crate::{Client, directory, wait_until};

/// A server that runs a chain for each client.
pub struct Chain {
    child: Child,
    port: u16,
    log: Log,
    shown: String,
    _share: Option<Share>,
}

impl Chain {
    /// The real tcpserver with `options` in front of `chain`, in an environment
    /// with `variables`.
    #[track_caller]
    pub fn tcpserver(options: &str, variables: &[(&str, &str)], chain: &[&str]) -> Self {
        let mut command = clean_command("tcpserver");
        command.arg("-1").args(words(options)).envs(variables.iter().copied());
        Self::printing_its_port(command, &[&["127.0.0.1", "0"], chain].concat())
    }

    /// A server that prints its port, with the rest of its command line.
    #[track_caller]
    pub fn printing_its_port(mut command: Command, rest: &[&str]) -> Self {
        command.args(rest).stdout(Stdio::piped());
        let mut chain = Self::start(command, 0);
        let mut port = String::new();
        BufReader::new(chain.child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        chain.port = port.trim().parse().unwrap_or_else(|_| panic!("{}", chain.log.text()));
        chain
    }

    /// The real tcpsvd of ipsvd.
    #[track_caller]
    pub fn tcpsvd(options: &str, chain: &[&str]) -> Self {
        Self::on_a_free_port(|port| {
            let mut command = clean_command("tcpsvd");
            command.args(words(options)).args(["127.0.0.1", &port.to_string()]).args(chain);
            command
        })
    }

    /// The real xinetd, with a service that says nothing of its client.
    #[track_caller]
    pub fn xinetd(chain: &[&str]) -> Self {
        let directory = directory();
        let config = directory.join("xinetd.conf");
        let program = which(chain[0]);
        Self::on_a_free_port(|port| {
            let arguments = chain[1..].join(" ");
            let text = format!(
                "service smtp-delay-test\n{{\n type = UNLISTED\n socket_type = stream\n protocol = \
                 tcp\n wait = no\n user = root\n bind = 127.0.0.1\n port = {port}\n server = \
                 {program}\n server_args = {arguments}\n flags = NOLIBWRAP\n instances = 20\n cps = \
                 1000 1\n}}\n"
            );
            fs::write(&config, text).unwrap();
            let mut command = clean_command("xinetd");
            command.args(["-dontfork", "-inetd_ipv6", "-f"]).arg(&config);
            command.arg("-pidfile").arg(directory.join("pid"));
            command
        })
    }

    /// Whether it was quick enough is known by its answering; another port is
    /// tried if another process was quicker.
    fn on_a_free_port(command: impl Fn(u16) -> Command) -> Self {
        for _ in 0..5 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut chain = Self::start(command(port), port);
            let started = wait_until("a server, or its end", || {
                let ended = chain.child.try_wait().unwrap().is_some();
                (ended || chain.listens()).then_some(!ended)
            });
            if started {
                return chain;
            }
        }
        panic!("no port to be had");
    }

    /// Without connecting, which would run the chain.
    fn listens(&self) -> bool {
        let wanted = format!("0100007F:{:04X} 00000000:0000 0A", self.port);
        fs::read_to_string("/proc/net/tcp").unwrap().contains(&wanted)
    }

    fn start(mut command: Command, port: u16) -> Self {
        let share = Share::take();
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap_or_else(|why| panic!("{shown}: {why}"));
        let log = Log::of(&shown, child.stderr.take().unwrap());
        Self { child, port, log, shown, _share: share }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// A client from the address `source`.
    #[track_caller]
    pub fn client(&self, source: &str) -> Client {
        Client::connect(source, self.address())
    }

    /// The lines that have come so far and start with `start`.
    pub fn lines(&self, start: &str) -> Vec<String> {
        self.log.lines(start)
    }

    /// Waits for a line that starts with `start`.
    #[track_caller]
    pub fn log(&self, start: &str) -> String {
        self.log.wait_for(start)
    }

    /// All that it has written to standard error so far.
    pub fn text(&self) -> String {
        self.log.text()
    }

    /// The process id of the server.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = kill(self.pid(), Signal::SIGTERM);
        let _ = killpg(self.pid(), Signal::SIGKILL);
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}\n---", self.shown, self.log.text());
        }
    }
}

fn which(program: &str) -> String {
    if program.contains('/') {
        return program.into();
    }
    let path = std::env::var_os("PATH").unwrap();
    let mut found = std::env::split_paths(&path).map(|directory| directory.join(program));
    found.find(|file| file.exists()).unwrap().to_str().unwrap().into()
}

/// The link alone, with a socket of the test's on descriptors 0 and 1.
pub struct Link {
    /// The link, and the program once it has become that.
    pub child: Child,
    /// The other end of its socket.
    pub client: Client,
    log: Log,
}

impl Link {
    /// Runs it as a server that says `variables` of the client would.
    #[track_caller]
    pub fn run(variables: &[(&str, &str)], options: &str, program: &[&str]) -> Self {
        Self::run_with(variables, &words(options), program, |_| ())
    }

    /// The same with the socket on descriptor 2 as well, as inetd runs it.
    #[track_caller]
    pub fn run_with_stderr_to_client(
        variables: &[(&str, &str)],
        options: &[String],
        program: &[&str],
    ) -> Self {
        Self::run_with(variables, options, program, use_stdin_as_stderr)
    }

    /// The same with options that may have blanks in them, and a command that `change`
    /// alters.
    #[track_caller]
    pub fn run_with(
        variables: &[(&str, &str)],
        options: &[String],
        program: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::connect("127.0.0.1", listener.local_addr().unwrap());
        let socket = OwnedFd::from(listener.accept().unwrap().0);
        let mut command = clean_command(command::link());
        command.args(options).args(program).envs(variables.iter().copied());
        command.stdin(socket.try_clone().unwrap()).stdout(socket).stderr(Stdio::piped());
        change(&mut command);
        let shown = format!("{command:?}");
        let mut child = command.spawn().unwrap();
        drop(command);
        let log = Log::of(&shown, child.stderr.take().unwrap());
        Self { child, client, log }
    }

    /// The client, which can then be closed; none is left in its place.
    pub fn take_client(&mut self) -> Client {
        let nowhere = TcpListener::bind("127.0.0.1:0").unwrap();
        let unconnected = Client::connect("127.0.0.1", nowhere.local_addr().unwrap());
        std::mem::replace(&mut self.client, unconnected)
    }

    /// Waits for a line that starts with `start`.
    #[track_caller]
    pub fn log(&self, start: &str) -> String {
        self.log.wait_for(start)
    }

    /// The lines that have come so far and start with `start`.
    pub fn lines(&self, start: &str) -> Vec<String> {
        self.log.lines(start)
    }

    /// The exit code, once it has ended.
    #[track_caller]
    pub fn code(&mut self) -> Option<i32> {
        let what = format!("the end of a link that said: {}", self.log.text());
        let code = wait_until(&what, || self.child.try_wait().unwrap()).code();
        self.log.wait_for_end();
        code
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- smtp-delay\n{}\n---", self.log.text());
        }
    }
}
