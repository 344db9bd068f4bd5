//! The tables of the mix: how many connections each arrangement holds, and how long good
//! clients wait there.

use crate::Figures;
use crate::planned_clients::{Host, KINDS, Kind, Outcome};

/// The good clients.
pub fn good_ones(outcomes: &[Outcome]) -> impl Iterator<Item = &Outcome> {
    outcomes.iter().filter(|one| one.kind == Kind::Good)
}

/// Prints a row for each server of `names`.  The mean is taken between the time when the first clients can have gone
/// again and the last arrival; percentages are of the better one of the two orders of link
/// and list.  Returns what part of it each row is.
pub fn print_held(names: &[&str], outcomes: &[Vec<Outcome>], last: f64) -> Vec<f64> {
    let first = 25.0_f64.min(last / 2.0);
    let mean = |outcomes: &[Outcome], kind: Option<Kind>| {
        let chosen = outcomes.iter().filter(|one| kind.is_none_or(|kind| one.kind == kind));
        let inside = |(from, to): (f64, f64)| (to.min(last) - from.max(first)).max(0.0);
        chosen.map(|one| inside(one.held)).sum::<f64>() / (last - first)
    };
    print!("{:<24}  mean  peak", "connections held");
    for (_, name) in KINDS {
        print!("  {name:>9}");
    }
    println!("  served");
    let base = mean(&outcomes[0], None).min(mean(&outcomes[1], None));
    let print_row = |(name, outcomes): (&&str, &Vec<Outcome>)| {
        let all = mean(outcomes, None);
        print!("{name:<24} {all:5.1} {:5}", peak(outcomes));
        for (kind, _) in KINDS {
            print!("  {:9.1}", mean(outcomes, Some(kind)));
        }
        let served = outcomes.iter().filter(|one| one.served).count();
        println!("  {served:6}  ({:+.0} %)", (all / base - 1.0) * 100.0);
        all / base
    };
    names.iter().zip(outcomes).map(print_row).collect()
}

/// Prints how long good clients waited for their greeting: the median, and the longest.
pub fn print_waits(names: &[&str], outcomes: &[Vec<Outcome>]) {
    let column = |outcomes: &[Outcome], host: Host| {
        let mut waits = Figures::default();
        let chosen = good_ones(outcomes).filter(|one| one.host == host);
        chosen.for_each(|one| waits.add(one.greeted));
        let [median, most] = [0.5, 1.0].map(|part| waits.percentile(part).unwrap_or(f64::NAN));
        format!("{median:.2} s, {most:.2} s at most")
    };
    println!("\n{:<24} {:>22} {:>22}", "good clients' waits", "those that return", "others");
    for (name, outcomes) in names.iter().zip(outcomes) {
        let [returning, new] = [Host::Returning, Host::New].map(|host| column(outcomes, host));
        println!("{name:<24} {returning:>22} {new:>22}");
    }
}

fn peak(outcomes: &[Outcome]) -> i32 {
    let mut changes: Vec<(f64, i32)> =
        outcomes.iter().flat_map(|one| [(one.held.0, 1), (one.held.1, -1)]).collect();
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut now = 0;
    let counts = changes.iter().map(|(_, change)| {
        now += change;
        now
    });
    counts.max().unwrap_or(0)
}
