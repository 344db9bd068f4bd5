//! The keeper: one process that owns the store, and answers requests.  One poll loop.

mod events;
mod life;
mod lock;
mod requests;
mod shared;
mod wait;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixDatagram;
use std::panic::set_hook;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use nix::sys::socket::{UnixAddr, bind};
use nix::sys::stat::{Mode, umask};

use super::asking::message::{Answer, LONGEST, Request};
use super::directory::{Directory, unbound_socket};
use super::record::Time;
use super::rules::Limits;
use super::share::settings::Settings;
use super::store::Store;
use super::store::disk::panics_are_contained;
use crate::error::{Cause, Fatal};
use crate::log::Log;
use crate::sys;
use events::log_events;
use lock::lock;
use requests::{has_name, receive};
use shared::Shared;
use wait::wait;

pub use life::Life;
pub use lock::Report;

/// How often the directory and the supervisor are checked.
const LOOK: Duration = Duration::from_secs(1);
/// How long the store may take to open before requests are answered without it.
const OPENING: Duration = Duration::from_millis(800);
/// How many requests are answered before anything else is checked.
const AT_ONCE: usize = 256;
/// How long requests are answered at the end that were sent before it.
const LAST_REQUESTS: Duration = Duration::from_secs(1);

/// Where a keeper stores what it knows.
pub enum Place<'a> {
    /// In this directory, which also has the socket for requests.
    Directory(&'a Path),
    /// In memory; requests come by this socket.
    Memory(UnixDatagram),
}

/// The process that is to be a keeper.
pub struct Process<'a> {
    /// For how long.
    pub life: Life,
    /// What it logs to.
    pub log: &'a Log,
    /// Who is told what it knows.
    pub report: Report<'a>,
    /// How clients are shared with other hosts, if they are.
    pub share: Option<Settings>,
}

/// Keeps the memory of known clients for as long as the process is to live: as soon as no
/// other one does.
///
/// # Errors
/// A directory of no use, or no thread: 111.
pub fn keep(place: Place<'_>, limits: Limits, process: Process<'_>) -> Result<(), Fatal> {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    sys::share_one_heap();
    let panics = process.log.clone();
    set_hook(Box::new(move |panic| {
        if !panics_are_contained() {
            panics.panic(panic);
        }
    }));
    let keeper = match place {
        Place::Memory(socket) => Keeper::in_memory(socket, limits, process),
        Place::Directory(path) => match Keeper::in_directory(path, limits, process)? {
            Some(keeper) => keeper,
            None => return Ok(()),
        },
    };
    keeper.run()
}

/// The state of a keeper.
struct Keeper<'a> {
    home: Option<Home>,
    socket: UnixDatagram,
    store: Store,
    shared: Shared,
    process: Process<'a>,
    look_at: Instant,
}

/// Its directory, and what identifies its socket there.
struct Home {
    directory: Arc<Directory>,
    /// Held for as long as this lives.
    _lock: File,
    socket: (u64, u64),
}

impl<'a> Keeper<'a> {
    fn in_memory(socket: UnixDatagram, limits: Limits, process: Process<'a>) -> Self {
        let store = Store::in_memory(limits);
        let shared = Shared::new(process.share.clone(), limits.lifetimes);
        Self { home: None, socket, store, shared, process, look_at: Instant::now() }
    }

    /// Waits for the lock; `None` if the process is to end by then.
    fn in_directory(
        path: &Path,
        limits: Limits,
        process: Process<'a>,
    ) -> Result<Option<Self>, Fatal> {
        let directory = Arc::new(Directory::open(path).map_err(|why| unable(path, why))?);
        let lock =
            lock(&directory, &process.life, process.report).map_err(|why| unable(path, why))?;
        let Some(lock) = lock else { return Ok(None) };
        let store = Store::on_disk(Arc::clone(&directory), limits);
        let mut store = store.map_err(|why| unable(path, why))?;
        let until = Instant::now() + OPENING;
        while store.is_opening() && store.wait(until) {
            log_events(&store.events(), path, process.log);
        }
        let socket = directory.bind().map_err(|why| unable(path, why))?;
        let identity = directory.socket_identity().map_err(|why| unable(path, why))?;
        let home = Some(Home { directory, _lock: lock, socket: identity });
        let shared = Shared::new(process.share.clone(), limits.lifetimes);
        Ok(Some(Self { home, socket, store, shared, process, look_at: Instant::now() }))
    }

