//! The command line, and what its subcommands do.

use std::{fs, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use watchgate_loadtest::{
    accounting::Accounting,
    comparison::{self, Side},
    list_storm,
    process::Process,
    scenario::{ListScenario, WatchScenario},
    scratch::Resource,
    target::{Access, Target},
    transport::Protocol,
    watch_run,
};

/// Loads an endpoint that speaks the Kubernetes API, and checks what it answers.
///
/// Exit status: 0 if everything was right, 1 if the server lost, repeated or reordered events or
/// failed requests, 2 if there is no result.
#[derive(Debug, Parser)]
#[command(name = "watchgate-loadtest", version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the same watch scenario against two endpoints in turn, and print ratios.
    Compare(Box<CompareFlags>),
    /// Many clients list, each again as soon as it has the answer.
    List(Box<ListFlags>),
    /// Many watches, and writers whose every write each watcher must see once and in order.
    Watch(Box<WatchFlags>),
}

#[derive(Debug, Args)]
struct EndpointFlags {
    /// Kubeconfig whose current context is the endpoint.
    #[arg(long, value_name = "FILE", required_unless_present = "server")]
    kubeconfig: Option<PathBuf>,
    /// URL of the endpoint; with --kubeconfig only the address is replaced.
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// File with the CA certificates of the endpoint, in PEM.
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// Process id of the server, for its CPU and memory. Repeatable: ratios are about the first.
    #[arg(long, value_name = "PID")]
    server_pid: Vec<u32>,
}

#[derive(Debug, Args)]
struct SharedFlags {
    /// File with a bearer token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Allow a server that is not on this machine. A load test can bring a cluster down.
    #[arg(long)]
    i_own_this_cluster: bool,
    /// Write the result as JSON to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ScenarioFlags {
    /// What the objects are.
    #[arg(long, default_value = "configmaps")]
    resource: Resource,
    /// Namespace for the objects, which must exist; one of its own is made and deleted if not given.
    #[arg(long)]
    namespace: Option<String>,
    /// Labels that the watches select and the objects carry: KEY=VALUE[,KEY=VALUE…].
    #[arg(long, value_name = "SELECTOR")]
    label_selector: Option<String>,
    /// Protocol.
    #[arg(long, default_value = "http2")]
    protocol: Protocol,
    /// Number of watches.
    #[arg(long, value_name = "N", default_value_t = 100)]
    watchers: u32,
    /// Spread the watches over this many connections.
    #[arg(long, value_name = "C", conflicts_with = "streams_per_connection")]
    connections: Option<u32>,
    /// Watches on one connection [default: 50 with HTTP/2, 1 with HTTP/1.1]
    #[arg(long, value_name = "K")]
    streams_per_connection: Option<u32>,
    /// Number of writers; 0 measures idle watches.
    #[arg(long, value_name = "W", default_value_t = 4)]
    writers: u32,
    /// Writes per second of all writers together, whether or not the server keeps up.
    #[arg(long, value_name = "R", default_value_t = 20.0)]
    rate: f64,
    /// Bytes of data in each object.
    #[arg(long, value_name = "B", default_value_t = 1000)]
    object_bytes: usize,
    /// How long to write: 30s, 2m.
    #[arg(long, value_name = "D", default_value = "10s", value_parser = duration)]
    duration: Duration,
}

#[derive(Debug, Args)]
struct WatchFlags {
    #[command(flatten)]
    endpoint: EndpointFlags,
    #[command(flatten)]
    shared: SharedFlags,
    #[command(flatten)]
    scenario: ScenarioFlags,
}

#[derive(Debug, Args)]
struct CompareFlags {
    /// Kubeconfig of A.
    #[arg(long, value_name = "FILE", required_unless_present = "server_a")]
    kubeconfig_a: Option<PathBuf>,
    /// URL of A.
    #[arg(long, value_name = "URL")]
    server_a: Option<String>,
    /// CA certificates of A.
    #[arg(long, value_name = "FILE")]
    certificate_authority_a: Option<PathBuf>,
    /// Process id of A. Repeatable: ratios are about the first.
    #[arg(long, value_name = "PID")]
    server_pid_a: Vec<u32>,
    /// Kubeconfig of B.
    #[arg(long, value_name = "FILE", required_unless_present = "server_b")]
    kubeconfig_b: Option<PathBuf>,
    /// URL of B.
    #[arg(long, value_name = "URL")]
    server_b: Option<String>,
    /// CA certificates of B.
    #[arg(long, value_name = "FILE")]
    certificate_authority_b: Option<PathBuf>,
    /// Process id of B. Repeatable: ratios are about the first.
    #[arg(long, value_name = "PID")]
    server_pid_b: Vec<u32>,
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    shared: SharedFlags,
    #[command(flatten)]
    scenario: ScenarioFlags,
}

#[derive(Debug, Args)]
struct ListFlags {
    #[command(flatten)]
    endpoint: EndpointFlags,
    #[command(flatten)]
    shared: SharedFlags,
    /// What to list.
    #[arg(long, default_value = "configmaps")]
    resource: Resource,
    /// In which namespace [default: all]
    #[arg(long)]
    namespace: Option<String>,
    /// Which objects.
    #[arg(long, value_name = "SELECTOR")]
    label_selector: Option<String>,
    /// Protocol.
    #[arg(long, default_value = "http2")]
    protocol: Protocol,
    /// Number of clients, each with a connection of its own.
    #[arg(long, value_name = "C", default_value_t = 10)]
    clients: u32,
    /// The resourceVersion parameter; 0 allows any state. The latest state if not given.
    #[arg(long, value_name = "VERSION")]
    resource_version: Option<String>,
    /// Accept compressed answers.
    #[arg(long)]
    gzip: bool,
    /// Ask for Protobuf in place of JSON.
    #[arg(long)]
    protobuf: bool,
    /// For how long: 30s, 2m.
    #[arg(long, value_name = "D", default_value = "10s", value_parser = duration)]
    duration: Duration,
}

