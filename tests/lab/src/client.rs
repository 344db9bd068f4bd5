//! A client that says and reads exactly what a test wants.

use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A connection to a server.
pub struct Client {
    /// It gives up reading after two minutes, which only a hang takes.
    pub stream: TcpStream,
    /// When it began to connect.
    pub connected: Instant,
}

impl Client {
    /// Connects from the address `source`.
    #[track_caller]
    pub fn connect(source: &str, server: SocketAddr) -> Self {
        Self::try_connect(source, server).unwrap()
    }

    /// The same if it may fail.
    ///
    /// # Errors
    ///
    /// Those of bind(2) and connect(2).
    pub fn try_connect(source: &str, server: SocketAddr) -> std::io::Result<Self> {
        let source: IpAddr = source.parse().unwrap();
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
        socket.bind(&SocketAddr::new(source, 0).into())?;
        let connected = Instant::now();
        socket.connect(&server.into())?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self { stream, connected })
    }

    /// Sends `text`.
    pub fn say(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).unwrap();
    }

    /// Ends our side of the conversation; the server may still talk.
    pub fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Everything up to the end of file.
    #[track_caller]
    pub fn read_all(&mut self) -> String {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The same for a client that may be cut off.
    ///
    /// # Errors
    ///
    /// Those of recv(2), and text that is not UTF-8.
    pub fn try_read_all(&mut self) -> std::io::Result<String> {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).map(|_| text)
    }

    /// One line, and the time from the connect to its first byte.
    #[track_caller]
    pub fn read_line(&mut self) -> (String, Duration) {
        let (mut line, mut byte) = (Vec::new(), [0]);
        let mut time = None;
        while !line.ends_with(b"\n") {
            let length = match self.stream.read(&mut byte) {
                // With a timeout set, a signal to the test ends the call (signal(7)).
                Err(why) if why.kind() == ErrorKind::Interrupted => continue,
                length => length.unwrap(),
            };
            time.get_or_insert_with(|| self.connected.elapsed());
            if length == 0 {
                break;
            }
            line.push(byte[0]);
        }
        (String::from_utf8_lossy(&line).into_owned(), time.unwrap())
    }

    /// Whether nothing can be read for `time`.
    pub fn is_silent_for(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut result = Err(ErrorKind::Interrupted.into());
        while result.as_ref().is_err_and(|why: &Error| why.kind() == ErrorKind::Interrupted) {
            let left = until.saturating_duration_since(Instant::now());
            let left = left.max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).unwrap();
            result = self.stream.peek(&mut [0]);
        }
        self.stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// Closes the connection with a reset.
    pub fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}
