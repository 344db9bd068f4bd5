//! A real DNS list: rbldnsd on port 53 of a loopback address of its own, which
//! is where rblsmtpd looks for it.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use domain::base::{MessageBuilder, Name, Rtype};

use super::{directory, wait_until};

/// The zone of the list.
pub(crate) const ZONE: &str = "bl.test";
/// An address that it lists, and what it says of it.
pub(crate) const LISTED: &str = "127.0.5.1";
pub(crate) const WHY: &str = "127.0.5.1 is listed here";

/// rbldnsd, until it is dropped.
pub(crate) struct Rbldnsd {
    child: Child,
    ip: String,
}

impl Rbldnsd {
    /// Starts it.  Needs root, for the port and for giving root up.
    pub(crate) fn start_at(ip: &str) -> Self {
        Self::start_with(ip, &[])
    }

    /// The same with more addresses or networks on the list.
    pub(crate) fn start_with(ip: &str, more: &[&str]) -> Self {
        let directory = directory();
        let list = format!(":127.0.0.2:$ is listed here\n{LISTED}\n{}\n", more.join("\n"));
        fs::write(directory.join("list"), list).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).unwrap();
        let mut rbldnsd = Command::new("rbldnsd");
        rbldnsd.arg("-n").args(["-b", &format!("{ip}/53")]).arg("-w").arg(&directory);
        rbldnsd.arg(format!("{ZONE}:ip4set:list"));
        rbldnsd.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = rbldnsd.spawn().expect("rbldnsd is installed by tests/run");
        let mut rbldnsd = Self { child, ip: ip.into() };
        wait_until("rbldnsd", || {
            assert!(rbldnsd.child.try_wait().unwrap().is_none(), "rbldnsd did not start");
            rbldnsd.answers().then_some(())
        });
        rbldnsd
    }

    fn answers(&self) -> bool {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut query = MessageBuilder::new_vec().question();
        query.push((Name::vec_from_str("1.5.0.127.bl.test").unwrap(), Rtype::A)).unwrap();
        socket.send_to(&query.finish(), (self.ip.as_str(), 53)).unwrap();
        socket.recv(&mut [0; 512]).is_ok_and(|length| length > 40)
    }
}

impl Drop for Rbldnsd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
