//! Postfix's postscreen on a port of loopback, with a configuration of its own:
//! it drops clients that talk before the greeting.  Needs root.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use lab::{directory, wait_until};

/// A postfix that runs, and is stopped when this is dropped.
pub struct Postscreen {
    config: PathBuf,
    /// Where postscreen listens.
    pub address: SocketAddr,
}

impl Postscreen {
    /// Starts it on a free port of 127.0.0.1; `None` if there is no postfix, or if it does not
    /// start.
    pub fn start() -> Option<Self> {
        Command::new("postconf").arg("-h").stdout(Stdio::null()).status().ok()?;
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = port.expect("a free port");
        let config = directory();
        let [spool, data] = ["spool", "data"].map(|name| config.join(name));
        fs::create_dir_all(&spool).and_then(|()| fs::create_dir_all(&data)).expect("directories");
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.test.example\n\
             postscreen_access_list =\npostscreen_cache_map =\npostscreen_greet_action = drop\n\
             postscreen_greet_wait = 9s\nsmtpd_peername_lookup = no\n",
            spool.display(),
            data.display()
        );
        let master = format!(
            "127.0.0.1:{} inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd\n",
            address.port()
        );
        fs::write(config.join("main.cf"), main).expect("main.cf");
        fs::write(config.join("master.cf"), master).expect("master.cf");
        let given = Command::new("chown").arg("postfix").arg(&data).status();
        assert!(given.expect("chown").success());
        let postscreen = Self { config, address };
        if !postscreen.postfix("start") {
            return None;
        }
        wait_until("postscreen", || TcpStream::connect(address).ok());
        Some(postscreen)
    }

    fn postfix(&self, command: &str) -> bool {
        let mut postfix = Command::new("postfix");
        postfix.arg("-c").arg(&self.config).arg(command);
        postfix.stdout(Stdio::null()).stderr(Stdio::null());
        postfix.status().expect("postfix").success()
    }
}

impl Drop for Postscreen {
    fn drop(&mut self) {
        self.postfix("abort");
    }
}
