//! A memory control group of a server's own: what is charged to it counts user
//! memory and the kernel's (page tables, sockets, stacks) alike.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

pub(crate) struct Cgroup {
    path: PathBuf,
    usage: &'static str,
}

impl Cgroup {
    /// Makes one, in version 1 or 2 of the interface.  Needs root.
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let name = format!("{name}.{}", std::process::id());
        let one = PathBuf::from("/sys/fs/cgroup/memory");
        let (root, usage) = if one.exists() {
            (one, "memory.usage_in_bytes")
        } else {
            let two = PathBuf::from("/sys/fs/cgroup");
            fs::write(two.join("cgroup.subtree_control"), "+memory")?;
            (two, "memory.current")
        };
        let path = root.join(name);
        fs::create_dir(&path)?;
        Ok(Self { path, usage })
    }

    /// Moves a process into it; those that it forks follow.
    pub(crate) fn enter(&self, pid: i32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("a process moves");
    }

    /// Bytes that are charged to it.
    pub(crate) fn usage(&self) -> f64 {
        let text = fs::read_to_string(self.path.join(self.usage)).expect("usage is told");
        text.trim().parse().expect("usage is a number")
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
