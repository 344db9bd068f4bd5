//! DNS messages as bytes (RFC 1035, EDNS0 of RFC 6891), built and read by the
//! `domain` crate.

mod aliases;
mod denial;
mod records;

use domain::base::iana::{Opcode, OptRcode, Rcode};
use domain::base::message_builder::PushError;
use domain::base::name::FromStrError;
use domain::base::opt::{Opt, OptRecord};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Aaaa};

use super::answer::{Answer, Question};
use aliases::canonical_name;
use denial::{denies_name, denies_records};
use records::{addresses, first_raw_name, host_names, texts};

pub(crate) use records::MOST_NAMES;

/// The UDP payload that we announce: what passes unfragmented anywhere (DNS Flag Day 2020).
pub const UDP_PAYLOAD: u16 = 1232;
/// What a message from a name server means.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is the answer.
    Answer(Answer),
    /// It does not fit a datagram: ask again by TCP.
    Truncated,
    /// The server does not understand EDNS0: ask again without.
    NoEdns,
    /// This server cannot answer: ask another one.
    Useless,
    /// It is not an answer to this question: go on waiting.
    Unrelated,
}

/// Builds a query with recursion desired.
///
/// # Errors
/// Where a host name does not fit a DNS message, as none that
/// [`host_name`](crate::names::host_name) lets pass.
pub fn query(question: &Question, id: u16, edns: bool) -> Result<Vec<u8>, Unaskable> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut builder = builder.question();
    builder.push((wanted_name(question)?, wanted_type(question)))?;
    let mut builder = builder.additional();
    if edns {
        builder.opt(|opt| {
            opt.set_udp_payload_size(UDP_PAYLOAD);
            Ok(())
        })?;
    }
    Ok(builder.finish())
}

/// A question that no DNS message can carry.
#[derive(Debug)]
pub struct Unaskable;

impl From<PushError> for Unaskable {
    fn from(_: PushError) -> Self {
        Self
    }
}

impl From<FromStrError> for Unaskable {
    fn from(_: FromStrError) -> Self {
        Self
    }
}

fn wanted_name(question: &Question) -> Result<Name<Vec<u8>>, Unaskable> {
    match question {
        Question::Names(ip) | Question::RawNames(ip) => {
            Name::reverse_from_addr(*ip).map_err(|_| Unaskable)
        }
        Question::Ipv4(host) | Question::Ipv6(host) | Question::Text(host) => {
            Ok(Name::vec_from_str(host)?)
        }
    }
}

fn wanted_type(question: &Question) -> Rtype {
    match question {
        Question::Names(_) | Question::RawNames(_) => Rtype::PTR,
        Question::Ipv4(_) => Rtype::A,
        Question::Ipv6(_) => Rtype::AAAA,
        Question::Text(_) => Rtype::TXT,
    }
}

/// Reads what a name server sent in reply to `asked`, a query of ours.
#[must_use]
pub fn read(bytes: &[u8], asked: &[u8], question: &Question) -> Reading {
    let (Ok(message), Ok(asked)) = (Message::from_slice(bytes), Message::from_slice(asked)) else {
        return Reading::Unrelated;
    };
    let header = message.header();
    let matches = message.is_answer(asked);
    // A server that cannot parse the question need not repeat it.
    let bare = header.qr()
        && header.id() == asked.header().id()
        && message.header_counts().qdcount() == 0
        && message.opt_rcode() != OptRcode::NOERROR;
    if !matches && !bare {
        return Reading::Unrelated;
    }
    if header.tc() {
        return Reading::Truncated;
    }
    let reading = match code(message) {
        Some(OptRcode::NOERROR) => answer(message, question),
        Some(OptRcode::NXDOMAIN) if matches => absent_if(denies_name(message)),
        Some(OptRcode::FORMERR | OptRcode::BADVERS) if asked.opt().is_some() => {
            Some(Reading::NoEdns)
        }
        _ => None,
    };
    reading.unwrap_or(Reading::Useless)
}

