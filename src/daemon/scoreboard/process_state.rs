//! What /proc tells about our own processes.

use std::fs;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Whether the process `pid` is stopped by a signal (`proc_pid_stat(5)`, state `T`):
/// `svc -p`, `kill -STOP`.  A process under a debugger is not.
#[must_use]
pub(in crate::daemon) fn is_stopped(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| state(&stat) == Some(b'T'))
}

/// The state follows the name, which may contain parentheses and blanks.
fn state(stat: &[u8]) -> Option<u8> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    stat.get(name_end + 2).copied()
}

/// Wakes the child `pid` from any blocking call.  The signal is one that a program
/// ignores, in case the child is about to become one.
pub(in crate::daemon) fn wake_child(pid: u32) {
    let _ = kill(as_pid(pid), Signal::SIGURG);
}

/// As the scoreboard has it.
pub(in crate::daemon) fn as_pid(number: u32) -> Pid {
    Pid::from_raw(i32::try_from(number).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert_eq!(state(b"7 (smtp-delayd) S 1 7 7 0"), Some(b'S'));
        assert_eq!(state(b"7 (a) T (b) T 1 7 7 0"), Some(b'T'));
        assert_eq!((state(b"7 (a)"), state(b"")), (None, None));
        assert!(!is_stopped(std::process::id()));
    }
}
