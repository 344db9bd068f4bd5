//! DNS messages as bytes (RFC 1035, EDNS0 of RFC 6891), built and read by the
//! `domain` crate.

use std::fmt::Write;
use std::net::IpAddr;

use domain::base::iana::Rcode;
use domain::base::message_builder::PushError;
use domain::base::name::{FromStrError, Label, ToLabelIter};
use domain::base::{Message, MessageBuilder, Name, ParseRecordData, ParsedName, Rtype};
use domain::rdata::{A, Aaaa, Ns, Ptr, Soa, Txt};

use super::{Answer, Question, Records};
use crate::names::host_name;

/// The UDP payload that we say we take: what passes unfragmented anywhere
/// (DNS Flag Day 2020).
pub const UDP_PAYLOAD: u16 = 1232;
/// Records of one answer that are read; no honest host has more names.
const MOST_RECORDS: usize = 16;
/// Records that a message may hold before it counts as broken.
const MOST_ANSWERS: u16 = 1000;

/// What a message from a name server means.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// It answers.
    Answer(Answer),
    /// It does not fit a datagram: ask again by TCP.
    Truncated,
    /// The server does not understand EDNS0: ask again without.
    NoEdns,
    /// This server cannot answer: ask another one.
    Useless,
    /// It is no answer to this question: go on waiting.
    Stranger,
}

/// Builds a query with recursion desired.
///
/// # Errors
/// Where a host name does not fit a DNS message, as none that
/// [`host_name`] lets pass.
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

/// Reads what a name server sent in return for `asked`, a query of ours.
#[must_use]
pub fn read(bytes: &[u8], asked: &[u8], question: &Question) -> Reading {
    let (Ok(message), Ok(asked)) = (Message::from_slice(bytes), Message::from_slice(asked)) else {
        return Reading::Stranger;
    };
    let header = message.header();
    let matches = message.is_answer(asked);
    // A server that cannot parse the question need not repeat it.
    let bare = header.qr()
        && header.id() == asked.header().id()
        && message.header_counts().qdcount() == 0
        && header.rcode() != Rcode::NOERROR;
    if !matches && !bare {
        return Reading::Stranger;
    }
    match header.rcode() {
        _ if header.tc() => Reading::Truncated,
        Rcode::NXDOMAIN if matches => Reading::Answer(Answer::Absent),
        Rcode::NOERROR => records(message, question).unwrap_or(Reading::Useless),
        Rcode::FORMERR if asked.opt().is_some() => Reading::NoEdns,
        _ => Reading::Useless,
    }
}

/// `None` where the message is malformed.
fn records(message: &Message<[u8]>, question: &Question) -> Option<Reading> {
    if message.header_counts().ancount() > MOST_ANSWERS {
        return None;
    }
    let owner = message.canonical_name()?;
    let (records, any) = match question {
        Question::Names(_) => names(message, &owner, |labels| host_name(labels))?,
        Question::RawNames(_) => names(message, &owner, |labels| Some(dotted(labels)))?,
        Question::Ipv4(_) => addresses(message, &owner, |data: &A| data.addr().into())?,
        Question::Ipv6(_) => addresses(message, &owner, |data: &Aaaa| data.addr().into())?,
        Question::Text(_) => texts(message, &owner)?,
    };
    Some(match any {
        true => Reading::Answer(Answer::Found(records)),
        false if is_referral(message)? => Reading::Useless,
        false => Reading::Answer(Answer::Absent),
    })
}

type Owner<'a> = ParsedName<&'a [u8]>;

type Labels<'a> = &'a mut dyn Iterator<Item = &'a [u8]>;

fn names(
    message: &Message<[u8]>,
    owner: &Owner<'_>,
    name_of: impl Fn(Labels<'_>) -> Option<String>,
) -> Option<(Records, bool)> {
    let (mut names, mut any) = (Vec::new(), false);
    for record in message.answer().ok()?.limit_to_in::<Ptr<_>>() {
        let record = record.ok()?;
        if record.owner() != owner || names.len() == MOST_RECORDS {
            continue;
        }
        any = true;
        let labels = record.data().ptrdname().iter_labels();
        let mut labels = labels.filter(|label| !label.is_root()).map(Label::as_slice);
        names.extend(name_of(&mut labels));
    }
    Some((Records::Names(names), any))
}

/// A name as djb's `dns_domain_todot_cat` writes it.
fn dotted(labels: Labels<'_>) -> String {
    let mut text = String::new();
    for label in labels {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label.to_ascii_lowercase() {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(byte)),
                _ => {
                    let _ = write!(text, "\\{byte:03o}");
                }
            }
        }
    }
    if text.is_empty() { ".".into() } else { text }
}

