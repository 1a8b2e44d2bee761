//! What a process has used: CPU time of all its threads, and resident memory, from `/proc`.
//!
//! CPU time is summed over `/proc/PID/task/*/schedstat`, which counts nanoseconds but forgets a thread that has ended, and
//! is checked against `/proc/PID/stat`, which forgets nothing but counts in ticks: when a thread ended between two readings,
//! the ticks are taken. What ended processes used is an error, never zero. Linux only.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result, ensure};

/// `USER_HZ`, which the kernel's interface fixes.
const TICKS_PER_SECOND: u64 = 100;
/// More than this between the two ways of counting means that a thread was missed: both readings may be a tick off.
const TICK_SLACK: Duration = Duration::from_millis(25);

/// A process to account for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pid(pub(crate) u32);

/// What it has used of the CPU up to one time.
#[derive(Clone, Debug)]
pub(crate) struct CpuReading {
    ticks: u64,
    threads: BTreeMap<u32, u64>,
}

// === impl Pid ===

impl Pid {
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    pub(crate) fn cpu(self) -> Result<CpuReading> {
        let directory = format!("/proc/{}", self.0);
        let directory = Path::new(&directory);
        let stat = fs::read_to_string(directory.join("stat"))
            .with_context(|| format!("process {} has ended", self.0))?;
        let ticks = ticks(&stat).context("/proc/PID/stat: not as proc(5) says")?;
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(directory.join("task"))? {
            let entry = entry?;
            // A thread that ends while we read is one that is missing.
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let thread = entry.file_name().to_string_lossy().parse()?;
            let nanoseconds = text.split_ascii_whitespace().next().and_then(|it| it.parse().ok());
            threads.insert(thread, nanoseconds.context("schedstat: not as proc(5) says")?);
        }
        ensure!(!threads.is_empty(), "process {} has ended", self.0);
        Ok(CpuReading { ticks, threads })
    }

    /// Resident memory now, in bytes.
    pub(crate) fn resident(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))
            .with_context(|| format!("process {} has ended", self.0))?;
        kibibytes(&status, "VmRSS:").context("no VmRSS in /proc/PID/status")
    }

    /// Number of open descriptors.
    pub(crate) fn descriptors(self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0))?.count())
    }
}

// === impl CpuReading ===

impl CpuReading {
    /// CPU time between an earlier reading and this one.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        let by_ticks = Duration::from_nanos(ticks * (1_000_000_000 / TICKS_PER_SECOND));
        let sum: u64 = self
            .threads
            .iter()
            .map(|(thread, now)| {
                now.saturating_sub(earlier.threads.get(thread).copied().unwrap_or(0))
            })
            .sum();
        let by_threads = Duration::from_nanos(sum);
        let ended = earlier.threads.keys().any(|thread| !self.threads.contains_key(thread));
        if ended || by_ticks > by_threads + TICK_SLACK {
            by_ticks.max(by_threads)
        } else {
            by_threads
        }
    }
}

/// utime + stime. The command before them may itself hold spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, after_command) = stat.rsplit_once(')')?;
    let mut fields = after_command.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
}

fn kibibytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    number.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(ticks: u64, threads: &[(u32, u64)]) -> CpuReading {
        CpuReading { ticks, threads: threads.iter().copied().collect() }
    }

    #[test]
    fn threads_are_summed_exactly_while_none_ends() {
        let before = reading(100, &[(1, 500_000_000), (2, 500_000_000)]);
        let after = reading(102, &[(1, 504_000_000), (2, 507_000_000), (3, 9_000_000)]);
        assert_eq!(after.since(&before), Duration::from_millis(20));
    }

    #[test]
    fn ticks_count_when_a_thread_ended() {
        let before = reading(100, &[(1, 500_000_000), (2, 500_000_000)]);
        let gone = reading(110, &[(1, 510_000_000)]);
        assert_eq!(gone.since(&before), Duration::from_millis(100));
        // Born and ended between the readings.
        let missed = reading(110, &[(1, 510_000_000), (2, 500_000_000)]);
        assert_eq!(missed.since(&before), Duration::from_millis(100));
    }

    #[test]
    fn reads_cpu_time_behind_any_command() {
        let stat =
            "4711 (a) R (b c) S 1 4711 4711 0 -1 4194560 1 2 3 4 120 34 5 6 20 0 9 0 100 1 2";
        assert_eq!(ticks(stat), Some(154));
        assert_eq!(ticks("4711 (short) S 1 2 3"), None);
    }

    #[test]
    fn reads_its_own_figures() {
        let own = Pid::own();
        let before = own.cpu().unwrap();
        while own.cpu().unwrap().since(&before) < Duration::from_millis(5) {}
        assert!(own.resident().unwrap() > 100_000);
        assert!(own.descriptors().unwrap() > 0);
        assert!(Pid(u32::MAX).cpu().is_err());
    }
}
