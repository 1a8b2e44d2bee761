//! CPU time and memory of a process, from `/proc/PID/stat` and `/proc/PID/status`.
//!
//! Guarantees: utime and stime of all threads of the process, without its children; figures of a
//! process that ended are an error, never zero. Works on Linux only.

use std::{io, path::PathBuf, time::Duration};

use serde::Serialize;

/// A process to watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    pid: u32,
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
    /// The process with this id.
    pub const fn new(pid: u32) -> Self {
        Self { pid }
    }

    /// This very process.
    pub fn own() -> Self {
        Self { pid: std::process::id() }
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
        let file = |name: &str| PathBuf::from(format!("/proc/{}/{name}", self.pid));
        let read = |name: &str| {
            std::fs::read(file(name))
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .map_err(|source| ProcessError::Unreadable { pid: self.pid, source })
        };
        let form = |name: &str, what| ProcessError::Form { path: file(name), what };
        let ticks = cpu_ticks(&read("stat")?).ok_or_else(|| form("stat", "utime and stime"))?;
        let resident = resident(&read("status")?).ok_or_else(|| form("status", "VmRSS"))?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let cpu = Duration::from_secs_f64(ticks as f64 / per_second as f64);
        let descriptors = std::fs::read_dir(file("fd")).ok().map(|entries| entries.count() as u64);
        Ok(Usage { cpu, resident, descriptors })
    }
}

/// Lets this process open as many files as it is allowed to: every connection is one. Where it is not
/// allowed more, opening connections fails and says so.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _as_before = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// utime + stime, in clock ticks. The command before them may itself hold spaces and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, after_command) = stat.rsplit_once(')')?;
    // After the command: state is field 3, utime field 14 and stime field 15.
    let mut fields = after_command.split_ascii_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    user.checked_add(system)
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
        assert_eq!(cpu_ticks(stat), Some(154));
        assert_eq!(cpu_ticks("4711 (short) S 1 2 3"), None);
        assert_eq!(cpu_ticks("nothing"), None);
    }

    #[test]
    fn reads_resident_memory() {
        let status = "Name:\twatchgate\nVmPeak:\t  900 kB\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(resident(status), Some(2 << 20));
        assert_eq!(resident("Name:\tkthread\n"), None);
    }

    #[test]
    fn its_own_cpu_time_rises_with_work() {
        let own = Process::own();
        let before = own.usage().unwrap();
        // Reading /proc is itself work, mostly of the system.
        while own.usage().unwrap().cpu < before.cpu + Duration::from_millis(20) {}
        assert!(before.resident > 100_000);
        assert!(before.descriptors.is_some_and(|count| count >= 3));
        assert!(matches!(Process::new(u32::MAX).usage(), Err(ProcessError::Unreadable { .. })));
    }
}
