//! A control group: what is charged to it is what its processes have used, and what
//! the kernel has for them (page tables, sockets, stacks).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// What it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of memory.
    Memory,
    /// Nanoseconds of processor time, of the kernel's scheduler and not by its ticks.
    Time,
}

/// A control group, which is removed when this is dropped; no process may be in it then.
pub struct Cgroup {
    path: PathBuf,
    usage: &'static str,
}

impl Kind {
    /// Where groups are made, and the file that has the count.
    fn place(self) -> (&'static str, &'static str) {
        let (one, two) = match self {
            Self::Memory => (("/sys/fs/cgroup/memory", "memory.usage_in_bytes"), "memory.current"),
            Self::Time => (("/sys/fs/cgroup/cpuacct", "cpuacct.usage"), "cpu.stat"),
        };
        if Path::new(one.0).exists() { one } else { ("/sys/fs/cgroup", two) }
    }
}

impl Cgroup {
    /// Makes one that counts this, with `name` as the beginning of its name, in version 1 or
    /// 2 of the interface.
    ///
    /// # Errors
    /// Without root, or without the controller.
    pub fn new(name: &str, kind: Kind) -> io::Result<Self> {
        let (root, usage) = kind.place();
        if usage == "memory.current" {
            fs::write(Path::new(root).join("cgroup.subtree_control"), "+memory")?;
        }
        let path = Path::new(root).join(format!("{name}.{}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self { path, usage })
    }

    /// Moves a process into it; those that it forks follow.
    pub fn enter(&self, pid: i32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("a process moves");
    }

    /// Moves a process out of it, to the root of all groups.
    pub fn leave(&self, pid: i32) {
        let root = self.path.parent().unwrap_or(&self.path);
        if let Err(why) = fs::write(root.join("cgroup.procs"), pid.to_string()) {
            eprintln!("unable to leave {}: {why}", self.path.display());
        }
    }

    /// What is charged to it: bytes, or nanoseconds.
    pub fn usage(&self) -> f64 {
        let text = fs::read_to_string(self.path.join(self.usage)).expect("usage is told");
        // Version 2 has time in microseconds.
        let micros = text.strip_prefix("usage_usec ").and_then(|rest| rest.lines().next());
        let (number, unit) = micros.map_or((text.trim(), 1.0), |micros| (micros, 1e3));
        number.parse::<f64>().expect("usage is a number") * unit
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Processes that were just killed may not have left yet.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        eprintln!("unable to remove {}", self.path.display());
    }
}
