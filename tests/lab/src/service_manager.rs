//! A service manager: it holds a listener that daemons are passed, and hears how they are
//! doing.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Output};

use nix::fcntl::{FcntlArg, fcntl};

use crate::command::let_inherit;
use crate::daemon::Setup;
use crate::{Daemon, PATIENCE, directory, wait_until};

/// A listener that outlives the daemons that accept from it.
pub struct Passed {
    listener: TcpListener,
    /// Where clients find it.
    pub address: SocketAddr,
}

impl Passed {
    /// Listens at `address`.
    pub fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        // Away from the descriptor where the daemon finds it.
        let away = fcntl(&listener, FcntlArg::F_DUPFD_CLOEXEC(10)).unwrap();
        // SAFETY: it was made by the line above, and nothing else has it.
        #[allow(unsafe_code)]
        let away = unsafe { OwnedFd::from_raw_fd(away) };
        Self { listener: away.into(), address }
    }

    /// A daemon that is passed it, `count` times.
    pub fn setup_passing(&self, count: usize) -> Setup {
        let fd: RawFd = self.listener.as_raw_fd();
        let passed: Vec<String> = (3..3 + count).map(|to| format!("{to}<&{fd}")).collect();
        let passed = passed.join(" ");
        let script = format!(
            "exec {passed} {fd}<&-; LISTEN_PID=$$ LISTEN_FDS={count} LISTEN_FDNAMES=x exec \"$@\""
        );
        let setup = Daemon::setup_under(&["bash", "-c", &script, "bash"]);
        setup.command(|command| let_inherit(command, fd)).port(self.address.port())
    }

    /// A daemon that is passed it.
    pub fn setup(&self) -> Setup {
        self.setup_passing(1)
    }
}

/// What a daemon prints that cannot start.
#[track_caller]
pub fn output_of(setup: Setup, program: &[&str]) -> Output {
    let mut started = Started(setup.into_command(program).spawn().unwrap());
    let status = wait_until("a start to fail", || started.0.try_wait().unwrap());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    started.0.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    started.0.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status, stdout, stderr }
}

/// Killed when this is dropped, if it has not ended.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What daemons report.
pub struct Reports {
    socket: UnixDatagram,
    /// Where they send it.
    pub path: PathBuf,
}

impl Reports {
    /// Listens for reports.
    pub fn listen() -> Self {
        let path = directory().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path }
    }

    /// The next report.
    #[track_caller]
    pub fn next(&self) -> String {
        let mut buffer = [0; 1024];
        let length = self.socket.recv(&mut buffer).expect("a report");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }
}
