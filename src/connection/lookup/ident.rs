//! The ident protocol (RFC 1413): which user at the client's host owns the connection.
//! It has a deadline of its own; the client is watched meanwhile, and the answer is
//! read as tcpserver reads it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::poll::PollFlags;
use socket2::{Domain, Protocol, Socket, Type};

const PORT: u16 = 113;
/// Bytes of an answer that are kept, as in tcpserver.
const LONGEST: usize = 257;

/// The result of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The server said this.
    Said(Vec<u8>),
    /// There is no server, or it did not answer in time.
    Unknown,
}

/// A question to an ident server.
pub struct Ident {
    socket: Socket,
    question: Vec<u8>,
    sent: usize,
    reader: Reader,
    deadline: Instant,
    answer: Option<Owner>,
}

impl Ident {
    /// Asks the host of `remote` about the connection from there to `local`.
    ///
    /// # Errors
    /// Errors of socket(2) and connect(2).
    pub fn ask(remote: SocketAddr, local: SocketAddr, deadline: Instant) -> io::Result<Self> {
        let domain = Domain::for_address(remote);
        let socket = Socket::new(domain, Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(local.ip(), 0).into())?;
        match socket.connect(&SocketAddr::new(remote.ip(), PORT).into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => (),
        }
        let question = format!("{} , {}\r\n", remote.port(), local.port()).into_bytes();
        let reader = Reader::default();
        Ok(Self { socket, question, sent: 0, reader, deadline, answer: None })
    }

    /// The answer, once the question has ended.
    #[must_use]
    pub fn answer(&self) -> Option<&Owner> {
        self.answer.as_ref()
    }

    /// The socket to poll, and for what.
    #[must_use]
    pub fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let sending = self.sent < self.question.len();
        (self.socket.as_fd(), if sending { PollFlags::POLLOUT } else { PollFlags::POLLIN })
    }

    /// When [`Ident::advance`] is due even if the socket is not ready.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.deadline
    }

    /// Goes on without blocking.
    pub fn advance(&mut self, now: Instant, ready: bool) {
        if ready {
            match self.go_on() {
                Ok(()) => (),
                Err(error) if error.kind() == ErrorKind::WouldBlock => (),
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(_) => self.answer = Some(Owner::Unknown),
            }
        }
        if self.answer.is_none() && now >= self.deadline {
            self.answer = Some(Owner::Unknown);
        }
    }

    fn go_on(&mut self) -> io::Result<()> {
        if self.sent < self.question.len() {
            if let Some(error) = self.socket.take_error()? {
                return Err(error);
            }
            self.sent += (&self.socket).write(&self.question[self.sent..])?;
            return Ok(());
        }
        let mut buffer = [0; 128];
        let length = (&self.socket).read(&mut buffer)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        if self.reader.take(&buffer[..length]) {
            self.answer = Some(Owner::Said(std::mem::take(&mut self.reader.kept)));
        }
        Ok(())
    }
}

/// Keeps the text after the third colon, without blanks and carriage returns; a NUL
/// ends it, as it would in the environment.
#[derive(Default)]
struct Reader {
    colons: usize,
    kept: Vec<u8>,
    ended: bool,
}

impl Reader {
    /// Whether the answer is complete.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            match byte {
                b' ' | b'\t' | b'\r' => (),
                b'\n' => return true,
                b':' if self.colons < 3 => self.colons += 1,
                _ if self.colons < 3 => (),
                0 => self.ended = true,
                byte if !self.ended => self.kept.push(*byte),
                _ => (),
            }
            if self.kept.len() >= LONGEST {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(parts: &[&[u8]]) -> Option<Vec<u8>> {
        let mut reader = Reader::default();
        let complete = parts.iter().any(|part| reader.take(part));
        complete.then_some(reader.kept)
    }

    #[test]
    fn answers_are_read_as_tcpserver_reads_them() {
        assert_eq!(read(&[b"6193, 23 : USERID : UNIX : st johns\r\n"]).unwrap(), b"stjohns");
        assert_eq!(read(&[b"1,2:USER", b"ID:UNIX:a:", b"b\n"]).unwrap(), b"a:b");
        assert_eq!(read(&[b"1,2:ERROR:NO-USER\r\n"]).unwrap(), b"");
        assert_eq!(read(&[b"1,2:USERID:UNIX:a\0b\n"]).unwrap(), b"a");
        assert_eq!(read(&[b"no end"]), None);
        let long = [&b":::"[..], &[b'x'; 300]].concat();
        assert_eq!(read(&[&long]).unwrap(), [b'x'; LONGEST]);
    }
}
