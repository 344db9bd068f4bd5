//! Ending a connection that does not reach the program, so that the client can
//! read why: a socket that is closed with unread bytes sends a reset, and the
//! reply is lost with it.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::client::Client;
use super::watch::wait_readable;

/// How long a client that goes on talking is listened to.
const PATIENCE: Duration = Duration::from_secs(1);
/// And how long one that has talked is, where its slot is needed.
const SHORT_PATIENCE: Duration = Duration::from_millis(250);
/// How much of it is read.
const MOST_BYTES: usize = 1 << 20;

/// Sends `line` and closes the connection.  Where the slot is needed (`under_pressure`)
/// nobody waits for a client that has said nothing: it is not likely to say
/// something before it reads the line.
pub(super) fn drop_with(client: &Client, line: &str, under_pressure: bool) {
    let mut drain = Drain { left: MOST_BYTES };
    if drain.what_is_there(client) == Side::Reset || !send(client, line.as_bytes()) {
        return;
    }
    let silent = drain.left == MOST_BYTES;
    let patience = match (under_pressure, silent) {
        (false, _) => PATIENCE,
        (true, false) => SHORT_PATIENCE,
        (true, true) => Duration::ZERO,
    };
    drain.until_closed(client, patience);
}

/// Whether all of `bytes` was sent.  A client that does not read has no claim
/// to be waited for.
pub(super) fn send(client: &Client, bytes: &[u8]) -> bool {
    client.stream.put(bytes) == Ok(bytes.len())
}

/// Closes our side, and then the connection once the client has closed its
/// own.
pub(super) fn close(client: &Client) {
    Drain { left: MOST_BYTES }.until_closed(client, PATIENCE);
}

#[derive(PartialEq, Eq)]
enum Side {
    Open,
    Closed,
    Reset,
}

struct Drain {
    left: usize,
}

impl Drain {
    fn what_is_there(&mut self, client: &Client) -> Side {
        let mut buffer = [0; 1024];
        while self.left > 0 {
            match client.stream.take(&mut buffer) {
                Ok(0) => return Side::Closed,
                Ok(length) => {
                    self.left = self.left.saturating_sub(length);
                    // More than that was not there.
                    if length < buffer.len() {
                        return Side::Open;
                    }
                }
                Err(Errno::EAGAIN) => return Side::Open,
                Err(Errno::EINTR) => (),
                Err(_) => return Side::Reset,
            }
        }
        Side::Open
    }

    fn until_closed(&mut self, client: &Client, patience: Duration) {
        client.stream.finish_sending();
        if patience.is_zero() {
            self.what_is_there(client);
            return;
        }
        let until = Instant::now() + patience;
        let comes = || wait_readable(client.stream.input(), until);
        while self.left > 0 && comes() && self.what_is_there(client) == Side::Open {}
    }
}
