//! What a process holds and has used, as the kernel counts it in `/proc`.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Ticks of `/proc/PID/stat` in a second, on every architecture that Linux runs on nowadays.
const TICKS: f64 = 100.0;

/// What a process holds, and the CPU time that it has used so far.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// Open files, sockets included.
    pub files: usize,
    /// Resident bytes.
    pub memory: u64,
    /// User and system time of all its threads, those that ended included.
    pub cpu: Duration,
}

impl Usage {
    /// Of the process with this id.
    ///
    /// # Errors
    /// When there is no such process, or `/proc` looks otherwise than Linux's.
    pub fn of(pid: u32) -> Result<Self> {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).context("its open files")?.count();
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
        let memory = resident(&read("status")?).context("no VmRSS in /proc/PID/status")?;
        let cpu = cpu(&read("stat")?).context("no times in /proc/PID/stat")?;
        Ok(Self { files, memory, cpu })
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib << 10)
}

fn cpu(stat: &str) -> Option<Duration> {
    // The name of the program comes before, in parentheses, and may hold spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
    Some(Duration::from_secs_f64((user + system) / TICKS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_words_are_understood() {
        let status = "Name:\tx\nVmHWM:\t    4096 kB\nVmRSS:\t    2048 kB\nThreads:\t1\n";
        assert_eq!(resident(status), Some(2 << 20));
        assert_eq!(resident("Name:\tx\n"), None);
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 95 0 0 0 150 25 3 4 20 0 1 0 10";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1_750)));
        assert_eq!(cpu("7 (a) S 1 7"), None);
    }

    #[test]
    fn this_process_can_be_asked() {
        let begun = Usage::of(std::process::id()).unwrap();
        assert!(begun.files > 2 && begun.memory > 1 << 20, "{begun:?}");
        assert!(Usage::of(u32::MAX).is_err());
    }
}
