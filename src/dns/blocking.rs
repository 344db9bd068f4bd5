//! A question that blocks until it is answered, for callers with nothing else to watch: a
//! start, or an administrator's tool.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollTimeout, poll};

use super::answer::{Answer, Question};
use super::query::Query;

/// Asks `servers`, and waits up to `patience` for the answer.
#[must_use]
pub fn ask(question: Question, servers: Rc<[SocketAddr]>, patience: Duration) -> Answer {
    let start = Instant::now();
    let mut query = Query::ask(question, servers, start, start + patience);
    loop {
        if let Some(answer) = query.answer() {
            return answer.clone();
        }
        let wait = query.due().saturating_duration_since(Instant::now());
        let wait = PollTimeout::try_from(wait + Duration::from_millis(1));
        let mut fds: Vec<PollFd<'_>> =
            query.interests().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
        let _ = poll(&mut fds, wait.unwrap_or(PollTimeout::MAX));
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        drop(fds);
        query.advance(Instant::now(), &ready);
    }
}
