//! What the tests have in common: a gateway of their own, clients of both sides, and small objects to write.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Gateway, Protocol, Response, Streaming};

/// The gateway's own user.
pub(crate) const GATEWAY: &str = "watchgate";

/// How long anything may take that isn't measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway in front of the cluster, or of a proxy before it.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) gateway: Gateway,
    pub(crate) ca_pem: String,
}

impl Front {
    /// In front of the API server, and ready.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let front = Self::start_before(cluster, &cluster.api_server_url()).await?;
        front.ready().await?;
        Ok(front)
    }

    /// In front of whatever listens at `url`; ready or not.
    pub(crate) async fn start_before(cluster: &Cluster, url: &str) -> Result<Self> {
        Self::start_with(&cluster.kubeconfig_for_token(GATEWAY, url, cluster.ca_pem())?).await
    }

    /// In front of the API server with further flags, and ready.
    pub(crate) async fn start_bounded(cluster: &Cluster, flags: &[&str]) -> Result<Self> {
        let url = cluster.api_server_url();
        let kubeconfig = cluster.kubeconfig_for_token(GATEWAY, &url, cluster.ca_pem())?;
        let front = Self::start_flagged(&kubeconfig, flags).await?;
        front.ready().await?;
        Ok(front)
    }

    /// With this kubeconfig; ready or not.
    pub(crate) async fn start_with(kubeconfig: &Path) -> Result<Self> {
        Self::start_flagged(kubeconfig, &[]).await
    }

    async fn start_flagged(kubeconfig: &Path, flags: &[&str]) -> Result<Self> {
        let flags = [&["-v", "4"], flags].concat();
        let gateway = Gateway::start(&binary(), kubeconfig, &flags).await?;
        let authority = gateway.data_directory().join("watchgate-ca.crt");
        let ca_pem = std::fs::read_to_string(authority).context("the gateway's CA")?;
        Ok(Self { gateway, ca_pem })
    }

    /// A client of the gateway: the administrator, by token.
    pub(crate) fn client(&self, cluster: &Cluster) -> Result<Client> {
        self.client_with(cluster, Protocol::Http1)
    }

    pub(crate) fn client_with(&self, cluster: &Cluster, protocol: Protocol) -> Result<Client> {
        let client = Client::builder(self.gateway.url(), &self.ca_pem);
        client.token(cluster.token("admin")).protocol(protocol).build()
    }

    /// What `/watchgate/readyz` answers.
    pub(crate) async fn readiness(&self) -> Result<StatusCode> {
        let client = Client::builder(self.gateway.url(), &self.ca_pem).build()?;
        Ok(client.get("/watchgate/readyz").send().await?.status)
    }

    /// Waits until the gateway is ready, and tells how long it took.
    pub(crate) async fn ready(&self) -> Result<Duration> {
        let started = Instant::now();
        while self.readiness().await? != StatusCode::OK {
            ensure!(started.elapsed() < PATIENCE, "the gateway isn't ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(started.elapsed())
    }
}

pub(crate) fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_watchgate"))
}

/// A client of the API server: the administrator.
pub(crate) fn direct(cluster: &Cluster) -> Result<Client> {
    cluster.client().token(cluster.token("admin")).build()
}

/// Whether memory answered.
pub(crate) fn is_hit(response: &Response) -> bool {
    response.header("cache-status") == Some("watchgate; hit")
}

/// Sends JSON and returns the answer, which must be a success.
pub(crate) async fn send(
    client: &Client,
    method: Method,
    path: &str,
    object: &Value,
) -> Result<Value> {
    let media_type = match method {
        Method::PATCH => "application/merge-patch+json",
        _ => "application/json",
    };
    let request = client.request(method.clone(), path).header("content-type", media_type);
    let response = request.body(object.to_string()).send().await?;
    ensure!(response.status.is_success(), "{method} {path}: {:?}", response.json());
    response.json()
}

