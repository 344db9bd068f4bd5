//! Name servers: the real nsd with zones for loopback addresses, and a double
//! for the faults that nsd does not produce on demand.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use domain::base::iana::{OptRcode, Rcode};
use domain::base::message_builder::{AnswerBuilder, OptBuilder};
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Cname, Ptr, Txt};

use super::{directory, wait_until};

/// Addresses with a PTR record in the zones of [`Nsd`], and their names.
pub(crate) const ORDINARY: &str = "127.0.1.1";
pub(crate) const LINE: &str = "127.0.2.1";
pub(crate) const NAMELESS: &str = "127.0.3.1";
/// nsd refuses to answer for this one.
pub(crate) const REFUSED: &str = "127.9.9.9";
/// The PTR is reached through a CNAME.
pub(crate) const DELEGATED: &str = "127.0.1.2";
/// The name does not lead back.
pub(crate) const LIAR: &str = "127.0.1.3";
/// It leads to a zone that nsd refuses to answer for.
pub(crate) const UNCHECKABLE: &str = "127.0.1.4";
/// It has so many names that the answer is truncated.
pub(crate) const CROWDED: &str = "127.0.1.5";
/// The name has bytes that no host name has.
pub(crate) const HOSTILE: &str = "127.0.1.6";

const REVERSE: &str = r"$TTL 60
@ SOA ns.test. root.test. 1 60 60 60 60
@ NS ns.test.
1.1 PTR MX1.Example.ORG.
1.2 PTR dsl-127-0-2-1.isp.example.
1.0 PTR front.test.
31.1 PTR joes.example.org.
2.1 CNAME 2.sub.test.
3.1 PTR liar.example.org.
4.1 PTR elsewhere.invalid-zone.example.
6.1 PTR evil\010pass\032ip=1.2.3.4.example.org.
";

const SUB: &str = "$TTL 60
@ SOA ns.test. root.test. 1 60 60 60 60
@ NS ns.test.
2.sub PTR cname.example.org.
";

pub(crate) const EMPTY: &str = "$TTL 60
@ SOA ns.test. root.test. 1 60 60 60 60
@ NS ns.test.
";

pub(crate) const FORWARD: &str = "$TTL 60
@ SOA ns.test. root.test. 1 60 60 60 60
@ NS ns.test.
mx1 A 192.0.2.1
mx1 A 127.0.1.1
mx6 AAAA ::1
liar A 192.0.2.9
";

const REVERSE6: &str = "$TTL 60
@ SOA ns.test. root.test. 1 60 60 60 60
@ NS ns.test.
1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0 PTR mx6.example.org.
";

fn zones() -> [(&'static str, String); 5] {
    let crowd: String =
        (0..60).map(|n| format!("5.1 PTR host-number-{n}.of.many.example.org.\n")).collect();
    [
        ("0.127.in-addr.arpa", format!("{REVERSE}{crowd}")),
        ("test", SUB.into()),
        ("isp.example", EMPTY.into()),
        ("example.org", FORWARD.into()),
        ("ip6.arpa", REVERSE6.into()),
    ]
}

/// nsd on a port of its own.
pub(crate) struct Nsd {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nsd {
    /// Starts it; on another port if somebody was quicker to take the first.
    pub(crate) fn start() -> Self {
        Self::start_with(&zones())
    }

    /// The same with other zones, by name and text; `example.org` has to be
    /// one of them, with an address for `mx1`.
    pub(crate) fn start_with(zones: &[(&str, String)]) -> Self {
        let start = |_| Self::try_start("127.0.0.1", free_udp_port(), zones);
        (0..5).find_map(start).expect("nsd starts")
    }

    /// Starts it where a client that cannot be told a port looks for it.
    pub(crate) fn start_at(ip: &str, port: u16) -> Self {
        Self::try_start(ip, port, &zones()).expect("nsd starts")
    }

    fn try_start(ip: &str, port: u16, zones: &[(&str, String)]) -> Option<Self> {
        let directory = directory();
        let path = directory.display();
        let mut config = format!(
            "server:\n ip-address: {ip}\n port: {port}\n zonesdir: \"{path}\"\n username: \"\"\n \
             chroot: \"\"\n pidfile: \"{path}/pid\"\n xfrdfile: \"{path}/xfrd\"\n database: \"\"\n \
             zonelistfile: \"{path}/list\"\n xfrdir: \"{path}\"\n server-count: 1\n \
             minimal-responses: yes\n rrl-ratelimit: 0\nremote-control:\n control-enable: no\n"
        );
        for (zone, text) in zones {
            fs::write(directory.join(zone), text).unwrap();
            config += &format!("zone:\n name: \"{zone}\"\n zonefile: \"{zone}\"\n");
        }
        let file = directory.join("nsd.conf");
        fs::write(&file, config).unwrap();
        let mut nsd = Command::new("nsd");
        nsd.arg("-d").arg("-c").arg(&file);
        nsd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = nsd.spawn().expect("the test begins with needs!");
        let mut nsd = Self { child, address: SocketAddr::new(ip.parse().unwrap(), port) };
        let started = wait_until("nsd, or its end", || {
            let ended = nsd.child.try_wait().unwrap().is_some();
            (ended || nsd.answers()).then_some(!ended)
        });
        started.then_some(nsd)
    }

    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut query = MessageBuilder::new_vec().question();
        query.push((Name::vec_from_str("mx1.example.org").unwrap(), Rtype::A)).unwrap();
        let mut reply = [0; 512];
        socket.send_to(&query.finish(), self.address).unwrap();
        socket.recv(&mut reply).is_ok_and(|length| {
            Message::from_octets(&reply[..length]).is_ok_and(|m| m.header_counts().ancount() > 0)
        })
    }

    pub(crate) fn option(&self) -> String {
        format!("--resolver {}", self.address)
    }
}

impl Drop for Nsd {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap()),
            nix::sys::signal::Signal::SIGTERM,
        );
        let _ = self.child.wait();
    }
}

fn free_udp_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A zone that the double says nothing about, whatever it is to do.
pub(crate) const SILENT: &str = "silent.example";

/// What the double does with a query.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
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
    AmongStrangers(&'static str),
    /// As a DNS list it has everybody, with this address and these texts; names
    /// it has none.
    Lists([u8; 4], &'static [&'static [u8]]),
    /// It gives these names, and begins with the next one each time.
    Turning(&'static [&'static str]),
}

/// A name server that misbehaves.
pub(crate) struct FakeDns {
    pub(crate) address: SocketAddr,
    /// What was asked for, in order.
    queries: Arc<Mutex<Vec<Rtype>>>,
}

impl FakeDns {
    pub(crate) fn start(fault: Fault) -> Self {
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

    pub(crate) fn option(&self) -> String {
        format!("--resolver {}", self.address)
    }

    pub(crate) fn queries(&self) -> usize {
        self.queries.lock().unwrap().len()
    }

    /// Those for records of one type.
    pub(crate) fn queries_for(&self, kind: Rtype) -> usize {
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
        Fault::AmongStrangers(name) => {
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
