//! The table that a benchmark prints: a figure of ours and of a peer, their ratio
//! round by round, and whether that meets its goal.

use crate::Figures;

/// The goal of a ratio.
#[derive(Clone, Copy)]
pub enum Bound {
    /// At least so much.
    AtLeast(f64),
    /// At most so much.
    AtMost(f64),
    /// No goal.
    Open,
}

impl Bound {
    fn told(self, ratio: f64) -> String {
        let (sign, bound, holds) = match self {
            Self::AtLeast(least) => (">=", least, ratio >= least),
            Self::AtMost(most) => ("<=", most, ratio <= most),
            Self::Open => return String::new(),
        };
        format!("{sign} {bound:<5} {}", if holds { "held" } else { "SHORT" })
    }
}

/// Prints the heads of the columns.
pub fn head() {
    println!("{:<66} {:>9} {:>9}   ratio (least to most)", "", "ours", "theirs");
}

/// Prints a row: medians, and the ratio of ours to theirs, with whether it meets `bound`.
pub fn row(what: &str, ours: &Figures, theirs: &Figures, bound: Bound) {
    let ratio = ours.ratio_to(theirs);
    let told = bound.told(ratio.median());
    let ratio = format!("{ratio:.2}");
    println!("{what:<66} {:>9.0} {:>9.0}   {ratio:<22} {told}", ours.median(), theirs.median());
}
