//! The stage of the PROXY header: a proxy names the client whose connection it relays.

use std::time::Instant;

use nix::errno::Errno;

use super::tell::tell;
use crate::connection::acceptor::Counter;
use crate::connection::client::poll::wait_readable;
use crate::connection::client::stream::Stream;
use crate::connection::client::{Client, Origin};
use crate::connection::lookup::HostName;
use crate::connection::service::Server;
use crate::error::TROUBLE;
use crate::proxy::header::{Header, HeaderError};
use crate::proxy::reader::Reader;

/// Why there is no header.
enum Unread {
    /// The proxy has closed the connection, or reset it.
    Closed,
    /// It has not sent all of it in time.
    Late,
    /// It cannot be used.
    Unusable(HeaderError),
}

/// The client that a trusted proxy names; any other is the client itself.
///
/// # Errors
/// The exit code of a connection that ends here: a check without a byte, or one whose
/// header is wrong, late or cut off, which is closed without a word.
pub(in crate::connection) fn name_client(server: Server<'_>, client: Client) -> Result<Client, u8> {
    if !server.options().is_proxy(client.ip()) {
        return Ok(client);
    }
    let mut reader = Reader::default();
    let deadline = client.received + server.options().proxy_timeout;
    match read(&client.stream, &mut reader, deadline) {
        Ok(header) => Ok(introduce(server, client, header)),
        Err(Unread::Closed) if reader.seen().is_empty() => {
            tell(server, Counter::Check, |_| log_check(server, &client));
            Err(0)
        }
        Err(why) => {
            drop_unnamed(server, &client, &why, reader.seen());
            Err(TROUBLE)
        }
    }
}

fn read(stream: &Stream, reader: &mut Reader, deadline: Instant) -> Result<Header, Unread> {
    loop {
        match stream.take(reader.room()) {
            Ok(0) => return Err(Unread::Closed),
            Ok(count) => {
                if let Some(header) = reader.advance(count).map_err(Unread::Unusable)? {
                    return Ok(header);
                }
            }
            Err(Errno::EAGAIN) if wait_readable(stream.input(), deadline) => (),
            Err(Errno::EAGAIN) => return Err(Unread::Late),
            Err(Errno::EINTR) => (),
            Err(_) => return Err(Unread::Closed),
        }
    }
}

fn introduce(server: Server<'_>, client: Client, header: Header) -> Client {
    // Without look-ups a client has no name under a server that could have told it.
    let unnamed = if client.host.is_some() { HostName::None } else { HostName::NotAsked };
    let client = client.named_by(header);
    if client.origin == Origin::Check {
        return client;
    }
    server.acceptor.limits.name_client(client.ip());
    let host = (!server.options().look_up).then_some(unnamed);
    Client { host, ..client }
}

/// The line of a proxy's check.
pub(super) fn log_check(server: Server<'_>, client: &Client) {
    if server.acceptor.findings.may_log_check(client.ip()) {
        server.log().check(client.peer);
    }
}

fn drop_unnamed(server: Server<'_>, client: &Client, why: &Unread, seen: &[u8]) {
    let why = match why {
        Unread::Closed => "it ends in the middle".into(),
        Unread::Late if seen.is_empty() => "there is none in time".into(),
        Unread::Late => "it is not complete in time".into(),
        Unread::Unusable(why) => why.to_string(),
    };
    tell(server, Counter::Error, |log| log.unusable_header(client.peer, &why, seen));
}
