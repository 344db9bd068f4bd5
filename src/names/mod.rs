//! Whether a host name is dynamic (residential).  The administrator's expressions decide
//! first; if none matches, the evidence in the name decides.  A judgement includes its
//! reason.

mod evidence;
mod host;
mod patterns;
mod runs;

use std::fmt;
use std::net::IpAddr;

pub use evidence::{Evidence, Piece, Sign, THRESHOLD};
pub use host::host_name;
pub use patterns::{Action, Origin, Patterns, PatternsError};

/// What names are judged by: the administrator's expressions, and the built-in rules unless
/// they are disabled.  It is made once, before the pool is forked; judging allocates
/// nothing, except for an expression that fits no table.
#[derive(Debug)]
pub struct Names {
    builtin: bool,
    dynamic: Vec<Patterns>,
    exceptions: Vec<Patterns>,
}

/// What a name says about the client, and why.
#[derive(Clone, Copy, Debug)]
pub enum Judgement<'a> {
    /// It is a dynamic (residential) host name.
    Dynamic(Reason<'a>),
    /// It is any other name.
    Ordinary(Reason<'a>),
}

/// What decided; displayed as a phrase.
#[derive(Clone, Copy, Debug)]
pub enum Reason<'a> {
    /// An expression of either list of the administrator's.
    Expression(Origin<'a>),
    /// What is in the name, by the built-in rules.
    Evidence(Evidence<'a>),
    /// There are no built-in rules, and no expression matches.
    NoRules,
}

impl Names {
    /// `dynamic` are the files of `--dynamic-file`, `exceptions` those of `--static-file`,
    /// in order; `builtin` is false with `--no-builtin-patterns`.
    #[must_use]
    pub fn new(builtin: bool, dynamic: Vec<Patterns>, exceptions: Vec<Patterns>) -> Self {
        Self { builtin, dynamic, exceptions }
    }

    /// The lists of the administrator's expressions.
    #[must_use]
    pub fn lists(&self) -> [&[Patterns]; 2] {
        [&self.dynamic, &self.exceptions]
    }

    /// Reads files that are read on demand, as far as they are needed to judge `names`;
    /// returns what is wrong with them.
    #[must_use]
    pub fn prepare(&self, names: &[String]) -> Vec<PatternsError> {
        if !self.lists().into_iter().flatten().any(Patterns::is_on_demand) {
            return Vec::new();
        }
        let names = names.iter().map(String::as_str);
        let mut wrong = prepare(&self.exceptions, names.clone().collect());
        let open = names.filter(|name| self.exception(name).is_none());
        wrong.extend(prepare(&self.dynamic, open.collect()));
        wrong
    }

    /// The line of the lists of exceptions that matches `name`.
    fn exception(&self, name: &str) -> Option<Origin<'_>> {
        let (origin, action) = decide(&self.exceptions, name)?;
        (action != Action::Refused).then_some(origin)
    }

    /// Judges the name of the client at `ip`: a host name, lower-case, as
    /// [`host_name`] gives it.
    #[must_use]
    pub fn judge<'a>(&'a self, name: &'a str, ip: IpAddr) -> Judgement<'a> {
        if let Some(origin) = self.exception(name) {
            Judgement::Ordinary(Reason::Expression(origin))
        } else if let Some((origin, action)) = decide(&self.dynamic, name) {
            let passed = action == Action::Passed;
            let judgement = if passed { Judgement::Ordinary } else { Judgement::Dynamic };
            judgement(Reason::Expression(origin))
        } else if self.builtin {
            let evidence = Evidence::of(name, ip);
            let judgement =
                if evidence.is_enough() { Judgement::Dynamic } else { Judgement::Ordinary };
            judgement(Reason::Evidence(evidence))
        } else {
            Judgement::Ordinary(Reason::NoRules)
        }
    }
}

/// What the first file says that decides about `name`.
fn decide<'a>(files: &'a [Patterns], name: &str) -> Option<(Origin<'a>, Action)> {
    files.iter().find_map(|patterns| patterns.decide(name))
}

