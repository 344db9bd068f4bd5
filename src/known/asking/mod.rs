//! Asks the keeper, and tells it what has happened: by a datagram, from a socket that lives
//! for one question.  No caller waits for the keeper longer than it would wait anyway: a
//! question is a descriptor for the caller's own poll(2), and allocates nothing that stays.

pub mod message;
mod no_answer;
mod question;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, UnixAddr, bind, connect, getsockname, socket,
};

use super::directory::socket_in;
use super::key::Key;
use crate::sys;
use message::{Answer, LONGEST, Request};

pub use no_answer::NoAnswer;
pub use question::{Outcome, Question};

/// The address of a keeper.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    address: UnixAddr,
}

impl Asker {
    /// The keeper of the directory at `path`.
    ///
    /// # Errors
    /// ENAMETOOLONG for a path of more than 100 bytes.
    pub fn of_directory(path: &Path) -> nix::Result<Self> {
        Ok(Self { address: UnixAddr::new(&socket_in(path))? })
    }

    /// The keeper that has this socket, which has a name.
    ///
    /// # Errors
    /// None that Linux documents.
    pub fn of_socket(socket: &UnixDatagram) -> nix::Result<Self> {
        Ok(Self { address: getsockname(socket.as_raw_fd())? })
    }

    /// Begins to ask what is remembered of `key`.
    ///
    /// # Errors
    /// ENOENT or ECONNREFUSED if there is no keeper, EACCES if it is another user's,
    /// EMFILE.
    pub fn ask(&self, key: Key) -> nix::Result<Question> {
        Question::new(self.connected()?, Request::Ask(key))
    }

    /// Tells something that needs no answer.  A keeper that has no room for it is waited
    /// for up to `patience`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), and EAGAIN if there is no room.
    pub fn tell(&self, request: Request, patience: Duration) -> nix::Result<()> {
        let socket = unnamed()?;
        connect(socket.as_raw_fd(), &self.address)?;
        let (bytes, until) = (request.bytes(), Instant::now() + patience);
        loop {
            match sys::put(&socket, &bytes) {
                Err(Errno::EAGAIN | Errno::EINTR) => (),
                sent => return sent.map(drop),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Errno::EAGAIN);
            }
            // Of all that wait for room only some find it, and the others go on waiting.
            let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], left) {
                Ok(_) | Err(Errno::EINTR) => (),
                Err(why) => return Err(why),
            }
        }
    }

    /// Asks, and waits for the answer up to `patience`.
    ///
    /// # Errors
    /// As [`ask`](Self::ask); a keeper that does not answer, or that is of another
    /// version.
    pub fn exchange(&self, request: Request, patience: Duration) -> Result<Answer, NoAnswer> {
        let socket = UnixDatagram::from(self.connected()?);
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        socket.send(&request.bytes())?;
        let mut room = [0; LONGEST];
        loop {
            let length = socket.recv(&mut room)?;
            match Answer::read(&room[..length]) {
                Some(Answer::NotYet) => (),
                answer => return answer.ok_or(NoAnswer::OtherVersion),
            }
        }
    }

    /// A socket to which only the keeper can send: a connected one receives datagrams from
    /// its peer alone.
    fn connected(&self) -> nix::Result<OwnedFd> {
        let socket = unnamed()?;
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
        connect(socket.as_raw_fd(), &self.address)?;
        Ok(socket)
    }
}

fn unnamed() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

#[cfg(test)]
mod tests {
    use super::message::ROOM;
    use super::*;
    use crate::class::Class;
    use crate::known::record::{Record, Time};

