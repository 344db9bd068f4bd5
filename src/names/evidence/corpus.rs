//! Names whose class is known, and how well they are judged.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use regex::{Regex, RegexBuilder};

use super::Evidence;
use super::other_classifiers;
use crate::names::host_name;

/// A name whose class is known.
pub(super) struct Sample {
    pub(super) ip: IpAddr,
    pub(super) name: String,
    is_dynamic: bool,
    provider: String,
    convention: String,
}

impl Sample {
    fn parse(line: &str) -> Self {
        let [ip, name, class, origin] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let known = host_name(name.split('.').map(str::as_bytes)).expect(line);
        assert_eq!(known, name, "{line}");
        assert!(["dynamic", "static"].contains(&class), "{line}");
        let (provider, convention) = origin.split_once('/').expect(line);
        Self {
            ip: ip.parse().expect(line),
            name: known,
            is_dynamic: class == "dynamic",
            provider: provider.into(),
            convention: convention.into(),
        }
    }

    pub(super) fn is_dynamic(&self) -> bool {
        self.is_dynamic
    }

    pub(super) fn evidence(&self) -> Evidence<'_> {
        Evidence::of(&self.name, self.ip)
    }

    /// What the name has to be, by its provider's convention and its address.
    fn expression(&self) -> String {
        let part = Regex::new(r"\{([^}]*)\}|[^{]+").unwrap();
        let parts = part.captures_iter(&self.convention).map(|part| match part.get(1) {
            Some(place) => self.place(place.as_str()),
            None => regex::escape(&part[0]),
        });
        format!("^{}$", parts.collect::<String>())
    }

    fn place(&self, place: &str) -> String {
        match place.split_at(1) {
            (kind, count) if count.parse::<u8>().is_ok() && "nwkx".contains(kind) => {
                let letters = match kind {
                    "n" => "0-9",
                    "w" => "a-z",
                    "x" => "0-9a-f",
                    _ => "0-9a-z",
                };
                format!("[{letters}]{{{count}}}")
            }
            _ if place == "mac" => "[0-9a-f]{12}".into(),
            _ if place.contains('|') => format!("(?:{place})"),
            _ => self.number(place).expect(&self.convention),
        }
    }

    fn number(&self, place: &str) -> Option<String> {
        match self.ip {
            IpAddr::V4(ip) if place == "num" => Some(u32::from(ip).to_string()),
            IpAddr::V4(ip) => {
                let octet = ip.octets()["abcd".find(&place[..1].to_lowercase())?];
                Some(match &place[1..] {
                    "" => octet.to_string(),
                    "3" => format!("{octet:03}"),
                    _ => format!("{octet:02x}"),
                })
            }
            IpAddr::V6(ip) if place == "nib" => {
                let digits = format!("{:032x}", u128::from(ip));
                let digits: Vec<String> = digits.chars().rev().map(String::from).collect();
                Some(digits.join("\\."))
            }
            IpAddr::V6(ip) if place == "g2l2" => Some(format!("{:02x}", ip.segments()[1] & 255)),
            IpAddr::V6(ip) => {
                let group = ip.segments()[place[1..].parse::<usize>().ok()? - 1];
                Some(if place.starts_with('G') {
                    format!("{group:04x}")
                } else {
                    format!("{group:x}")
                })
            }
        }
    }
}

fn samples(file: &str) -> Vec<Sample> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(file);
    let text = fs::read_to_string(path).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(Sample::parse).collect()
}

/// Names that are to be judged so, whatever the weights are.
pub(super) fn decisions() -> Vec<Sample> {
    samples("decisions")
}

/// The names of every other provider, which the weights are fitted to; and those of the
/// rest, on which they are measured.
pub(super) fn halves() -> [Vec<Sample>; 2] {
    let samples = samples("names");
    let providers: BTreeSet<String> = samples.iter().map(|it| it.provider.clone()).collect();
    let even: BTreeSet<String> = providers.into_iter().step_by(2).collect();
    let (tuned, other) = samples.into_iter().partition(|it| even.contains(&it.provider));
    [tuned, other]
}

/// How many names of each class are called dynamic.
#[derive(Default)]
struct Table {
    dynamic: [usize; 2],
    mail_servers: [usize; 2],
}

impl Table {
    fn of(samples: &[Sample], judge: impl Fn(&Sample) -> bool) -> Self {
        let mut table = Self::default();
        for sample in samples {
            let row = if sample.is_dynamic { &mut table.dynamic } else { &mut table.mail_servers };
            row[usize::from(judge(sample))] += 1;
        }
        table
    }

    fn print(&self, title: &str) {
        let [[missed, found], [right, wrong]] = [self.dynamic, self.mail_servers];
        println!("{title:<36} {found:>5} {missed:>7} {wrong:>9} {right:>7}");
    }
}

#[test]
fn the_other_half_is_judged_as_well() {
    let [tuned, other] = halves();
    println!("{:<36} {:>13} {:>17}", "", "dynamic", "mail servers");
    println!("{:<36} {:>5} {:>7} {:>9} {:>7}", "called dynamic", "yes", "no", "yes", "no");
    for (half, samples) in [("half that is tuned on", &tuned), ("the other half", &other)] {
        let evidence = Table::of(samples, |it| it.evidence().is_enough());
        evidence.print(&format!("evidence, {half}"));
        for (title, judge) in other_classifiers::ALL {
            Table::of(samples, |it| judge(&it.name, it.ip)).print(title);
        }
        for it in samples.iter().filter(|it| it.evidence().is_enough() != it.is_dynamic) {
            let is = if it.is_dynamic { "dynamic" } else { "static" };
            println!("wrong, {is}: {} {}: {}", it.ip, it.name, it.evidence());
        }
        let [[missed, found], [right, wrong]] = [evidence.dynamic, evidence.mail_servers];
        assert!(
            100 * found >= 96 * (found + missed),
            "{half}: {missed} dynamic names are not found"
        );
        assert!(1000 * wrong <= 3 * (right + wrong), "{half}: {wrong} mail servers are delayed");
    }
}

#[test]
fn what_was_decided_upon_holds() {
    let wrong: Vec<String> = decisions()
        .iter()
        .filter(|it| it.evidence().is_enough() != it.is_dynamic)
        .map(|it| format!("{} {}: {}", it.ip, it.name, it.evidence()))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_follow_their_conventions() {
    let samples = samples("names");
    for it in &samples {
        let expression = it.expression();
        let built = RegexBuilder::new(&expression).unicode(false).case_insensitive(true).build();
        assert!(built.unwrap().is_match(&it.name), "{} {expression}", it.name);
    }
    let providers = |is_dynamic| {
        let those = samples.iter().filter(|it| it.is_dynamic == is_dynamic);
        those.map(|it| &it.provider).collect::<BTreeSet<_>>().len()
    };
    assert!(samples.len() >= 1000 && providers(true) >= 120 && providers(false) >= 120);
}