/// Deletes an object.
pub(crate) async fn delete(client: &Client, path: &str) -> Result<()> {
    send(client, Method::DELETE, path, &json!({ "kind": "DeleteOptions", "apiVersion": "v1" }))
        .await?;
    Ok(())
}

/// Makes a namespace that no other test uses.
pub(crate) async fn namespace(client: &Client, name: &str) -> Result<()> {
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    send(client, Method::POST, "/api/v1/namespaces", &object).await?;
    Ok(())
}

/// Writes a new state of an object of a built-in kind without a spec of interest, and returns its version.
pub(crate) async fn write(
    client: &Client,
    collection: &str,
    name: &str,
    step: usize,
) -> Result<u64> {
    let step = step.to_string();
    let patch = json!({ "metadata": { "name": name, "labels": { "step": step } } });
    let path = format!("{collection}/{name}");
    let object = if client.get(&path).send().await?.status == StatusCode::NOT_FOUND {
        send(client, Method::POST, collection, &patch).await?
    } else {
        send(client, Method::PATCH, &path, &patch).await?
    };
    version_of(&object)
}

/// An object's or list's resourceVersion.
pub(crate) fn version_of(object: &Value) -> Result<u64> {
    let text = object["metadata"]["resourceVersion"].as_str();
    Ok(text.with_context(|| format!("no resourceVersion: {object}"))?.parse()?)
}

/// Opens a watch of a collection after a version; it must be answered from memory if `hit`.
pub(crate) async fn watch(client: &Client, collection: &str, after: u64) -> Result<Streaming> {
    let target = format!("{collection}?watch=true&resourceVersion={after}&timeoutSeconds=600");
    let watch = client.get(&target).stream().await?;
    ensure!(watch.status == StatusCode::OK, "{watch:?}");
    Ok(watch)
}

/// As [`watch`], from the gateway's memory.
pub(crate) async fn watch_from_memory(
    client: &Client,
    collection: &str,
    after: u64,
) -> Result<Streaming> {
    let watch = watch(client, collection, after).await?;
    let status = watch.headers.get("cache-status").map(http::HeaderValue::as_bytes);
    ensure!(status == Some(b"watchgate; hit"), "{:?}", watch.headers);
    Ok(watch)
}

/// Reads a list until memory answers it; the version is its own.
pub(crate) async fn warm(client: &Client, collection: &str) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let target = format!("{collection}?resourceVersion=0");
        let response = client.get(&target).send().await?;
        if is_hit(&response) {
            return response.json();
        }
        ensure!(
            Instant::now() < deadline,
            "{collection} is never answered from memory: {response:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The versions of the next `count` events.
pub(crate) async fn versions(watch: &mut Streaming, count: usize) -> Result<Vec<u64>> {
    let mut versions = Vec::with_capacity(count);
    while versions.len() < count {
        let event = watch.event(PATIENCE).await?;
        let event = event.with_context(|| format!("the watch ended after {versions:?}"))?;
        if event["type"] != "BOOKMARK" {
            versions.push(version_of(&event["object"])?);
        }
    }
    Ok(versions)
}

/// Reads a watch to its end, which must come within `patience`, and says whether it was an orderly one.
pub(crate) async fn ends(watch: &mut Streaming, patience: Duration) -> Result<bool> {
    let end = tokio::time::timeout(patience, async {
        loop {
            match watch.line().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    });
    end.await.context("the watch goes on")
}

/// A list without its own version, byte by byte: what may differ between two answers is left out.
pub(crate) fn items(response: &Response) -> Result<String> {
    let text = std::str::from_utf8(&response.body)?;
    let version = version_of(&response.json()?)?;
    Ok(text
        .replacen(&format!("\"metadata\":{{\"resourceVersion\":\"{version}\"}}"), "", 1)
        .replacen(
            &format!("\"metadata\":{{\"continue\":\"\",\"resourceVersion\":\"{version}\"}}"),
            "",
            1,
        ))
}
