//! A connection to an engine: commands go out in order, and so do replies come in.
//! Nothing here blocks.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::PollFlags;
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use super::resp::{LONGEST, Malformed, Reply, first_reply, put_command};
use super::trouble::Trouble;
use crate::sys;

/// How much is read at once.
const CHUNK: usize = 16 << 10;
/// How long a connection is idle before the kernel asks the other host whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A connection, once it is up; until then all commands wait.
pub(in crate::known::share) struct Connection {
    socket: Socket,
    is_connected: bool,
    /// What was not sent yet begins at `sent`.
    output: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
}

impl Connection {
    /// Begins to connect to a host.
    ///
    /// # Errors
    /// EMFILE, ENETUNREACH and the like.
    pub(in crate::known::share) fn to_host(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
        Self::begin(socket, &address.into())
    }

    /// Connects to a socket of this host.
    ///
    /// # Errors
    /// ENOENT, ECONNREFUSED, EACCES; EAGAIN if the engine does not accept connections.
    pub(in crate::known::share) fn to_socket(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        Self::begin(socket, &SockAddr::unix(path)?)
    }

    fn begin(socket: Socket, address: &SockAddr) -> io::Result<Self> {
        let is_connected = match socket.connect(address) {
            Ok(()) => true,
            Err(why) if why.raw_os_error() == Some(libc::EINPROGRESS) => false,
            Err(why) => return Err(why),
        };
        let (output, input) = (Vec::new(), Vec::new());
        Ok(Self { socket, is_connected, output, sent: 0, input })
    }

    /// What to poll, and for what.
    pub(in crate::known::share) fn interest(&self) -> (BorrowedFd<'_>, PollFlags) {
        let waits = !self.is_connected || self.sent < self.output.len();
        let output = if waits { PollFlags::POLLOUT } else { PollFlags::empty() };
        (self.socket.as_fd(), PollFlags::POLLIN | output)
    }

    /// Adds a command, which has these words.
    pub(in crate::known::share) fn put(&mut self, words: &[&[u8]]) {
        put_command(words, &mut self.output);
    }

    /// Sends commands as far as there is room for them.
    ///
    /// # Errors
    /// A connection that cannot be made, or is lost.
    pub(in crate::known::share) fn send(&mut self) -> Result<(), Trouble> {
        if !self.is_connected && !self.connect()? {
            return Ok(());
        }
        while self.sent < self.output.len() {
            match sys::put(&self.socket, &self.output[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(Errno::EINTR) => (),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(why) => return Err(Trouble::Connection(why.into())),
            }
        }
        self.output.clear();
        self.sent = 0;
        Ok(())
    }

    /// Whether the connection is up by now.
    fn connect(&mut self) -> Result<bool, Trouble> {
        if let Some(why) = self.socket.take_error().map_err(Trouble::Connection)? {
            return Err(Trouble::Connection(why));
        }
        self.is_connected = match self.socket.peer_addr() {
            Ok(_) => true,
            Err(why) if why.raw_os_error() == Some(libc::ENOTCONN) => false,
            Err(why) => return Err(Trouble::Connection(why)),
        };
        Ok(self.is_connected)
    }

    /// Adds the replies that have come to `replies`.
    ///
    /// # Errors
    /// A connection that is lost, or bytes that are no replies, behind those that are.
    pub(in crate::known::share) fn receive(
        &mut self,
        replies: &mut Vec<Reply>,
    ) -> Result<(), Trouble> {
        if !self.is_connected {
            return Ok(());
        }
        let mut chunk = [0; CHUNK];
        loop {
            match sys::take(&self.socket, &mut chunk) {
                Ok(0) => return Err(Trouble::Closed),
                Ok(length) => {
                    self.input.extend_from_slice(&chunk[..length]);
                    self.take_replies(replies).map_err(|Malformed| Trouble::NotAnEngine)?;
                    if length < chunk.len() {
                        return Ok(());
                    }
                }
                Err(Errno::EINTR) => (),
                Err(Errno::EAGAIN) => return Ok(()),
                Err(why) => return Err(Trouble::Connection(why.into())),
            }
        }
    }

    fn take_replies(&mut self, replies: &mut Vec<Reply>) -> Result<(), Malformed> {
        let mut taken = 0;
        while let Some((reply, length)) = first_reply(&self.input[taken..])? {
            replies.push(reply);
            taken += length;
        }
        self.input.drain(..taken);
        debug_assert!(self.input.len() <= LONGEST);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpListener};
    use std::os::unix::net::UnixListener;
    use std::time::Instant;

    use nix::poll::{PollFd, PollTimeout, poll};

    use super::*;

    /// Sends and receives until `replies` have come, or an error.
    fn exchange(connection: &mut Connection, replies: usize) -> Result<Vec<Reply>, Trouble> {
        let until = Instant::now() + Duration::from_secs(20);
        let mut all = Vec::new();
        while all.len() < replies && Instant::now() < until {
            connection.send()?;
            connection.receive(&mut all)?;
            let (fd, events) = connection.interest();
            if all.len() < replies {
                poll(&mut [PollFd::new(fd, events)], PollTimeout::from(1000_u16)).unwrap();
            }
        }
        Ok(all)
    }

    #[test]
    fn commands_go_out_and_replies_come_in() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::to_host(listener.local_addr().unwrap()).unwrap();
        connection.put(&[b"GET", b"k"]);
        connection.put(&[b"GET", b"l"]);
        connection.send().unwrap();
        let (mut engine, _) = listener.accept().unwrap();
        let expected = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$1\r\nl\r\n";
        exchange(&mut connection, 0).unwrap();
        let mut commands = vec![0; expected.len()];
        connection.send().unwrap();
        engine.read_exact(&mut commands).unwrap();
        assert_eq!(commands, expected);
        // A byte at a time.
        let sender = std::thread::spawn(move || {
            for byte in b"$1\r\nv\r\n$-1\r\n" {
                engine.write_all(&[*byte]).unwrap();
            }
            engine
        });
        let replies = exchange(&mut connection, 2).unwrap();
        assert_eq!(replies, [Reply::Value(b"v".into()), Reply::Missing]);
        let mut engine = sender.join().unwrap();
        engine.write_all(b"220 mx.example.org ESMTP\r\n").unwrap();
        assert!(matches!(exchange(&mut connection, 1), Err(Trouble::NotAnEngine)));
    }

    #[test]
    fn the_end_of_a_connection_is_noticed() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut connection = Connection::to_host(address).unwrap();
        listener.accept().unwrap().0.shutdown(Shutdown::Both).unwrap();
        assert!(exchange(&mut connection, 1).is_err());
        drop(listener);
        let refused = Connection::to_host(address).map_err(Trouble::Connection);
        let refused = refused.and_then(|mut connection| exchange(&mut connection, 1));
        assert!(refused.unwrap_err().to_string().starts_with("Connection refused"));
    }

    #[test]
    fn a_socket_of_this_host_is_one_too() {
        let path = std::env::temp_dir().join(format!("engine.{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut connection = Connection::to_socket(&path).unwrap();
        connection.put(&[b"GET", b"k"]);
        connection.send().unwrap();
        let (mut engine, _) = listener.accept().unwrap();
        engine.write_all(b"-LOADING x\r\n").unwrap();
        let replies = exchange(&mut connection, 1).unwrap();
        assert_eq!(replies, [Reply::Refused("LOADING x".into())]);
        std::fs::remove_file(&path).unwrap();
        assert!(Connection::to_socket(&path).is_err());
    }
}
