//! The contents of a scoreboard for the administrator: each child, and the counters.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::class::Class;
use crate::connection::acceptor::Counter;
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::client::ClientRecord;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::tally::Verdicts;
use crate::log::Stats;

/// A child, as the scoreboard shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildStatus {
    /// What it is doing.
    pub stage: Stage,
    /// Its process id.
    pub pid: u64,
    /// Its client's address, and how long ago it accepted the client.
    pub client: Option<(IpAddr, Duration)>,
    /// The client's class, once it is known.
    pub class: Option<Class>,
    /// The first bytes of the client's name.
    pub host: Option<Vec<u8>>,
}

/// All children.
pub fn children(board: &Scoreboard<'_>) -> impl Iterator<Item = ChildStatus> {
    board.ids().filter_map(|slot| child(board, slot))
}

fn child(board: &Scoreboard<'_>, slot: SlotId) -> Option<ChildStatus> {
    let stage = board.stages.of(slot)?;
    let record = &board.slot(slot).client;
    let client = record.get().filter(|_| stage != Stage::Idle);
    let known = client.and(Some(record));
    Some(ChildStatus {
        stage,
        pid: board.pid(slot).unwrap_or_default().into(),
        class: known.and_then(ClientRecord::class),
        host: known.and_then(ClientRecord::host),
        client,
    })
}

/// All counters, and the children.
#[must_use]
pub fn stats(board: &Scoreboard<'_>) -> Stats {
    Stats {
        verdicts: verdicts(board),
        classes: board.header.classes.each_ref().map(|count| count.load(Ordering::Relaxed)),
        would_refuse: board.header.would_refuse.load(Ordering::Relaxed),
        idle: board.count(Stage::Idle),
        busy: board.clients(),
        max: board.size(),
    }
}

/// All clients by verdict.  Children that have become the program themselves are among
/// those that passed: their verdict is counted when they have ended.
fn verdicts(board: &Scoreboard<'_>) -> Verdicts {
    let mut sums = Verdicts::default();
    for slot in board.ids() {
        let tally = &board.slot(slot).tally;
        for (sum, count) in sums.iter_mut().zip(tally.verdicts()) {
            *sum = sum.wrapping_add(count);
        }
        let becomes_program = board.slot(slot).client.becomes_program();
        if board.stages.at(Stage::Prog).has(slot) && becomes_program && tally.is_due() {
            let passes = &mut sums[Counter::Pass as usize];
            *passes = passes.wrapping_add(1);
        }
    }
    sums
}
