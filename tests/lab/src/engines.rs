//! Engines by which keepers share their clients: real ones, Valkey and Redis, and doubles
//! for what those do not do when asked to.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{directory, packages, wait_until};

/// The executable of each, and the name by which it is a server: Debian has one for both
/// the server and the tools.
const SERVERS: [(&str, &str); 2] =
    [("valkey-check-rdb", "valkey-server"), ("redis-check-rdb", "redis-server")];

/// A real engine, which is empty at first, until it is dropped.
pub struct Engine {
    child: Child,
    folder: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
    options: Vec<String>,
}

impl Engine {
    /// Valkey where Debian has it, else Redis; `None` if the test has to be skipped.
    pub fn start(test: &str, options: &[&str]) -> Option<Self> {
        let server = SERVERS.iter().find(|(program, _)| packages::has(program));
        if server.is_none() {
            packages::skip(test, "redis-tools");
        }
        server.map(|server| Self::of(*server, options))
    }

    /// Each that is installed.
    pub fn each(test: &str, options: &[&str]) -> Vec<Self> {
        let servers: Vec<_> =
            SERVERS.into_iter().filter(|(program, _)| packages::has(program)).collect();
        if servers.is_empty() {
            packages::skip(test, "redis-tools");
        }
        servers.into_iter().map(|server| Self::of(server, options)).collect()
    }

    /// On another port if another process was quicker to take the first.
    fn of(server: (&str, &str), options: &[&str]) -> Self {
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        let folder = directory();
        let try_start = |_| {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let child = spawn(server, address, &folder, &options);
            let (folder, options) = (folder.clone(), options.clone());
            let mut engine = Self { child, folder, address, options };
            engine.wait_for_start().then_some(engine)
        };
        (0..5).find_map(try_start).expect("the engine starts")
    }

    fn wait_for_start(&mut self) -> bool {
        wait_until("the engine, or its end", || {
            let ended = self.child.try_wait().unwrap().is_some();
            (ended || TcpStream::connect(self.address).is_ok()).then_some(!ended)
        })
    }

    /// Kills it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again where it was.
    pub fn start_again(&mut self) {
        let server = SERVERS.into_iter().find(|(program, _)| packages::has(program)).unwrap();
        self.child = spawn(server, self.address, &self.folder, &self.options);
        assert!(self.wait_for_start(), "the engine starts again");
    }

    /// Its address for a keeper.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Its socket, which it has with the option `--unixsocket`.
    pub fn socket(folder: &Path) -> String {
        folder.join("engine").display().to_string()
    }

    /// What it replies to a command: the text of a value, or the reply's first line.
    #[track_caller]
    pub fn command(&self, command: &str) -> String {
        command_to(TcpStream::connect(self.address).unwrap(), &[command])
    }

    /// The same after another command.
    #[track_caller]
    pub fn command_after(&self, first: &str, command: &str) -> String {
        command_to(TcpStream::connect(self.address).unwrap(), &[first, command])
    }

    /// Waits until a client's value fits.
    #[track_caller]
    pub fn wait_for_value(&self, ip: &str, fits: impl Fn(&str) -> bool) -> String {
        let command = format!("GET smtp-delay:known:{ip}");
        wait_until(&format!("a value of {ip}"), || {
            Some(self.command(&command)).filter(|value| fits(value))
        })
    }

    /// Sends a signal to it.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        kill(pid, signal).unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(
    (program, name): (&str, &str),
    address: SocketAddr,
    folder: &Path,
    options: &[String],
) -> Child {
    let mut command = Command::new(packages::path(program));
    command.arg0(name).args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    command.args(["--save", "", "--dir"]).arg(folder).args(options);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

fn command_to(mut stream: impl Read + Write, commands: &[&str]) -> String {
    let mut reply = String::new();
    let text = commands.join("\r\n");
    stream.write_all(format!("{text}\r\n").as_bytes()).unwrap();
    let mut replies = BufReader::new(stream);
    for _ in commands {
        reply.clear();
        replies.read_line(&mut reply).unwrap();
        if reply.starts_with('$') && reply.trim_end() != "$-1" {
            reply.clear();
            replies.read_line(&mut reply).unwrap();
        }
    }
    reply.trim_end().to_string()
}

/// What the engine at a socket of this host replies to a command.
#[track_caller]
pub fn command_at(socket: &str, command: &str) -> String {
    command_to(UnixStream::connect(socket).unwrap(), &[command])
}

/// A double that replies to each command as it was told to.
pub struct Double {
    /// Where it listens.
    pub address: SocketAddr,
}

impl Double {
    /// One whose replies are those of `reply`, which gets the command's words; after an
    /// empty one the connection is closed, and without one nothing is said.
    pub fn start(reply: impl Fn(&[String]) -> Option<String> + Clone + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let reply = reply.clone();
                thread::spawn(move || converse(stream, &reply));
            }
        });
        Self { address }
    }

    /// Its address for a keeper.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

fn converse(mut stream: TcpStream, reply: &impl Fn(&[String]) -> Option<String>) {
    let mut commands = BufReader::new(stream.try_clone().unwrap());
    while let Ok(words) = words(&mut commands) {
        match reply(&words) {
            Some(text) if text.is_empty() => return,
            Some(text) if stream.write_all(text.as_bytes()).is_err() => return,
            _ => (),
        }
    }
}

fn words(commands: &mut impl BufRead) -> io::Result<Vec<String>> {
    let number = |commands: &mut dyn BufRead| {
        let mut line = String::new();
        commands.read_line(&mut line)?;
        line.get(1..).unwrap_or_default().trim_end().parse().map_err(io::Error::other)
    };
    let count: usize = number(commands)?;
    let word = |_| {
        let mut word = vec![0; number(commands)? + 2];
        commands.read_exact(&mut word)?;
        word.truncate(word.len() - 2);
        Ok(String::from_utf8_lossy(&word).into_owned())
    };
    (0..count).map(word).collect()
}

/// A way to an engine on which every byte takes a while, in each direction.
pub struct SlowWay {
    /// Where it listens.
    pub address: SocketAddr,
}

impl SlowWay {
    /// To the engine at `address`.
    pub fn to(address: SocketAddr, time: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(engine) = TcpStream::connect(address) else { continue };
                pass_on(stream.try_clone().unwrap(), engine.try_clone().unwrap(), time);
                pass_on(engine, stream, Duration::ZERO);
            }
        });
        Self { address: own }
    }

    /// Its address for a keeper.
    pub fn url(&self) -> String {
        format!("redis://{}", self.address)
    }
}

/// Bytes are sent on `time` after they have come.
fn pass_on(mut from: TcpStream, mut to: TcpStream, time: Duration) {
    let (put, take) = channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (at, bytes) in take {
            thread::sleep(at.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut chunk) {
            let _ = put.send((Instant::now() + time, chunk[..length].to_vec()));
        }
    });
}