/// Reads `files` for those of `names` about which none before has decided; returns what is
/// wrong with them.
fn prepare(files: &[Patterns], mut names: Vec<&str>) -> Vec<PatternsError> {
    let mut wrong = Vec::new();
    for patterns in files {
        wrong.extend(patterns.prepare(&names).err());
        names.retain(|name| patterns.decide(name).is_none());
    }
    wrong
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression(origin) => write!(f, "{origin}"),
            Self::Evidence(evidence) => write!(f, "{evidence}"),
            Self::NoRules => f.write_str("no expression matches"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Judgement::{Dynamic, Ordinary};
    use super::*;

    fn names(builtin: bool, dynamic: &str, exceptions: &str) -> Names {
        let patterns = |file, text: &str| Patterns::parse(file, text.as_bytes()).unwrap();
        let dynamic = vec![patterns("/etc/dynamic", dynamic)];
        Names::new(builtin, dynamic, vec![patterns("/etc/static", exceptions)])
    }

    #[test]
    fn the_first_file_that_decides_counts() {
        let ip = "198.51.100.7".parse().unwrap();
        let patterns = |file, text: &str| Patterns::parse(file, text.as_bytes()).unwrap();
        let dynamic = vec![patterns("d1", "# table\n/^a/ OK\n"), patterns("d2", "^a\n^b")];
        let exceptions = vec![patterns("s1", "^x1"), patterns("s2", "^x2\n^x1")];
        let names = Names::new(false, dynamic, exceptions);
        for (name, reason) in [
            ("a.example", "d1 line 2"),
            ("b.example", "d2 line 2"),
            ("x1.example", "s1 line 1"),
            ("x2.example", "s2 line 1"),
            ("c.example", "no expression matches"),
        ] {
            let judgement = names.judge(name, ip);
            assert_eq!(matches!(judgement, Dynamic(_)), name == "b.example", "{name}");
            let (Dynamic(why) | Ordinary(why)) = judgement;
            assert_eq!(why.to_string(), reason, "{name}");
        }
    }

    const V6: &str = "2003:ec:2f0e:8c00:26b5:c8bc:2f0:60b7";

    #[test]
    fn the_administrator_comes_first() {
        let ip = "198.51.100.7".parse().unwrap();
        let own = names(true, "# lines\n^mx.*\\.lines\\.example$\n\\.quiet\\.", "^mx1\\.");
        for (name, is_dynamic, reason) in [
            ("mx1.lines.example", false, "/etc/static line 1"),
            ("mx2.lines.example", true, "/etc/dynamic line 2"),
            ("mail.quiet.example", true, "/etc/dynamic line 3"),
            ("mx2.dsl.example.net", false, "begins with the mail server word \"mx\""),
            ("a.dsl.example.net", true, "a word for residential connections \"dsl\""),
        ] {
            let judgement = own.judge(name, ip);
            assert_eq!(matches!(judgement, Dynamic(_)), is_dynamic, "{name}");
            let (Dynamic(why) | Ordinary(why)) = judgement;
            assert!(why.to_string().contains(reason), "{why}");
        }
    }

    #[test]
    fn tables_of_postfix_except_and_refuse() {
        let ip = "198.51.100.7".parse().unwrap();
        let own = names(true, "/^mail\\./ OK\n/^s[0-9]+\\./ REJECT", "/^a/ DUNNO\n/^s1\\./ REJECT");
        for (name, is_dynamic, reason) in [
            ("mail.dsl.example.net", false, "/etc/dynamic line 1"),
            ("s1.example.net", true, "/etc/dynamic line 2"),
            ("a.dsl.example.net", false, "/etc/static line 1"),
        ] {
            let judgement = own.judge(name, ip);
            assert_eq!(matches!(judgement, Dynamic(_)), is_dynamic, "{name}");
            let (Dynamic(why) | Ordinary(why)) = judgement;
            assert_eq!(why.to_string(), reason);
        }
    }

    #[test]
    fn without_the_builtin_rules_only_expressions_count() {
        let ip = "198.51.100.7".parse().unwrap();
        let own = names(false, "lines", "^mx");
        let name = "dsl-198-51-100-7.dyn.example.net";
        assert!(matches!(own.judge(name, ip), Ordinary(Reason::NoRules)));
        assert!(matches!(own.judge("mail.lines.example", ip), Dynamic(Reason::Expression(_))));
        assert!(matches!(own.judge("mx.lines.example", ip), Ordinary(Reason::Expression(_))));
    }

    #[test]
    fn the_reason_is_all_that_was_found_and_what_it_weighs() {
        let names = names(true, "", "");
        let Dynamic(why) =
            names.judge("pool-203-0-113-7.isp.example", "203.0.113.7".parse().unwrap())
        else {
            panic!()
        };
        let why = why.to_string();
        let (sum, pieces) = why.split_once(" of 100 points: ").expect(&why);
        let weights = pieces.split(", ").map(|piece| piece.split(' ').next().unwrap());
        let weights: Vec<i32> = weights.map(|weight| weight.parse().unwrap()).collect();
        assert_eq!(weights.iter().sum::<i32>(), sum.parse::<i32>().unwrap(), "{why}");
        assert!(pieces.contains(" the address is in the name (decimal)"), "{why}");
        assert!(pieces.contains(" a word for residential connections \"pool\""), "{why}");
    }

    #[test]
    fn every_spelling_of_every_kind_of_address_is_found() {
        let names = names(true, "", "");
        for ip in ["12.34.56.78", "203.0.113.250", "10.100.9.99", "9.255.16.1"] {
            let ip: IpAddr = ip.parse().unwrap();
            let IpAddr::V4(v4) = ip else { unreachable!() };
            let [a, b, c, d] = v4.octets();
            for name in [
                format!("h{a}-{b}-{c}-{d}.example.net"),
                format!("{d}.{c}.{b}.{a}.example.net"),
                format!("x{a:03}-{b:03}-{c:03}-{d:03}.example.net"),
                format!("x{d:03}{c:03}{b:03}{a:03}y.example.net"),
                format!("{a}{b}{c}{d}.example.net"),
                format!("{a:02x}{b:02x}{c:02x}{d:02x}.example.net"),
                format!("z{d:02x}-{c:02x}-{b:02x}-{a:02x}.example.net"),
                format!("a.b.{a}_{b}_{c}_{d}.net"),
            ] {
                assert!(matches!(names.judge(&name, ip), Dynamic(_)), "{ip} {name}");
            }
            let name = format!("a.b.{a}-{b}-{c}-{d}");
            assert!(matches!(names.judge(&name, ip), Ordinary(_)), "{name}: top-level domain");
        }
    }

    #[test]
    fn no_name_is_too_strange() {
        let names = names(true, "x{2,}y", "(a-){40}z");
        let digits = "1234567890".repeat(25);
        let labels = "1.".repeat(126);
        let zeros = "0-".repeat(126);
        for name in [
            &"a-".repeat(127)[..253],
            &digits,
            &labels,
            &zeros,
            &"-".repeat(253),
            &".".repeat(253),
            &"f".repeat(253),
            "caf\u{e9}1-2\u{20ac}dsl.\u{1f980}.example.net",
            "xn--mx-0da.1.2.3.4.mail-..--__x.example",
            "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1",
        ] {
            for (end, _) in name.char_indices().chain([(name.len(), ' ')]) {
                for ip in ["1.1.1.1", "0.0.0.0", "255.255.255.255", "::", "::1", V6] {
                    let ip = ip.parse().unwrap();
                    let _ = names.judge(&name[..end], ip);
                    let _ = names.judge(&name[end..], ip);
                }
            }
        }
    }
}
