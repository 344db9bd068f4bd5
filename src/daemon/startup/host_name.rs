//! Listening on a host name: the address that it stands for.

use std::io::{Error, ErrorKind};
use std::net::IpAddr;

use crate::databases::hosts;
use crate::dns::message::query;
use crate::dns::{Answer, Failure, Question, Records, ask};
use crate::error::Fatal;
use crate::options::Options;

/// The address that the system has for `name`, /etc/hosts included; an IPv4
/// address where there is one.
///
/// # Errors
/// If there is none: 111.
pub(in crate::daemon) fn on_this_system(name: &str) -> Result<IpAddr, Fatal> {
    let found = hosts::address(name);
    let found = found.map_err(|why| Fatal::unable(format!("find IP address for {name}"), why))?;
    found.ok_or_else(|| Fatal::NoAddress(name.into()))
}

/// The address that the name server has, as in tcpserver.  Addresses with leading zeros
/// or in brackets are used as they are.
///
/// # Errors
/// If there is none, or the look-up failed: 111, with tcpserver's message.
pub(in crate::daemon) fn in_dns(options: &Options) -> Result<IpAddr, Fatal> {
    let name = options.host.as_str();
    if let Some(ip) = literal(name) {
        return Ok(ip);
    }
    match look_up(name, options) {
        Ok(Some(ip)) => Ok(ip),
        Ok(None) => Err(Fatal::NoAddress(name.into())),
        Err(why) => Err(Fatal::AddressLookup { name: name.into(), why }),
    }
}

fn literal(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let octets: Option<Vec<u8>> = bare.split('.').map(|part| part.parse().ok()).collect();
    let octets: [u8; 4] = octets?.try_into().ok()?;
    Some(octets.into())
}

fn look_up(name: &str, options: &Options) -> Result<Option<IpAddr>, Error> {
    let question = Question::Ipv4(name.trim_end_matches('.').into());
    // djb's error for a name that DNS cannot have is EPROTO.
    query(&question, 0, false).map_err(|_| Error::from(ErrorKind::InvalidInput))?;
    match ask(question, options.resolvers().servers(), options.dns_timeout) {
        Answer::Found(Records::Addresses(found)) => Ok(found.first().copied()),
        Answer::Found(_) | Answer::Absent => Ok(None),
        Answer::Failed(Failure::TimedOut) => Err(Error::from_raw_os_error(libc::ETIMEDOUT)),
        Answer::Failed(Failure::ServersFailed) => Err(Error::from_raw_os_error(libc::EAGAIN)),
        Answer::Failed(Failure::Shortage(why)) => Err(why.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_djb_reads_them() {
        let ip: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(literal("127.000.000.001"), Some(ip));
        assert_eq!(literal("[127.0.0.1]"), Some(ip));
        assert_eq!(literal("1.2.3"), None);
        assert_eq!(literal("host.example"), None);
    }
}
