//! A start with something wrong: what is the operator's to mend ends the program and is named; what may mend itself doesn't.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use http::StatusCode;
use serde_json::{Value, json};
use watchgate_cluster::{Authority, Cluster, Cutter, Output};

use crate::front::{self, Front, is_hit, warm};

/// `EX_USAGE`.
const USAGE: i32 = 64;

/// A file that can't be used ends the program, with a word about which and why.
pub(crate) async fn kubeconfigs_that_lead_nowhere(cluster: Arc<Cluster>) -> Result<()> {
    let missing = cluster.directory().join("missing.kubeconfig");
    refused(&cluster, &missing, &["missing.kubeconfig"]).await?;
    refused(&cluster, cluster.directory(), &[&cluster.directory().display().to_string()]).await?;

    let url = cluster.api_server_url();
    let good = cluster.kubeconfig_for_token(front::GATEWAY, &url, cluster.ca_pem())?;
    let no_cluster = changed(&cluster, &good, |config| config["clusters"] = json!([]))?;
    refused(&cluster, &no_cluster, &["contexts[test].context.cluster", "clusters"]).await?;

    let token_file = cluster.directory().join("missing.token");
    let no_token = changed(&cluster, &good, |config| {
        config["users"][0]["user"] = json!({ "tokenFile": token_file });
    })?;
    refused(&cluster, &no_token, &["users[test]", "missing.token"]).await?;

    let no_authority = changed(&cluster, &good, |config| {
        config["clusters"][0]["cluster"]["certificate-authority"] = json!("/missing/ca.crt");
    })?;
    refused(&cluster, &no_authority, &["certificate-authority", "/missing/ca.crt"]).await
}

/// Another authority may be a certificate in rotation: the program runs, isn't ready, and says what is wrong.
pub(crate) async fn an_authority_that_did_not_sign(cluster: Arc<Cluster>) -> Result<()> {
    let other = Authority::new(cluster.directory(), "other-ca")?;
    let url = cluster.api_server_url();
    let kubeconfig = cluster.kubeconfig_for_token(front::GATEWAY, &url, other.pem())?;
    let mut front = Front::start_with(&kubeconfig).await?;
    answers_for_itself(&cluster, &mut front, &cluster.api_server_address().to_string()).await
}

/// An upstream that is down comes up: the gateway waits for it and needs nobody's help.
pub(crate) async fn an_upstream_that_comes_later(cluster: Arc<Cluster>) -> Result<()> {
    let cutter = Cutter::start(cluster.api_server_address()).await?;
    cutter.refuse().await;
    let mut front = Front::start_before(&cluster, &cutter.url()).await?;
    answers_for_itself(&cluster, &mut front, &cutter.address().to_string()).await?;
    cutter.resume().await?;
    let took = front.ready().await?;
    eprintln!("ready {:.1} s after upstream came up", took.as_secs_f64());
    let client = front.client(&cluster)?;
    warm(&client, "/api/v1/namespaces").await?;
    let version = client.get("/version").send().await?;
    ensure!(version.status == StatusCode::OK && !is_hit(&version), "{version:?}");
    Ok(())
}

/// Alive, not ready, 503 with the host's name for requests, and the host's name in the log.
async fn answers_for_itself(cluster: &Cluster, front: &mut Front, host: &str) -> Result<()> {
    let client = front.client(cluster)?;
    for target in ["/api/v1/namespaces/default/configmaps", "/version"] {
        let answer = client.get(target).send().await?;
        ensure!(answer.status == StatusCode::SERVICE_UNAVAILABLE, "{target}: {answer:?}");
        let status = answer.json()?;
        let message = status["message"].as_str().unwrap_or_default();
        ensure!(status["kind"] == "Status" && message.contains(host), "{target}: {status}");
    }
    ensure!(client.get("/watchgate/livez").send().await?.status == StatusCode::OK);
    ensure!(front.readiness().await? == StatusCode::INTERNAL_SERVER_ERROR);
    tokio::time::sleep(Duration::from_secs(1)).await;
    ensure!(front.gateway.process().exited()?.is_none(), "{}", front.gateway.log()?);
    let log = front.gateway.log()?;
    ensure!(log.lines().any(|line| line.contains("WARN") && line.contains(host)), "{log}");
    ensure!(!log.contains(cluster.token(front::GATEWAY).expose()), "the token is in the log");
    Ok(())
}

/// The embedded store is never chosen by accident, and half of an upstream is none.
pub(crate) async fn command_lines_that_are_refused(cluster: Arc<Cluster>) -> Result<()> {
    let pod = [("KUBERNETES_SERVICE_HOST", "10.96.0.1"), ("KUBERNETES_SERVICE_PORT", "443")];
    let cases: &[(&[&str], bool, &[&str])] = &[
        (&["--in-memory"], true, &["--in-memory", "pod"]),
        (&[], true, &["--kubeconfig", "--server", "pod"]),
        (&["--in-memory", "--bind-address", "0.0.0.0"], false, &["--bind-address", "0.0.0.0"]),
        (&["--in-memory", "--bind-address", "::"], false, &["--bind-address", "::"]),
        (&["--server", "https://h"], false, &["--token-file", "--certificate-authority"]),
        (&["--server", "https://h", "--token-file", "t"], false, &["--certificate-authority"]),
        (&["--token-file", "t"], false, &["--server", "--certificate-authority"]),
        (&["--certificate-authority", "c"], false, &["--server", "--token-file"]),
        (&["--in-memory", "--kubeconfig", "k"], false, &["--in-memory", "--kubeconfig"]),
    ];
    for (flags, in_pod, named) in cases {
        let variables: &[(&str, &str)] = if *in_pod { &pod } else { &[] };
        let output = run(&cluster, flags, variables).await?;
        ensure!(output.status.code() == Some(USAGE), "{flags:?}: {output:?}");
        for word in *named {
            ensure!(output.stderr.contains(word), "{flags:?}: {word} is not in {}", output.stderr);
        }
    }
    Ok(())
}

async fn refused(cluster: &Cluster, kubeconfig: &Path, named: &[&str]) -> Result<()> {
    let kubeconfig = kubeconfig.display().to_string();
    let output = run(cluster, &["--kubeconfig", &kubeconfig], &[]).await?;
    ensure!(output.status.code() == Some(1), "{kubeconfig}: {output:?}");
    for word in named {
        ensure!(output.stderr.contains(word), "{kubeconfig}: {word} is not in {}", output.stderr);
    }
    let token = cluster.token(front::GATEWAY).expose();
    ensure!(!output.stderr.contains(token), "the token is in the error");
    Ok(())
}

async fn run(cluster: &Cluster, flags: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut command = Command::new(front::binary());
    command.args(flags).args(["--secure-port", "0", "--data-dir"]);
    command.arg(cluster.new_path("data", "d"));
    command.env_remove("KUBERNETES_SERVICE_HOST").env_remove("KUBERNETES_SERVICE_PORT");
    command.envs(variables.iter().copied());
    cluster.run(command, "").await
}

/// A copy of a kubeconfig with a change.
fn changed(cluster: &Cluster, kubeconfig: &Path, change: impl Fn(&mut Value)) -> Result<PathBuf> {
    let mut config = serde_json::from_slice(&std::fs::read(kubeconfig)?)?;
    change(&mut config);
    let path = cluster.new_path("changed", "json");
    std::fs::write(&path, config.to_string())?;
    Ok(path)
}
