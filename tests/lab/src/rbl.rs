//! A real DNS list: rbldnsd, if need be on port 53 of a loopback address of its
//! own, which is where rblsmtpd looks for it.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::base::{MessageBuilder, Name, Rtype};

use crate::{directory, wait_until};

/// The zone of the list.
pub const ZONE: &str = "bl.test";
/// The zone of another, for IPv6.
pub const ZONE6: &str = "six.test";
/// An address on the list of [`ZONE6`].
pub const LISTED6: &str = "::1";
/// An address that it lists.
pub const LISTED: &str = "127.0.5.1";
/// What the list says of [`LISTED`].
pub const WHY: &str = "127.0.5.1 is listed here";

/// rbldnsd, until it is dropped.
pub struct Rbldnsd {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Rbldnsd {
    /// Starts it.  Needs root, for the port and for giving root up.
    pub fn start_at(ip: &str) -> Self {
        Self::start_with(ip, &[])
    }

    /// The same with more addresses or networks on the list, in rbldnsd's form.
    pub fn start_with(ip: &str, more: &[&str]) -> Self {
        Self::try_start(SocketAddr::new(ip.parse().unwrap(), 53), more).expect("rbldnsd starts")
    }

    /// On a port of its own, which clients have to be given.
    pub fn start_on_a_free_port(more: &[&str]) -> Self {
        let free = || UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let try_one = |_| {
            let address = free();
            Self::try_start(address, more)
        };
        (0..5).find_map(try_one).expect("rbldnsd starts")
    }

    fn try_start(address: SocketAddr, more: &[&str]) -> Option<Self> {
        let directory = directory();
        let list = format!(":127.0.0.2:$ is listed here\n{LISTED}\n{}\n", more.join("\n"));
        fs::write(directory.join("list"), list).unwrap();
        fs::write(directory.join("six"), format!(":127.0.0.3:$ is listed here\n{LISTED6}\n"))
            .unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let mut rbldnsd = Command::new("rbldnsd");
        rbldnsd.arg("-n").args(["-b", &format!("{}/{}", address.ip(), address.port())]);
        rbldnsd.arg("-w").arg(&directory);
        rbldnsd.arg(format!("{ZONE}:ip4set:list")).arg(format!("{ZONE6}:ip6trie:six"));
        rbldnsd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = rbldnsd.spawn().expect("the test begins with needs!");
        let mut rbldnsd = Self { child, address };
        let started = wait_until("rbldnsd, or its end", || {
            let ended = rbldnsd.child.try_wait().unwrap().is_some();
            (ended || rbldnsd.answers()).then_some(!ended)
        });
        started.then_some(rbldnsd)
    }

    /// As a name server to ask first; it refuses what is not on its list.
    pub fn option(&self) -> String {
        format!("--resolver {}", self.address)
    }

    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut query = MessageBuilder::new_vec().question();
        query.push((Name::vec_from_str("1.5.0.127.bl.test").unwrap(), Rtype::A)).unwrap();
        socket.send_to(&query.finish(), self.address).unwrap();
        socket.recv(&mut [0; 512]).is_ok_and(|length| length > 40)
    }
}

impl Drop for Rbldnsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
