//! How many clients an address has, or an IPv6 /64: what `--per-ip` bounds.
//!
//! The slots themselves are counted, so that nothing has to be repaired when a child is
//! killed.  Since there may be ten thousand, counters tell first whether a search is
//! needed: clients whose networks have the same hash share one.  A process that is
//! killed between two steps leaves a counter too high, which only causes needless
//! searches.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::yield_now;

use crate::daemon::scoreboard::address::Network;
use crate::daemon::scoreboard::board::Scoreboard;
use crate::daemon::scoreboard::client::Accepted;
use crate::daemon::scoreboard::stage::{SlotId, Stage};
use crate::daemon::scoreboard::words::Word;

/// How many times to wait for a client that has no place in the order yet, or that is
/// being handed over.
const TURNS: u32 = 100;

/// The clients of a scoreboard by their networks.
#[derive(Clone, Copy)]
pub struct Networks<'a>(pub(super) &'a Scoreboard<'a>);

impl<'a> Networks<'a> {
    fn counter(self, network: Network) -> &'a AtomicU32 {
        &self.0.counters[network.index(self.0.counters.len())]
    }

    fn word(self, slot: SlotId) -> &'a Word<Option<Network>> {
        &self.0.columns.networks[slot.0]
    }

    /// The client of `slot` counts for its network from now on.
    pub(super) fn count_in(self, slot: SlotId, ip: IpAddr) {
        let network = Network::of(ip);
        self.counter(network).fetch_add(1, Ordering::SeqCst);
        self.word(slot).store(Some(network), Ordering::SeqCst);
    }

    /// It no longer counts.
    pub(super) fn count_out(self, slot: SlotId) {
        if let Some(network) = self.word(slot).swap(None, Ordering::SeqCst) {
            self.counter(network).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// The child of `mover` moves the client of one slot to another, and `change` does
    /// the rest.  Processes that count meanwhile count again.
    pub(super) fn move_count(self, mover: SlotId, from: SlotId, to: SlotId, change: impl FnOnce()) {
        self.0.movers.add(mover);
        let network = self.word(from).swap(None, Ordering::SeqCst);
        self.word(to).store(network, Ordering::SeqCst);
        change();
        self.0.header.moves.fetch_add(1, Ordering::SeqCst);
        // A process that is killed before that leaves its mark until its slot is freed.
        self.0.movers.remove(mover);
    }

    /// How many clients have been moved so far, if none is being moved.
    fn moves(self) -> Option<u64> {
        // A client that leaves between the two reads counts as moved.
        let still = self.0.movers.is_empty();
        still.then(|| self.0.header.moves.load(Ordering::SeqCst))
    }

    /// How many clients of its address, or of its network in IPv6, came before it and
    /// are still there, except those that are being refused.
    #[must_use]
    pub(in crate::daemon) fn earlier_from(self, slot: SlotId, ip: IpAddr) -> usize {
        let wanted = Network::of(ip);
        // The counter includes the client itself.
        if self.counter(wanted).load(Ordering::SeqCst) <= 1 {
            return 0;
        }
        self.count_earlier(slot, wanted, TURNS)
    }

    /// Counts again as long as a client is about to get its place, or is being moved,
    /// up to a limit.
    fn count_earlier(self, slot: SlotId, wanted: Network, most: u32) -> usize {
        let mut turns = 0;
        loop {
            let before = self.moves();
            let [earlier, unplaced] = self.others_from(slot, wanted);
            let stood_still = before.is_some() && self.moves() == before;
            if unplaced == 0 && stood_still || turns == most {
                return earlier + unplaced;
            }
            turns += 1;
            yield_now();
        }
    }

    /// The clients that came before that of `slot`, and those whose place in the order
    /// is not known yet.
    fn others_from(self, slot: SlotId, wanted: Network) -> [usize; 2] {
        let client = |slot: SlotId| &self.0.slot(slot).client;
        let mine = (client(slot).accepted(), slot);
        let [busy, prog] = [Stage::Busy, Stage::Prog].map(|stage| self.0.stages.at(stage));
        let there =
            |other: &SlotId| (busy.has(*other) || prog.has(*other)) && !client(*other).is_refused();
        let networks = self.0.columns.networks.iter().enumerate();
        let same = networks.filter(|(_, word)| word.load(Ordering::SeqCst) == Some(wanted));
        let mut found = [0, 0];
        for other in same.map(|(number, _)| SlotId(number)).filter(there) {
            match client(other).accepted() {
                Accepted::Unplaced => found[1] += 1,
                time @ (Accepted::Never | Accepted::At(_)) => {
                    found[0] += usize::from((time, other) < mine);
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::{Pool, test_pool};

    fn counter(pool: &Pool, ip: &str) -> u32 {
        pool.networks().counter(Network::of(ip.parse().unwrap())).load(Ordering::SeqCst)
    }

    #[test]
    fn clients_of_one_address_are_counted_in_their_order() {
        let pool = test_pool(200, 5);
        let arrive = |number: usize, ip: &str| {
            let (slot, ip) = (SlotId(number), ip.parse().unwrap());
            pool.slots().set_client(slot, ip);
            pool.slots().enter(slot, Stage::Busy);
            pool.networks().earlier_from(slot, ip)
        };
        assert_eq!(arrive(150, "192.0.2.7"), 0);
        assert_eq!(arrive(3, "192.0.2.7"), 1);
        assert_eq!(arrive(4, "192.0.2.8"), 0);
        pool.slots().enter(SlotId(150), Stage::Prog);
        assert_eq!(arrive(5, "192.0.2.7"), 2, "handed over or not");
        assert_eq!(arrive(6, "2001:db8::1"), 0);
        assert_eq!(arrive(7, "2001:db8::ffff:1"), 1, "of the same /64");
        assert_eq!(arrive(8, "2001:db8:0:1::1"), 0);
        pool.slots().vacate(SlotId(150));
        pool.slots().enter(SlotId(3), Stage::Idle);
        assert_eq!(arrive(9, "192.0.2.7"), 1, "one that has left does not count");
        pool.slots().note_refusal(SlotId(9));
        assert_eq!(arrive(10, "192.0.2.7"), 1, "nor does one that is being refused");
    }

    #[test]
    fn clients_that_come_at_once_are_all_counted() {
        let pool = test_pool(2, 1);
        let ip = "192.0.2.7".parse().unwrap();
        let start = std::sync::Barrier::new(2);
        for _ in 0..5000 {
            let arrive = |number| {
                start.wait();
                pool.slots().set_client(SlotId(number), ip);
                pool.networks().earlier_from(SlotId(number), ip)
            };
            let earlier = std::thread::scope(|scope| {
                let other = scope.spawn(|| arrive(1));
                [arrive(0), other.join().unwrap()]
            });
            assert_ne!(earlier, [0, 0]);
            (0..2).map(SlotId).for_each(|slot| pool.slots().vacate(slot));
        }
    }

    #[test]
    fn a_client_that_is_handed_over_meanwhile_is_counted_once() {
        let pool = test_pool(4, 1);
        let ip = "192.0.2.7".parse().unwrap();
        let mut slots = [SlotId(1), SlotId(3)];
        pool.slots().set_client(slots[0], ip);
        pool.slots().enter(slots[0], Stage::Prog);
        pool.slots().set_client(SlotId(2), ip);
        pool.slots().enter(SlotId(2), Stage::Busy);
        let over = std::sync::atomic::AtomicBool::new(false);
        let moved = || pool.board.header.moves.load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    pool.slots().transfer(slots[0], slots[1]);
                    pool.slots().take_back(slots[0], slots[1]);
                    pool.slots().transfer(slots[0], slots[1]);
                    slots.reverse();
                    yield_now();
                }
            });
            let (mut counts, mut wrong) = (0, 0);
            while counts < 20_000 || moved() < 3000 {
                wrong += u32::from(
                    pool.networks().count_earlier(SlotId(2), Network::of(ip), u32::MAX) != 1,
                );
                counts += 1;
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(wrong, 0, "of {counts}");
        });
        assert!(moved() > 0 && moved() % 3 == 0);
    }

    #[test]
    fn a_child_that_is_killed_while_it_moves_a_client_is_waited_for_until_its_slot_is_freed() {
        let pool = test_pool(4, 1);
        let ip = "192.0.2.7".parse().unwrap();
        pool.slots().set_client(SlotId(1), ip);
        pool.slots().enter(SlotId(1), Stage::Prog);
        let before = pool.networks().moves();
        pool.networks().move_count(SlotId(1), SlotId(1), SlotId(3), || {
            assert_eq!(pool.networks().moves(), None);
        });
        assert_eq!(pool.networks().moves(), before.map(|moves| moves + 1));
        pool.board.movers.add(SlotId(1));
        assert_eq!(pool.networks().moves(), None);
        pool.slots().vacate(SlotId(1));
        assert!(pool.networks().moves().is_some());
    }

    #[test]
    fn counters_are_back_at_zero_when_all_are_gone() {
        let pool = test_pool(4, 1);
        let ips = ["192.0.2.7", "192.0.2.7", "2001:db8::1", "2001:db8::2"];
        let counters = || ips.map(|ip| counter(&pool, ip));
        let slots = ips.map(|ip| {
            let slot = pool.slots().occupy(None, 0).unwrap();
            pool.slots().set_client(slot, ip.parse().unwrap());
            pool.slots().set_client(slot, ip.parse().unwrap());
            pool.slots().enter(slot, Stage::Busy);
            slot
        });
        assert!(counters().iter().all(|count| *count >= 2));
        pool.networks().count_out(slots[0]);
        pool.networks().count_out(slots[0]);
        pool.slots().vacate(slots[1]);
        let program_slot = pool.slots().occupy(Some(slots[2]), 0).unwrap();
        pool.slots().transfer(slots[2], program_slot);
        pool.slots().vacate(slots[2]);
        assert!(counter(&pool, ips[2]) >= 2);
        pool.slots().vacate(program_slot);
        pool.slots().vacate(slots[3]);
        assert_eq!(counters(), [0; 4]);
    }
}
