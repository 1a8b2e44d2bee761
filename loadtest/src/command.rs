//! The command line, and what its subcommands do.

mod flags;
mod short;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use watchgate_loadtest::{
    accounting::Accounting,
    comparison::{self, Side},
    engine,
    fill::{Filling, Installer},
    process::{Process, raise_descriptor_limit},
    report::{RunReport, Verdict, html},
    resource::{Kind, Resource},
    scenario::{Scenario, quantity::Size, template::Template, workload::Fill},
    target::{Access, Target},
    transport::{Protocol, Windows, open},
};

use self::{
    flags::{Part, Sides, TargetFlags},
    short::{ListFlags, WatchFlags},
};

/// Loads an endpoint that speaks the Kubernetes API, and checks what it answers.
///
/// Exit status: 0 if everything was right, 1 if the server lost, repeated or reordered events or
/// failed requests, or if not all of the scenario happened (incomplete), 2 if there is no result.
#[derive(Debug, Parser)]
#[command(name = "watchgate-loadtest", version)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario against two endpoints in turn, and print ratios.
    Compare(Box<CompareFlags>),
    /// Fill a cluster with objects, or delete what a fill made.
    Fill(Box<FillFlags>),
    /// Short form: many clients list, each again as soon as it has the answer.
    List(Box<ListFlags>),
    /// Run a scenario.
    Run(Box<RunFlags>),
    /// Short form: many watches, and writers whose every write each watcher must see once.
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
    /// Process id of the server, for its CPU and memory. Repeatable: the first is the one under test.
    #[arg(long, value_name = "PID")]
    server_pid: Vec<u32>,
}

#[derive(Debug, Args)]
struct SharedFlags {
    #[command(flatten)]
    target: TargetFlags,
    /// Write the result as JSON to this file, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the result as a page with plots to this file, too.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct RunFlags {
    /// The scenario's file.
    scenario: PathBuf,
    #[command(flatten)]
    endpoint: EndpointFlags,
    #[command(flatten)]
    shared: SharedFlags,
}

#[derive(Debug, Args)]
struct CompareFlags {
    /// The scenario's file.
    scenario: PathBuf,
    #[command(flatten)]
    sides: Sides,
    /// How often each is measured.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    shared: SharedFlags,
}

#[derive(Debug, Args)]
struct FillFlags {
    /// What to make: RESOURCE=COUNT or RESOURCE=COUNT:SIZE, as in pods=10000:5KiB. Resources are
    /// configmaps, endpointslices, leases, nodes, pods, samples (custom resources, whose definition
    /// is made) and secrets.
    #[arg(value_name = "RESOURCE=COUNT[:SIZE]", required_unless_present = "delete")]
    parts: Vec<Part>,
    #[command(flatten)]
    endpoint: EndpointFlags,
    #[command(flatten)]
    target: TargetFlags,
    /// Names the objects, and is the value of the label by which they are deleted again.
    #[arg(long, value_name = "NAME", default_value = "fill", value_parser = flags::run_name)]
    run: String,
    /// Namespaces to spread the objects over.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    namespaces: u32,
    /// What chance comes from: the same number makes the same objects.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Delete everything that a fill of this --run made, and nothing else.
    #[arg(long, conflicts_with_all = ["parts", "seed", "namespaces"])]
    delete: bool,
    /// Protocol.
    #[arg(long, default_value = "http2")]
    protocol: Protocol,
}

// === impl CommandLine ===

impl CommandLine {
    /// Does what it says, and prints the result.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        raise_descriptor_limit();
        let stop = CancellationToken::new();
        let cancelled = stop.clone();
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                eprintln!("\nending in order; objects are being deleted");
                cancelled.cancel();
            }
        });
        match self.command {
            Command::Compare(flags) => flags.run(&stop).await,
            Command::Fill(flags) => flags.run(&stop).await,
            Command::List(flags) => flags.run(&stop).await,
            Command::Run(flags) => flags.run(&stop).await,
            Command::Watch(flags) => flags.run(&stop).await,
        }
    }
}

impl RunFlags {
    async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let scenario = Scenario::read(&self.scenario)?;
        run_one(&scenario, &self.endpoint, &self.shared, stop).await
    }
}

/// Runs a scenario against one endpoint and reports.
async fn run_one(
    scenario: &Scenario,
    endpoint: &EndpointFlags,
    shared: &SharedFlags,
    stop: &CancellationToken,
) -> anyhow::Result<ExitCode> {
    shared.check_files()?;
    let Side { target, accounting } = endpoint.open(&shared.target).await?;
    let report: RunReport = Box::pin(engine::run(&target, scenario, &accounting, stop)).await?;
    print!("{report}");
    shared.finish(&report, || html::run(&report), report.verdict())
}

impl CompareFlags {
    async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let scenario = Scenario::read(&self.scenario)?;
        self.shared.check_files()?;
        let [a, b] = self.sides.split();
        let sides = [
            a.open(&self.shared.target).await.context("A")?,
            b.open(&self.shared.target).await.context("B")?,
        ];
        let comparison = Box::pin(comparison::run(&sides, &scenario, self.rounds, stop)).await?;
        print!("{comparison}");
        self.shared.finish(&comparison, || html::comparison(&comparison), comparison.verdict())
    }
}

