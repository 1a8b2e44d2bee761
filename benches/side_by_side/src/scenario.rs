//! A scenario of the load tester against the servers of a run: an empty cluster, the gateway in front of it, and
//! `watchgate-loadtest` as a process of its own that is told which servers' CPU and memory to charge: of kube-apiserver its
//! own, of watchgate its own and that of the kube-apiserver behind it, which does the writes' work for both. etcd is charged to
//! neither.
//!
//! What is measured and how it is judged is the load tester's; its table goes to standard output.

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Args, ValueEnum};
use tokio::process::Command;

use crate::{
    limits,
    pods::{Pods, Profile},
    progress::Progress,
    servers::{Options, Server, Side, Stage, binary_beside, gateway_binary},
};

const LOAD_TESTER: &str = "watchgate-loadtest";

/// Who is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Against {
    KubeApiserver,
    Watchgate,
    /// kube-apiserver and watchgate in turn, with ratios.
    Both,
}

/// The subcommand's flags.
#[derive(Debug, Args)]
pub(crate) struct ScenarioFlags {
    /// The scenario's file, as in loadtest/scenarios/soak.yaml.
    scenario: PathBuf,
    /// Who is loaded.
    #[arg(long, value_name = "SERVER", default_value = "watchgate")]
    against: Against,
    /// The gateway's binary [default: watchgate beside this program]
    #[arg(long, value_name = "FILE")]
    gateway: Option<PathBuf>,
    /// A further flag of the gateway. Repeatable.
    #[arg(long, value_name = "FLAG", allow_hyphen_values = true)]
    gateway_flag: Vec<String>,
    /// Further flags of the load tester, behind `--`: --json FILE, --html FILE, --rounds N and others.
    #[arg(last = true)]
    load_tester_flags: Vec<String>,
}

// === impl ScenarioFlags ===

impl ScenarioFlags {
    /// Starts the servers, runs the scenario and gives the load tester's exit status.
    ///
    /// # Errors
    /// If a server or the load tester can't be started or ended.
    pub(crate) async fn run(self, open_files: u64) -> Result<ExitCode> {
        ensure!(self.scenario.is_file(), "{}: there is no such file", self.scenario.display());
        let load_tester = binary_beside(LOAD_TESTER, "-p watchgate-loadtest")?;
        let gateway = gateway_binary(self.gateway.as_deref())?;
        let progress = Progress::start();
        limits::raise_open_files(open_files);
        let pods = Pods { profile: Profile::Uniform, count: 0, seed: 0 };
        let options = Options { gateway, gateway_flags: self.gateway_flag.clone(), pods };
        let stage = Box::pin(Stage::set(options, &progress)).await?;
        let mut command = Command::new(&load_tester);
        command.args(self.arguments(&stage)?).kill_on_drop(true);
        progress.say(format!("{LOAD_TESTER} {}", self.scenario.display()));
        // It gets the terminal's Ctrl-C itself, ends its load in order and reports; then the servers are ended here.
        let mut child =
            command.spawn().with_context(|| format!("starting {}", load_tester.display()))?;
        let interrupts = tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
        let status = child.wait().await?;
        interrupts.abort();
        Box::pin(stage.strike()).await?;
        let code = status.code().with_context(|| format!("{LOAD_TESTER}: {status}"))?;
        Ok(ExitCode::from(u8::try_from(code)?))
    }

    fn arguments(&self, stage: &Stage) -> Result<Vec<String>> {
        let endpoint = |side: Side, suffix: &str| -> Result<Vec<String>> {
            let server: &Server = stage.server(side)?;
            let (url, ca) = (&server.url, stage.cluster.ca_pem());
            let kubeconfig = stage.cluster.kubeconfig_for_token("admin", url, ca)?;
            let mut servers = vec![server];
            if side == Side::B {
                servers.push(stage.server(Side::A)?);
            }
            let mut arguments = vec![format!("--kubeconfig{suffix}={}", kubeconfig.display())];
            let pids = servers.iter().map(|it| format!("--server-pid{suffix}={}", it.pid.0));
            arguments.extend(pids);
            Ok(arguments)
        };
        let scenario = self.scenario.display().to_string();
        let mut arguments = match self.against {
            Against::KubeApiserver => [vec!["run".into(), scenario], endpoint(Side::A, "")?],
            Against::Watchgate => [vec!["run".into(), scenario], endpoint(Side::B, "")?],
            Against::Both => [
                [vec!["compare".into(), scenario], endpoint(Side::A, "-a")?].concat(),
                endpoint(Side::B, "-b")?,
            ],
        }
        .concat();
        arguments.extend(self.load_tester_flags.iter().cloned());
        Ok(arguments)
    }
}
