//! A start that fails leaves no files behind, whatever ends it: a process that
//! keeps the privileges of whoever starts us waits until it is known how the start
//! goes, and removes them if it does not go well.

use std::fs::File;
use std::io::{self, Read, Write};

use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use crate::daemon::scoreboard::file::Scoreboard;
use crate::daemon::startup::pidfile::Pidfile;
use crate::sys;

/// The process that cleans up.  A start that ends without
/// [`succeeded`](Self::succeeded) has failed.
pub(in crate::daemon) struct Cleanup {
    pid: Pid,
    pipe: Option<File>,
}

impl Cleanup {
    /// Forks it.  It keeps all signals blocked that are blocked now.
    ///
    /// # Errors
    /// No descriptors, or no process.
    pub(in crate::daemon) fn start(
        pidfile: Option<&Pidfile>,
        scoreboard: &Scoreboard,
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

    /// The files are to stay.
    pub(in crate::daemon) fn succeeded(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            let _ = pipe.write_all(b"\n");
        }
    }
}

/// Waits for the end of the process, which is near.
impl Drop for Cleanup {
    fn drop(&mut self) {
        self.pipe = None;
        let _ = waitpid(self.pid, None);
    }
}

/// Waits for a byte, which tells of success, or for the death of all who could
/// write one.
fn has_failed(mut pipe: File) -> bool {
    matches!(pipe.read(&mut [0]), Ok(0))
}