impl FillFlags {
    async fn run(self, stop: &CancellationToken) -> anyhow::Result<ExitCode> {
        let Side { target, .. } = self.endpoint.open(&self.target).await?;
        let installer = Installer::new(&self.run, open(&target, self.protocol, Windows::LIST));
        if self.delete {
            let all = Resource::KINDS.into_iter().collect();
            let deletions = installer.remove(&all).await?;
            println!("deleted what the fill {} made ({deletions} collections)", self.run);
            return Ok(ExitCode::SUCCESS);
        }
        let own = installer.own_namespace();
        let namespace = if self.namespaces == 1 {
            own
        } else {
            let name = format!("watchgate-loadtest-{}-{{i%{}}}", self.run, self.namespaces);
            Template::parse(&name).map_err(anyhow::Error::msg)?
        };
        let numbers = 0..u64::from(self.namespaces);
        installer.namespaces(&numbers.map(|it| namespace.render(it, &self.run)).collect()).await?;
        if self.parts.iter().any(|part| part.kind == Kind::Sample) {
            installer.definition().await?;
        }
        let mut complete = true;
        let nodes = self.parts.iter().find(|part| part.kind == Kind::Node).map(|part| part.count);
        for part in &self.parts {
            let fill = part.fill(&namespace, nodes)?;
            let filled = with_progress(&installer, &fill, self.seed, stop).await?;
            println!(
                "{}: {} made, {} there already, {} failed, {:.1} s",
                filled.resource,
                filled.made,
                filled.there,
                filled.failures.values().sum::<u64>(),
                filled.seconds
            );
            for (reason, count) in &filled.failures {
                println!("  {count} × {reason}");
            }
            complete &= filled.made + filled.there == u64::from(fill.count);
        }
        Ok(if complete { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

async fn with_progress(
    installer: &Installer,
    fill: &Fill,
    seed: u64,
    stop: &CancellationToken,
) -> anyhow::Result<watchgate_loadtest::fill::Filled> {
    let filling = Arc::new(Filling::default());
    let seen = Arc::clone(&filling);
    let (resource, count) = (fill.resource.to_string(), fill.count);
    let progress = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            let (made, there) = (seen.made.count(), seen.there.count());
            eprintln!("{resource}: {} of {count}", made + there);
        }
    });
    let filled = installer.fill(fill, seed, &filling, stop).await;
    progress.abort();
    Ok(filled?)
}

impl Part {
    fn fill(&self, namespace: &Template, nodes: Option<u32>) -> anyhow::Result<Fill> {
        let template = |text: &str| Template::parse(text).map_err(anyhow::Error::msg);
        let node = match nodes.filter(|_| self.kind == Kind::Pod) {
            Some(nodes) => Some(template(&format!("{{run}}-nodes-{{i%{nodes}}}"))?),
            None => None,
        };
        Ok(Fill {
            resource: Resource::of(self.kind),
            count: self.count,
            object_size: self.size.unwrap_or(Size(1000)),
            namespace: Some(namespace.clone()),
            labels: [
                ("app".to_owned(), template("app-{i%50}")?),
                ("tier".to_owned(), template("tier-{i%3}")?),
            ]
            .into(),
            node,
        })
    }
}

impl EndpointFlags {
    async fn open(&self, flags: &TargetFlags) -> anyhow::Result<Side> {
        let access = Access {
            kubeconfig: self.kubeconfig.as_deref(),
            server: self.server.as_deref(),
            token_file: flags.token_file.as_deref(),
            certificate_authority: self.certificate_authority.as_deref(),
            any_server: flags.allow_remote,
        };
        let target = Arc::new(Target::open(&access).await?);
        let processes = self.server_pid.iter().map(|&pid| Process::find(pid));
        let processes = processes.collect::<Result<_, _>>().context("--server-pid")?;
        Ok(Side { target, accounting: Accounting::new(processes) })
    }
}

impl SharedFlags {
    /// Before the run, so that an hour's result is not lost to a directory that is not there.
    fn check_files(&self) -> anyhow::Result<()> {
        for (flag, path) in [("--json", &self.json), ("--html", &self.html)] {
            if let Some(path) = path {
                let within = path.parent().filter(|it| !it.as_os_str().is_empty());
                anyhow::ensure!(
                    within.unwrap_or_else(|| Path::new(".")).is_dir(),
                    "{flag} {}: its directory is not there",
                    path.display()
                );
            }
        }
        Ok(())
    }

    fn finish(
        &self,
        report: &impl Serialize,
        page: impl FnOnce() -> String,
        verdict: Verdict,
    ) -> anyhow::Result<ExitCode> {
        if let Some(path) = &self.json {
            let mut text = serde_json::to_vec_pretty(report)?;
            text.push(b'\n');
            fs::write(path, text).with_context(|| format!("--json {}", path.display()))?;
        }
        if let Some(path) = &self.html {
            fs::write(path, page()).with_context(|| format!("--html {}", path.display()))?;
        }
        Ok(match verdict {
            Verdict::Passed => ExitCode::SUCCESS,
            Verdict::Incomplete | Verdict::Failed => ExitCode::from(1),
        })
    }
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
    fn fills_are_parts_or_a_deletion() {
        let parse = |args: &[&str]| {
            let base = ["x", "fill", "--server", "https://127.0.0.1:1"];
            CommandLine::try_parse_from(base.iter().chain(args)).is_ok()
        };
        assert!(parse(&["pods=10000:5KiB", "nodes=5"]));
        assert!(parse(&["--delete", "--run", "x1"]));
        for wrong in [
            &["pods"][..],
            &["pods=0"],
            &["pods=5:5KB"],
            &["services=5"],
            &["--delete", "pods=5"],
            &[],
            &["pods=5", "--run", "A_b"],
        ] {
            assert!(!parse(wrong), "{wrong:?}");
        }
    }
}