// === impl CommandLine ===

impl CommandLine {
    /// Does what it says, and prints the result.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let stop = CancellationToken::new();
        let cancelled = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                eprintln!("ending in order; objects are being deleted");
                cancelled.cancel();
            }
        });
        match self.command {
            Command::Compare(flags) => flags.run(&stop).await,
            Command::List(flags) => flags.run(&stop).await,
            Command::Watch(flags) => flags.run(&stop).await,
        }
    }
}

impl WatchFlags {
    async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let Side { target, accounting } = self.endpoint.open(&self.shared).await?;
        let scenario = self.scenario.scenario();
        let report = Box::pin(watch_run::run(&target, &scenario, &accounting, stop)).await?;
        print!("{report}");
        self.shared.finish(&report, report.passed())
    }
}

impl ListFlags {
    async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let Side { target, accounting } = self.endpoint.open(&self.shared).await?;
        let scenario = ListScenario {
            resource: self.resource,
            namespace: self.namespace,
            label_selector: self.label_selector,
            protocol: self.protocol,
            clients: self.clients,
            resource_version: self.resource_version,
            gzip: self.gzip,
            protobuf: self.protobuf,
            duration: self.duration,
        };
        let report = list_storm::run(&target, &scenario, &accounting, stop).await?;
        print!("{report}");
        self.shared.finish(&report, report.passed())
    }
}

impl CompareFlags {
    async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let a = EndpointFlags {
            kubeconfig: self.kubeconfig_a,
            server: self.server_a,
            certificate_authority: self.certificate_authority_a,
            server_pid: self.server_pid_a,
        };
        let b = EndpointFlags {
            kubeconfig: self.kubeconfig_b,
            server: self.server_b,
            certificate_authority: self.certificate_authority_b,
            server_pid: self.server_pid_b,
        };
        let sides =
            [a.open(&self.shared).await.context("A")?, b.open(&self.shared).await.context("B")?];
        let scenario = self.scenario.scenario();
        let comparison = Box::pin(comparison::run(&sides, &scenario, self.rounds, stop)).await?;
        print!("{comparison}");
        self.shared.finish(&comparison, comparison.passed())
    }
}

impl EndpointFlags {
    async fn open(&self, shared: &SharedFlags) -> anyhow::Result<Side> {
        let access = Access {
            kubeconfig: self.kubeconfig.as_deref(),
            server: self.server.as_deref(),
            token_file: shared.token_file.as_deref(),
            certificate_authority: self.certificate_authority.as_deref(),
            any_server: shared.i_own_this_cluster,
        };
        let target = Arc::new(Target::open(&access).await?);
        let processes = self.server_pid.iter().map(|&pid| Process::new(pid)).collect();
        Ok(Side { target, accounting: Accounting::new(processes) })
    }
}

impl SharedFlags {
    fn finish(&self, report: &impl Serialize, passed: bool) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.json {
            let mut text = serde_json::to_vec_pretty(report)?;
            text.push(b'\n');
            fs::write(path, text).with_context(|| format!("--json {}", path.display()))?;
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

impl ScenarioFlags {
    fn scenario(&self) -> WatchScenario {
        let streams = match (self.connections, self.streams_per_connection, self.protocol) {
            // Checked with the scenario: 0 connections make 0 streams.
            (Some(connections), _, _) => self
                .watchers
                .checked_div(connections)
                .map_or(0, |_| self.watchers.div_ceil(connections)),
            (None, Some(streams), _) => streams,
            (None, None, Protocol::Http1) => 1,
            (None, None, Protocol::Http2) => 50,
        };
        WatchScenario {
            resource: self.resource,
            namespace: self.namespace.clone(),
            label_selector: self.label_selector.clone(),
            protocol: self.protocol,
            watchers: self.watchers,
            streams_per_connection: streams,
            writers: self.writers,
            rate: self.rate,
            object_bytes: self.object_bytes,
            duration: self.duration,
        }
    }
}

/// `30`, `30s`, `5m` or `1h`.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = match text.as_bytes().last() {
        Some(b's') => (&text[..text.len() - 1], 1),
        Some(b'm') => (&text[..text.len() - 1], 60),
        Some(b'h') => (&text[..text.len() - 1], 3600),
        _ => (text, 1),
    };
    let seconds: Option<u64> = number.parse().ok().and_then(|number: u64| number.checked_mul(unit));
    seconds.map(Duration::from_secs).ok_or_else(|| "allowed is NUMBER[s|m|h], as in 30s".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        for text in ["", "s", "1d", "-1s", "1.5m", "99999999999999999999h", "9999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn connections_and_streams_are_two_ways_to_say_the_same() {
        let scenario = |args: &[&str]| {
            let base = ["x", "watch", "--server", "https://127.0.0.1:1", "--watchers", "101"];
            let line = CommandLine::try_parse_from(base.iter().chain(args)).unwrap();
            let Command::Watch(flags) = line.command else { panic!("another command") };
            flags.scenario.scenario()
        };
        assert_eq!(scenario(&[]).connections(), 3);
        assert_eq!(scenario(&["--connections", "2"]).streams_per_connection, 51);
        assert_eq!(scenario(&["--streams-per-connection", "7"]).streams_per_connection, 7);
        assert_eq!(scenario(&["--protocol", "http1"]).connections(), 101);
        assert!(scenario(&["--connections", "0"]).check().is_err());
    }
}