/// The reply code, with the bits that EDNS0 adds (RFC 6891, 6.1.3): BADVERS is NOERROR
/// without them.  `None` if it cannot be read.
fn code(message: &Message<[u8]>) -> Option<OptRcode> {
    let header = message.header();
    if header.opcode() != Opcode::QUERY {
        return None;
    }
    // A server without EDNS0 may omit a record that it does not understand, and count it.
    if header.rcode() == Rcode::FORMERR && message.opt().is_none() {
        return Some(OptRcode::FORMERR);
    }
    let mut code = None;
    for record in message.additional().ok()? {
        let Some(opt) = record.ok()?.into_record::<Opt<_>>().ok()? else { continue };
        if code.replace(OptRecord::from(opt).rcode(header)).is_some() {
            return None;
        }
    }
    Some(code.unwrap_or_else(|| OptRcode::from_rcode(header.rcode())))
}

/// `None` if the message is malformed, or is neither an answer nor a denial.
fn answer(message: &Message<[u8]>, question: &Question) -> Option<Reading> {
    let owner = canonical_name(message)?;
    let (records, any) = match question {
        Question::Names(_) => host_names(message, &owner)?,
        Question::RawNames(_) => first_raw_name(message, &owner)?,
        Question::Ipv4(_) => addresses(message, &owner, |data: &A| data.addr().into())?,
        Question::Ipv6(_) => addresses(message, &owner, |data: &Aaaa| data.addr().into())?,
        Question::Text(_) => texts(message, &owner)?,
    };
    if any {
        return Some(Reading::Answer(Answer::Found(records)));
    }
    absent_if(denies_records(message, &owner))
}

fn absent_if(is_denied: Option<bool>) -> Option<Reading> {
    is_denied?.then_some(Reading::Answer(Answer::Absent))
}

#[cfg(test)]
mod tests {
    use super::aliases::MOST_ALIASES;
    use super::*;
    use crate::dns::answer::Records;
    use domain::base::Ttl;
    use domain::base::iana::Class;
    use domain::base::message_builder::{AnswerBuilder, AuthorityBuilder, OptBuilder};
    use domain::base::record::ComposeRecord;
    use domain::rdata::{Cname, Dname, Ns, Ptr, Soa};

    fn question() -> Question {
        Question::Names("192.0.2.7".parse().unwrap())
    }

    fn name(text: &str) -> Name<Vec<u8>> {
        Name::vec_from_str(text).unwrap()
    }

    /// An answer of a server that recurses.
    fn start_answer(asked: &[u8], rcode: Rcode) -> AnswerBuilder<Vec<u8>> {
        let asked = Message::from_octets(asked).unwrap();
        let mut answer = MessageBuilder::new_vec().start_answer(&asked, rcode).unwrap();
        answer.header_mut().set_ra(true);
        answer
    }

    fn reply(rcode: Rcode, build: impl Fn(&mut AnswerBuilder<Vec<u8>>)) -> (Vec<u8>, Vec<u8>) {
        let asked = query(&question(), 7, true).unwrap();
        let mut answer = start_answer(&asked, rcode);
        build(&mut answer);
        (answer.finish(), asked)
    }

    fn ptr(owner: &str, target: &str) -> impl ComposeRecord {
        (name(owner), 60, Ptr::new(name(target)))
    }

    fn found(names: &[&str]) -> Reading {
        let names = names.iter().map(|name| String::from(*name)).collect();
        Reading::Answer(Answer::Found(Records::Names(names)))
    }

    const OWNER: &str = "7.2.0.192.in-addr.arpa";

    #[test]
    fn a_query_carries_its_id_and_the_reversed_address() {
        let bytes = query(&question(), 0x1234, true).unwrap();
        let message = Message::from_octets(bytes).unwrap();
        assert_eq!(message.header().id(), 0x1234);
        assert!(message.header().rd());
        let asked = message.first_question().unwrap();
        assert_eq!(asked.qname().to_string(), OWNER);
        assert_eq!(asked.qtype(), Rtype::PTR);
        assert_eq!(message.opt().unwrap().udp_payload_size(), UDP_PAYLOAD);
        let six = query(&Question::Names("2001:db8::1".parse().unwrap()), 1, false).unwrap();
        let six = Message::from_octets(six).unwrap();
        let name = six.first_question().unwrap().qname().to_string().to_lowercase();
        assert!(name.ends_with("8.b.d.0.1.0.0.2.ip6.arpa"), "{name}");
        assert!(six.opt().is_none());
    }

