//! The limited conversation of `--refuse talk`, as rblsmtpd holds it: the client can
//! give its name, the sender and the recipients, which go to the log, and every
//! recipient is refused.

use std::time::{Duration, Instant};

use super::Refusal;
use crate::connection::client::Client;
use crate::connection::client::closing::{close, send};
use crate::connection::client::poll::wait_readable;
use crate::log::Said;

/// The longest that it lasts.
const LONGEST: Duration = Duration::from_secs(60);
/// How many commands are answered.
const MOST_COMMANDS: usize = 20;
/// Bytes of a command that are read; RFC 5321, 4.5.3.1.4 allows 512.
const LONGEST_COMMAND: usize = 1000;
/// Bytes that are read altogether.
const MOST_BYTES: usize = 64 << 10;
/// Bytes of an argument that are kept for the log.
const KEPT: usize = 200;

/// Talks to a client that will not be served, and closes the connection.
pub(in crate::connection) fn talk(client: &Client, name: &str, refusal: &Refusal) -> Said {
    let mut said = Said::default();
    let mut reader = Reader::new(client, Instant::now() + LONGEST);
    if send(client, format!("220 {name}\r\n").as_bytes()) {
        converse(&mut reader, name, refusal, &mut said);
    }
    close(client);
    said
}

fn converse(reader: &mut Reader<'_>, name: &str, refusal: &Refusal, said: &mut Said) {
    for _ in 0..MOST_COMMANDS {
        let Some(command) = reader.command() else { break };
        let (verb, argument) = split(&command);
        note(said, &verb, argument);
        let reply = match verb.as_slice() {
            b"HELO" | b"EHLO" | b"MAIL" | b"RSET" | b"NOOP" => format!("250 {name}\r\n"),
            b"QUIT" => format!("221 {name}\r\n"),
            _ => refusal.reply_line(),
        };
        if !send(reader.client, reply.as_bytes()) || verb == b"QUIT" {
            return;
        }
    }
    send(reader.client, refusal.closing_line().as_bytes());
}

/// The verb in capitals, and its argument.
fn split(command: &[u8]) -> (Vec<u8>, &[u8]) {
    let command = command.trim_ascii();
    let end = command.iter().position(u8::is_ascii_whitespace).unwrap_or(command.len());
    let (verb, argument) = command.split_at(end);
    (verb.to_ascii_uppercase(), argument.trim_ascii())
}

fn note(said: &mut Said, verb: &[u8], argument: &[u8]) {
    let kept = || Some(argument[..argument.len().min(KEPT)].to_vec());
    match verb {
        b"HELO" | b"EHLO" => said.helo = kept(),
        b"MAIL" if said.mail.is_none() => said.mail = kept(),
        b"RCPT" if said.rcpt.is_none() => said.rcpt = kept(),
        _ => (),
    }
}

struct Reader<'a> {
    client: &'a Client,
    until: Instant,
    bytes: Vec<u8>,
    left: usize,
}

impl<'a> Reader<'a> {
    fn new(client: &'a Client, until: Instant) -> Self {
        Self { client, until, bytes: Vec::new(), left: MOST_BYTES }
    }

    /// The next line without its end, cut at [`LONGEST_COMMAND`]; `None` if none comes.
    fn command(&mut self) -> Option<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let end = self.bytes.iter().position(|byte| *byte == b'\n');
            let taken: Vec<u8> =
                self.bytes.drain(..end.map_or(self.bytes.len(), |end| end + 1)).collect();
            let room = LONGEST_COMMAND - line.len();
            line.extend_from_slice(&taken[..taken.len().min(room)]);
            if end.is_some() {
                return Some(line);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Option<()> {
        if self.left == 0 || !wait_readable(self.client.stream.input(), self.until) {
            return None;
        }
        let mut buffer = [0; 1024];
        let length = self.client.stream.take(&mut buffer).ok().filter(|length| *length > 0)?;
        self.left = self.left.saturating_sub(length);
        self.bytes.extend_from_slice(&buffer[..length]);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_and_noted() {
        let mut said = Said::default();
        for line in [
            "ehlo  me.example \r\n",
            "MAIL FROM:<a@b> SIZE=1\r\n",
            "mail FROM:<c@d>",
            "Rcpt\tTO:<e@f>\r\n",
            "RCPT TO:<g@h>",
        ] {
            let (verb, argument) = split(line.as_bytes());
            note(&mut said, &verb, argument);
        }
        assert_eq!(said.helo.as_deref(), Some(&b"me.example"[..]));
        assert_eq!(said.mail.as_deref(), Some(&b"FROM:<a@b> SIZE=1"[..]));
        assert_eq!(said.rcpt.as_deref(), Some(&b"TO:<e@f>"[..]));
        assert_eq!(split(b"\r\n"), (Vec::new(), &b""[..]));
    }
}
