//! A listener that the service manager passes (socket activation), as `sd_listen_fds(3)`
//! describes it.

use std::env;
use std::io;

use nix::errno::Errno;
use nix::unistd::getpid;
use socket2::{Domain, Socket, Type};

use crate::error::{Cause, Fatal};
use crate::sys;

/// The socket that was passed to this process, if one was.  To be called once.
///
/// # Errors
/// More than one, or one that is no listening TCP socket: 100.
pub(in crate::daemon) fn passed_listener() -> Result<Option<Socket>, Fatal> {
    let variable = |name| env::var(name).ok();
    match count(variable, getpid().as_raw()) {
        0 => Ok(None),
        1 => {
            let socket = sys::take_first_passed().map_err(|why| unusable(why.into()))?;
            listening(socket.into()).map(Some)
        }
        several => Err(unusable(format!("there are {several}, and only one can be used").into())),
    }
}

fn unusable(why: Cause) -> Fatal {
    Fatal::Unusable { what: "the sockets of the service manager".into(), why }
}

/// How many sockets were passed to the process `pid`: the variables may be meant for one
/// that started it.
fn count(variable: impl Fn(&'static str) -> Option<String>, pid: i32) -> usize {
    let number = |name| variable(name).and_then(|text| text.parse().ok());
    if number("LISTEN_PID") != Some(pid) {
        return 0;
    }
    number("LISTEN_FDS").and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

fn listening(socket: Socket) -> Result<Socket, Fatal> {
    match is_tcp_listener(&socket) {
        Ok(true) => Ok(socket),
        Ok(false) => Err(unusable("it is no listening TCP socket (Accept= has to be no)".into())),
        Err(why) => Err(unusable(why.into())),
    }
}

fn is_tcp_listener(socket: &Socket) -> io::Result<bool> {
    let domain = match socket.domain() {
        Err(why) if why.raw_os_error() == Some(Errno::ENOTSOCK as i32) => return Ok(false),
        domain => domain?,
    };
    let is_ip = [Domain::IPV4, Domain::IPV6].contains(&domain);
    Ok(is_ip && socket.r#type()? == Type::STREAM && socket.is_listener()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
    use std::os::fd::OwnedFd;

    #[test]
    fn what_was_passed_to_another_process_is_not_ours() {
        let count = |pid: &str, fds: &str| {
            let (pid, fds) = (pid.to_string(), fds.to_string());
            count(|name| Some(if name == "LISTEN_PID" { pid.clone() } else { fds.clone() }), 7)
        };
        assert_eq!([count("7", "1"), count("7", "2"), count("8", "1")], [1, 2, 0]);
        assert_eq!([count("7", "-1"), count("7", "x"), count("", "1")], [0; 3]);
        assert_eq!(super::count(|_| None, 7), 0);
    }

    #[test]
    fn only_a_listening_tcp_socket_is_used() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let connected = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let datagrams = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let pipe = nix::unistd::pipe().unwrap().0;
        let others: [OwnedFd; 3] = [connected.into(), datagrams.into(), pipe];
        for other in others.map(Socket::from) {
            let why = listening(other).unwrap_err();
            assert_eq!(why.exit_code(), crate::error::USAGE);
            assert!(why.to_string().contains("no listening TCP socket"), "{why}");
        }
        assert!(listening(listener.into()).is_ok());
    }
}
