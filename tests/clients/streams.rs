//! What kubectl holds a two-way conversation for: logs, exec, attach, port-forward, over WebSocket and
//! over SPDY.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use watchgate_cluster::Cluster;

use crate::front::Front;

const PATIENCE: Duration = Duration::from_secs(30);

const POD: &str = r#"{
    "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "talker", "namespace": "default"},
    "spec": {"nodeName": "NODE", "containers": [{"name": "main", "image": "example.com/image"}]}
}"#;

/// All of them with a pod of a stand-in kubelet, which only the API server speaks to.
pub(crate) async fn streams(front: Arc<Front>) -> Result<()> {
    let cluster = &front.cluster;
    let admin = cluster.admin_kubeconfig()?;
    let _kubelet = cluster.start_kubelet_stand_in(&admin, 1, &[]).await?;
    let kubeconfig = front.kubeconfig()?;
    let node = ["get", "nodes", "-o", "jsonpath={.items[0].metadata.name}"];
    let node = cluster.kubectl(&kubeconfig, &node).await?.success()?;
    let account = ["create", "serviceaccount", "default"];
    // The pod is bound to its node by hand: no scheduler runs here, nor a controller manager.
    let account = cluster.kubectl(&kubeconfig, &account).await?;
    ensure!(account.status.success() || account.stderr.contains("exists"), "{account:?}");
    let create = ["create", "-f", "-"];
    let pod = POD.replace("NODE", &node);
    cluster.kubectl_with_input(&kubeconfig, &create, &pod).await?.success()?;
    let ready = ["wait", "--for=condition=Ready", "pod/talker", "--timeout=30s"];
    cluster.kubectl(&kubeconfig, &ready).await?.success()?;

    let log = cluster.kubectl(&kubeconfig, &["logs", "talker", "--tail=2"]).await?.success()?;
    ensure!(log.lines().count() == 2 && log.starts_with("line 9 of default/talker"), "{log}");
    let follow = ["logs", "talker", "--follow", "--tail=1"];
    let mut following = cluster.kubectl_in_background(&kubeconfig, &follow)?;
    let later = |line: &str| line.starts_with("line 12 of default/talker").then_some(());
    following.line(PATIENCE, later).await?;

    for websockets in ["true", "false"] {
        talk(cluster, &kubeconfig, websockets)
            .await
            .with_context(|| format!("with KUBECTL_…_WEBSOCKETS={websockets} (SPDY if false)"))?;
    }
    Ok(())
}

/// exec, attach and port-forward, with the protocol which the environment picks for kubectl.
async fn talk(cluster: &Cluster, kubeconfig: &Path, websockets: &str) -> Result<()> {
    let command = |args: &[&str]| -> Result<Command> {
        let mut command = cluster.kubectl_command(kubeconfig, args)?;
        command.env("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", websockets);
        command.env("KUBECTL_PORT_FORWARD_WEBSOCKETS", websockets);
        Ok(command)
    };
    let long = "to the pod and back\n".repeat(20_000);
    let echo = command(&["exec", "-i", "talker", "--", "cat"])?;
    let echoed = cluster.run(echo, &long).await?.success()?;
    ensure!(echoed == long, "{} of {} bytes came back", echoed.len(), long.len());
    let fail = command(&["exec", "talker", "--", "sh", "-c", "echo failed >&2; exit 7"])?;
    let failed = cluster.run(fail, "").await?;
    ensure!(failed.status.code() == Some(7) && failed.stderr.starts_with("failed\n"), "{failed:?}");
    let attach = command(&["attach", "-i", "talker"])?;
    let attached = cluster.run(attach, "attached too").await?.success()?;
    ensure!(attached.contains("attached too"), "{attached}");
    forward(cluster, command(&["port-forward", "talker", ":80"])?).await
}

async fn forward(cluster: &Cluster, command: Command) -> Result<()> {
    let mut forwarding = cluster.spawn("kubectl", command)?;
    let port = forwarding
        .line(PATIENCE, |line| {
            line.strip_prefix("Forwarding from 127.0.0.1:")?.split_once(' ')?.0.parse().ok()
        })
        .await?;
    let sent: Vec<u8> = (0..300_000_u32).map(|place| (place % 251) as u8).collect();
    let mut streams = Vec::new();
    for _ in 0..2 {
        streams.push(TcpStream::connect(("127.0.0.1", port)).await?.into_split());
    }
    for (mut read, mut write) in streams {
        let copy = sent.clone();
        let writing = tokio::spawn(async move { write.write_all(&copy).await.map(|()| write) });
        let mut back = vec![0; sent.len()];
        timeout(PATIENCE, read.read_exact(&mut back)).await??;
        let _write = writing.await??;
        ensure!(back == sent, "other bytes came back");
    }
    Ok(())
}