    /// A keeper's socket, and who asks it.
    fn keeper() -> (UnixDatagram, Asker) {
        let socket = unnamed().unwrap();
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed()).unwrap();
        let socket = UnixDatagram::from(socket);
        let asker = Asker::of_socket(&socket).unwrap();
        (socket, asker)
    }

    fn key() -> Key {
        Key::of([192, 0, 2, 7].into())
    }

    fn wait(question: &Question, millis: u16) -> bool {
        let (descriptor, events) = question.interest();
        poll(&mut [PollFd::new(descriptor, events)], PollTimeout::from(millis)).unwrap() > 0
    }

    fn receive(socket: &UnixDatagram) -> (Request, std::os::unix::net::SocketAddr) {
        let mut room = [0; ROOM];
        let (length, from) = socket.recv_from(&mut room).unwrap();
        (Request::read(&room[..length]).unwrap(), from)
    }

    #[test]
    fn a_question_is_answered_once_the_keeper_does() {
        let (keeper, asker) = keeper();
        let mut question = asker.ask(key()).unwrap();
        assert_eq!(question.proceed(), None);
        assert!(!wait(&question, 0));
        let (request, from) = receive(&keeper);
        assert_eq!(request, Request::Ask(key()));
        let record = Record::new(Class::Static, Time(7));
        let mut room = [0; LONGEST];
        keeper.send_to_addr(Answer::Known(record).write(&mut room), &from).unwrap();
        assert!(wait(&question, 10_000));
        assert_eq!(question.proceed(), Some(Outcome::Known(record)));
    }

    #[test]
    fn only_the_keeper_can_answer() {
        let (keeper, asker) = keeper();
        let mut question = asker.ask(key()).unwrap();
        let (_, from) = receive(&keeper);
        let stranger = UnixDatagram::unbound().unwrap();
        let mut room = [0; LONGEST];
        let forged = Answer::Known(Record::new(Class::Static, Time(7)));
        assert!(stranger.send_to_addr(forged.write(&mut room), &from).is_err());
        assert_eq!(question.proceed(), None);
        keeper.send_to_addr(Answer::NotKnown.write(&mut room), &from).unwrap();
        assert_eq!(question.proceed(), Some(Outcome::NotKnown));
    }

    #[test]
    fn a_keeper_that_has_no_room_is_asked_as_soon_as_it_has() {
        let (keeper, asker) = keeper();
        keeper.set_nonblocking(true).unwrap();
        let mut questions: Vec<Question> = Vec::new();
        while questions.last().is_none_or(Question::is_sent) {
            questions.push(asker.ask(key()).unwrap());
            assert!(questions.len() < 5000, "a queue without an end");
        }
        let told =
            asker.tell(Request::Tell(key(), crate::known::rules::Pass::Renewal), Duration::ZERO);
        assert_eq!(told, Err(Errno::EAGAIN));
        let last = questions.last_mut().unwrap();
        assert!(!wait(last, 0) && last.proceed().is_none());
        let mut room = [0; ROOM];
        while keeper.recv_from(&mut room).is_ok() {}
        assert!(wait(last, 10_000));
        assert_eq!(last.proceed(), None);
        assert_eq!(receive(&keeper).0, Request::Ask(key()));
    }

    #[test]
    fn of_many_that_wait_for_room_each_gets_it() {
        const TELLERS: usize = 20;
        let (keeper, asker) = keeper();
        keeper.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        while asker.tell(Request::Status, Duration::ZERO).is_ok() {}
        let tell = move || asker.tell(Request::Ask(key()), Duration::from_secs(60));
        let tellers = [(); TELLERS].map(|()| std::thread::spawn(tell));
        let mut told = 0;
        while told < TELLERS {
            // One at a time: all that wait are woken by each, and only one finds room.
            std::thread::sleep(Duration::from_millis(1));
            told += usize::from(receive(&keeper).0 == Request::Ask(key()));
        }
        assert!(tellers.into_iter().all(|teller| teller.join().unwrap() == Ok(())));
    }

    #[test]
    fn a_keeper_of_another_version_does_not_answer() {
        let (keeper, asker) = keeper();
        let mut question = asker.ask(key()).unwrap();
        let (_, from) = receive(&keeper);
        keeper.send_to_addr(b"SDK\x02 something else that is longer", &from).unwrap();
        assert_eq!(question.proceed(), Some(Outcome::Unanswered(NoAnswer::OtherVersion)));
    }

    #[test]
    fn a_keeper_that_is_stopped_is_late() {
        let (_keeper, asker) = keeper();
        let exchanged = asker.exchange(Request::Status, Duration::from_millis(1));
        assert_eq!(exchanged, Err(NoAnswer::Late));
        assert_eq!(std::io::Error::from(NoAnswer::Late).to_string(), "it does not answer");
    }

    #[test]
    fn without_a_keeper_a_question_fails() {
        let (keeper, asker) = keeper();
        drop(keeper);
        assert_eq!(asker.ask(key()).unwrap_err(), Errno::ECONNREFUSED);
        let nowhere = Asker::of_directory(Path::new("/nonexistent")).unwrap();
        assert_eq!(nowhere.ask(key()).unwrap_err(), Errno::ENOENT);
        assert_eq!(nowhere.tell(Request::Status, Duration::ZERO), Err(Errno::ENOENT));
        let exchanged = nowhere.exchange(Request::Status, Duration::from_millis(1));
        assert_eq!(exchanged, Err(NoAnswer::System(Errno::ENOENT)));
        let long = "x".repeat(108);
        assert_eq!(Asker::of_directory(Path::new(&long)).unwrap_err(), Errno::ENAMETOOLONG);
    }
}