fn addresses<'a, Data: ParseRecordData<'a, [u8]>>(
    message: &'a Message<[u8]>,
    owner: &Owner<'_>,
    address: impl Fn(&Data) -> IpAddr,
) -> Option<(Records, bool)> {
    let mut addresses = Vec::new();
    for record in message.answer().ok()?.limit_to_in::<Data>() {
        let record = record.ok()?;
        if record.owner() == owner {
            addresses.push(address(record.data()));
        }
    }
    let any = !addresses.is_empty();
    Some((Records::Addresses(addresses), any))
}

fn texts(message: &Message<[u8]>, owner: &Owner<'_>) -> Option<(Records, bool)> {
    let mut texts = Vec::new();
    for record in message.answer().ok()?.limit_to_in::<Txt<_>>() {
        let record = record.ok()?;
        if record.owner() == owner && texts.len() < MOST_RECORDS {
            texts.push(record.data().iter().collect::<Vec<&[u8]>>().concat());
        }
    }
    let any = !texts.is_empty();
    Some((Records::Texts(texts), any))
}

/// An answer without records that points to other servers (RFC 2308, 2.2):
/// from a server that does not recurse, it says nothing about the name.
fn is_referral(message: &Message<[u8]>) -> Option<bool> {
    let authority = message.authority().ok()?;
    let has_soa = authority.limit_to_in::<Soa<_>>().next().is_some();
    let has_ns = authority.limit_to_in::<Ns<_>>().next().is_some();
    Some(has_ns && !has_soa)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::base::message_builder::AnswerBuilder;
    use domain::base::record::ComposeRecord;
    use domain::rdata::Cname;

    fn question() -> Question {
        Question::Names("192.0.2.7".parse().unwrap())
    }

    fn name(text: &str) -> Name<Vec<u8>> {
        Name::vec_from_str(text).unwrap()
    }

    fn reply(rcode: Rcode, build: impl Fn(&mut AnswerBuilder<Vec<u8>>)) -> (Vec<u8>, Vec<u8>) {
        let asked = query(&question(), 7, true).unwrap();
        let message = Message::from_octets(asked.as_slice()).unwrap();
        let mut answer = MessageBuilder::new_vec().start_answer(&message, rcode).unwrap();
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
    fn names_come_in_order_and_lower_case() {
        let (bytes, asked) = reply(Rcode::NOERROR, |answer| {
            answer.push(ptr(OWNER, "MX1.Example.ORG")).unwrap();
            answer.push(ptr(OWNER, "www.example.org")).unwrap();
            answer.push(ptr("8.2.0.192.in-addr.arpa", "other.example.org")).unwrap();
        });
        assert_eq!(
            read(&bytes, &asked, &question()),
            found(&["mx1.example.org", "www.example.org"])
        );
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
        let names = vec![r"lo\012cal\056x.example".into(), ".".into()];
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

    #[test]
    fn a_referral_is_no_absence() {
        let asked = query(&question(), 7, true).unwrap();
        let message = Message::from_octets(asked.as_slice()).unwrap();
        let answer = MessageBuilder::new_vec().start_answer(&message, Rcode::NOERROR).unwrap();
        let mut authority = answer.authority();
        authority.push((name("in-addr.arpa"), 60, Ns::new(name("a.example")))).unwrap();
        assert_eq!(read(&authority.finish(), &asked, &question()), Reading::Useless);
    }

    #[test]
    fn strangers_are_not_listened_to() {
        let (mut bytes, asked) = reply(Rcode::NXDOMAIN, |_| ());
        bytes[1] ^= 1;
        assert_eq!(read(&bytes, &asked, &question()), Reading::Stranger, "another id");
        let other = query(&Question::Names("192.0.2.8".parse().unwrap()), 7, true).unwrap();
        let (bytes, _) = reply(Rcode::NXDOMAIN, |_| ());
        assert_eq!(read(&bytes, &other, &question()), Reading::Stranger, "another question");
        assert_eq!(read(&asked, &asked, &question()), Reading::Stranger, "a query");
        assert_eq!(read(b"short", &asked, &question()), Reading::Stranger);
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
        let message = Message::from_octets(asked.as_slice()).unwrap();
        let mut answer = MessageBuilder::new_vec().start_answer(&message, Rcode::NOERROR).unwrap();
        answer.push((name("mx.example.org"), 60, A::from_octets(192, 0, 2, 7))).unwrap();
        let expected = Records::Addresses(vec!["192.0.2.7".parse().unwrap()]);
        let expected = Reading::Answer(Answer::Found(expected));
        assert_eq!(read(&answer.finish(), &asked, &question), expected);
    }
}
