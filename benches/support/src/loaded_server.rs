//! The daemon, or a peer, with clients that it holds, and a load of others.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::Socket;

use crate::load::{AT_ONCE, Load, Manner, Outcome, address, visit_from};
use crate::memory::settle;
use crate::processor::Meter;
use crate::server::Server;
use lab::command::{self, clean_command};
use lab::directory;

/// Slots besides those of the clients that are held.
const ROOM: usize = 60;

/// The longest that a peer holds a client, in milliseconds.
const HOUR: &str = "3600000";

/// A server, with clients that wait there as long as this lives.
pub struct LoadedServer {
    server: Server,
    others: Manner,
    /// A client that fails is an error if the server is ours, and only reported if it
    /// is a peer.
    is_ours: bool,
    _held: Vec<Socket>,
}

impl LoadedServer {
    /// smtp-delayd, which holds `held` clients for an hour.  Others are handed over to
    /// `program` at once if they wait, and refused if they talk early.
    pub fn of(held: usize, program: &str, others: Manner) -> Self {
        let rules = directory().join("rules");
        let exempt = "127.5.:allow,SMTPDELAY=\"0\"\n";
        fs::write(&rules, if others == Manner::Waiting { exempt } else { "" }).expect("rules");
        let slots = (held + ROOM).to_string();
        let mut command = clean_command(command::daemon());
        command.args(["-1RHl0", "-c", &slots, "-b", "1024", "--delay", "3600", "--reserve", "0"]);
        command.arg("--rules").arg(rules).args(["127.0.0.1", "0", program]);
        Self { is_ours: true, ..Self::before(Server::spawn(command), held, others) }
    }

    /// The same with a C loop of one of `prefork`'s kinds: it hands over to `program`,
    /// or refuses clients that talk.
    pub fn of_loop(held: usize, prefork: &str, kind: &str, program: &str) -> Self {
        let slots = (held + ROOM).to_string();
        let accepts = kind == "accept";
        let last = if accepts { HOUR } else { program };
        let others = if accepts { Manner::Early } else { Manner::Waiting };
        Self::before(Server::start(&[prefork, kind, &slots, last]), held, others)
    }

    /// The same with tcpserver and a plug-in in C, which hands over to `program`.
    pub fn of_chain(held: usize, plugin: &str, program: &str) -> Self {
        let [rules, cdb, new] =
            ["rules", "rules.cdb", "rules.new"].map(|name| directory().join(name));
        fs::write(&rules, "127.5.:allow,DELAY=\"0\"\n").expect("rules");
        let rules = Stdio::from(fs::File::open(rules).expect("rules"));
        let done = Command::new("tcprules").arg(&cdb).arg(new).stdin(rules).status();
        assert!(done.expect("tcprules").success());
        let slots = (held + ROOM).to_string();
        let mut command = clean_command("tcpserver");
        command.args(["-1RHl0", "-c", &slots, "-b", "1024", "-x"]).arg(cdb);
        command.args(["127.0.0.1", "0", plugin, HOUR, program]);
        Self::before(Server::spawn(command), held, Manner::Waiting)
    }

    fn before(server: Server, held: usize, others: Manner) -> Self {
        raise_file_limit();
        let come = |number| visit_from(source(number), server.address);
        let mut all = Vec::new();
        // Not more at once than the accept queue takes.
        while all.len() < held {
            let next = held.min(all.len() + 500);
            all.extend((all.len()..next).map(come));
            settle(server.pid(), next);
        }
        Self { server, others, is_ours: false, _held: all }
    }

    /// The load of others, `at_once` at a time.
    pub fn others(&self, at_once: usize) -> Load {
        Load { server: self.server.address, at_once, manner: self.others }
    }

    /// Runs that load for `time`, after a warm-up.  Panics if a client of smtp-delayd is not
    /// answered as expected.
    pub fn press(&self, at_once: usize, time: Duration) -> Outcome {
        self.judged(self.others(at_once).press_warm(time))
    }

    fn judged(&self, outcome: Outcome) -> Outcome {
        let failed = outcome.failed;
        assert!(!self.is_ours || failed == 0, "{failed} clients were not answered as expected");
        if failed > 0 {
            eprintln!("{failed} clients of a peer were not answered as expected");
        }
        outcome
    }

    /// The same with [`AT_ONCE`] clients, and the processor time that it took, by `meter`.
    pub fn press_metered(&self, time: Duration, meter: &Meter) -> (Outcome, Duration) {
        self.press(AT_ONCE, time / 5);
        let before = meter.time();
        let outcome = self.judged(self.others(AT_ONCE).press(time));
        (outcome, meter.time().saturating_sub(before))
    }
}

/// The address of the client with this number that is held.
pub fn source(number: usize) -> [u8; 4] {
    address(6, number)
}

/// Raises this process's limit of open files as far as allowed.
pub fn raise_file_limit() {
    let limits = getrlimit(Resource::RLIMIT_NOFILE);
    let raised = limits.and_then(|(_, most)| setrlimit(Resource::RLIMIT_NOFILE, most, most));
    raised.expect("a file limit");
}
