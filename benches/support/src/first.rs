//! A load that never waits for a processor.  Clients are usually on other hosts: a
//! load on the server's host that has to wait for a processor measures that wait as
//! well.

use std::process::{Command, Stdio, id};

/// While this lives the calling thread is scheduled before all others (`SCHED_FIFO`,
/// sched(7)); what it starts is not.
pub struct First(());

impl First {
    /// From now on; `None` without `CAP_SYS_NICE`, or without chrt(1).
    pub fn take() -> Option<Self> {
        schedule(&["--reset-on-fork", "--fifo"], "1").then_some(Self(()))
    }
}

impl Drop for First {
    fn drop(&mut self) {
        if !schedule(&["--other"], "0") {
            eprintln!("unable to restore the scheduling policy");
        }
    }
}

fn schedule(policy: &[&str], priority: &str) -> bool {
    let mut chrt = Command::new("chrt");
    chrt.args(policy).args(["--pid", priority, &id().to_string()]).stderr(Stdio::null());
    chrt.status().is_ok_and(|status| status.success())
}
