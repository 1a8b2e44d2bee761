//! CPU time and memory of a process, from `/proc/PID/stat` and `/proc/PID/status`.
//!
//! Guarantees: utime and stime of all threads of the process, without its children; figures of a
//! process that ended are an error, never zero, also when another process has its id by now. Works on
//! Linux only.

use std::{io, path::PathBuf, time::Duration};

use serde::Serialize;

/// A process to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
    /// When it was started, in clock ticks since the machine was.
    started: u64,
}

/// What a process has used up to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Open file descriptors; `None` of a process of another user.
    pub descriptors: Option<u64>,
}

/// A process whose figures cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The file is not as proc(5) says.
    #[error("{path}: not as expected: {what}")]
    Form {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
    },
    /// It ended, and another one has its id.
    #[error("process {0} has ended, and another process has its id")]
    Another(u32),
    /// It ended, or is not to be seen.
    #[error("process {pid} cannot be read: {source}")]
    Unreadable {
        /// The process.
        pid: u32,
        /// Why.
        source: io::Error,
    },
}

// === impl Process ===

impl Process {
    /// The process that has this id now.
    ///
    /// # Errors
    /// When there is none, or `/proc` is not there.
    pub fn find(pid: u32) -> Result<Self, ProcessError> {
        let started = Stat::read(pid)?.started;
        Ok(Self { pid, started })
    }

    /// This very process.
    ///
    /// # Errors
    /// When `/proc` is not there.
    pub fn own() -> Result<Self, ProcessError> {
        Self::find(std::process::id())
    }

    /// Its id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Its figures now.
    ///
    /// # Errors
    /// When it ended, or `/proc` is not there.
    pub fn usage(&self) -> Result<Usage, ProcessError> {
        let stat = Stat::read(self.pid)?;
        if stat.started != self.started {
            return Err(ProcessError::Another(self.pid));
        }
        let form = |what| ProcessError::Form { path: file(self.pid, "status"), what };
        let resident = resident(&read(self.pid, "status")?).ok_or_else(|| form("VmRSS"))?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let cpu = Duration::from_secs_f64(stat.ticks as f64 / per_second as f64);
        let descriptors = std::fs::read_dir(file(self.pid, "fd")).ok();
        let descriptors = descriptors.map(|entries| entries.count() as u64);
        Ok(Usage { cpu, resident, descriptors })
    }
}

/// What is needed of `/proc/PID/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// utime + stime, in clock ticks.
    ticks: u64,
    started: u64,
}

// === impl Stat ===

impl Stat {
    fn read(pid: u32) -> Result<Self, ProcessError> {
        let what = "utime, stime and starttime";
        let form = || ProcessError::Form { path: file(pid, "stat"), what };
        Self::parse(&read(pid, "stat")?).ok_or_else(form)
    }

    /// The command before the figures may itself hold spaces and brackets.
    fn parse(stat: &str) -> Option<Self> {
        let (_, after_command) = stat.rsplit_once(')')?;
        // After the command: state is field 3, utime 14, stime 15 and starttime 22.
        let mut fields = after_command.split_ascii_whitespace().skip(11);
        let mut next = || fields.next()?.parse::<u64>().ok();
        let ticks = next()?.checked_add(next()?)?;
        Some(Self { ticks, started: fields.nth(6)?.parse().ok()? })
    }
}

fn file(pid: u32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn read(pid: u32, name: &str) -> Result<String, ProcessError> {
    std::fs::read(file(pid, name))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| ProcessError::Unreadable { pid, source })
}

/// Lets this process open as many files as it is allowed to: every connection is one. Where it is not
/// allowed more, opening connections fails and says so.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _as_before = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// VmRSS in bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_cpu_time_behind_a_command_with_spaces_and_brackets() {
        let stat =
            "4711 (a) R (b c) S 1 4711 4711 0 -1 4194560 1 2 3 4 120 34 5 6 20 0 9 0 100 1 2";
        assert_eq!(Stat::parse(stat), Some(Stat { ticks: 154, started: 100 }));
        for cut in ["4711 (short) S 1 2 3", "4711 (x) S 1 2 3 4 5 6 7 8 9 10 1 2 3", "nothing"] {
            assert_eq!(Stat::parse(cut), None, "{cut}");
        }
    }

    #[test]
    fn reads_resident_memory() {
        let status = "Name:\twatchgate\nVmPeak:\t  900 kB\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(2 << 20));
        assert_eq!(resident("Name:\tkthread\n"), None);
    }

    #[test]
    fn its_own_cpu_time_rises_with_work() {
        let own = Process::own().unwrap();
        let before = own.usage().unwrap();
        // Reading /proc is itself work, mostly of the system.
        while own.usage().unwrap().cpu < before.cpu + Duration::from_millis(20) {}
        assert!(before.resident > 100_000);
        assert!(before.descriptors.is_some_and(|count| count >= 3));
        assert!(matches!(Process::find(u32::MAX), Err(ProcessError::Unreadable { .. })));
        let before = Process { started: own.started - 1, ..own };
        assert!(matches!(before.usage(), Err(ProcessError::Another(_))));
    }
}
