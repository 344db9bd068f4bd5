//! One question, from the first query to its answer: which server is asked when, and which
//! reply ends it (`answer`).  Every server is asked in turn; it has 1 s to answer in the
//! first round, 2 s in the second, and 4 s in all others, before the next one is asked.  If
//! a server refuses or fails, the next one is asked at once.  An earlier try goes on
//! listening while the next runs, so that a slow answer is not lost.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::PollFlags;

use super::answer::{Answer, Failure, Question};
use super::attempt::{Attempt, Progress};
use crate::sys::{errno, is_shortage};

/// The most tries that listen at the same time; older ones are dropped.  There are no more
/// in 8 s, whatever the number of name servers.
const MOST_OPEN: usize = 8;

/// The interval between tries while this host has no socket.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(100);

/// How long they go on if no server is still to answer.
const SHORTAGE_PATIENCE: Duration = Duration::from_secs(1);

/// A question that is being asked.
pub struct Query {
    question: Question,
    servers: Rc<[SocketAddr]>,
    /// One for each server.
    records: Vec<Record>,
    open: Vec<Attempt>,
    /// The server that was asked last.
    last: Option<SocketAddr>,
    next_try: Instant,
    deadline: Instant,
    edns: bool,
    /// Whether any server has answered.
    heard: bool,
    shortage: Option<Shortage>,
    answer: Option<Answer>,
}

/// What is known of a server.
#[derive(Clone, Copy, Default)]
struct Record {
    /// How often it was asked.
    tries: u32,
    /// It has said that it cannot answer, or cannot be reached.
    useless: bool,
}

/// This host had no socket, or no memory for one.
#[derive(Clone, Copy)]
struct Shortage {
    why: Errno,
    /// As long as it lasts.
    since: Option<Instant>,
}

/// How long a server has to answer that was asked so often before.
fn patience(tries: u32) -> Duration {
    Duration::from_secs(1 << tries.min(2))
}

