//! Command lines that must not start anything: code 64, and a text that names the flag and a fix.

use std::sync::Arc;

use anyhow::{Result, ensure};
use watchgate_cluster::run;

use crate::instance::{Instance, program};

async fn refused(args: &[&str], environment: &[(&str, &str)], parts: &[&str]) -> Result<()> {
    let home = tempfile::tempdir()?;
    let mut command = program(home.path());
    command.args(args).envs(environment.iter().copied());
    let output = run(command, "").await?;
    ensure!(output.status.code() == Some(64), "{args:?} {environment:?}: {output:?}");
    ensure!(output.stdout.is_empty(), "{output:?}");
    for part in parts {
        ensure!(output.stderr.contains(part), "{args:?}: {part:?} is missing in {output:?}");
    }
    let left = std::fs::read_dir(home.path())?.count();
    ensure!(left == 0, "{args:?}: {left} files were made");
    Ok(())
}

/// In a pod, or for other machines, there is no embedded store.
pub(crate) async fn no_embedded_store_by_accident(_shared: Arc<Instance>) -> Result<()> {
    let host = ("KUBERNETES_SERVICE_HOST", "10.0.0.1");
    let port = ("KUBERNETES_SERVICE_PORT", "443");
    let fixes = ["looks like a pod", "--kubeconfig", "--server"];
    refused(&[], &[host], &fixes).await?;
    // A pod without its service account; a file of the root directory is nothing a test makes.
    if !std::path::Path::new("/var/run/secrets/kubernetes.io/serviceaccount/token").exists() {
        let parts = [&fixes[..], &["serviceaccount/token does not exist"]].concat();
        refused(&[], &[host, port], &parts).await?;
    }
    refused(&["--in-memory"], &[host, port], &["--in-memory", "does not run in a pod"]).await?;
    let parts = ["--bind-address 0.0.0.0", "127.0.0.1", "--kubeconfig"];
    refused(&["--bind-address", "0.0.0.0"], &[], &parts).await?;
    refused(&["--bind-address", "192.0.2.1", "--in-memory"], &[], &["--bind-address 192"]).await?;
    let parts = ["--data-dir", "--in-memory", "HOME"];
    refused(&[], &[("HOME", "relative")], &parts).await
}

/// Half an upstream, or two, never falls back to the embedded store.
pub(crate) async fn half_an_upstream_is_refused(_shared: Arc<Instance>) -> Result<()> {
    let server = ["--server", "https://api.example:6443"];
    let token = ["--token-file", "/nowhere/token"];
    let authority = ["--certificate-authority", "/nowhere/ca.crt"];
    let missing = ["missing: --token-file, --certificate-authority"];
    refused(&server, &[], &missing).await?;
    refused(&token, &[], &["missing: --server, --certificate-authority"]).await?;
    refused(&[server, authority].concat(), &[], &["missing: --token-file"]).await?;
    let both = [&["--kubeconfig", "/nowhere/config"], &server[..]].concat();
    refused(&both, &[], &["--kubeconfig and --server exclude each other"]).await?;
    let insecure = [["--server", "http://user:pa55@api.example"], token, authority].concat();
    refused(&insecure, &[], &["--server", "https://HOST"]).await?;
    let memory = ["--in-memory", "--kubeconfig", "/nowhere/config"];
    refused(&memory, &[], &["--in-memory", "--kubeconfig"]).await?;
    let half = ["--tls-cert-file", "/nowhere/tls.crt"];
    refused(&half, &[], &["--tls-cert-file also needs --tls-private-key-file"]).await?;
    refused(&["--no-such-flag"], &[], &["--no-such-flag"]).await
}
