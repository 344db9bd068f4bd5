//! The clients that this keeper shares with others: what the engine is asked and told, and
//! what follows from what it says.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use nix::poll::PollFlags;
use nix::sys::socket::UnixAddr;

use crate::known::asking::message::{Answer, Engines, Request};
use crate::known::entry::Entry;
use crate::known::key::Key;
use crate::known::record::{Record, Time};
use crate::known::rules::Lifetimes;
use crate::known::share::settings::Settings;
use crate::known::share::{Change, Event, Scope, Share, Waiter, decides};
use crate::known::sharing::Sharing;
use crate::known::store::Store;
use crate::log::Log;

/// Why a client is forgotten that another host has forgotten.
const ELSEWHERE: &str = "shared";

/// The engine, if one was named.
pub(super) struct Shared {
    share: Option<Share>,
}

impl Shared {
    pub(super) fn new(settings: Option<Settings>, lifetimes: Lifetimes) -> Self {
        let share = settings.map(|settings| Share::new(settings, lifetimes, Instant::now()));
        Self { share }
    }

    /// Whether the engine is asked first.  The answer is among those of
    /// [`proceed`](Self::proceed) then.
    pub(super) fn defer(&mut self, request: Request, asker: &UnixAddr, store: &mut Store) -> bool {
        let (Request::Ask(key) | Request::Show(key)) = request else { return false };
        let Some(share) = &mut self.share else { return false };
        let is_known = store.get(key, Time::now()).is_some();
        share.ask(key, Waiter { address: *asker, request }, is_known, Instant::now())
    }

    /// The answer about a client for which the engine could not be asked.
    pub(super) fn answer(&self, request: Request, own: Option<Record>) -> Answer {
        alone(request, own, self.state())
    }

    /// A client has passed.
    pub(super) fn tell_pass(&mut self, key: Key, record: Record) {
        if let Some(share) = &mut self.share {
            share.tell(key, Change { entry: Entry::Known(record), scope: Scope::Always });
        }
    }

    /// A client was forgotten, of which this was remembered.
    pub(super) fn tell_forgotten(&mut self, key: Key, before: Option<Record>, now: Time) {
        if let Some(share) = &mut self.share {
            let scope = if before.is_some() { Scope::Always } else { Scope::IfThere };
            share.tell(key, Change { entry: Entry::Forgotten(now), scope });
        }
    }

    pub(super) fn state(&self) -> Sharing {
        self.share.as_ref().map_or(Sharing::Off, Share::state)
    }

    /// What to poll, and for what.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.share.as_ref().and_then(Share::interest)
    }

    /// When [`proceed`](Self::proceed) is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.share.as_ref().and_then(Share::due)
    }

    /// Makes progress, and takes over what the engine has; returns the answers that are
    /// due, and to whom.
    pub(super) fn proceed(&mut self, store: &mut Store, log: &Log) -> Vec<(UnixAddr, Answer)> {
        let Some(share) = &mut self.share else { return Vec::new() };
        let now = Time::now();
        let mut answers = Vec::new();
        for event in share.proceed(now, Instant::now()) {
            match event {
                Event::Answered(key, entry, waiter) => {
                    let before = store.get(key, now);
                    adopt(store, log, key, (entry, share.pending(key)), now);
                    let Some(waiter) = waiter else { continue };
                    let answer = match waiter.request {
                        Request::Show(_) => Answer::Shown(before, Engines::Asked(entry)),
                        _ => store.get(key, now).map_or(Answer::NotKnown, Answer::Known),
                    };
                    answers.push((waiter.address, answer));
                }
                Event::Unanswered(key, waiter) => {
                    let own = store.get(key, now);
                    answers.push((waiter.address, alone(waiter.request, own, share.state())));
                }
                Event::Late(waiter) => answers.push((waiter.address, Answer::NotYet)),
                Event::Up => {
                    log.warning(format_args!("known clients are shared by {}", share.name()));
                }
                Event::Down(why) => log.warning(format_args!(
                    "unable to share known clients by {}: {why}: going on with our own",
                    share.name()
                )),
            }
        }
        answers
    }

    /// Waits a little until the engine has taken all changes.
    pub(super) fn close(self, log: &Log) {
        let Some(share) = self.share else { return };
        let name = share.name();
        let left = share.close();
        if left > 0 {
            log.warning(format_args!("{left} changes of known clients were not told to {name}"));
        }
    }
}

/// The answer from what this keeper has itself.
fn alone(request: Request, own: Option<Record>, state: Sharing) -> Answer {
    match (request, own) {
        (Request::Show(_), own) => Answer::Shown(own, Engines::NotAsked(state)),
        (_, Some(record)) => Answer::Known(record),
        (_, None) if state == Sharing::Off => Answer::NotKnown,
        (_, None) => Answer::NotKnownHere,
    }
}

/// Takes over what the engine has about a client, unless what we have, or have still to
/// tell, is newer.
fn adopt(
    store: &mut Store,
    log: &Log,
    key: Key,
    (engines, pending): (Option<Entry>, Option<Entry>),
    now: Time,
) {
    let Some(entry) = engines else { return };
    if ![pending, store.entry(key)].into_iter().all(|own| decides(entry, own)) {
        return;
    }
    match entry {
        Entry::Known(record) => store.adopt(key, record, now),
        Entry::Forgotten(time) => {
            if store.forget(key, time).is_some() {
                log.forget(key, ELSEWHERE);
            }
        }
    }
}
