//! How many clients an address has, or an IPv6 /64: what `--per-ip` bounds.
//!
//! The slots themselves are counted, so that nothing has to be repaired when a child is
//! killed.  Since there may be ten thousand, counters tell first whether a search is
//! needed: clients whose networks have the same hash share one.  A process that is
//! killed between two steps leaves a counter too high, which only causes needless
//! searches.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::thread::yield_now;

use crate::daemon::scoreboard::address::network;
use crate::daemon::scoreboard::layout::{
    ACCEPTED, Column, MOVED, REFUSED, Slot, Stage, UNPLACED, mark,
};
use crate::daemon::scoreboard::pool::Pool;

/// How many times to wait for a client that has no place in the order yet, or that is
/// being handed over.
const TURNS: u32 = 100;

impl Pool {
    fn change_counter(&self, network: u64, up: bool) {
        let (word, shift) = self.board.counter(network);
        if up {
            word.fetch_add(1 << shift, Ordering::SeqCst);
        } else {
            word.fetch_sub(1 << shift, Ordering::SeqCst);
        }
    }

    /// The client of `slot` counts for its network from now on.
    pub(in crate::daemon) fn count_in(&self, slot: Slot, ip: IpAddr) {
        let network = network(ip);
        self.change_counter(network, true);
        self.board.column(Column::Network)[slot.0].store(network, Ordering::SeqCst);
    }

    /// It no longer counts.
    pub(in crate::daemon) fn count_out(&self, slot: Slot) {
        let network = self.board.column(Column::Network)[slot.0].swap(0, Ordering::SeqCst);
        if network != 0 {
            self.change_counter(network, false);
        }
    }

    /// The child of `mover` moves the client of one slot to another, and `change` does
    /// the rest.  Processes that count meanwhile count again.
    pub(in crate::daemon) fn move_count(
        &self,
        mover: Slot,
        from: Slot,
        to: Slot,
        change: impl FnOnce(),
    ) {
        let networks = self.board.column(Column::Network);
        self.mark_mover(mover, true);
        networks[to.0].store(networks[from.0].swap(0, Ordering::SeqCst), Ordering::SeqCst);
        change();
        self.board.words[MOVED].fetch_add(1, Ordering::SeqCst);
        self.mark_mover(mover, false);
    }

    /// A process that is killed meanwhile leaves its mark until its slot is emptied.
    pub(in crate::daemon) fn mark_mover(&self, slot: Slot, on: bool) {
        mark(self.board.movers(), slot, on);
    }

    /// How many clients have been moved so far, if none is being moved.
    fn moves(&self) -> Option<u64> {
        // A client that leaves between the two reads counts as moved.
        let still = self.board.movers().iter().all(|word| word.load(Ordering::SeqCst) == 0);
        still.then(|| self.board.words[MOVED].load(Ordering::SeqCst))
    }

    /// How many clients of its address, or of its network in IPv6, came before it and
    /// are still there, except those that are being refused.
    #[must_use]
    pub fn earlier_from(&self, slot: Slot, ip: IpAddr) -> usize {
        let wanted = network(ip);
        let (word, shift) = self.board.counter(wanted);
        // The counter includes the client itself.
        if (word.load(Ordering::SeqCst) >> shift) & u64::from(u32::MAX) <= 1 {
            return 0;
        }
        self.count_earlier(slot, wanted, TURNS)
    }

