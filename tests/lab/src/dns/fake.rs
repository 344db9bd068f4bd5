//! A name server that produces the faults that nsd does not produce on demand.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use domain::base::iana::{OptRcode, Rcode};
use domain::base::message_builder::{AnswerBuilder, OptBuilder};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Cname, Ptr, Txt};

/// A zone that the double says nothing about, whatever it is to do.
pub const SILENT: &str = "silent.example";

/// What the double does with a query.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It says nothing.
    Silence,
    /// The same, but for the name of 127.0.0.1, of which it says after a while that
    /// there is none.
    OwnNamesOnly(Duration),
    /// It answers with this code.
    Code(Rcode),
    /// The same, as a server does that neither recurses nor has the zone.
    Lame(Rcode),
    /// The same as `Code`, with the bits that EDNS0 adds.
    ExtendedCode(OptRcode),
    /// It answers with an alias, and with nothing that it leads to.
    DanglingAlias,
    /// It waits, and then gives this name.
    Late(Duration, &'static str),
    /// It sends answers with another id, another question and no sense, and
    /// then this name.
    AmongSpoofed(&'static str),
    /// As a DNS list it has every client, with this address and these texts; names
    /// it has none.
    Lists([u8; 4], &'static [&'static [u8]]),
    /// It gives these names, and begins with the next one each time.
    Turning(&'static [&'static str]),
}

/// A name server that misbehaves.
pub struct FakeDns {
    /// Where it answers.
    pub address: SocketAddr,
    /// What was asked for, in order.
    queries: Arc<Mutex<Vec<Rtype>>>,
}

impl FakeDns {
    /// Starts it on a free port of loopback, for as long as the test binary runs.
    pub fn start(fault: Fault) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let queries = Arc::<Mutex<Vec<Rtype>>>::default();
        let seen = Arc::clone(&queries);
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = buffer[..length].to_vec();
                let question = Message::from_octets(&query).unwrap().first_question().unwrap();
                seen.lock().unwrap().push(question.qtype());
                if question.qname().to_string().ends_with(SILENT) {
                    continue;
                }
                let (socket, fault) = (socket.try_clone().unwrap(), fault.clone());
                thread::spawn(move || misbehave(&socket, from, &query, &fault));
            }
        });
        Self { address, queries }
    }

    /// As a name server to ask first.
    pub fn option(&self) -> String {
        format!("--resolver {}", self.address)
    }

    /// How many queries it got.
    pub fn queries(&self) -> usize {
        self.queries.lock().unwrap().len()
    }

    /// Those for records of one type.
    pub fn queries_for(&self, kind: Rtype) -> usize {
        self.queries.lock().unwrap().iter().filter(|asked| **asked == kind).count()
    }
}

fn misbehave(socket: &UdpSocket, from: SocketAddr, query: &[u8], fault: &Fault) {
    let send = |bytes: &[u8]| {
        let _ = socket.send_to(bytes, from);
    };
    match fault {
        Fault::Silence => (),
        Fault::OwnNamesOnly(delay) => {
            let asked = Message::from_octets(query).unwrap().first_question().unwrap();
            if asked.qname().to_string() == "1.0.0.127.in-addr.arpa" {
                thread::sleep(*delay);
                send(&reply(query, Rcode::NXDOMAIN, None));
            }
        }
        Fault::Code(code) => send(&reply(query, *code, None)),
        Fault::Lame(code) => send(&lame(query, *code)),
        Fault::ExtendedCode(code) => send(&extended(query, *code)),
        Fault::DanglingAlias => send(&dangling_alias(query)),
        Fault::Late(delay, name) => {
            thread::sleep(*delay);
            send(&reply(query, Rcode::NOERROR, Some(name)));
        }
        Fault::Lists(address, texts) => send(&listing(query, *address, texts)),
        Fault::Turning(names) => {
            static TURN: AtomicUsize = AtomicUsize::new(0);
            let mut names = names.to_vec();
            let turn = TURN.fetch_add(1, Ordering::Relaxed) % names.len();
            names.rotate_left(turn);
            send(&reply_with(query, Rcode::NOERROR, &names));
        }
        Fault::AmongSpoofed(name) => {
            let mut other_id = reply(query, Rcode::NOERROR, Some("forged.example.org"));
            other_id[0] ^= 0xff;
            send(&other_id);
            let mut other_question = reply(query, Rcode::NOERROR, Some("forged.example.org"));
            other_question[13] ^= 1;
            send(&other_question);
            send(b"nonsense");
            send(&[]);
            send(&reply(query, Rcode::NOERROR, Some(name)));
        }
    }
}

fn reply(query: &[u8], code: Rcode, name: Option<&str>) -> Vec<u8> {
    reply_with(query, code, name.as_slice())
}

/// As a server that recurses begins an answer.
fn start_answer(query: &Message<&[u8]>, code: Rcode) -> AnswerBuilder<Vec<u8>> {
    let mut reply = MessageBuilder::new_vec().start_answer(query, code).unwrap();
    reply.header_mut().set_ra(true);
    reply
}

fn reply_with(query: &[u8], code: Rcode, names: &[&str]) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut reply = start_answer(&query, code);
    for name in names {
        let question = query.first_question().unwrap();
        let (kind, owner) = (question.qtype(), question.into_qname());
        // Of addresses it knows only what DNS lists say.
        if kind == Rtype::A {
            reply.push((owner, 60, A::from_octets(127, 0, 0, 2))).unwrap();
        } else {
            reply.push((owner, 60, Ptr::new(Name::vec_from_str(name).unwrap()))).unwrap();
        }
    }
    reply.finish()
}

fn lame(query: &[u8], code: Rcode) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut reply = start_answer(&query, code);
    reply.header_mut().set_ra(false);
    reply.finish()
}

fn extended(query: &[u8], code: OptRcode) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut reply = start_answer(&query, code.rcode()).additional();
    let bits = |opt: &mut OptBuilder<'_, Vec<u8>>| {
        opt.set_rcode(code);
        Ok(())
    };
    reply.opt(bits).unwrap();
    reply.finish()
}

fn dangling_alias(query: &[u8]) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut reply = start_answer(&query, Rcode::NOERROR);
    let owner = query.first_question().unwrap().into_qname();
    let target = Name::vec_from_str("elsewhere.example").unwrap();
    reply.push((owner, 60, Cname::new(target))).unwrap();
    reply.finish()
}

fn listing(query: &[u8], address: [u8; 4], texts: &[&[u8]]) -> Vec<u8> {
    let query = Message::from_octets(query).unwrap();
    let mut reply = start_answer(&query, Rcode::NOERROR);
    let question = query.first_question().unwrap();
    let (kind, owner) = (question.qtype(), question.into_qname());
    if kind == Rtype::A {
        reply.push((owner, 60, A::new(address.into()))).unwrap();
    } else if kind == Rtype::TXT {
        for text in texts {
            let text: Txt<Vec<u8>> = Txt::build_from_slice(text).unwrap();
            reply.push((owner, 60, text)).unwrap();
        }
    }
    reply.finish()
}
