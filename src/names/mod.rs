//! Is this name an end user's line? The administrator's own expressions decide
//! first, then words that say mail server, then the client's address spelled in
//! the name, then words that say line. The reason goes with the judgement, for
//! the administrator who asks why.

mod address;
mod host;
mod lint;
mod matcher;
mod patterns;
mod runs;
mod tables;
mod words;

use std::fmt;
use std::net::IpAddr;

pub use address::Spelling;
pub use host::host_name;
pub use patterns::{Origin, Patterns, PatternsError};

use address::{Spelled, spelled};
use words::Words;

/// What names are judged by: the administrator's expressions, and the built-in
/// rules unless they are switched off. Made once, before the pool is forked;
/// judging allocates nothing, except for an expression that fits no table.
#[derive(Debug)]
pub struct Names {
    builtin: bool,
    dynamic: Patterns,
    exceptions: Patterns,
}

/// What a name tells of the client, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement<'a> {
    /// An end user's line.
    Dynamic(Reason<'a>),
    /// Any other name.
    Ordinary(Reason<'a>),
}

/// What decided. Displayed as a short phrase for an administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason<'a> {
    /// An expression of the administrator's, of either list.
    Expression(Origin<'a>),
    /// A word that says mail server.
    ServerWord(&'a str),
    /// The client's address is spelled in the name.
    Address(Spelling),
    /// Two octets of the address are in the name, and this word.
    TwoOctets(&'a str),
    /// A word that says end user's line.
    LineWord(&'a str),
    /// Nothing says anything.
    Nothing,
}

impl Names {
    /// `dynamic` are the expressions of `--dynamic-file`, `exceptions` those of
    /// `--static-file`; `builtin` is false with `--no-builtin-patterns`.
    #[must_use]
    pub fn new(builtin: bool, dynamic: Patterns, exceptions: Patterns) -> Self {
        Self { builtin, dynamic, exceptions }
    }

    /// The lists of the administrator's expressions.
    #[must_use]
    pub fn lists(&self) -> [&Patterns; 2] {
        [&self.dynamic, &self.exceptions]
    }

    /// Reads files that are read on demand, as far as `names` have to be judged by
    /// them; comes back with what is wrong with them.
    #[must_use]
    pub fn prepare(&self, names: &[String]) -> Vec<PatternsError> {
        if !self.exceptions.is_on_demand() && !self.dynamic.is_on_demand() {
            return Vec::new();
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut wrong = Vec::from_iter(self.exceptions.prepare(&names).err());
        let open = names.into_iter().filter(|name| self.exceptions.find(name).is_none());
        wrong.extend(self.dynamic.prepare(&open.collect::<Vec<_>>()).err());
        wrong
    }

    /// Judges the name of the client at `ip`: a host name, lower-case, as
    /// [`host_name`] gives it.
    #[must_use]
    pub fn judge<'a>(&'a self, name: &'a str, ip: IpAddr) -> Judgement<'a> {
        if let Some(origin) = self.exceptions.find(name) {
            Judgement::Ordinary(Reason::Expression(origin))
        } else if let Some(origin) = self.dynamic.find(name) {
            Judgement::Dynamic(Reason::Expression(origin))
        } else if self.builtin {
            by_builtin_rules(name, ip)
        } else {
            Judgement::Ordinary(Reason::Nothing)
        }
    }
}

fn by_builtin_rules(name: &str, ip: IpAddr) -> Judgement<'_> {
    // The last two labels are the owner's: x.com.mx is in Mexico, no mail server.
    let words = Words::of(without_last(name, 2));
    if let Some(word) = words.server {
        return Judgement::Ordinary(Reason::ServerWord(word));
    }
    match (spelled(without_last(name, 1), ip), words) {
        (Spelled::Address(how), _) => Judgement::Dynamic(Reason::Address(how)),
        (_, Words { line: Some(word), .. }) => Judgement::Dynamic(Reason::LineWord(word)),
        (Spelled::TwoOctets, Words { weak: Some(word), .. }) => {
            Judgement::Dynamic(Reason::TwoOctets(word))
        }
        _ => Judgement::Ordinary(Reason::Nothing),
    }
}

/// `name` without its last `labels` labels (1 or more).
fn without_last(name: &str, labels: usize) -> &str {
    name.rmatch_indices('.').nth(labels - 1).map_or("", |(at, _)| &name[..at])
}

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expression(origin) => write!(f, "{origin}"),
            Self::ServerWord(word) => write!(f, "mail server word \"{word}\""),
            Self::Address(how) => write!(f, "the address is spelled in the name ({how})"),
            Self::TwoOctets(word) => write!(f, "two octets of the address and word \"{word}\""),
            Self::LineWord(word) => write!(f, "word \"{word}\""),
            Self::Nothing => f.write_str("nothing in the name says end user's line"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Judgement::{Dynamic, Ordinary};
    use super::Reason::{Address, LineWord, Nothing, ServerWord, TwoOctets};
    use super::Spelling::{Decimal, Groups, Hexadecimal, Joined, Nibbles};
    use super::*;

    fn names(builtin: bool, dynamic: &str, exceptions: &str) -> Names {
        let patterns = |file, text: &str| Patterns::parse(file, text.as_bytes()).unwrap();
        Names::new(builtin, patterns("/etc/dynamic", dynamic), patterns("/etc/static", exceptions))
    }

    fn check(rows: &[(&str, &str, Judgement<'_>)]) {
        let names = names(true, "", "");
        for (ip, name, expected) in rows {
            let known = host_name(name.split('.').map(str::as_bytes)).expect(name);
            assert_eq!(names.judge(&known, ip.parse().unwrap()), *expected, "{ip} {name}");
        }
    }

    const V6: &str = "2003:ec:2f0e:8c00:26b5:c8bc:2f0:60b7";
    const SHORT: &str = "2001:db8::25";

    #[test]
    fn lines() {
        check(&[
            ("73.162.14.9", "c-73-162-14-9.hsd1.ca.comcast.net", Dynamic(Address(Decimal))),
            ("71.163.20.5", "pool-71-163-20-5.washdc.fios.verizon.net", Dynamic(Address(Decimal))),
            ("70.208.3.44", "44.sub-70-208-3.myvzw.com", Dynamic(Address(Decimal))),
            ("80.136.107.101", "p50886B65.dip.t-dialin.net", Dynamic(Address(Hexadecimal))),
            ("93.208.161.178", "p5dd0a1b2.dip0.t-ipconnect.de", Dynamic(Address(Hexadecimal))),
            ("78.54.254.150", "x4e36fe96.dyn.telefonica.de", Dynamic(Address(Hexadecimal))),
            ("2.247.249.94", "x2f7f95e.dyn.telefonica.de", Dynamic(LineWord("dyn"))),
            (
                "88.64.1.2",
                "dslb-088-064-001-002.088.064.pools.vodafone-ip.de",
                Dynamic(Address(Decimal)),
            ),
            (
                "86.155.223.197",
                "host86-155-223-197.range86-155.btcentralplus.com",
                Dynamic(Address(Decimal)),
            ),
            ("81.130.1.2", "host81-130-1-2.in-addr.btopenworld.com", Dynamic(Address(Decimal))),
            (
                "189.132.192.113",
                "dsl-189-132-192-113-dyn.prod-infinitum.com.mx",
                Dynamic(Address(Decimal)),
            ),
            (
                "187.212.47.18",
                "dsl-18-47-212-187-dynamic.prod-infinitum.com.mx",
                Dynamic(Address(Decimal)),
            ),
            ("90.89.68.76", "lfbn-tou-1-1502-76.w90-89.abo.wanadoo.fr", Dynamic(LineWord("abo"))),
            ("82.64.7.21", "lns-bzn-21-82-64-7-21.adsl.proxad.net", Dynamic(Address(Decimal))),
            ("85.3.20.10", "10.20.3.85.rev.sfr.net", Dynamic(Address(Decimal))),
            ("85.140.114.172", "ppp85-140-114-172.pppoe.mtu-net.ru", Dynamic(Address(Decimal))),
            ("81.195.17.200", "ppp17-200.pppoe.mtu-net.ru", Dynamic(LineWord("ppp"))),
            ("90.154.11.22", "broadband-90-154-11-22.ip.moscow.rt.ru", Dynamic(Address(Decimal))),
            ("84.10.20.30", "84-10-20-30.dynamic.chello.pl", Dynamic(Address(Decimal))),
            ("189.28.31.63", "bd1c1f3f.virtua.com.br", Dynamic(Address(Hexadecimal))),
            ("201.17.8.9", "201-17-8-9.user.veloxzone.com.br", Dynamic(Address(Decimal))),
            ("83.1.2.3", "3.red-83-1-2.dynamicip.rima-tde.net", Dynamic(Address(Decimal))),
            ("83.24.5.6", "abcd12.neoplus.adsl.tpnet.pl", Dynamic(LineWord("adsl"))),
            ("24.200.12.13", "modemcable013.12-200-24.mc.videotron.ca", Dynamic(Address(Decimal))),
            ("64.233.161.5", "cm64x233x161x5.example.net", Dynamic(Address(Decimal))),
            ("81.130.1.2", "host081130001002.example.net", Dynamic(Address(Joined))),
            ("81.130.1.2", "ip2113081.example.net", Dynamic(Address(Joined))),
            ("81.130.101.25", "2510113081.rev.example.net", Dynamic(Address(Joined))),
            ("81.130.101.25", "81130101.rev.example.net", Dynamic(Address(Joined))),
            ("81.130.1.25", "025001130.pop1.example.net", Dynamic(Address(Joined))),
            ("81.130.1.25", "h19018251.example.net", Dynamic(Address(Hexadecimal))),
            ("81.130.1.25", "user-51-82-01-19.example.net", Dynamic(Address(Hexadecimal))),
            ("81.130.1.25", "n518201.example.net", Dynamic(Address(Hexadecimal))),
            ("81.130.1.25", "n190182.example.net", Dynamic(Address(Hexadecimal))),
            ("51.15.2.3", "ip-51-15-2-3.eu", Dynamic(Address(Decimal))),
            ("198.51.100.7", "dsl123.example.net", Dynamic(LineWord("dsl"))),
            ("198.51.100.7", "pool01.north.example.net", Dynamic(LineWord("pool"))),
            ("198.51.100.7", "pc7.home.example.net", Dynamic(LineWord("home"))),
            ("198.51.100.7", "cpe_4711.example.net", Dynamic(LineWord("cpe"))),
            ("198.51.100.7", "a1b2.ftth.cust.example.co.uk", Dynamic(LineWord("ftth"))),
        ]);
    }

    #[test]
    fn mail_servers() {
        check(&[
            ("209.85.167.46", "mail-lf1-f46.google.com", Ordinary(ServerWord("mail"))),
            ("54.240.8.30", "a8-30.smtp-out.amazonses.com", Ordinary(ServerWord("smtp"))),
            (
                "40.107.7.47",
                "mail-eopbgr70047.outbound.protection.outlook.com",
                Ordinary(ServerWord("mail")),
            ),
            (
                "168.245.102.194",
                "xvfrsscn.outbound-mail.sendgrid.net",
                Ordinary(ServerWord("outbound")),
            ),
            (
                "167.89.93.53",
                "o1678993x53.outbound-mail.sendgrid.net",
                Ordinary(ServerWord("outbound")),
            ),
            ("69.72.42.4", "m42-4.mailgun.net", Ordinary(Nothing)),
            ("198.61.254.31", "so254-31.mailgun.net", Ordinary(Nothing)),
            ("161.38.204.239", "v5239.v57ae4e16.euw1.send.eu.mailgun.net", Ordinary(Nothing)),
            (
                "66.220.155.139",
                "66-220-155-139.mail-mail.facebook.com",
                Ordinary(ServerWord("mail")),
            ),
            ("198.2.132.5", "mail132-5.atl131.mandrillapp.com", Ordinary(ServerWord("mail"))),
            ("67.231.144.1", "mx0a-00123401.pphosted.com", Ordinary(ServerWord("mx"))),
            ("212.227.126.131", "mout.kundenserver.de", Ordinary(ServerWord("mout"))),
            ("74.6.128.1", "sonic308-1.consmr.mail.ne1.yahoo.com", Ordinary(ServerWord("mail"))),
            (
                "88.198.1.2",
                "static.2.1.198.88.clients.your-server.de",
                Ordinary(ServerWord("static")),
            ),
            (
                "50.76.1.2",
                "50-76-1-2-static.hfc.comcastbusiness.net",
                Ordinary(ServerWord("static")),
            ),
            ("80.26.1.2", "2.red-80-26-1.staticip.rima-tde.net", Ordinary(ServerWord("staticip"))),
            ("198.51.100.7", "mail.home.example.net", Ordinary(ServerWord("mail"))),
            ("198.51.100.7", "mx1.dsl.example.net", Ordinary(ServerWord("mx"))),
            ("198.51.100.7", "fixed-198-51-100-7.example.net", Ordinary(ServerWord("fixed"))),
            ("198.51.100.7", "198-51-100-7.relay3.example.net", Ordinary(ServerWord("relay"))),
        ]);
    }

    #[test]
    fn other_names() {
        check(&[
            ("198.51.100.7", "pooler.example", Ordinary(Nothing)),
            ("198.51.100.7", "mobile-bank.example", Ordinary(Nothing)),
            ("198.51.100.7", "web.pooler.example.net", Ordinary(Nothing)),
            ("198.51.100.7", "www.mobile-bank.example.net", Ordinary(Nothing)),
            ("198.51.100.7", "homer.people.example.net", Ordinary(Nothing)),
            ("198.51.100.7", "maximum.people.example.net", Ordinary(Nothing)),
            ("198.51.100.7", "dynamo.clientele.example.net", Ordinary(Nothing)),
            ("198.51.100.7", "lists-1.example", Ordinary(Nothing)),
            ("198.51.100.7", "gateway.example.com.mx", Ordinary(Nothing)),
            ("198.51.100.7", "fw.mail.net", Ordinary(Nothing)),
            ("198.51.100.7", "host.dsl.net", Ordinary(Nothing)),
            // Numbers, but not of this address, or not as numbers.
            ("1.2.3.4", "alpha11-2-3-45.example.net", Ordinary(Nothing)),
            ("1.2.3.4", "app-v1.2.3.example.net", Ordinary(Nothing)),
            ("1.2.3.4", "srv1234.example.net", Ordinary(Nothing)),
            ("192.0.2.7", "rack-198-51-100-7.example.net", Ordinary(Nothing)),
            ("12.34.56.78", "a-12-b-34-c-56-d-78.example.net", Ordinary(Nothing)),
            ("12.34.56.78", "a12--34--56--78.example.net", Ordinary(Nothing)),
            ("12.34.56.78", "a12-34-9-56-78.example.net", Ordinary(Nothing)),
            ("12.34.56.78", "a34-12-78-56.example.net", Ordinary(Nothing)),
            ("12.34.56.78", "912.34.567.78.example.net", Ordinary(Nothing)),
            ("12.34.56.78", "a912345678.example.net", Ordinary(Nothing)),
            ("81.130.1.25", "ff518201.example.net", Ordinary(Nothing)),
            ("81.130.1.25", "5182010.example.net", Ordinary(Nothing)),
            // Two octets say nothing alone, and small ones nothing at all.
            ("10.0.42.17", "node42-17.example.net", Dynamic(TwoOctets("node"))),
            ("10.0.42.17", "node17.42.example.net", Dynamic(TwoOctets("node"))),
            ("10.0.42.17", "host-042-017.example.net", Dynamic(TwoOctets("host"))),
            ("10.0.42.17", "rack42-17.example.net", Ordinary(Nothing)),
            ("10.0.42.17", "node42.example.net", Ordinary(Nothing)),
            ("10.42.0.17", "node42-17.example.net", Ordinary(Nothing)),
            ("10.0.4.7", "node4-7.example.net", Ordinary(Nothing)),
            ("1.2.3.4", "host-1-2-3.example.net", Dynamic(TwoOctets("host"))),
            ("10.0.42.17", "a42-17.node.example", Ordinary(Nothing)),
            ("198.51.100.7", "host.users.access.example.net", Ordinary(Nothing)),
        ]);
    }

    #[test]
    fn ipv6() {
        check(&[
            (
                V6,
                "p200300ec2f0e8c0026b5c8bc02f060b7.dip0.t-ipconnect.de",
                Dynamic(Address(Nibbles)),
            ),
            (
                V6,
                "7.b.0.6.0.f.2.0.c.b.8.c.5.b.6.2.0.0.c.8.e.0.f.2.c.e.0.0.3.0.0.2.ip6.example.net",
                Dynamic(Address(Nibbles)),
            ),
            (V6, "26b5c8bc02f060b7.example.net", Dynamic(Address(Nibbles))),
            (V6, "200300ec2f0e8c00.example.net", Dynamic(Address(Nibbles))),
            (V6, "26b5c8bc02f060b.example.net", Ordinary(Nothing)),
            (V6, "dynamic-2003-ec-2f0e-8c00.example.net", Dynamic(Address(Groups))),
            (V6, "p2003x00ecx2f0ex8c00.example.net", Dynamic(Address(Groups))),
            (V6, "2f0-c8bc-26b5.example.net", Dynamic(Address(Groups))),
            (V6, "2003-ec.hosts.example.net", Ordinary(Nothing)),
            (V6, "2003-2f0e-8c00.example.net", Ordinary(Nothing)),
            (SHORT, "2001-db8--25.example.net", Dynamic(Address(Groups))),
            (SHORT, "2001-db8-25.example.net", Dynamic(Address(Groups))),
            (SHORT, "2001-0db8-0-0-0-0-0-0025.example.net", Dynamic(Address(Groups))),
            ("2600::1", "2600-0-0-0-0-0-0-1.example.net", Dynamic(Address(Groups))),
            (SHORT, "2001-db8-26.example.net", Ordinary(Nothing)),
            (SHORT, "a0-0-25.example.net", Ordinary(Nothing)),
            ("2001:db8:1:2::3", "a1-2-3.example.net", Ordinary(Nothing)),
            ("2a00:1450:4864:20::12c", "mail-lf1-x12c.google.com", Ordinary(ServerWord("mail"))),
            (SHORT, "cpe-17.example.net", Dynamic(LineWord("cpe"))),
            ("::ffff:12.34.56.78", "a12-34-56-78.example.net", Dynamic(Address(Decimal))),
        ]);
    }

    #[test]
    fn the_administrator_comes_first() {
        let ip = "198.51.100.7".parse().unwrap();
        let own = names(true, "# lines\n^mx.*\\.lines\\.example$\n\\.quiet\\.", "^mx1\\.");
        let expression = |file, line| Reason::Expression(Origin { file, line });
        for (name, expected) in [
            ("mx1.lines.example", Ordinary(expression("/etc/static", 1))),
            ("mx2.lines.example", Dynamic(expression("/etc/dynamic", 2))),
            ("mail.quiet.example", Dynamic(expression("/etc/dynamic", 3))),
            ("mx2.dsl.example.net", Ordinary(ServerWord("mx"))),
            ("a.dsl.example.net", Dynamic(LineWord("dsl"))),
        ] {
            assert_eq!(own.judge(name, ip), expected, "{name}");
        }
    }

    #[test]
    fn without_the_builtin_rules_only_expressions_count() {
        let ip = "198.51.100.7".parse().unwrap();
        let own = names(false, "lines", "^mx");
        assert_eq!(own.judge("dsl-198-51-100-7.dyn.example.net", ip), Ordinary(Nothing));
        assert!(matches!(own.judge("mail.lines.example", ip), Dynamic(Reason::Expression(_))));
        assert!(matches!(own.judge("mx.lines.example", ip), Ordinary(Reason::Expression(_))));
    }

    #[test]
    fn reasons_are_phrases() {
        let origin = Origin { file: "/etc/x", line: 3 };
        for (reason, phrase) in [
            (Reason::Expression(origin), "/etc/x line 3"),
            (ServerWord("mx"), "mail server word \"mx\""),
            (Address(Decimal), "the address is spelled in the name (decimal)"),
            (Address(Joined), "the address is spelled in the name (decimal, joined)"),
            (Address(Hexadecimal), "the address is spelled in the name (hexadecimal)"),
            (Address(Groups), "the address is spelled in the name (in groups)"),
            (Address(Nibbles), "the address is spelled in the name (digit by digit)"),
            (TwoOctets("ip"), "two octets of the address and word \"ip\""),
            (LineWord("dsl"), "word \"dsl\""),
            (Nothing, "nothing in the name says end user's line"),
        ] {
            assert_eq!(reason.to_string(), phrase);
        }
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
                assert!(matches!(names.judge(&name, ip), Dynamic(Address(_))), "{ip} {name}");
            }
            let name = format!("a.b.{a}-{b}-{c}-{d}");
            assert_eq!(names.judge(&name, ip), Ordinary(Nothing), "{name}: top-level domain");
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
