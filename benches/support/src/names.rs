//! A name server for benchmarks: 127.5.0.0/16 and 127.10.0.0/16 have mail servers' names,
//! and all others have none, which it says at once, late, or never.  It is a DNS list as
//! well, which has 127.11.0.0/16.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::{A, Ptr};

/// How it answers for clients that have no name.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// Without delay.
    AtOnce,
    /// After this time.
    Late(Duration),
    /// Not at all.
    Never,
}

/// The name server.
pub struct Names {
    /// Where it answers, by UDP.
    pub address: SocketAddr,
}

impl Names {
    /// Starts it on a free port of 127.0.0.1; it runs as long as the benchmark does.
    pub fn start(patience: Patience) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        let address = socket.local_addr().expect("an address");
        thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let query = buffer[..length].to_vec();
                let Some((reply, prompt)) = answer(&query) else { continue };
                match patience {
                    Patience::Never if !prompt => (),
                    Patience::Late(time) if !prompt => {
                        let socket = Arc::clone(&socket);
                        let late = move || {
                            thread::sleep(time);
                            let _ = socket.send_to(&reply, from);
                        };
                        let _ = thread::Builder::new().stack_size(64 << 10).spawn(late);
                    }
                    _ => drop(socket.send_to(&reply, from)),
                }
            }
        });
        Self { address }
    }
}

/// The name of 127.0.0.1.
const OWN: &str = "1.0.0.127.in-addr.arpa";
/// The zone of the list.
pub const LIST: &str = "list.example";

/// What it knows.
enum Known {
    HostName(Name<Vec<u8>>),
    Listed,
    Nothing,
}

impl Known {
    fn about(asked: &str) -> Self {
        let host = [".5.127", ".10.127"]
            .iter()
            .find_map(|network| asked.strip_suffix(".in-addr.arpa")?.strip_suffix(network));
        let listed = asked.strip_suffix(LIST).is_some_and(|host| host.ends_with(".11.127."));
        match host {
            Some(host) => {
                let name = format!("mx{}.example.org", host.replace('.', "-"));
                Name::vec_from_str(&name).map_or(Self::Nothing, Self::HostName)
            }
            None if listed => Self::Listed,
            None => Self::Nothing,
        }
    }
}

/// The reply, and whether it is one that is never late: there is something in it, or it is
/// about 127.0.0.1, which every name server answers for itself (RFC 6303).
fn answer(query: &[u8]) -> Option<(Vec<u8>, bool)> {
    let query = Message::from_octets(query).ok()?;
    let question = query.first_question()?;
    let asked = question.qname().to_string();
    let known = Known::about(&asked);
    let is_known = !matches!(known, Known::Nothing);
    let rcode = if is_known { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut reply = MessageBuilder::new_vec().start_answer(&query, rcode).ok()?;
    reply.header_mut().set_aa(true);
    let kind = question.qtype();
    match known {
        Known::HostName(name) => reply.push((question.into_qname(), 60, Ptr::new(name))).ok()?,
        Known::Listed if kind == Rtype::A => {
            reply.push((question.into_qname(), 60, A::from_octets(127, 0, 0, 2))).ok()?;
        }
        Known::Listed | Known::Nothing => (),
    }
    Some((reply.finish(), is_known || asked == OWN))
}