    fn run(mut self) -> Result<(), Fatal> {
        while !self.process.life.is_over() {
            self.answer_some();
            self.share();
            self.store.tick(Time::now(), Instant::now());
            self.log_events();
            if self.look_at <= Instant::now() {
                self.look()?;
            }
            let due = [Some(self.look_at), self.store.due(), self.shared.due()];
            let due = due.into_iter().flatten().min().unwrap_or(self.look_at);
            let left = due.saturating_duration_since(Instant::now());
            let own = [self.process.life.descriptor(), self.store.descriptor()];
            let own = own.into_iter().flatten().chain([self.socket.as_fd()]);
            let own = own.map(|descriptor| (descriptor, PollFlags::POLLIN));
            wait(own.chain(self.shared.interest()), left);
        }
        self.end();
        Ok(())
    }

    /// Requests are refused from now on.  What the keeper was told is written, also what is
    /// still in the queue of its socket.
    fn end(mut self) {
        if let Some(home) = &self.home {
            home.directory.remove_socket();
        }
        let until = Instant::now() + LAST_REQUESTS;
        while self.answer_some() > 0 && Instant::now() < until {}
        self.shared.close(self.process.log);
        let left = self.store.close();
        if left > 0 {
            self.process.log.error(format_args!("unable to write all known clients: {left} lost"));
        }
    }

    /// Reports, and looks whether those who ask still find us; a socket that somebody
    /// removed is made again.
    fn look(&mut self) -> Result<(), Fatal> {
        self.look_at = Instant::now() + LOOK;
        let (count, place) = self.store.status();
        (self.process.report)(count, place, self.shared.state());
        let Some(home) = &mut self.home else { return Ok(()) };
        let path = home.directory.path().display();
        if !home.directory.is_there() {
            return Err(Fatal::Gone(home.directory.path().into()));
        }
        if home.directory.socket_identity().is_ok_and(|found| found == home.socket) {
            return Ok(());
        }
        match home.directory.bind() {
            Ok(socket) => {
                home.socket = home.directory.socket_identity().unwrap_or_default();
                self.socket = socket;
                self.process.log.warning(format_args!("the socket in {path} was gone: it is back"));
            }
            Err(why) => {
                self.process.log.error(format_args!("unable to make a socket in {path}: {why}"));
            }
        }
        Ok(())
    }

    fn log_events(&mut self) {
        let events = self.store.events();
        if let Some(home) = &self.home {
            log_events(&events, home.directory.path(), self.process.log);
        }
    }

    /// Answers up to [`AT_ONCE`] requests; returns how many there were.
    fn answer_some(&mut self) -> usize {
        for done in 0..AT_ONCE {
            match receive(&self.socket) {
                Ok(Some((request, asker))) => self.answer(request, &asker),
                Ok(None) => (),
                Err(_) => return done,
            }
        }
        AT_ONCE
    }

    fn answer(&mut self, request: Request, asker: &UnixAddr) {
        let waits = has_name(asker);
        if waits && self.shared.defer(request, asker, &mut self.store) {
            return;
        }
        if let Some(answer) = self.act(request).filter(|_| waits) {
            self.send(&answer, asker);
        }
    }

    fn send(&self, answer: &Answer, asker: &UnixAddr) {
        let mut room = [0; LONGEST];
        let _ = sys::send_to(self.socket.as_fd(), answer.write(&mut room), asker, false);
    }

    /// Answers for which the engine was asked first.
    fn share(&mut self) {
        for (asker, answer) in self.shared.proceed(&mut self.store, self.process.log) {
            self.send(&answer, &asker);
        }
    }

    fn act(&mut self, request: Request) -> Option<Answer> {
        let now = Time::now();
        Some(match request {
            Request::Ask(key) | Request::Show(key) => {
                self.shared.answer(request, self.store.get(key, now))
            }
            Request::Tell(key, pass) => {
                if let Some(record) = self.store.tell(key, pass, now) {
                    self.shared.tell_pass(key, record);
                }
                return None;
            }
            Request::Forget(key, why) => {
                let forgotten = self.store.forget(key, now);
                self.shared.tell_forgotten(key, forgotten, now);
                if forgotten.is_some() {
                    self.process.log.forget(key, why.word());
                }
                Answer::Forgotten(forgotten)
            }
            Request::List(first) => {
                let (page, next) = self.store.page(first, now);
                Answer::Page(page, next)
            }
            Request::Status => {
                let (count, place) = self.store.status();
                Answer::Status(count, place, self.shared.state())
            }
        })
    }
}

fn unable(path: &Path, why: impl Into<Cause>) -> Fatal {
    Fatal::because(format_args!("keep known clients in {}", path.display()), why)
}

/// A socket for a keeper without a directory, whose name is known only to processes that
/// are told it.  As long as one holds it no other process can take that name.
///
/// # Errors
/// EMFILE.
pub fn nameless_socket() -> io::Result<UnixDatagram> {
    let socket = unbound_socket()?;
    bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
    Ok(socket)
}
