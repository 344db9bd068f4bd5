//! Numbers of an address that stand side by side in a name.

use crate::names::runs::runs;

/// How the numbers of an address are written.
pub(super) struct Numerals {
    radix: u32,
    /// The most digits of one number.
    widest: usize,
    /// The most separators between two numbers.
    gap: usize,
    /// Whether numbers that are zero may be left out.
    skips_zeros: bool,
}

pub(super) const OCTETS: Numerals = Numerals { radix: 10, widest: 3, gap: 1, skips_zeros: false };
pub(super) const GROUPS: Numerals = Numerals { radix: 16, widest: 4, gap: 2, skips_zeros: true };

impl Numerals {
    fn value(&self, run: &str) -> Option<u16> {
        (run.len() <= self.widest).then(|| u16::from_str_radix(run, self.radix).ok())?
    }
}

/// Neighbouring numbers of the address that are neighbours in the name.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Chain {
    pub(super) links: usize,
    /// The number of digits as written: short numbers are weak evidence.
    pub(super) digits: usize,
}

/// The longest chain of the numbers of each order, in that order.  `digit` accepts the
/// digits of the numerals' radix; it is a parameter of the type, so that it is inlined.
pub(super) fn longest<const N: usize>(
    text: &str,
    orders: &[[u16; N]; 2],
    numerals: &Numerals,
    digit: impl Fn(&u8) -> bool + Copy,
) -> [Chain; 2] {
    // ends[i] is the chain that ends at the i-th number of an order with the run just
    // seen.
    let none = [[Chain::default(); N]; 2];
    let mut ends = none;
    let mut best = [Chain::default(); 2];
    for run in runs(text, digit) {
        let value = numerals.value(run.text).filter(|value| orders[0].contains(value));
        let Some(value) = value else {
            ends = none;
            continue;
        };
        let before = if run.follows(numerals.gap) { ends } else { none };
        ends = none;
        for (order, wanted) in orders.iter().enumerate() {
            for i in (0..N).filter(|&i| wanted[i] == value) {
                let Chain { links, digits } = predecessor(&before[order][..i], wanted, numerals);
                let end = Chain { links: links + 1, digits: digits + run.text.len() };
                ends[order][i] = end;
                best[order] = best[order].max(end);
            }
        }
    }
    best
}

fn predecessor(before: &[Chain], wanted: &[u16], numerals: &Numerals) -> Chain {
    for (chain, &number) in before.iter().zip(wanted).rev() {
        if chain.links > 0 || !(numerals.skips_zeros && number == 0) {
            return *chain;
        }
    }
    Chain::default()
}
