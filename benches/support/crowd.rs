//! The daemon with clients that it holds, while others come and go.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::Socket;

use super::load::{Load, Manner, Outcome, address, visit_from};
use super::memory::settle;
use super::server::{DAEMON, Server};
use crate::lab::chain::clean_command;
use crate::lab::directory;

/// Slots besides those of the clients that are held.
const ROOM: usize = 60;

/// The daemon, and clients that wait there for as long as this lives.
pub(crate) struct Crowd {
    server: Server,
    others: Manner,
    _held: Vec<Socket>,
}

impl Crowd {
    /// Holds so many clients for an hour.  Others are handed over to `program` at
    /// once if they are to be polite, and refused if they are to talk early.
    pub(crate) fn of(held: usize, program: &str, others: Manner) -> Self {
        let rules = directory().join("rules");
        let exempt = "127.5.:allow,SMTPDELAY=\"0\"\n";
        fs::write(&rules, if others == Manner::Polite { exempt } else { "" }).expect("rules");
        let slots = (held + ROOM).to_string();
        let mut command = clean_command(DAEMON);
        command.args(["-1RHl0", "-c", &slots, "-b", "1024", "--delay", "3600", "--reserve", "0"]);
        command.arg("--rules").arg(rules).args(["127.0.0.1", "0", program]);
        Self::before(Server::spawn(command), held, others)
    }

    /// The same in front of a C loop that accepts, which refuses those who talk.
    pub(crate) fn of_loop(held: usize, prefork: &str) -> Self {
        let slots = (held + ROOM).to_string();
        let server = Server::start(&[prefork, "accept", &slots, "3600000"]);
        Self::before(server, held, Manner::Early)
    }

    fn before(server: Server, held: usize, others: Manner) -> Self {
        raise_file_limit();
        let come = |number| visit_from(source(number), server.address);
        let mut all = Vec::new();
        // Not more at once than wait in the queue.
        while all.len() < held {
            let next = held.min(all.len() + 500);
            all.extend((all.len()..next).map(come));
            settle(server.pid(), next);
        }
        Self { server, others, _held: all }
    }

    /// What happens to others meanwhile, so many at once; none must fail.
    pub(crate) fn press(&self, at_once: usize, time: Duration) -> Outcome {
        let load = Load { server: self.server.address, at_once, manner: self.others };
        let outcome = load.press_warm(time);
        assert_eq!(outcome.failed, 0, "clients were not answered as they deserve");
        outcome
    }
}

/// Of a client that is held.
pub(crate) fn source(number: usize) -> [u8; 4] {
    address(6, number)
}

/// As many descriptors as we may have.
pub(crate) fn raise_file_limit() {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let raised = limits.and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    raised.expect("a file limit");
}
