//! Processor time that a load costs: all that is not idle, the load's own part and
//! the kernel's included, but for a kernel that samples which memory is used (DAMON,
//! its threads are called kdamond): that walks through all processes that share a
//! page, has nothing to do with who connects, and takes a fifth of two processors
//! beside ten thousand of them.

use std::fs;
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};

/// Ticks of the kernel's clock.
pub(crate) struct Processors {
    scanners: Vec<String>,
    ticks: u64,
}

impl Processors {
    /// From now on.
    pub(crate) fn watch() -> Self {
        let processes = fs::read_dir("/proc").expect("/proc").flatten();
        let names = processes.filter_map(|process| process.file_name().into_string().ok());
        let is_scanner = |pid: &String| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.starts_with("kdamond")
        };
        let pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let scanners: Vec<String> = pids.filter(is_scanner).collect();
        let ticks = worked(&scanners);
        Self { scanners, ticks }
    }

    /// Since then.
    #[allow(clippy::cast_sign_loss)]
    pub(crate) fn time(&self) -> Duration {
        let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().expect("ticks a second") as u64;
        Duration::from_millis((worked(&self.scanners) - self.ticks) * 1000 / second)
    }
}

/// Numbers in a line, behind `skip` words.
fn numbers(line: &str, skip: usize) -> Vec<u64> {
    line.split_whitespace().skip(skip).filter_map(|word| word.parse().ok()).collect()
}

/// `proc_stat(5)`: user, nice, system, idle, iowait, irq, softirq.  `proc_pid_stat(5)`:
/// utime and stime are the twelfth and thirteenth field behind the name.
fn worked(scanners: &[String]) -> u64 {
    let text = fs::read_to_string("/proc/stat").expect("/proc/stat");
    let all = numbers(text.lines().next().unwrap_or_default(), 1);
    let idle = all[3] + all[4];
    let of_one = |pid: &String| {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = text.rsplit(')').next().unwrap_or_default();
        numbers(fields, 11).iter().take(2).sum::<u64>()
    };
    all[..7].iter().sum::<u64>() - idle - scanners.iter().map(of_one).sum::<u64>()
}
