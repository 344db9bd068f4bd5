//! A start that fails leaves no files behind, whatever ends it: a process that keeps
//! the privileges of the start waits for its result, and removes the files if it has
//! failed.

use std::fs::File;
use std::io::{self, Read, Write};

use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use crate::daemon::process::pidfile::Pidfile;
use crate::daemon::scoreboard::file::Storage;
use crate::sys;

/// The process that cleans up.  A start that ends without
/// [`succeeded`](Self::succeeded) has failed.
pub(in crate::daemon) struct Cleanup {
    pid: Pid,
    pipe: Option<File>,
}

impl Cleanup {
    /// Forks it.  Signals that are blocked now stay blocked in it.
    ///
    /// # Errors
    /// Errors of pipe(2) and fork(2).
    pub(in crate::daemon) fn start(
        pidfile: Option<&Pidfile>,
        scoreboard: &Storage,
    ) -> io::Result<Self> {
        let (reading, writing) = pipe2(OFlag::O_CLOEXEC)?;
        let mut pipe = Some(File::from(writing));
        let pid = sys::spawn(|| {
            pipe = None;
            if has_failed(reading.into()) {
                pidfile.into_iter().for_each(Pidfile::release);
                scoreboard.release();
            }
            0
        })?;
        Ok(Self { pid, pipe })
    }

    /// The start has succeeded: the files stay.
    pub(in crate::daemon) fn succeeded(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"\n");
        }
    }
}

/// Waits for the process, which ends soon.
impl Drop for Cleanup {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = waitpid(self.pid, None);
    }
}

/// Waits for a byte, which means success, or for the end of all processes that could
/// write one.
fn has_failed(mut pipe: File) -> bool {
    matches!(pipe.read(&mut [0]), Ok(0))
}
