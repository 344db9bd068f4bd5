//! One question on its way to an answer: which server is asked when, and what
//! counts as the end (`answer`).  Tries are 1, 2, 4, 4, … seconds apart, one
//! server after the other; a server that refuses or fails makes the next one
//! be asked at once.  An earlier try goes on listening while the next runs, so
//! that a slow answer is not lost.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;

use super::attempt::{Attempt, Progress};
use super::{Answer, Failure, Question};

/// Tries that listen at the same time; an older one is given up.
const MOST_OPEN: usize = 4;

/// A question that is being asked.
pub struct Query {
    question: Question,
    servers: Rc<[SocketAddr]>,
    /// For each server, whether it has said that it cannot answer.
    useless: Vec<bool>,
    open: Vec<Attempt>,
    /// Tries so far.
    tries: usize,
    next_try: Instant,
    deadline: Instant,
    edns: bool,
    /// Whether any server has said anything.
    heard: bool,
    answer: Option<Answer>,
}

impl Query {
    /// Asks `question` of `servers`, and sends the first query.
    #[must_use]
    pub fn ask(
        question: Question,
        servers: Rc<[SocketAddr]>,
        now: Instant,
        deadline: Instant,
    ) -> Self {
        let mut query = Self {
            question,
            useless: vec![false; servers.len()],
            servers,
            open: Vec::new(),
            tries: 0,
            next_try: now,
            deadline,
            edns: true,
            heard: false,
            answer: None,
        };
        query.keep_time(now);
        query
    }

