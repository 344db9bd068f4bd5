//! Real proxies that speak the PROXY protocol to a server: `HAProxy` and nginx.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::{directory, packages, wait_until};

/// The address from which proxies connect to the server.
pub const PROXY: &str = "127.0.6.1";

/// A proxy in front of a server, until it is dropped.
pub struct Proxy {
    child: Child,
    /// Where clients find it.
    pub address: SocketAddr,
}

impl Proxy {
    /// `HAProxy` with these words behind its `server` line, and these lines in its
    /// section; the test begins with `needs!("haproxy")`.
    pub fn haproxy(server: SocketAddr, words: &str, lines: &str) -> Self {
        Self::start("haproxy", &["-db", "-f"], |address| {
            format!(
                "defaults\n mode tcp\n timeout connect 120s\n timeout client 120s\n \
                 timeout server 120s\nlisten smtp\n bind {address}\n{lines}\n \
                 server smtp {server} source {PROXY} {words}\n"
            )
        })
    }

    /// nginx as a stream proxy; the test begins with `needs!("nginx")`.
    pub fn nginx(server: SocketAddr) -> Self {
        let folder = directory();
        let path = folder.display();
        Self::start("nginx", &["-e", "stderr", "-c"], |address| {
            format!(
                "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\n\
                 master_process off;\npid {path}/pid;\nerror_log stderr;\n\
                 events {{ worker_connections 64; }}\nstream {{\n server {{\n listen {address};\n \
                 proxy_pass {server};\n proxy_bind {PROXY};\n proxy_protocol on;\n }}\n}}\n"
            )
        })
    }

    /// On another port if another process was quicker to take the first.
    fn start(program: &str, options: &[&str], config: impl Fn(SocketAddr) -> String) -> Self {
        let try_start = |_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            drop(listener);
            let file = directory().join("config");
            fs::write(&file, config(address)).unwrap();
            let mut command = Command::new(packages::path(program));
            command.args(options).arg(&file).stdin(Stdio::null()).stdout(Stdio::null());
            let child = command.spawn().expect("the test begins with needs!");
            let mut proxy = Self { child, address };
            let started = wait_until("the proxy, or its end", || {
                let ended = proxy.child.try_wait().unwrap().is_some();
                (ended || TcpStream::connect(address).is_ok()).then_some(!ended)
            });
            started.then_some(proxy)
        };
        (0..5).find_map(try_start).expect("the proxy starts")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
