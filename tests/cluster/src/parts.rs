//! What runs beside etcd and the API server when a test asks: the controllers, the scheduler, and the programs which exercise
//! a cluster. Each gets a kubeconfig, so that it can go through a gateway.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::kubectl::{self, Output};
use crate::process::Process;
use crate::programs::Programs;

const PATIENCE: Duration = Duration::from_secs(60);

/// A running stand-in for kubelets. Dropping it kills it.
#[derive(Debug)]
pub struct KubeletStandIn {
    /// The program.
    pub process: Process,
    /// The port of its HTTPS server on loopback.
    pub port: u16,
}

impl Cluster {
    /// Starts the controller manager without leader election; `extra` arguments come last. It doesn't wait for anything:
    /// what a test needs from the controllers, it waits for itself.
    ///
    /// # Errors
    /// When the program is missing or can't be started.
    pub fn start_controller_manager(&self, kubeconfig: &Path, extra: &[&str]) -> Result<Process> {
        let secrets = self.secrets();
        let mut command = Programs::find("kube-controller-manager")?.command();
        command
            .arg(flag("kubeconfig", kubeconfig))
            .arg(flag("service-account-private-key-file", &secrets.service_account_private))
            .arg(flag("root-ca-file", &secrets.authority.certificate()))
            .arg(flag("cluster-signing-cert-file", &secrets.authority.certificate()))
            .arg(flag("cluster-signing-key-file", &secrets.authority.key()))
            .args(["--leader-elect=false", "--secure-port=0"])
            .args(extra)
            .current_dir(self.directory());
        self.spawn("kube-controller-manager", command)
    }

    /// Starts the scheduler without leader election; `extra` arguments come last.
    ///
    /// # Errors
    /// As [`Self::start_controller_manager`].
    pub fn start_scheduler(&self, kubeconfig: &Path, extra: &[&str]) -> Result<Process> {
        let mut command = Programs::find("kube-scheduler")?.command();
        command
            .arg(flag("kubeconfig", kubeconfig))
            .args(["--leader-elect=false", "--secure-port=0"])
            .args(extra)
            .current_dir(self.directory());
        self.spawn("kube-scheduler", command)
    }

    /// Starts a stand-in for the kubelets of `nodes` nodes and waits until they are registered. See the Go package `standin`
    /// for what it does and doesn't.
    ///
    /// # Errors
    /// When the program is missing or isn't ready in time.
    pub async fn start_kubelet_stand_in(
        &self,
        kubeconfig: &Path,
        nodes: usize,
        extra: &[&str],
    ) -> Result<KubeletStandIn> {
        let secrets = self.secrets();
        let mut command = Programs::find("kubelet-stand-in")?.command();
        command
            .arg(flag("kubeconfig", kubeconfig))
            .arg(format!("--nodes={nodes}"))
            .arg(flag("tls-cert-file", &secrets.kubelet.certificate))
            .arg(flag("tls-private-key-file", &secrets.kubelet.key))
            .arg(flag("client-ca-file", &secrets.authority.certificate()))
            .args(extra);
        let mut process = self.spawn("kubelet-stand-in", command)?;
        let port = process
            .line(PATIENCE, |line| line.trim().strip_prefix("ready port=")?.parse().ok())
            .await?;
        Ok(KubeletStandIn { process, port })
    }

    /// Starts a recording of client-go informers into `out` and waits until all of `resources` are listed. End it with
    /// [`Process::terminate`], which lets it write its stores.
    ///
    /// # Errors
    /// As [`Self::start_kubelet_stand_in`].
    pub async fn start_informers(
        &self,
        kubeconfig: &Path,
        resources: &[&str],
        out: &Path,
        extra: &[&str],
    ) -> Result<Process> {
        let mut command = Programs::find("informers")?.command();
        command
            .arg(flag("kubeconfig", kubeconfig))
            .arg(format!("--resources={}", resources.join(",")))
            .arg(flag("out", out))
            .args(extra);
        let mut process = self.spawn("informers", command)?;
        for resource in resources {
            let wanted = format!("synced {resource}");
            process.line(PATIENCE, |line| (line.trim() == wanted).then_some(())).await?;
        }
        Ok(process)
    }

    /// Compares two recordings of informers; `status` is a failure when they differ and the summary is in `stdout`.
    ///
    /// # Errors
    /// When the program can't be run.
    pub async fn compare(&self, direct: &Path, gateway: &Path, extra: &[&str]) -> Result<Output> {
        let mut command = Programs::find("compare")?.command();
        command.arg(direct).arg(gateway).args(extra);
        kubectl::run(command, "").await
    }

    /// Starts the churn of objects, which ends by itself after its `--duration`.
    ///
    /// # Errors
    /// When it can't be started, or can't create its namespaces and definition.
    pub async fn start_churn(&self, kubeconfig: &Path, args: &[&str]) -> Result<Process> {
        let mut command: Command = Programs::find("churn")?.command();
        command.arg(flag("kubeconfig", kubeconfig)).args(args);
        let mut process = self.spawn("churn", command)?;
        process.line(PATIENCE, |line| (line.trim() == "ready").then_some(())).await?;
        Ok(process)
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}
