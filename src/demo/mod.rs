//! `--demo`: the daemon on loopback with an SMTP server and a name server of its own,
//! so that it can be tried without qmail, root or DNS.  Look-ups, delays and the
//! hand-over are the daemon's.

mod commands;
mod names;
mod smtp;

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::os::fd::AsFd;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::pipe2;

use crate::connection::program::Program;
use crate::daemon::startup::background::Readiness;
use crate::daemon::startup::start;
use crate::error::Fatal;
use crate::log::Log;
use crate::options::Options;
use crate::sys;

use commands::Commands;
pub use smtp::respond;

/// The name under which the program runs itself as the SMTP server of the demo.
pub const RESPONDER: &str = "smtp-delay-demo";

/// Whether the address is loopback.
///
/// # Errors
/// An address that is not loopback: 100.
pub fn check(options: &Options) -> Result<(), Fatal> {
    if options.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback()) {
        return Ok(());
    }
    let wanted = "--demo listens on loopback only: use 127.0.0.1 or ::1";
    Err(Fatal::Unusable { what: format!("host {}", options.host), why: wanted.into() })
}

/// Runs the demo until it is told to stop.
///
/// # Errors
/// An address that is not loopback, and the errors of a start.
pub fn run(mut options: Options, log: &Log) -> Result<(), Fatal> {
    check(&options)?;
    if options.resolvers.is_empty() {
        options.resolvers.push(start_name_server()?);
        options.local_nets.clear();
    }
    let program = Program::at("/proc/self/exe", &[RESPONDER])
        .map_err(|why| Fatal::because("run the demo's SMTP server", why))?;
    let delays = options.delays.clone();
    let announce = move |address| {
        let commands = Commands { address, delays };
        let _ = write!(io::stderr(), "\nTo be tried in another terminal:\n\n{commands}");
    };
    start::run(&options, program, log, &mut Readiness::announced_by(announce))
}

/// Forks a name server that knows a few loopback addresses, and ends with this process.
fn start_name_server() -> Result<std::net::SocketAddr, Fatal> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let socket = socket.map_err(|why| Fatal::unable("bind the demo's name server", why))?;
    let address = socket.local_addr();
    let address = address.map_err(|why| Fatal::unable("get local address", why))?;
    let (ours, theirs) =
        pipe2(OFlag::O_CLOEXEC).map_err(|why| Fatal::unable("make a pipe", why))?;
    let served = sys::spawn(|| {
        // All processes that may send queries hold this end; the name server ends with
        // the last.
        sys::close_all_but(&[socket.as_fd(), ours.as_fd()]);
        // Ctrl-C in a terminal signals both processes, and clients that are still
        // waiting need their names.
        let ignored = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        ignored.iter().try_for_each(|signal| sys::ignore(*signal)).ok();
        names::serve(&socket, &ours);
        0
    });
    served.map_err(|why| Fatal::unable("fork", why))?;
    std::mem::forget(theirs);
    Ok(address)
}
