//! Pods that come, change their labels, are bound to nodes and go, at a steady rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use watchgate_cluster::{Client, Cluster, Protocol};

use crate::front;

/// Into so many namespaces, labels and nodes the Pods fall.
pub(crate) const KINDS: usize = 8;
/// Pods at a time.
const PODS: usize = 160;

/// A writer of Pods, past the gateway.
pub(crate) struct Churn {
    client: Client,
    stop: Arc<AtomicBool>,
    writes: Arc<AtomicUsize>,
    task: Option<JoinHandle<Result<()>>>,
}

impl Churn {
    /// Creates namespaces and Pods.
    pub(crate) async fn prepare(cluster: &Cluster) -> Result<Self> {
        let client = cluster.client().token(cluster.token("admin"));
        let client = client.protocol(Protocol::Http2).shared().build()?;
        for kind in 0..KINDS {
            front::namespace(&client, &format!("herd-{kind}")).await?;
        }
        for number in 0..PODS {
            write(&client, number, 0).await?;
        }
        Ok(Self { client, stop: Arc::default(), writes: Arc::default(), task: None })
    }

    /// Begins to write, so many times a second.
    pub(crate) fn start(&mut self, rate: u64) {
        let (client, stop) = (self.client.clone(), Arc::clone(&self.stop));
        let writes = Arc::clone(&self.writes);
        self.task = Some(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1000 / rate));
            for step in 1_usize.. {
                ticks.tick().await;
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
                // Coprime with the number of Pods: every Pod has its turn.
                write(&client, step * 37 % PODS, step).await?;
                writes.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        }));
    }

    /// Ends; how many writes there were.
    pub(crate) async fn stop(mut self) -> Result<usize> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(task) = self.task.take() {
            task.await??;
        }
        Ok(self.writes.load(Ordering::Relaxed))
    }
}

/// One change of a Pod: it is made, labelled otherwise, or taken away.
async fn write(client: &Client, number: usize, step: usize) -> Result<()> {
    let collection = format!("/api/v1/namespaces/herd-{}/pods", number % KINDS);
    let name = format!("pod-{number}");
    let path = format!("{collection}/{name}");
    let app = format!("app-{}", (number + step) % KINDS);
    if step % 5 == 4 {
        let options = json!({ "gracePeriodSeconds": 0 });
        let request = client.request(Method::DELETE, &path);
        let request = request.header("content-type", "application/json");
        let deleted = request.body(options.to_string()).send().await?;
        let gone = deleted.status == StatusCode::NOT_FOUND;
        ensure!(gone || deleted.status.is_success(), "{deleted:?}");
        return Ok(());
    }
    let patch = json!({ "metadata": { "labels": { "app": app, "step": step.to_string() } } });
    let request = client.request(Method::PATCH, &path);
    let request = request.header("content-type", "application/merge-patch+json");
    let patched = request.body(patch.to_string()).send().await?;
    if patched.status == StatusCode::NOT_FOUND {
        let pod = pod(&name, &app, number / KINDS % KINDS, step);
        front::send(client, Method::POST, &collection, &pod).await?;
        return Ok(());
    }
    ensure!(patched.status.is_success(), "{patched:?}");
    Ok(())
}

fn pod(name: &str, app: &str, node: usize, step: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": name, "labels": { "app": app, "step": step.to_string() } },
        "spec": {
            "nodeName": format!("node-{node}"),
            "containers": [{ "name": "main", "image": "example.org/none" }],
        },
    })
}
