//! The daemon with a memory that has all clients of a load, and the same without one.

use std::path::Path;

use lab::command;
use lab::{PATIENCE, wait_until};
use smtp_delay::known::asking::Asker;
use smtp_delay::known::asking::message::{Answer, Request};
use smtp_delay::known::key::Key;

use crate::keeper::PASS;
use crate::load::address;
use crate::names::Names;
use crate::server::Server;

/// The slots of the server.
const SLOTS: &str = "40";
/// Clients that are known: those with the first numbers.
const CLIENTS: usize = 1000;

/// What a daemon has.
pub enum Memory<'a> {
    /// All clients are in the store of this directory, and wait no longer for it.
    Has(&'a Path),
    /// No memory, and no delay.
    None,
}

/// The daemon in front of `program`; its clients have good names.
pub fn server(memory: &Memory<'_>, names: &Names, program: &str) -> Server {
    let resolver = names.address.to_string();
    let own = [command::daemon(), "-1l0", "-c", SLOTS, "--local-nets", "none", "--per-ip", "0"];
    let own = [&own[..], &["--resolver", &resolver]].concat();
    let behind = ["127.0.0.1", "0", program];
    match memory {
        Memory::None => Server::start(&[&own[..], &["--delay", "0"], &behind].concat()),
        Memory::Has(home) => {
            let known = ["--known", home.to_str().expect("a path in UTF-8")];
            let server = Server::start(&[&own[..], &known, &behind].concat());
            teach(home);
            server
        }
    }
}

/// Tells the keeper of all clients, until it knows them.
fn teach(home: &Path) {
    let asker = Asker::of_directory(home).expect("a short path");
    for number in 0..CLIENTS {
        let key = Key::of(address(5, number).into());
        wait_until("a known client", || {
            let answer = asker.exchange(Request::Ask(key), PATIENCE).ok()?;
            if matches!(answer, Answer::Known(_)) {
                return Some(());
            }
            asker.tell(Request::Tell(key, PASS), PATIENCE).ok()?;
            None
        });
    }
}
