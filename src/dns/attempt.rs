//! One try at a question: one query to one name server, on a socket of its
//! own, by UDP and after a truncated answer by TCP (RFC 7766).

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::answer::{Answer, Question};
use super::message::{self, Reading, UDP_PAYLOAD};
use crate::sys;

/// The state of a try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The server has not sent anything yet.
    Waiting,
    /// It answered.
    Done(Answer),
    /// It wants the query without EDNS0.
    NoEdns,
    /// It cannot answer, or cannot be reached.
    Useless,
    /// This host has no socket to ask with.
    Shortage(Errno),
}

pub(super) struct Attempt {
    pub(super) server: SocketAddr,
    query: Vec<u8>,
    socket: Socket,
    transport: Transport,
    /// Whether the server has sent anything.
    pub(super) heard: bool,
}

enum Transport {
    Udp,
    /// The query, preceded by its length, and how much of it has been sent.
    TcpSending(Vec<u8>, usize),
    /// What has been received: the length, and the message after it.
    TcpReading(Vec<u8>),
}

impl Attempt {
    /// Sends the query.  The kernel picks the port, and accepts replies of `server` alone.
    pub(super) fn start(server: SocketAddr, question: &Question, edns: bool) -> io::Result<Self> {
        let query = message::query(question, sys::random_u16()?, edns);
        let query = query.map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let socket = open(server, Type::DGRAM, Protocol::UDP)?;
        socket.connect(&server.into())?;
        socket.send(&query)?;
        Ok(Self { server, query, socket, transport: Transport::Udp, heard: false })
    }

    pub(super) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = match self.transport {
            Transport::TcpSending(..) => PollFlags::POLLOUT,
            Transport::Udp | Transport::TcpReading(_) => PollFlags::POLLIN,
        };
        (self.socket.as_fd(), flags)
    }

    /// Makes progress without waiting.
    pub(super) fn go_on(&mut self, question: &Question) -> Progress {
        let progress = match self.transport {
            Transport::Udp => self.receive(question),
            Transport::TcpSending(..) => self.send(),
            Transport::TcpReading(_) => self.read(question),
        };
        progress.unwrap_or_else(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Progress::Waiting,
            _ if sys::is_shortage(&error) => Progress::Shortage(sys::errno(&error)),
            _ => Progress::Useless,
        })
    }

    /// A datagram that is longer than was asked for is cut, and counts as truncated.
    fn receive(&mut self, question: &Question) -> io::Result<Progress> {
        let mut buffer = [0; UDP_PAYLOAD as usize + 1];
        let length = (&self.socket).read(&mut buffer)?;
        self.heard = true;
        match message::read(&buffer[..length], &self.query, question) {
            Reading::Unrelated => Ok(Progress::Waiting),
            Reading::Truncated => self.turn_to_tcp(),
            _ if length == buffer.len() => self.turn_to_tcp(),
            reading => Ok(progress(reading)),
        }
    }

    fn turn_to_tcp(&mut self) -> io::Result<Progress> {
        let socket = open(self.server, Type::STREAM, Protocol::TCP)?;
        match socket.connect(&self.server.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => self.socket = socket,
        }
        let length = u16::try_from(self.query.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&self.query);
        self.transport = Transport::TcpSending(bytes, 0);
        Ok(Progress::Waiting)
    }

    fn send(&mut self) -> io::Result<Progress> {
        let Transport::TcpSending(bytes, sent) = &mut self.transport else {
            return Ok(Progress::Waiting);
        };
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        *sent += (&self.socket).write(&bytes[*sent..])?;
        if *sent == bytes.len() {
            self.transport = Transport::TcpReading(Vec::new());
        }
        Ok(Progress::Waiting)
    }

    fn read(&mut self, question: &Question) -> io::Result<Progress> {
        let Transport::TcpReading(bytes) = &mut self.transport else {
            return Ok(Progress::Waiting);
        };
        let mut buffer = [0; 2048];
        let length = (&self.socket).read(&mut buffer)?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&buffer[..length]);
        let Some((header, message)) = bytes.split_first_chunk::<2>() else {
            return Ok(Progress::Waiting);
        };
        let expected = usize::from(u16::from_be_bytes(*header));
        match message.get(..expected) {
            None => Ok(Progress::Waiting),
            // A stream has one peer: if this is not the answer, none will follow.
            Some(message) => match message::read(message, &self.query, question) {
                Reading::Unrelated | Reading::Truncated => Ok(Progress::Useless),
                reading => Ok(progress(reading)),
            },
        }
    }
}

fn progress(reading: Reading) -> Progress {
    match reading {
        Reading::Answer(answer) => Progress::Done(answer),
        Reading::NoEdns => Progress::NoEdns,
        Reading::Useless => Progress::Useless,
        Reading::Unrelated | Reading::Truncated => Progress::Waiting,
    }
}

fn open(server: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    Socket::new(Domain::for_address(server), kind.nonblocking(), Some(protocol))
}
