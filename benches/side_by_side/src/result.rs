//! The result of a run: what was measured, on which machine, with which versions.

use std::{fs, process::Stdio};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::{
    growth::Curve,
    report::Report,
    servers::{Options, haproxy_version},
};

/// All of it, for JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) machine: Machine,
    pub(crate) versions: Versions,
    /// The command line.
    pub(crate) command: Vec<String>,
    pub(crate) pods: usize,
    pub(crate) profile: crate::pods::Profile,
    pub(crate) seed: u64,
    pub(crate) rounds: u32,
    pub(crate) rows: Vec<Report>,
    pub(crate) growth: Vec<Curve>,
}

/// Where.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) kernel: String,
    /// At the start: other work on the machine.
    pub(crate) load_average: String,
}

/// What.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Versions {
    pub(crate) watchgate: String,
    /// Of the working tree, with `-dirty` if it differs; empty outside of one.
    pub(crate) commit: String,
    pub(crate) kubernetes: String,
    pub(crate) haproxy: String,
}

// === impl Outcome ===

impl Outcome {
    pub(crate) async fn new(options: &Options, rounds: u32) -> Result<Self> {
        let pods = options.pods;
        Ok(Self {
            machine: Machine::this()?,
            versions: Versions {
                watchgate: output(&options.gateway.to_string_lossy(), &["--version"]).await,
                commit: output("git", &["describe", "--always", "--dirty", "--abbrev=12"]).await,
                kubernetes: watchgate_cluster::Release::chosen()?.name().to_owned(),
                haproxy: haproxy_version().unwrap_or_else(|| "not installed".to_owned()),
            },
            command: std::env::args().collect(),
            pods: pods.count,
            profile: pods.profile,
            seed: pods.seed,
            rounds,
            rows: Vec::new(),
            growth: Vec::new(),
        })
    }
}

#[cfg(test)]
impl Outcome {
    /// For tests.
    pub(crate) fn example() -> Self {
        let text = String::new;
        Self {
            machine: Machine {
                processor: text(),
                cores: 2,
                memory_bytes: 1 << 30,
                kernel: text(),
                load_average: text(),
            },
            versions: Versions {
                watchgate: text(),
                commit: text(),
                kubernetes: text(),
                haproxy: text(),
            },
            command: Vec::new(),
            pods: 1000,
            profile: crate::pods::Profile::Uniform,
            seed: 1,
            rounds: 1,
            rows: Vec::new(),
            growth: Vec::new(),
        }
    }
}

// === impl Machine ===

impl Machine {
    fn this() -> Result<Self> {
        let line = |text: &str, name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
            value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
        };
        let memory = line(&fs::read_to_string("/proc/meminfo")?, "MemTotal");
        let kibibytes: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Ok(Self {
            processor: line(&fs::read_to_string("/proc/cpuinfo")?, "model name"),
            cores: std::thread::available_parallelism()?.get(),
            memory_bytes: kibibytes * 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            load_average: fs::read_to_string("/proc/loadavg")?.trim().to_owned(),
        })
    }
}

/// The first line that a program prints; empty if it can't be run.
async fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().await;
    let Ok(output) = output else { return String::new() };
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().unwrap_or_default().to_owned()
}
