//! How the weights are found: by logistic regression over the names of one half of the
//! providers in `tests/data/names`, and over `tests/data/decisions`.
//!
//! Each name is a row of the signs that are in it.  The fit minimises the logistic loss by
//! gradient descent.  A weight is drawn to [`PRIOR`], so that a sign that few names have is
//! not judged by them alone, and keeps its direction: a sign of a dynamic name never counts
//! against one.  The weights are scaled so that the threshold is 100 points.
//!
//! After a change of the signs or of the names, `cargo test --lib names::evidence --
//! --nocapture` prints the table for `signs.rs`, and how well it classifies.

use super::corpus::{Sample, decisions, halves};
use super::{Sign, THRESHOLD};

/// The weight of a sign that no name has, in units of the log odds.
const PRIOR: f64 = 1.2;
/// How strongly weights are drawn to it: as strongly as by so many names.
const RIDGE: f64 = 0.4;
/// The least weight of a sign, in its direction.
const LEAST: f64 = 0.3;
/// A mail server that is delayed costs more than a dynamic host that is not.
const COST_OF_MAIL_SERVER: f64 = 4.0;
/// Names whose result was decided by hand must come out that way.
const COST_OF_DECISION: f64 = 8.0;
const STEPS: u32 = 3000;

/// The signs in a name, and its class.
struct Row {
    signs: Vec<usize>,
    is_dynamic: bool,
    cost: f64,
}

struct Model {
    weights: [f64; Sign::ALL.len()],
    bias: f64,
}

impl Row {
    fn of(sample: &Sample, cost: f64) -> Self {
        let signs = sample.evidence().pieces().map(|piece| piece.sign as usize).collect();
        Self { signs, is_dynamic: sample.is_dynamic(), cost }
    }
}

/// 1 for a sign of a dynamic name, -1 for one against it.
fn side(sign: Sign) -> f64 {
    f64::from(sign.weight().signum())
}

impl Model {
    fn fit(rows: &[Row]) -> Self {
        let mut model = Self { weights: Sign::ALL.map(|sign| PRIOR * side(sign)), bias: -3.0 };
        for step in 0..STEPS {
            model.descend(rows, 12.0 / (1.0 + f64::from(step) / 400.0));
        }
        model
    }

    fn descend(&mut self, rows: &[Row], rate: f64) {
        let total: f64 = rows.iter().map(|row| row.cost).sum();
        let mut slopes = Sign::ALL
            .map(|sign| RIDGE * (self.weights[sign as usize] - PRIOR * side(sign)) / total);
        let mut slope_of_bias = 0.0;
        for row in rows {
            let error = self.probability(&row.signs) - f64::from(u8::from(row.is_dynamic));
            let slope = row.cost * error / total;
            row.signs.iter().for_each(|sign| slopes[*sign] += slope);
            slope_of_bias += slope;
        }
        for (sign, slope) in Sign::ALL.into_iter().zip(slopes) {
            let weight = &mut self.weights[sign as usize];
            *weight = side(sign) * LEAST.max(side(sign) * (*weight - rate * slope));
        }
        self.bias -= rate * slope_of_bias;
    }

    fn probability(&self, signs: &[usize]) -> f64 {
        let sum: f64 = signs.iter().map(|sign| self.weights[*sign]).sum();
        1.0 / (1.0 + (-self.bias - sum).exp())
    }

    fn points(&self, sign: Sign) -> f64 {
        f64::from(THRESHOLD) * self.weights[sign as usize] / -self.bias
    }
}

#[test]
fn the_weights_are_those_of_the_fit() {
    let [tuned, _] = halves();
    let cost = |it: &Sample| if it.is_dynamic() { 1.0 } else { COST_OF_MAIL_SERVER };
    let mut rows: Vec<Row> = tuned.iter().map(|it| Row::of(it, cost(it))).collect();
    rows.extend(decisions().iter().map(|it| Row::of(it, COST_OF_DECISION)));
    let model = Model::fit(&rows);
    for sign in Sign::ALL {
        println!("        Self::{sign:?} => {:.0},", model.points(sign));
    }
    for sign in Sign::ALL {
        let (fitted, used) = (model.points(sign), f64::from(sign.weight()));
        assert!((fitted - used).abs() <= 1.0, "{sign:?} weighs {used}, and not {fitted:.0}");
    }
}
