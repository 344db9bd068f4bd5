//! Closing a connection that does not reach the program, so that the client can read
//! why: closing a socket with unread bytes sends a reset, which destroys the reply.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::Client;
use super::poll::wait_readable;

/// How long bytes of a client that goes on talking are read.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same if its slot is needed.
const SHORT_PATIENCE: Duration = Duration::from_millis(250);
/// How many of its bytes are read.
const MOST_BYTES: usize = 1 << 20;

/// Sends `line` and closes the connection.  If the slot is needed (`under_pressure`), a
/// client that has said nothing is not waited for: it is unlikely to talk before it
/// reads the line.
pub(in crate::connection) fn drop_with(client: &Client, line: &str, under_pressure: bool) {
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

/// Whether all of `bytes` was sent.  A client that does not read is not waited for.
pub(in crate::connection) fn send(client: &Client, bytes: &[u8]) -> bool {
    client.stream.put(bytes) == Ok(bytes.len())
}

/// Closes our side, and then the connection once the client has closed its
/// own.
pub(in crate::connection) fn close(client: &Client) {
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
                    // There were no more bytes.
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
