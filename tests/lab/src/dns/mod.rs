//! Name servers: the real nsd with zones for loopback addresses, and a double
//! for the faults that nsd does not produce on demand.

mod fake;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::base::{Message, MessageBuilder, Name, Rtype};

pub use fake::{FakeDns, Fault, SILENT};

use crate::{directory, wait_until};

/// In the zones of [`Nsd`] it has the name of a mail server.
pub const ORDINARY: &str = "127.0.1.1";
/// It has the name of a dynamic host.
pub const LINE: &str = "127.0.2.1";
/// It has no name.
pub const NAMELESS: &str = "127.0.3.1";
/// nsd refuses to answer for this one.
pub const REFUSED: &str = "127.9.9.9";
/// The PTR is reached through a CNAME.
pub const DELEGATED: &str = "127.0.1.2";
/// The name does not lead back.
pub const UNCONFIRMED: &str = "127.0.1.3";
/// It leads to a zone that nsd refuses to answer for.
pub const UNCHECKABLE: &str = "127.0.1.4";
/// It has so many names that the answer is truncated.
pub const MANY_NAMES: &str = "127.0.1.5";
/// The name has bytes that no host name has.
pub const HOSTILE: &str = "127.0.1.6";

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

/// A zone without a name in it.
pub const EMPTY: &str = "$TTL 60
@ SOA ns.test. root.test. 1 60 60 60 60
@ NS ns.test.
";

/// The zone `example.org`, with addresses for the names.
pub const FORWARD: &str = "$TTL 60
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
    let name = |number| format!("5.1 PTR host-number-{number}.of.many.example.org.\n");
    let many: Vec<String> = (0..60).map(name).collect();
    [
        ("0.127.in-addr.arpa", format!("{REVERSE}{}", many.concat())),
        ("test", SUB.into()),
        ("isp.example", EMPTY.into()),
        ("example.org", FORWARD.into()),
        ("ip6.arpa", REVERSE6.into()),
    ]
}

/// nsd on a port of its own.
pub struct Nsd {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
}

impl Nsd {
    /// Starts it; on another port if another process was quicker to take the first.
    pub fn start() -> Self {
        Self::start_with(&zones())
    }

    /// The same with other zones, by name and text; `example.org` has to be
    /// one of them, with an address for `mx1`.
    pub fn start_with(zones: &[(&str, String)]) -> Self {
        let start = |_| Self::try_start("127.0.0.1", free_udp_port(), zones);
        (0..5).find_map(start).expect("nsd starts")
    }

    /// Starts it on port 53, for clients without an option for the port.
    pub fn start_at(ip: &str, port: u16) -> Self {
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
            let entry = format!("zone:\n name: \"{zone}\"\n zonefile: \"{zone}\"\n");
            config.push_str(&entry);
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

    /// As a name server to ask first.
    pub fn option(&self) -> String {
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
