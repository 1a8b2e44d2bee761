//! The gateway: the release binary, in front of the cluster's API server.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use watchgate_cluster::{Cluster, Gateway, Identity, Protocol};

use super::stage::Server;
use crate::cpu::Pid;

const READY_PATIENCE: Duration = Duration::from_secs(60);

/// The binary to measure: the one named, or the one beside this program.
pub(crate) fn binary(named: Option<&Path>) -> Result<PathBuf> {
    if let Some(named) = named {
        ensure!(named.is_file(), "--gateway {}: there is no such file", named.display());
        return Ok(named.to_owned());
    }
    binary_beside("watchgate", "--bin watchgate")
}

/// Another program of this repository, in the same profile.
pub(crate) fn binary_beside(name: &str, cargo_flags: &str) -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name(name);
    ensure!(
        beside.is_file(),
        "{} is not there: build it with `cargo build --release {cargo_flags}`",
        beside.display()
    );
    Ok(beside)
}

/// Starts it and waits until it is ready.
pub(crate) async fn start(
    cluster: &Cluster,
    binary: &Path,
    identity: &Identity,
    flags: &[String],
) -> Result<(Gateway, Server)> {
    let kubeconfig = cluster.admin_kubeconfig()?;
    let (certificate, key) =
        (identity.certificate.to_string_lossy(), identity.key.to_string_lossy());
    let mut arguments = vec!["--tls-cert-file", &certificate, "--tls-private-key-file", &key];
    arguments.extend(flags.iter().map(String::as_str));
    let mut gateway = Gateway::start(binary, &kubeconfig, &arguments).await?;
    let pid = Pid(gateway.process().pid());
    let server = Server::new(gateway.url(), pid, cluster)?;
    let client = server.client(Protocol::Http1)?;
    let started = Instant::now();
    while client.get("/watchgate/readyz").send().await?.status != http::StatusCode::OK {
        ensure!(
            started.elapsed() < READY_PATIENCE,
            "the gateway is not ready after {READY_PATIENCE:?}\n{}",
            gateway.log().context("the gateway's log")?
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok((gateway, server))
}
