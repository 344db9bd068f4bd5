//! A name server for benchmarks: 127.10.0.0/16 has mail servers' names, and all
//! others have none, which it says at once, late, or never.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name};
use domain::rdata::Ptr;

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

/// The reply, and whether it is one that is never late: there is a name in it, or it is
/// about 127.0.0.1, which every name server answers for itself (RFC 6303).
fn answer(query: &[u8]) -> Option<(Vec<u8>, bool)> {
    let query = Message::from_octets(query).ok()?;
    let asked = query.first_question()?.qname().to_string();
    let host = asked.strip_suffix(".10.127.in-addr.arpa");
    let rcode = if host.is_some() { Rcode::NOERROR } else { Rcode::NXDOMAIN };
    let mut reply = MessageBuilder::new_vec().start_answer(&query, rcode).ok()?;
    reply.header_mut().set_aa(true);
    if let Some(host) = host {
        let name =
            Name::<Vec<u8>>::vec_from_str(&format!("mx{}.example.org", host.replace('.', "-")))
                .ok()?;
        reply.push((query.first_question()?.into_qname(), 60, Ptr::new(name))).ok()?;
    }
    Some((reply.finish(), host.is_some() || asked == OWN))
}
