//! What the load changes: the reserve of slots for clients of the class `static`, and
//! delays that shrink before the reserve is reached.  No I/O.

use std::time::Duration;

use crate::class::Class;
use crate::options::RefuseBy;

/// The longest that a look-up may take if only the reserve is left.
const LOOK_UP: Duration = Duration::from_secs(1);
/// The shortest, with the last slot.
const QUICK_LOOK_UP: Duration = Duration::from_millis(50);

/// How many slots there are, and how many are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// All of them (`-c`).
    pub slots: usize,
    /// The reserve (`--reserve`).
    pub reserve: usize,
    /// Clients besides this one, waiting or handed over.
    pub others: usize,
}

/// What the load means for a client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Admission {
    /// It waits for this part of its delay, from 0 to 1.
    Wait(f64),
    /// There is no slot for its class.
    Refuse,
}

impl Load {
    /// No other clients, or an unknown number.
    pub const NONE: Self = Self { slots: usize::MAX, reserve: 0, others: 0 };

    /// Whether only the reserve is left.
    #[must_use]
    pub fn is_down_to_reserve(self) -> bool {
        self.reserve > 0 && self.others >= self.slots.saturating_sub(self.reserve)
    }

    /// How a client of `class` is treated; `trusts_unknown` means that our own name
    /// servers are dead, which is no reason to refuse mail.
    #[must_use]
    pub fn admit(self, class: Class, trusts_unknown: bool) -> Admission {
        let suspicious = match class {
            Class::Static | Class::NotLookedUp => false,
            Class::Unknown => !trusts_unknown,
            Class::None | Class::Dynamic => true,
        };
        if !suspicious {
            Admission::Wait(1.0)
        } else if self.is_down_to_reserve() {
            Admission::Refuse
        } else {
            Admission::Wait(self.factor())
        }
    }

    /// Whether a client that was refused as `class` a moment ago, and has returned, is
    /// refused again without a look-up.  A name server may answer by now for one that
    /// was `unknown`: it is looked up again if there is room, or if our name servers
    /// were dead (`trusts_unknown`).
    #[must_use]
    pub fn refuses_again(self, class: Class, trusts_unknown: bool) -> bool {
        let worth_another = trusts_unknown || 2 * self.free() >= self.reserve;
        self.is_down_to_reserve() && (class != Class::Unknown || !worth_another)
    }

    fn free(self) -> usize {
        self.slots.saturating_sub(self.others + 1)
    }

    /// The part of its delay that a suspicious client waits: 1 up to half of the slots,
    /// falling from there to 0 at the reserve.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn factor(self) -> f64 {
        let [slots, reserve, others] =
            [self.slots, self.reserve, self.others].map(|number| number as f64);
        let span = slots - reserve - slots / 2.0;
        if span <= 0.0 { 1.0 } else { ((slots - reserve - others) / span).clamp(0.0, 1.0) }
    }

    /// How long a look-up may take if only the reserve is left: the less of the reserve
    /// is free the shorter, so that queued clients are accepted soon.
    #[must_use]
    pub fn look_up_limit(self) -> Option<Duration> {
        if !self.is_down_to_reserve() {
            return None;
        }
        let share = u32::try_from(self.free().min(self.reserve)).unwrap_or(u32::MAX);
        let whole = u32::try_from(self.reserve).unwrap_or(u32::MAX);
        Some((LOOK_UP * share / whole).clamp(QUICK_LOOK_UP, LOOK_UP))
    }
}

/// How an early talker is refused: a conversation is held only if slots are free.
#[must_use]
pub fn refuse_by(wanted: RefuseBy, under_pressure: bool) -> RefuseBy {
    if under_pressure { RefuseBy::Drop } else { wanted }
}

/// Whether more than half of the slots are taken.
#[must_use]
pub fn is_under_pressure(clients: usize, slots: usize) -> bool {
    2 * clients > slots
}