/// Sockets that a question may have open at once if it is asked for `time` and none of
/// `servers` name servers answers.
#[must_use]
pub fn most_sockets(servers: usize, time: Duration) -> usize {
    let rounds = (0..).flat_map(|round| std::iter::repeat_n(patience(round), servers.max(1)));
    let starts = rounds.scan(Duration::ZERO, |next, patience| {
        let start = *next;
        *next += patience;
        Some(start)
    });
    starts.take_while(|start| *start < time).take(MOST_OPEN).count()
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
            records: vec![Record::default(); servers.len()],
            servers,
            open: Vec::new(),
            last: None,
            next_try: now,
            deadline,
            edns: true,
            heard: false,
            shortage: None,
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

    /// Whether a server has answered, even if it cannot tell.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Why this host had no socket for the question, if that has happened.
    #[must_use]
    pub fn shortage(&self) -> Option<Errno> {
        self.shortage.map(|shortage| shortage.why)
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

    /// Handles the sockets that are ready, given in the order of [`Query::interests`], and
    /// what is due at `now`.
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
                self.start(attempt.server, now);
            }
            Progress::Useless => self.give_up_on(attempt.server, now),
            Progress::Shortage(why) => self.run_short(why, now),
        }
    }

    /// Asks the next server at once, unless another one is still to answer.
    fn give_up_on(&mut self, server: SocketAddr, now: Instant) {
        for (known, record) in self.servers.iter().zip(&mut self.records) {
            record.useless |= *known == server;
        }
        if self.last == Some(server) {
            self.next_try = now;
        }
    }

    /// Tries again a little later: the server has not failed.
    fn run_short(&mut self, why: Errno, now: Instant) {
        let since = self.shortage.and_then(|shortage| shortage.since).unwrap_or(now);
        self.shortage = Some(Shortage { why, since: Some(since) });
        self.next_try = now + SHORTAGE_PAUSE;
    }

    /// Why no more tries are made, if this host has had no socket for so long.
    fn lasting_shortage(&self, now: Instant) -> Option<Errno> {
        let Shortage { why, since } = self.shortage.filter(|_| self.open.is_empty())?;
        (now >= since? + SHORTAGE_PATIENCE).then_some(why)
    }

    fn useless_servers(&self) -> impl Iterator<Item = SocketAddr> {
        let servers = self.servers.iter().zip(&self.records);
        servers.filter(|(_, record)| record.useless).map(|(server, _)| *server)
    }

    fn keep_time(&mut self, now: Instant) {
        // A server that cannot answer now will not answer an earlier try either.
        let useless: Vec<SocketAddr> = self.useless_servers().collect();
        self.open.retain(|attempt| !useless.contains(&attempt.server));
        if self.open.is_empty() && self.next_server().is_none() {
            self.next_try = now;
        }
        while self.answer.is_none() && now >= self.next_try && now < self.deadline {
            match self.next_server() {
                Some(index) => self.try_next(index, now),
                None if self.open.is_empty() => {
                    self.answer = Some(Answer::Failed(Failure::ServersFailed));
                }
                None => self.next_try = self.deadline,
            }
        }
        if let Some(why) = self.lasting_shortage(now) {
            self.answer.get_or_insert(Answer::Failed(Failure::Shortage(why)));
        }
        if self.answer.is_none() && now >= self.deadline {
            self.answer = Some(Answer::Failed(self.why_late()));
        }
        if self.answer.is_some() {
            self.open.clear();
        }
    }

    fn why_late(&self) -> Failure {
        match self.shortage {
            Some(shortage) if self.open.is_empty() => Failure::Shortage(shortage.why),
            _ => Failure::TimedOut,
        }
    }

    /// The first of those that were asked least often and may still answer.
    fn next_server(&self) -> Option<usize> {
        let useful = self.records.iter().enumerate().filter(|(_, record)| !record.useless);
        useful.min_by_key(|(_, record)| record.tries).map(|(index, _)| index)
    }

    fn try_next(&mut self, index: usize, now: Instant) {
        let patience = patience(self.records[index].tries);
        self.next_try = now + patience;
        self.last = Some(self.servers[index]);
        if self.start(self.servers[index], now) {
            self.records[index].tries += 1;
        }
    }

    /// Whether the query could be sent.  A server to which it cannot be is not asked
    /// again.
    fn start(&mut self, server: SocketAddr, now: Instant) -> bool {
        if self.open.len() == MOST_OPEN {
            self.open.remove(0);
        }
        match Attempt::start(server, &self.question, self.edns) {
            Ok(attempt) => {
                self.open.push(attempt);
                if let Some(shortage) = &mut self.shortage {
                    shortage.since = None;
                }
                return true;
            }
            Err(why) if is_shortage(&why) => self.run_short(errno(&why), now),
            Err(_) => self.give_up_on(server, now),
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::Records;
    use crate::dns::message::UDP_PAYLOAD;
    use domain::base::iana::Rcode;
    use domain::base::message_builder::AnswerBuilder;
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

    /// As a server that recurses begins an answer.
    fn start_answer(asked: &[u8], rcode: Rcode) -> AnswerBuilder<Vec<u8>> {
        let asked = Message::from_octets(asked).unwrap();
        let mut reply = MessageBuilder::new_vec().start_answer(&asked, rcode).unwrap();
        reply.header_mut().set_ra(true);
        reply
    }

    /// Answers one query with `rcode`.
    fn answer(socket: &UdpSocket, rcode: Rcode) -> Vec<u8> {
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let reply = start_answer(&buffer[..length], rcode);
        socket.send_to(&reply.finish(), from).unwrap();
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

    /// A question at a time that does not pass by itself.
    struct Asked {
        query: Query,
        start: Instant,
        now: Instant,
    }

    impl Asked {
        fn ask(servers: &[SocketAddr]) -> Self {
            let start = Instant::now();
            let question = Question::Names("192.0.2.7".parse().unwrap());
            let deadline = start + Duration::from_secs(60);
            let query = Query::ask(question, servers.into(), start, deadline);
            Self { query, start, now: start }
        }

        /// Milliseconds from the start until the next try is due.
        fn due(&self) -> u128 {
            self.query.due().duration_since(self.start).as_millis()
        }

        /// Lets the time come when something is due.
        fn wait(&mut self) {
            self.now = self.query.due();
            self.query.advance(self.now, &[]);
        }

        /// Makes so many sockets ready without letting time pass.
        fn hear(&mut self, sockets: usize) {
            let mut left = sockets;
            while left > 0 {
                let mut fds: Vec<PollFd<'_>> =
                    self.query.interests().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
                assert!(poll(&mut fds, 10_000_u16).unwrap() > 0, "it is answered");
                let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap()).collect();
                drop(fds);
                left = left.saturating_sub(ready.iter().filter(|ready| **ready).count());
                self.query.advance(self.now, &ready);
            }
        }
    }

    fn queries_at(socket: &UdpSocket) -> usize {
        socket.set_nonblocking(true).unwrap();
        let mut buffer = [0; 512];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok()).count()
    }

    #[test]
    fn patience_grows_from_round_to_round() {
        let (_one, one) = server();
        let mut alone = Asked::ask(&[one]);
        let (_two, two) = server();
        let mut both = Asked::ask(&[one, two]);
        for (of_one, of_two) in
            [(1000, 1000), (3000, 2000), (7000, 4000), (11_000, 6000), (15_000, 10_000)]
        {
            assert_eq!((alone.due(), both.due()), (of_one, of_two));
            alone.wait();
            both.wait();
        }
    }

    #[test]
    fn servers_that_refuse_take_no_time_from_a_silent_one() {
        for refusing in 1..=2 {
            let (refuses, silent) = ([server(), server()], server());
            let mut addresses: Vec<SocketAddr> =
                refuses[..refusing].iter().map(|server| server.1).collect();
            addresses.push(silent.1);
            let mut asked = Asked::ask(&addresses);
            for (socket, _) in &refuses[..refusing] {
                answer(socket, Rcode::REFUSED);
                asked.hear(1);
            }
            for due in [1000, 3000, 7000] {
                assert_eq!(asked.due(), due, "{refusing} refuse");
                asked.wait();
            }
            assert_eq!(queries_at(&silent.0), 4);
        }
    }

    #[test]
    fn one_that_refuses_behind_a_silent_one_is_followed_at_once() {
        let (_silent, one) = server();
        let (closed, two) = server();
        drop(closed);
        let (third, three) = server();
        let mut asked = Asked::ask(&[one, two, three]);
        asked.wait();
        asked.hear(1);
        assert_eq!(queries_at(&third), 1);
        assert_eq!(asked.due(), 2000);
    }

    #[test]
    fn one_that_refuses_late_does_not_take_the_next_ones_time() {
        let [(slow, one), (_silent, two), (third, three)] = [server(), server(), server()];
        let mut asked = Asked::ask(&[one, two, three]);
        asked.wait();
        answer(&slow, Rcode::SERVFAIL);
        asked.hear(1);
        assert_eq!(queries_at(&third), 0);
        assert_eq!(asked.due(), 2000);
    }

    #[test]
    fn all_servers_are_asked_in_turn_though_one_is_useless() {
        let (closed, one) = server();
        drop(closed);
        let [(second, two), (third, three)] = [server(), server()];
        let mut asked = Asked::ask(&[one, two, three]);
        asked.hear(1);
        (0..5).for_each(|_| asked.wait());
        assert_eq!((queries_at(&second), queries_at(&third)), (3, 3));
    }

    #[test]
    fn as_many_sockets_are_open_as_was_told() {
        let servers: [_; 9] = std::array::from_fn(|_| server());
        for number in [1, 2, 3, 9] {
            let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.1).collect();
            let mut asked = Asked::ask(&addresses[..number]);
            let mut most = 1;
            while asked.due() < 8000 {
                asked.wait();
                most = most.max(asked.query.interests().count());
            }
            assert_eq!(most_sockets(number, Duration::from_secs(8)), most, "{number}");
        }
    }

    #[test]
    fn a_shortage_of_our_own_is_not_the_servers_fault() {
        let (server, address) = server();
        let mut asked = Asked::ask(&[address]);
        assert_eq!(asked.query.shortage(), None);
        asked.query.open.clear();
        asked.query.run_short(Errno::EMFILE, asked.now);
        assert_eq!(asked.due(), 100);
        asked.wait();
        assert_eq!(queries_at(&server), 2, "it is asked again");
        assert_eq!(asked.query.shortage(), Some(Errno::EMFILE));
        assert_eq!(asked.query.answer(), None);
        // And now it lasts.
        while asked.query.answer().is_none() {
            asked.query.open.clear();
            asked.query.run_short(Errno::EMFILE, asked.now);
            asked.now += SHORTAGE_PAUSE / 2;
            asked.query.advance(asked.now, &[]);
        }
        let failed = Answer::Failed(Failure::Shortage(Errno::EMFILE));
        assert_eq!(asked.query.answer(), Some(&failed));
        assert!(asked.now < asked.start + SHORTAGE_PATIENCE * 2);
    }

    #[test]
    fn a_server_that_fails_makes_the_next_one_be_asked_at_once() {
        let (first, one) = server();
        let (second, two) = server();
        let mut asked = Asked::ask(&[one, two]);
        answer(&first, Rcode::SERVFAIL);
        asked.hear(1);
        answer(&second, Rcode::NXDOMAIN);
        asked.hear(1);
        assert_eq!(asked.query.answer(), Some(&Answer::Absent), "no time has passed");
    }

    #[test]
    fn a_closed_port_is_a_failure_at_once() {
        let (socket, address) = server();
        drop(socket);
        let mut asked = Asked::ask(&[address]);
        asked.hear(1);
        let failed = Answer::Failed(Failure::ServersFailed);
        assert_eq!(asked.query.answer(), Some(&failed), "no time has passed");
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
        assert!(took >= Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn an_answer_to_an_earlier_try_counts() {
        let (slow, address) = server();
        let servers = thread::spawn(move || {
            let mut buffer = [0; 512];
            let (length, from) = slow.recv_from(&mut buffer).unwrap();
            let first = buffer[..length].to_vec();
            slow.recv_from(&mut buffer).unwrap();
            let reply = start_answer(&first, Rcode::NXDOMAIN);
            slow.send_to(&reply.finish(), from).unwrap();
        });
        let (answer, _) = run(&[address], Duration::from_secs(8));
        servers.join().unwrap();
        assert_eq!(answer, Answer::Absent);
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

    /// So many names for the address that `asked` is about.
    fn names_for(asked: &[u8], count: usize) -> Vec<u8> {
        let mut reply = start_answer(asked, Rcode::NOERROR);
        let asked = Message::from_octets(asked).unwrap();
        let owner = asked.first_question().unwrap().into_qname();
        for number in 0..count {
            let target = format!("a-rather-long-host-name-{number:02}.mail.example.org");
            let target = domain::base::Name::vec_from_str(&target).unwrap();
            reply.push((&owner, 60, domain::rdata::Ptr::new(target))).unwrap();
        }
        reply.finish()
    }

    /// The result of a question for which `by_udp` makes the datagram, and which is
    /// answered by TCP.
    fn answered_by_tcp(by_udp: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Answer {
        let (udp, address) = server();
        let tcp = std::net::TcpListener::bind(address).unwrap();
        let servers = thread::spawn(move || {
            use std::io::{Read, Write};
            let mut buffer = [0; 512];
            let (length, from) = udp.recv_from(&mut buffer).unwrap();
            udp.send_to(&by_udp(&buffer[..length]), from).unwrap();
            let (mut stream, _) = tcp.accept().unwrap();
            let mut size = [0; 2];
            stream.read_exact(&mut size).unwrap();
            let mut asked = vec![0; usize::from(u16::from_be_bytes(size))];
            stream.read_exact(&mut asked).unwrap();
            let reply = names_for(&asked, 16);
            let size = u16::try_from(reply.len()).unwrap().to_be_bytes();
            for part in [&size[..1], &size[1..], &reply[..100], &reply[100..]] {
                stream.write_all(part).unwrap();
                stream.flush().unwrap();
            }
        });
        let (answer, _) = run(&[address], Duration::from_secs(5));
        if matches!(answer, Answer::Found(_)) {
            servers.join().unwrap();
        }
        answer
    }

    #[track_caller]
    fn assert_complete(answer: Answer) {
        let Answer::Found(Records::Names(names)) = answer else { panic!("{answer:?}") };
        assert_eq!(names.len(), 8);
        assert_eq!(names[1], "a-rather-long-host-name-01.mail.example.org");
    }

    #[test]
    fn a_truncated_answer_is_fetched_by_tcp() {
        assert_complete(answered_by_tcp(|asked| {
            let mut reply = asked.to_vec();
            reply[2] |= 0x82;
            reply
        }));
    }

    #[test]
    fn a_datagram_that_is_longer_than_asked_for_is_fetched_by_tcp() {
        let bytes = usize::from(UDP_PAYLOAD);
        assert_complete(answered_by_tcp(move |asked| {
            let mut reply = names_for(asked, 60);
            reply.truncate(bytes + 1);
            reply
        }));
        assert_complete(answered_by_tcp(|asked| names_for(asked, 60)));
    }
}
