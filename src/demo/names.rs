//! The demo's name server: a few loopback addresses, one for each class.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use domain::base::iana::Rcode;
use domain::base::{Message, MessageBuilder, Name, Rtype};
use domain::rdata::Ptr;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

const TTL: u32 = 60;

/// Answers queries until the other end of `asked` is closed.
pub(super) fn serve(socket: &UdpSocket, asked: &OwnedFd) {
    let mut buffer = [0; 1500];
    loop {
        let mut fds = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(asked.as_fd(), PollFlags::POLLIN),
        ];
        let _ = poll(&mut fds, PollTimeout::NONE);
        if fds[1].any().unwrap_or(false) {
            return;
        }
        if !fds[0].any().unwrap_or(false) {
            continue;
        }
        let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
        if let Some(reply) = answer(&buffer[..length]) {
            let _ = socket.send_to(&reply, from);
        }
    }
}

/// The name of a loopback address, or the reply code.
fn name_of(ip: IpAddr) -> Result<&'static str, Rcode> {
    match ip {
        IpAddr::V4(Ipv4Addr::LOCALHOST) | IpAddr::V6(Ipv6Addr::LOCALHOST) => Ok("mx.example.org"),
        ip if ip == Ipv4Addr::new(127, 0, 0, 2) => Ok("dsl-127-0-0-2.isp.example"),
        ip if ip == Ipv4Addr::new(127, 0, 0, 4) => Err(Rcode::SERVFAIL),
        _ => Err(Rcode::NXDOMAIN),
    }
}

fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_octets(query).ok()?;
    let question = query.first_question().filter(|question| question.qtype() == Rtype::PTR)?;
    let asked = question.qname().to_string();
    let known = [1, 2, 3, 4].map(|last| IpAddr::from([127, 0, 0, last]));
    let known = known.into_iter().chain([IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    let is_it = |ip: &IpAddr| {
        let name = Name::<Vec<u8>>::reverse_from_addr(*ip);
        name.is_ok_and(|name| name.to_string() == asked)
    };
    let name = known.into_iter().find(is_it).map_or(Err(Rcode::NXDOMAIN), name_of);
    let rcode = name.err().unwrap_or(Rcode::NOERROR);
    let mut reply = MessageBuilder::new_vec().start_answer(&query, rcode).ok()?;
    reply.header_mut().set_aa(true);
    if let Ok(name) = name {
        let target = Name::<Vec<u8>>::vec_from_str(name).ok()?;
        reply.push((question.qname(), TTL, Ptr::new(target))).ok()?;
    }
    Some(reply.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::message::{Reading, query, read};
    use crate::dns::{Answer, Question, Records};

    fn ask(ip: &str) -> Reading {
        let question = Question::Names(ip.parse().unwrap());
        let asked = query(&question, 1, true).unwrap();
        read(&answer(&asked).unwrap(), &asked, &question)
    }

    #[test]
    fn there_is_an_address_for_each_class() {
        let name = |name: &str| Answer::Found(Records::Names(vec![name.into()]));
        assert_eq!(ask("127.0.0.1"), Reading::Answer(name("mx.example.org")));
        assert_eq!(ask("::1"), Reading::Answer(name("mx.example.org")));
        assert_eq!(ask("127.0.0.2"), Reading::Answer(name("dsl-127-0-0-2.isp.example")));
        assert_eq!(ask("127.0.0.3"), Reading::Answer(Answer::Absent));
        assert_eq!(ask("127.0.0.4"), Reading::Useless);
    }
}