    /// Counts again as long as a client is about to get its place, or is being moved,
    /// up to a limit.
    fn count_earlier(&self, slot: Slot, wanted: u64, most: u32) -> usize {
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
    fn others_from(&self, slot: Slot, wanted: u64) -> [usize; 2] {
        let accepted = |slot: Slot| self.board.slot_words(slot)[ACCEPTED].load(Ordering::SeqCst);
        let mine = (accepted(slot), slot.0);
        let there = |other: &Slot| {
            let refused = self.board.slot_words(*other)[REFUSED].load(Ordering::Relaxed) != 0;
            let there = self.board.is(*other, Stage::Busy) || self.board.is(*other, Stage::Prog);
            there && !refused
        };
        let networks = self.board.column(Column::Network).iter().enumerate();
        let same = networks.filter(|(_, word)| word.load(Ordering::SeqCst) == wanted);
        let mut found = [0, 0];
        for other in same.map(|(number, _)| Slot(number)).filter(there) {
            match accepted(other) {
                UNPLACED => found[1] += 1,
                time => found[0] += usize::from((time, other.0) < mine),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::scoreboard::pool::test_pool;

    fn counter(pool: &Pool, ip: &str) -> u64 {
        let (word, shift) = pool.board.counter(network(ip.parse().unwrap()));
        word.load(Ordering::SeqCst) >> shift & u64::from(u32::MAX)
    }

    #[test]
    fn clients_of_one_address_are_counted_in_their_order() {
        let pool = test_pool(200, 5);
        let arrive = |number: usize, ip: &str| {
            let (slot, ip) = (Slot(number), ip.parse().unwrap());
            pool.set_client(slot, ip);
            pool.enter(slot, Stage::Busy);
            pool.earlier_from(slot, ip)
        };
        assert_eq!(arrive(150, "192.0.2.7"), 0);
        assert_eq!(arrive(3, "192.0.2.7"), 1);
        assert_eq!(arrive(4, "192.0.2.8"), 0);
        pool.enter(Slot(150), Stage::Prog);
        assert_eq!(arrive(5, "192.0.2.7"), 2, "handed over or not");
        assert_eq!(arrive(6, "2001:db8::1"), 0);
        assert_eq!(arrive(7, "2001:db8::ffff:1"), 1, "of the same /64");
        assert_eq!(arrive(8, "2001:db8:0:1::1"), 0);
        pool.vacate(Slot(150));
        pool.enter(Slot(3), Stage::Idle);
        assert_eq!(arrive(9, "192.0.2.7"), 1, "one that has left does not count");
        pool.note_refusal(Slot(9));
        assert_eq!(arrive(10, "192.0.2.7"), 1, "nor does one that is being refused");
    }

    #[test]
    fn of_clients_that_come_at_once_none_is_overlooked() {
        let pool = test_pool(2, 1);
        let ip = "192.0.2.7".parse().unwrap();
        let start = std::sync::Barrier::new(2);
        for _ in 0..5000 {
            let arrive = |number| {
                start.wait();
                pool.set_client(Slot(number), ip);
                pool.earlier_from(Slot(number), ip)
            };
            let earlier = std::thread::scope(|scope| {
                let other = scope.spawn(|| arrive(1));
                [arrive(0), other.join().unwrap()]
            });
            assert_ne!(earlier, [0, 0]);
            (0..2).map(Slot).for_each(|slot| pool.vacate(slot));
        }
    }

    #[test]
    fn a_client_that_is_handed_over_meanwhile_is_counted_once() {
        let pool = test_pool(4, 1);
        let ip = "192.0.2.7".parse().unwrap();
        let mut slots = [Slot(1), Slot(3)];
        pool.set_client(slots[0], ip);
        pool.enter(slots[0], Stage::Prog);
        pool.set_client(Slot(2), ip);
        pool.enter(Slot(2), Stage::Busy);
        let over = std::sync::atomic::AtomicBool::new(false);
        let moved = || pool.board.words[MOVED].load(Ordering::SeqCst);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    pool.transfer(slots[0], slots[1]);
                    pool.take_back(slots[0], slots[1]);
                    pool.transfer(slots[0], slots[1]);
                    slots.reverse();
                    yield_now();
                }
            });
            let (mut counts, mut wrong) = (0, 0);
            while counts < 20_000 || moved() < 3000 {
                wrong += u32::from(pool.count_earlier(Slot(2), network(ip), u32::MAX) != 1);
                counts += 1;
            }
            over.store(true, Ordering::Relaxed);
            assert_eq!(wrong, 0, "of {counts}");
        });
        assert!(moved() > 0 && moved() % 3 == 0);
    }

    #[test]
    fn who_is_killed_while_he_moves_a_client_is_waited_for_until_he_is_buried() {
        let pool = test_pool(4, 1);
        let ip = "192.0.2.7".parse().unwrap();
        pool.set_client(Slot(1), ip);
        pool.enter(Slot(1), Stage::Prog);
        let before = pool.moves();
        pool.move_count(Slot(1), Slot(1), Slot(3), || assert_eq!(pool.moves(), None));
        assert_eq!(pool.moves(), before.map(|moves| moves + 1));
        pool.mark_mover(Slot(1), true);
        assert_eq!(pool.moves(), None);
        pool.vacate(Slot(1));
        assert!(pool.moves().is_some());
    }

    #[test]
    fn an_ipv4_address_is_the_same_where_it_is_mapped_into_ipv6() {
        let of = |ip: &str| network(ip.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.7"), of("192.0.2.7"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::ffff:192.0.2.8"));
        assert_ne!(of("::ffff:192.0.2.7"), of("::1"));
    }

    #[test]
    fn counters_are_back_at_zero_when_all_are_gone() {
        let pool = test_pool(4, 1);
        let ips = ["192.0.2.7", "192.0.2.7", "2001:db8::1", "2001:db8::2"];
        let counters = || ips.map(|ip| counter(&pool, ip));
        let slots = ips.map(|ip| {
            let slot = pool.claim(None, 0).unwrap();
            pool.set_client(slot, ip.parse().unwrap());
            pool.set_client(slot, ip.parse().unwrap());
            pool.enter(slot, Stage::Busy);
            slot
        });
        assert!(counters().iter().all(|count| *count >= 2));
        pool.count_out(slots[0]);
        pool.count_out(slots[0]);
        pool.vacate(slots[1]);
        let program_slot = pool.claim(Some(slots[2]), 0).unwrap();
        pool.transfer(slots[2], program_slot);
        pool.vacate(slots[2]);
        assert!(counter(&pool, ips[2]) >= 2);
        pool.vacate(program_slot);
        pool.vacate(slots[3]);
        assert_eq!(counters(), [0; 4]);
    }
}
