//! Fills a cluster: many writes at once, over few connections.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Protocol};

use crate::{pods::Pods, progress::Progress, servers::Server};

const CONNECTIONS: usize = 4;
const WRITERS: usize = 32;
const SAY_EVERY: Duration = Duration::from_secs(5);
/// A secret for the rows that forward, of this many bytes of data before base64.
pub(crate) const SECRET_BYTES: usize = 3600;
/// The namespace of the secrets.
pub(crate) const SECRETS: &str = "forwarded";

/// Makes the namespaces and all pods with their status.
pub(crate) async fn fill(server: &Server, pods: &Pods, progress: &Progress) -> Result<()> {
    let started = Instant::now();
    let pods = *pods;
    each(server, pods.namespaces(), progress, "namespaces", async |client, number| {
        let name = Pods::namespace_name(number);
        create(client, "/api/v1/namespaces", &json!({"metadata": {"name": name}})).await
    })
    .await?;
    each(server, pods.count, progress, "pods", async move |client, number| {
        let pod = pods.pod(number);
        let path = format!("/api/v1/namespaces/{}/pods", pod.namespace);
        create(client, &format!("{path}?fieldManager=kube-controller-manager"), &pod.creation)
            .await?;
        let path = format!("{path}/{}/status?fieldManager=kubelet", pod.name);
        patch(client, &path, &pod.status).await
    })
    .await?;
    progress.say(format!("{} pods after {:.1} s", pods.count, started.elapsed().as_secs_f64()));
    Ok(())
}

/// Makes the secrets that the rows of forwarding read: 5 KB each.
pub(crate) async fn fill_secrets(server: &Server, count: usize, progress: &Progress) -> Result<()> {
    let client = server.client(Protocol::Http2)?;
    create(&client, "/api/v1/namespaces", &json!({"metadata": {"name": SECRETS}})).await?;
    each(server, count, progress, "secrets", async |client, number| {
        let mut random = crate::random::Random::new(number as u64);
        let secret = json!({
            "metadata": {"name": secret_name(number)},
            "data": {"value": random.base64(SECRET_BYTES / 3 * 4)},
        });
        create(client, &format!("/api/v1/namespaces/{SECRETS}/secrets"), &secret).await
    })
    .await
}

pub(crate) fn secret_name(number: usize) -> String {
    format!("secret-{number:05}")
}

async fn each(
    server: &Server,
    count: usize,
    progress: &Progress,
    what: &str,
    write: impl AsyncFn(&Client, usize) -> Result<()> + Clone,
) -> Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<Client> =
        (0..CONNECTIONS).map(|_| server.client(Protocol::Http2)).collect::<Result<_>>()?;
    let writers = (0..WRITERS).map(|writer| {
        let (client, next) = (clients[writer % CONNECTIONS].clone(), Arc::clone(&next));
        let write = write.clone();
        async move {
            let mut said = Instant::now();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return anyhow::Ok(());
                }
                write(&client, number).await.with_context(|| format!("{what}: number {number}"))?;
                if writer == 0 && said.elapsed() >= SAY_EVERY {
                    said = Instant::now();
                    progress.say(format!("{number} of {count} {what}"));
                }
            }
        }
    });
    try_join_all(writers).await?;
    Ok(())
}

async fn create(client: &Client, path: &str, object: &Value) -> Result<()> {
    let request = client.request(Method::POST, path).header("content-type", "application/json");
    let response = Box::pin(request.body(object.to_string()).send()).await?;
    let text = String::from_utf8_lossy(&response.body);
    ensure!(response.status == StatusCode::CREATED, "POST {path}: {}: {text}", response.status);
    Ok(())
}

/// A merge patch.
pub(crate) async fn patch(client: &Client, path: &str, change: &Value) -> Result<()> {
    patched(client, path, change).await.map(drop)
}

/// A merge patch; gives the object's new resourceVersion.
pub(crate) async fn patched(client: &Client, path: &str, change: &Value) -> Result<u64> {
    let request = client
        .request(Method::PATCH, path)
        .header("content-type", "application/merge-patch+json")
        // Only the metadata comes back.
        .header("accept", "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    let response = Box::pin(request.body(change.to_string()).send()).await?;
    let text = String::from_utf8_lossy(&response.body);
    ensure!(response.status == StatusCode::OK, "PATCH {path}: {}: {text}", response.status);
    let version =
        response.json()?["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse().ok());
    version.with_context(|| format!("PATCH {path}: no resourceVersion in the answer"))
}