    #[test]
    fn names_come_sorted_and_in_lower_case() {
        let (bytes, asked) = reply(Rcode::NOERROR, |answer| {
            answer.push(ptr(OWNER, "www.example.org")).unwrap();
            answer.push(ptr(OWNER, "MX1.Example.ORG")).unwrap();
            answer.push(ptr(OWNER, "mx1.example.org")).unwrap();
            answer.push(ptr("8.2.0.192.in-addr.arpa", "other.example.org")).unwrap();
        });
        assert_eq!(
            read(&bytes, &asked, &question()),
            found(&["mx1.example.org", "www.example.org"])
        );
    }

    #[test]
    fn of_many_names_the_same_few_are_kept_in_whatever_order_they_come() {
        let read_from = |first: usize| {
            let (bytes, asked) = reply(Rcode::NOERROR, |answer| {
                for n in (0..40).map(|n| (n + first) % 40) {
                    answer.push(ptr(OWNER, &format!("host{n:02}.example.org"))).unwrap();
                }
            });
            read(&bytes, &asked, &question())
        };
        let names: Vec<String> = (0..8).map(|n| format!("host{n:02}.example.org")).collect();
        for first in [0, 7, 39] {
            let expected = Records::Names(names.clone());
            assert_eq!(read_from(first), Reading::Answer(Answer::Found(expected)), "{first}");
        }
    }

    #[test]
    fn a_cname_is_followed() {
        let (bytes, asked) = reply(Rcode::NOERROR, |answer| {
            let target = name("7.0-127.2.0.192.in-addr.arpa");
            answer.push((name(OWNER), 60, Cname::new(target))).unwrap();
            answer.push(ptr("7.0-127.2.0.192.in-addr.arpa", "mx.example.org")).unwrap();
        });
        assert_eq!(read(&bytes, &asked, &question()), found(&["mx.example.org"]));
    }

    #[test]
    fn records_without_a_host_name_are_found_all_the_same() {
        let (bytes, asked) = reply(Rcode::NOERROR, |answer| {
            answer.push(ptr(OWNER, "localhost")).unwrap();
        });
        assert_eq!(read(&bytes, &asked, &question()), found(&[]));
    }

    #[test]
    fn raw_names_are_written_as_tcpserver_writes_them() {
        let raw = Question::RawNames("192.0.2.7".parse().unwrap());
        let (bytes, asked) = reply(Rcode::NOERROR, |answer| {
            answer.push(ptr(OWNER, "Lo\\010cal\\.x.EXAMPLE")).unwrap();
            answer.push(ptr(OWNER, ".")).unwrap();
        });
        let names = vec![r"lo\012cal\056x.example".into()];
        let expected = Reading::Answer(Answer::Found(Records::Names(names)));
        assert_eq!(read(&bytes, &asked, &raw), expected);
    }