#[cfg(test)]
mod tests {
    use super::*;
    use Admission::{Refuse, Wait};

    fn load(slots: usize, reserve: usize, others: usize) -> Load {
        Load { slots, reserve, others }
    }

    #[test]
    fn the_policy_case_by_case() {
        use Class::{Dynamic, None, NotLookedUp, Static, Unknown};
        let cases = [
            // Slots, reserve, others, class, dead name servers: the result.
            (100, 20, 0, None, false, Wait(1.0)),
            (100, 20, 50, None, false, Wait(1.0)),
            (100, 20, 65, None, false, Wait(0.5)),
            (100, 20, 65, Dynamic, false, Wait(0.5)),
            (100, 20, 65, Unknown, false, Wait(0.5)),
            (100, 20, 65, Unknown, true, Wait(1.0)),
            (100, 20, 65, Static, false, Wait(1.0)),
            (100, 20, 79, Dynamic, false, Wait(1.0 / 30.0)),
            (100, 20, 80, None, false, Refuse),
            (100, 20, 80, Dynamic, false, Refuse),
            (100, 20, 80, Unknown, false, Refuse),
            (100, 20, 80, Unknown, true, Wait(1.0)),
            (100, 20, 80, Static, false, Wait(1.0)),
            (100, 20, 80, NotLookedUp, false, Wait(1.0)),
            (100, 20, 99, Static, false, Wait(1.0)),
            // More than half in the reserve: no delay shrinks.
            (100, 60, 39, None, false, Wait(1.0)),
            (100, 60, 40, None, false, Refuse),
            // No reserve: no client is refused, but delays shrink.
            (100, 0, 75, None, false, Wait(0.5)),
            (100, 0, 99, None, false, Wait(0.02)),
            // 20 percent of few slots, rounded down, are none.
            (1, 0, 0, None, false, Wait(1.0)),
            (3, 0, 1, None, false, Wait(1.0)),
            (3, 0, 2, None, false, Wait(2.0 / 3.0)),
            (5, 1, 3, None, false, Wait(2.0 / 3.0)),
            (5, 1, 4, None, false, Refuse),
        ];
        for (slots, reserve, others, class, dead, expected) in cases {
            let found = load(slots, reserve, others).admit(class, dead);
            assert_eq!(found, expected, "{slots} {reserve} {others} {class} {dead}");
        }
    }

    #[test]
    fn clients_that_return_at_once_are_refused_without_a_look_up() {
        let of = |others, class| load(100, 20, others).refuses_again(class, false);
        let classes = [Class::None, Class::Dynamic, Class::Unknown];
        let at = |others| classes.map(|class| of(others, class));
        assert_eq!(at(79), [false; 3]);
        assert_eq!(at(80), [true, true, false]);
        assert_eq!(at(89), [true, true, false]);
        assert_eq!(at(90), [true; 3]);
        assert!(!load(100, 0, 99).refuses_again(Class::None, false));
        let dead = classes.map(|class| load(100, 20, 95).refuses_again(class, true));
        assert_eq!(dead, [true, true, false], "our name servers are dead");
    }

    #[test]
    fn look_ups_get_shorter_with_the_reserve() {
        let of = |others| load(100, 20, others).look_up_limit().map(|time| time.as_millis());
        assert_eq!([of(0), of(79)], [None, None]);
        assert_eq!([of(80), of(89), of(98), of(99)], [Some(950), Some(500), Some(50), Some(50)]);
        assert_eq!(load(100, 0, 99).look_up_limit(), None);
    }

    #[test]
    fn under_pressure_refusals_are_short() {
        assert_eq!(refuse_by(RefuseBy::Talk, false), RefuseBy::Talk);
        assert_eq!(refuse_by(RefuseBy::Talk, true), RefuseBy::Drop);
        assert!(!is_under_pressure(20, 40) && is_under_pressure(21, 40));
        assert!(!is_under_pressure(0, 1) && is_under_pressure(1, 1));
    }
}