    /// The answer, once there is one.
    #[must_use]
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// Whether a server has answered, be it that it cannot tell.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// The sockets to poll, and for what; none once there is an answer.
    pub fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.open.iter().map(Attempt::interest)
    }

    /// When [`Query::advance`] is due even if no socket is ready.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.next_try.min(self.deadline)
    }

    /// Goes on with the sockets that are ready, given in the order of
    /// [`Query::interests`], and does what is due at `now`.
    pub fn advance(&mut self, now: Instant, ready: &[bool]) {
        let mut ready = ready.iter();
        let open = std::mem::take(&mut self.open);
        for mut attempt in open {
            let progress = match ready.next() {
                Some(true) => attempt.go_on(&self.question),
                _ => Progress::Waiting,
            };
            self.heard |= attempt.heard;
            self.take_progress(attempt, progress, now);
        }
        self.keep_time(now);
    }

    fn take_progress(&mut self, attempt: Attempt, progress: Progress, now: Instant) {
        match progress {
            Progress::Waiting => self.open.push(attempt),
            Progress::Done(answer) => self.answer = Some(answer),
            Progress::NoEdns => {
                self.edns = false;
                if !self.start(attempt.server) {
                    self.next_try = now;
                }
            }
            Progress::Useless => {
                self.give_up_on(attempt.server);
                if !self.is_asking_another(attempt.server) {
                    self.next_try = now;
                }
            }
        }
    }

    fn give_up_on(&mut self, server: SocketAddr) {
        for (known, useless) in self.servers.iter().zip(&mut self.useless) {
            *useless |= *known == server;
        }
    }

    fn useless_servers(&self) -> impl Iterator<Item = SocketAddr> {
        let servers = self.servers.iter().zip(&self.useless);
        servers.filter(|(_, useless)| **useless).map(|(server, _)| *server)
    }

    fn is_asking_another(&self, server: SocketAddr) -> bool {
        self.open.iter().any(|attempt| attempt.server != server)
    }

    fn keep_time(&mut self, now: Instant) {
        // Who cannot answer now will not answer an earlier try either.
        let useless: Vec<SocketAddr> = self.useless_servers().collect();
        self.open.retain(|attempt| !useless.contains(&attempt.server));
        if self.open.is_empty() && self.next_server().is_none() {
            self.next_try = now;
        }
        while self.answer.is_none() && now >= self.next_try && now < self.deadline {
            match self.next_server() {
                Some(server) => self.try_next(server, now),
                None if self.open.is_empty() => {
                    self.answer = Some(Answer::Failed(Failure::ServersFailed));
                }
                None => self.next_try = self.deadline,
            }
        }
        if self.answer.is_none() && now >= self.deadline {
            self.answer = Some(Answer::Failed(Failure::TimedOut));
        }
        if self.answer.is_some() {
            self.open.clear();
        }
    }

    /// The next server in turn that may still answer.
    fn next_server(&self) -> Option<SocketAddr> {
        let all = self.servers.len();
        let turn = (0..all).map(|step| (self.tries + step) % all);
        turn.into_iter().find(|index| !self.useless[*index]).map(|index| self.servers[index])
    }

    fn try_next(&mut self, server: SocketAddr, now: Instant) {
        let patience = Duration::from_secs(1 << self.tries.min(2));
        self.tries += 1;
        if self.start(server) {
            self.next_try = now + patience;
        }
    }

    /// Whether the query could be sent; a server to which it cannot be is not
    /// asked again.
    fn start(&mut self, server: SocketAddr) -> bool {
        if self.open.len() == MOST_OPEN {
            self.open.remove(0);
        }
        let attempt = Attempt::start(server, &self.question, self.edns).ok();
        let sent = attempt.is_some();
        self.open.extend(attempt);
        if !sent {
            self.give_up_on(server);
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Records;
    use domain::base::iana::Rcode;
    use domain::base::{Message, MessageBuilder};
    use nix::poll::{PollFd, PollTimeout, poll};
    use std::net::UdpSocket;
    use std::thread;

    fn server() -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// Answers one query with `rcode`.
    fn answer(socket: &UdpSocket, rcode: Rcode) -> Vec<u8> {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let asked = Message::from_octets(&buffer[..length]).unwrap();
        let reply = MessageBuilder::new_vec().start_answer(&asked, rcode).unwrap().finish();
        socket.send_to(&reply, from).unwrap();
        buffer[..length].to_vec()
    }

    fn run(servers: &[SocketAddr], timeout: Duration) -> (Answer, Duration) {
        let start = Instant::now();
        let question = Question::Names("192.0.2.7".parse().unwrap());
        let mut query = Query::ask(question, servers.into(), start, start + timeout);
        while query.answer().is_none() {
            let wait = query.due().saturating_duration_since(Instant::now());
            let wait = PollTimeout::try_from(wait + Duration::from_millis(1)).unwrap();
            let mut fds: Vec<PollFd<'_>> =
                query.interests().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
            poll(&mut fds, wait).unwrap();
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap()).collect();
            drop(fds);
            query.advance(Instant::now(), &ready);
        }
        (query.answer().unwrap().clone(), start.elapsed())
    }

    #[test]
    fn a_server_that_fails_makes_the_next_one_be_asked_at_once() {
        let (first, one) = server();
        let (second, two) = server();
        let servers = thread::spawn(move || {
            answer(&first, Rcode::SERVFAIL);
            answer(&second, Rcode::NXDOMAIN);
        });
        let (answer, took) = run(&[one, two], Duration::from_secs(5));
        servers.join().unwrap();
        assert_eq!(answer, Answer::Absent);
        assert!(took < Duration::from_millis(900), "{took:?}");
    }

    #[test]
    fn nobody_listening_is_a_failure_at_once() {
        let (socket, address) = server();
        drop(socket);
        let (answer, took) = run(&[address], Duration::from_secs(5));
        assert_eq!(answer, Answer::Failed(Failure::ServersFailed));
        assert!(took < Duration::from_millis(900), "{took:?}");
    }

    #[test]
    fn silence_lasts_until_the_deadline() {
        let (_silent, address) = server();
        let (answer, took) = run(&[address], Duration::from_millis(300));
        assert_eq!(answer, Answer::Failed(Failure::TimedOut));
        assert!(took >= Duration::from_millis(300), "{took:?}");
    }

    #[test]
    fn a_silent_server_is_followed_by_the_next_one_after_a_second() {
        let (_silent, one) = server();
        let (second, two) = server();
        let servers = thread::spawn(move || answer(&second, Rcode::NXDOMAIN));
        let (answer, took) = run(&[one, two], Duration::from_secs(8));
        servers.join().unwrap();
        assert_eq!(answer, Answer::Absent);
        assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
    }

    #[test]
    fn an_answer_to_an_earlier_try_counts() {
        let (slow, address) = server();
        let servers = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = slow.recv_from(&mut buffer).unwrap();
            let first = buffer[..length].to_vec();
            slow.recv_from(&mut buffer).unwrap();
            let asked = Message::from_octets(first.as_slice()).unwrap();
            let reply = MessageBuilder::new_vec().start_answer(&asked, Rcode::NXDOMAIN).unwrap();
            slow.send_to(&reply.finish(), from).unwrap();
        });
        let (answer, took) = run(&[address], Duration::from_secs(8));
        servers.join().unwrap();
        assert_eq!(answer, Answer::Absent);
        assert!(took < Duration::from_secs(2), "{took:?}");
    }

    #[test]
    fn a_server_without_edns_is_asked_without() {
        let (old, address) = server();
        let servers = thread::spawn(move || {
            let with = answer(&old, Rcode::FORMERR);
            let without = answer(&old, Rcode::NXDOMAIN);
            (with.len(), without.len())
        });
        let (answer, _) = run(&[address], Duration::from_secs(5));
        let (with, without) = servers.join().unwrap();
        assert_eq!(answer, Answer::Absent);
        assert!(without < with);
    }

    #[test]
    fn a_truncated_answer_is_fetched_by_tcp() {
        let (udp, address) = server();
        let tcp = std::net::TcpListener::bind(address).unwrap();
        let servers = thread::spawn(move || {
            use std::io::{Read, Write};
            let mut buffer = [0; 512];
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            buffer[2] |= 0x82;
            udp.send_to(&buffer[..length], from).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            let mut size = [0; 2];
            stream.read_exact(&mut size).unwrap();
            let mut asked = vec![0; usize::from(u16::from_be_bytes(size))];
            stream.read_exact(&mut asked).unwrap();
            let asked = Message::from_octets(asked).unwrap();
            let mut reply = MessageBuilder::new_vec().start_answer(&asked, Rcode::NOERROR).unwrap();
            let owner = asked.first_question().unwrap().into_qname();
            for number in 0..16 {
                let target = format!("a-rather-long-host-name-{number}.mail.example.org");
                let target = domain::base::Name::vec_from_str(&target).unwrap();
                reply.push((&owner, 60, domain::rdata::Ptr::new(target))).unwrap();
            }
            let reply = reply.finish();
            let size = u16::try_from(reply.len()).unwrap().to_be_bytes();
            for part in [&size[..1], &size[1..], &reply[..100], &reply[100..]] {
                stream.write_all(part).unwrap();
                stream.flush().unwrap();
            }
        });
        let (answer, _) = run(&[address], Duration::from_secs(5));
        servers.join().unwrap();
        let Answer::Found(Records::Names(names)) = answer else { panic!("{answer:?}") };
        assert_eq!(names.len(), 16);
        assert_eq!(names[3], "a-rather-long-host-name-3.mail.example.org");
    }
}