    #[test]
    fn absence_and_failure_are_told_apart() {
        let absent = Reading::Answer(Answer::Absent);
        let (bytes, asked) = reply(Rcode::NXDOMAIN, |_| ());
        assert_eq!(read(&bytes, &asked, &question()), absent);
        let (bytes, asked) = reply(Rcode::NOERROR, |_| ());
        assert_eq!(read(&bytes, &asked, &question()), absent);
        for rcode in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::NOTIMP, Rcode::YXDOMAIN] {
            let (bytes, asked) = reply(rcode, |_| ());
            assert_eq!(read(&bytes, &asked, &question()), Reading::Useless, "{rcode}");
        }
        let (bytes, asked) = reply(Rcode::FORMERR, |_| ());
        assert_eq!(read(&bytes, &asked, &question()), Reading::NoEdns);
    }

    /// What is read from a message whose answer and authority sections are built so.
    fn reading(
        rcode: Rcode,
        answers: impl Fn(&mut AnswerBuilder<Vec<u8>>),
        authorities: impl Fn(&mut AuthorityBuilder<Vec<u8>>),
    ) -> Reading {
        let asked = query(&question(), 7, true).unwrap();
        let mut answer = start_answer(&asked, rcode);
        answers(&mut answer);
        let mut authority = answer.authority();
        authorities(&mut authority);
        read(&authority.finish(), &asked, &question())
    }

    fn cname(owner: &str, target: &str) -> impl ComposeRecord {
        (name(owner), 60, Cname::new(name(target)))
    }

    fn soa(zone: &str) -> impl ComposeRecord {
        let (ns, ttl) = (name("ns.example"), Ttl::from_secs(60));
        (name(zone), 60, Soa::new(ns.clone(), ns, 1.into(), ttl, ttl, ttl, ttl))
    }

    const TARGET: &str = "7.0-127.2.0.192.in-addr.arpa";

    #[test]
    fn the_soa_of_another_zone_denies_nothing() {
        let other = |authority: &mut AuthorityBuilder<Vec<u8>>| {
            authority.push(soa("com")).unwrap();
        };
        assert_eq!(reading(Rcode::NOERROR, |_| (), other), Reading::Useless);
    }

    #[test]
    fn a_server_that_neither_recurses_nor_has_the_zone_denies_nothing() {
        let [aa, ra] = [(2, 0x04_u8), (3, 0x80)];
        for rcode in [Rcode::NOERROR, Rcode::NXDOMAIN] {
            let (mut lame, asked) = reply(rcode, |_| ());
            lame[ra.0] &= !ra.1;
            assert_eq!(read(&lame, &asked, &question()), Reading::Useless, "{rcode}");
            for (byte, flag) in [aa, ra] {
                let mut told = lame.clone();
                told[byte] |= flag;
                let absent = Reading::Answer(Answer::Absent);
                assert_eq!(read(&told, &asked, &question()), absent, "{rcode}");
            }
        }
        let (mut cached, asked) = reply(Rcode::NOERROR, |answer| {
            answer.push(ptr(OWNER, "mx.example.org")).unwrap();
        });
        cached[ra.0] &= !ra.1;
        let expected = found(&["mx.example.org"]);
        assert_eq!(read(&cached, &asked, &question()), expected, "from a cache");
    }

    #[test]
    fn a_server_that_shows_the_zone_need_not_say_that_it_has_it() {
        for (zone, expected) in [
            ("2.0.192.in-addr.arpa", Reading::Answer(Answer::Absent)),
            ("3.0.192.in-addr.arpa", Reading::Useless),
        ] {
            for rcode in [Rcode::NOERROR, Rcode::NXDOMAIN] {
                let asked = query(&question(), 7, true).unwrap();
                let mut answer = start_answer(&asked, rcode);
                answer.header_mut().set_ra(false);
                let mut authority = answer.authority();
                authority.push(soa(zone)).unwrap();
                let reading = read(&authority.finish(), &asked, &question());
                assert_eq!(reading, expected, "{rcode} {zone}");
            }
        }
    }

    #[test]
    fn a_referral_is_no_absence() {
        let ns = || (name("in-addr.arpa"), 60, Ns::new(name("a.example")));
        let referral = reading(Rcode::NOERROR, |_| (), |authority| authority.push(ns()).unwrap());
        assert_eq!(referral, Reading::Useless);
        let both = |authority: &mut AuthorityBuilder<Vec<u8>>| {
            authority.push(ns()).unwrap();
            authority.push(soa("2.0.192.in-addr.arpa")).unwrap();
        };
        assert_eq!(reading(Rcode::NOERROR, |_| (), both), Reading::Answer(Answer::Absent));
    }

    #[test]
    fn an_alias_without_an_end_is_no_absence() {
        let alias = |answer: &mut AnswerBuilder<Vec<u8>>| {
            answer.push(cname(OWNER, TARGET)).unwrap();
        };
        let absent = Reading::Answer(Answer::Absent);
        assert_eq!(reading(Rcode::NOERROR, alias, |_| ()), Reading::Useless);
        assert_eq!(reading(Rcode::NXDOMAIN, alias, |_| ()), absent, "the end has no records");
        for (zone, expected) in
            [("0-127.2.0.192.in-addr.arpa", absent), ("8.2.0.192.in-addr.arpa", Reading::Useless)]
        {
            let of = reading(Rcode::NOERROR, alias, |list| list.push(soa(zone)).unwrap());
            assert_eq!(of, expected, "{zone}");
        }
    }

    #[test]
    fn aliases_that_lead_nowhere_are_no_absence() {
        let chain = |length: usize| {
            move |answer: &mut AnswerBuilder<Vec<u8>>| {
                let link = |number| if number == 0 { OWNER.into() } else { format!("{number}.a") };
                for number in 0..length {
                    answer.push(cname(&link(number), &link(number + 1))).unwrap();
                }
                answer.push(ptr(&link(length), "mx.example.org")).unwrap();
            }
        };
        assert_eq!(
            reading(Rcode::NOERROR, chain(MOST_ALIASES), |_| ()),
            found(&["mx.example.org"])
        );
        let too_long = reading(Rcode::NOERROR, chain(MOST_ALIASES + 1), |_| ());
        assert_eq!(too_long, Reading::Useless);
        for rcode in [Rcode::NOERROR, Rcode::NXDOMAIN] {
            let loops = |answer: &mut AnswerBuilder<Vec<u8>>| {
                answer.push(cname(OWNER, TARGET)).unwrap();
                answer.push(cname(TARGET, OWNER)).unwrap();
            };
            let authority =
                |list: &mut AuthorityBuilder<Vec<u8>>| list.push(soa("in-addr.arpa")).unwrap();
            assert_eq!(reading(rcode, loops, authority), Reading::Useless);
            let unmade = |answer: &mut AnswerBuilder<Vec<u8>>| {
                let target = Dname::new(name("example"));
                answer.push((name("0.192.in-addr.arpa"), 60, target)).unwrap();
            };
            assert_eq!(reading(rcode, unmade, authority), Reading::Useless);
        }
    }

    #[test]
    fn records_of_another_owner_type_or_class_are_neither() {
        for rcode in [Rcode::NOERROR, Rcode::NXDOMAIN] {
            for zone in [None, Some("2.0.192.in-addr.arpa")] {
                let authority = |list: &mut AuthorityBuilder<Vec<u8>>| {
                    if let Some(zone) = zone {
                        list.push(soa(zone)).unwrap();
                    }
                };
                let other_owner = |answer: &mut AnswerBuilder<Vec<u8>>| {
                    answer.push(ptr("8.2.0.192.in-addr.arpa", "mx.example.org")).unwrap();
                };
                assert_eq!(reading(rcode, other_owner, authority), Reading::Useless);
                let other_class = |answer: &mut AnswerBuilder<Vec<u8>>| {
                    let target = Ptr::new(name("mx.example.org"));
                    answer.push((name(OWNER), Class::CH, 60, target)).unwrap();
                };
                assert_eq!(reading(rcode, other_class, authority), Reading::Useless);
                let alias_of_other_class = |answer: &mut AnswerBuilder<Vec<u8>>| {
                    let target = Cname::new(name(TARGET));
                    answer.push((name(OWNER), Class::CH, 60, target)).unwrap();
                    answer.push(ptr(TARGET, "mx.example.org")).unwrap();
                };
                assert_eq!(reading(rcode, alias_of_other_class, authority), Reading::Useless);
                let other_type = |answer: &mut AnswerBuilder<Vec<u8>>| {
                    answer.push((name(OWNER), 60, A::from_octets(192, 0, 2, 7))).unwrap();
                };
                assert_eq!(reading(rcode, other_type, authority), Reading::Useless);
            }
        }
        let contradiction = |answer: &mut AnswerBuilder<Vec<u8>>| {
            answer.push(ptr(OWNER, "mx.example.org")).unwrap();
        };
        assert_eq!(reading(Rcode::NXDOMAIN, contradiction, |_| ()), Reading::Useless);
    }

    /// A reply with so many OPT records, which carry `code`.
    fn extended(code: OptRcode, edns: bool, opts: usize) -> Reading {
        let asked = query(&question(), 7, edns).unwrap();
        let mut additional = start_answer(&asked, code.rcode()).additional();
        for _ in 0..opts {
            let set = |opt: &mut OptBuilder<'_, Vec<u8>>| {
                opt.set_rcode(code);
                Ok(())
            };
            additional.opt(set).unwrap();
        }
        read(&additional.finish(), &asked, &question())
    }

    #[test]
    fn codes_have_bits_in_the_opt_record() {
        let absent = Reading::Answer(Answer::Absent);
        for code in [OptRcode::NOERROR, OptRcode::NXDOMAIN] {
            assert_eq!(extended(code, true, 1), absent, "{code}");
        }
        assert_eq!(extended(OptRcode::BADVERS, true, 1), Reading::NoEdns);
        assert_eq!(extended(OptRcode::BADVERS, false, 1), Reading::Useless, "asked without");
        // 19 and 17 are NXDOMAIN and FORMERR without them.
        let others = [19, 17, 32, 0xff0].map(OptRcode::masked_from_int);
        for code in others.into_iter().chain([OptRcode::BADCOOKIE]) {
            assert_eq!(extended(code, true, 1), Reading::Useless, "{code}");
        }
        assert_eq!(extended(OptRcode::NOERROR, true, 2), Reading::Useless, "which of them?");
    }

    #[test]
    fn an_answer_that_cannot_be_read_to_its_end_is_none() {
        let (mut bytes, asked) = reply(Rcode::NXDOMAIN, |_| ());
        // It has one additional record, it says, which is missing.
        bytes[11] = 1;
        assert_eq!(read(&bytes, &asked, &question()), Reading::Useless);
        let (mut bytes, asked) = reply(Rcode::FORMERR, |_| ());
        bytes[11] = 1;
        assert_eq!(read(&bytes, &asked, &question()), Reading::NoEdns, "as old servers do");
        let (mut bytes, asked) = reply(Rcode::NXDOMAIN, |_| ());
        // Another operation: STATUS.
        bytes[2] |= 2 << 3;
        assert_eq!(read(&bytes, &asked, &question()), Reading::Useless);
    }

    #[test]
    fn the_case_of_the_question_does_not_matter() {
        let (mut bytes, asked) = reply(Rcode::NXDOMAIN, |_| ());
        for byte in &mut bytes[12..] {
            byte.make_ascii_uppercase();
        }
        assert_eq!(read(&bytes, &asked, &question()), Reading::Answer(Answer::Absent));
    }

    #[test]
    fn messages_from_other_addresses_are_ignored() {
        let (mut bytes, asked) = reply(Rcode::NXDOMAIN, |_| ());
        bytes[1] ^= 1;
        assert_eq!(read(&bytes, &asked, &question()), Reading::Unrelated, "another id");
        let other = query(&Question::Names("192.0.2.8".parse().unwrap()), 7, true).unwrap();
        let (bytes, _) = reply(Rcode::NXDOMAIN, |_| ());
        assert_eq!(read(&bytes, &other, &question()), Reading::Unrelated, "another question");
        assert_eq!(read(&asked, &asked, &question()), Reading::Unrelated, "a query");
        assert_eq!(read(b"short", &asked, &question()), Reading::Unrelated);
    }

    #[test]
    fn truncated_says_so_and_broken_never_panics() {
        let (mut bytes, asked) = reply(Rcode::NOERROR, |answer| {
            answer.push(ptr(OWNER, "mx.example.org")).unwrap();
        });
        for end in 0..bytes.len() {
            let _ = read(&bytes[..end], &asked, &question());
        }
        assert_eq!(read(&bytes[..bytes.len() - 3], &asked, &question()), Reading::Useless);
        bytes[2] |= 2;
        assert_eq!(read(&bytes, &asked, &question()), Reading::Truncated);
    }

    #[test]
    fn addresses_of_the_family_asked_for() {
        let question = Question::Ipv4("mx.example.org".into());
        let asked = query(&question, 7, true).unwrap();
        let mut answer = start_answer(&asked, Rcode::NOERROR);
        answer.push((name("mx.example.org"), 60, A::from_octets(192, 0, 2, 7))).unwrap();
        let expected = Records::Addresses(vec!["192.0.2.7".parse().unwrap()]);
        let expected = Reading::Answer(Answer::Found(expected));
        assert_eq!(read(&answer.finish(), &asked, &question), expected);
    }
}
