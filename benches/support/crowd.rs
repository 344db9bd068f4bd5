//! The daemon with clients that it holds, while others come and go.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::Socket;

use super::load::{Load, Manner, Outcome, visit_from};
use super::memory::settle;
use super::server::Server;
use crate::lab::chain::clean_command;

/// Slots besides those of the clients that are held.
const ROOM: usize = 60;

/// The daemon, and clients that wait there for as long as this lives.
pub(crate) struct Crowd {
    server: Server,
    _held: Vec<Socket>,
}

impl Crowd {
    /// Holds so many clients for an hour; those of 127.5.0.0/16 are handed over to
    /// `program` at once, unless they talk before it greets.
    pub(crate) fn of(held: usize, program: &str, rules: &str) -> Self {
        raise_file_limit();
        let slots = (held + ROOM).to_string();
        let mut command = clean_command(env!("CARGO_BIN_EXE_smtp-delayd"));
        command.args(["-1RHl0", "-c", &slots, "-b", "1024", "--delay", "3600", "--reserve", "0"]);
        command.args(["--rules", rules, "127.0.0.1", "0", program]);
        let server = Server::spawn(command);
        let come = |number| visit_from(source(number), server.address);
        let mut all = Vec::new();
        // Not more at once than wait in the queue.
        while all.len() < held {
            let next = held.min(all.len() + 500);
            all.extend((all.len()..next).map(come));
            settle(server.pid(), next);
        }
        Self { server, _held: all }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// What happens to others meanwhile.
    pub(crate) fn press(&self, manner: Manner, at_once: usize, time: Duration) -> Outcome {
        let load = Load { server: self.server.address, at_once, manner };
        load.press(time / 5);
        load.press(time)
    }
}

/// Of a client that is held: 200 networks, so that no limit is in its way.
pub(crate) fn source(number: usize) -> [u8; 4] {
    let byte = |value: usize| u8::try_from(value % 200 + 1).expect("a byte");
    [127, 6, byte(number / 200), byte(number)]
}

/// As many descriptors as we may have.
pub(crate) fn raise_file_limit() {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let raised = limits.and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    raised.expect("a file limit");
}
