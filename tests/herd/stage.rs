//! What the tests have in common: a gateway behind the stand-in, clients on open connections, and objects to read.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Gateway, Protocol, Response};

use crate::stand_in::StandIn;

/// The gateway's own user.
pub(crate) const GATEWAY: &str = "watchgate";

/// How long anything may take that isn't measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Writers at the same time.
const WRITERS: usize = 32;

/// A gateway whose upstream is the stand-in.
pub(crate) struct Stage {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) stand_in: StandIn,
    gateway: Gateway,
    ca_pem: String,
}

impl Stage {
    /// Starts both; what concerns `resource` is counted.
    pub(crate) async fn set(cluster: Arc<Cluster>, resource: &str) -> Result<Self> {
        let stand_in = StandIn::start(&cluster, GATEWAY, resource).await?;
        let kubeconfig = cluster.kubeconfig_for_token(GATEWAY, stand_in.url(), cluster.ca_pem())?;
        let binary = Path::new(env!("CARGO_BIN_EXE_watchgate"));
        let gateway = Gateway::start(binary, &kubeconfig, &[]).await?;
        let authority = gateway.data_directory().join("watchgate-ca.crt");
        let ca_pem = std::fs::read_to_string(authority).context("the gateway's CA")?;
        let stage = Self { cluster, stand_in, gateway, ca_pem };
        let client = Client::builder(stage.gateway.url(), &stage.ca_pem).build()?;
        let started = Instant::now();
        while client.get("/watchgate/readyz").send().await?.status != StatusCode::OK {
            ensure!(started.elapsed() < PATIENCE, "the gateway isn't ready");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(stage)
    }

    /// A client of the gateway with a connection of its own.
    pub(crate) fn client(&self, user: &str) -> Result<Client> {
        let client = Client::builder(self.gateway.url(), &self.ca_pem);
        client.token(self.cluster.token(user)).protocol(Protocol::Http2).shared().build()
    }

    /// So many clients, each of whose connections is open and whose user may ask `target`.
    pub(crate) async fn clients(
        &self,
        count: usize,
        user: &str,
        target: &str,
    ) -> Result<Vec<Client>> {
        let clients = (0..count).map(|_| self.client(user)).collect::<Result<Vec<_>>>()?;
        let answers = clients.iter().map(|client| async {
            let answer = client.get(target).send().await?;
            ensure!(answer.status == StatusCode::OK, "{target}: {answer:?}");
            Ok(())
        });
        try_join_all(answers).await?;
        Ok(clients)
    }

    /// Asks until memory answers.
    pub(crate) async fn warm(&self, target: &str, accept: &str) -> Result<()> {
        let client = self.client("admin")?;
        let started = Instant::now();
        let ask = || client.get(target).header("accept", accept).send();
        while marks(&ask().await?) != "watchgate; hit" {
            ensure!(started.elapsed() < PATIENCE, "{target} is never served");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Lets the store go on while the resource is quiet: then nothing proves its shard new enough but a bookmark, of which one
    /// comes a minute, and one within two seconds after a fill (semantics §5.4).
    pub(crate) async fn write_elsewhere(&self) -> Result<()> {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let client = direct(&self.cluster)?;
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "generateName": "elsewhere-" },
        });
        post(&client, "/api/v1/namespaces", &object).await
    }

    /// Ends the gateway, which must have lived.
    pub(crate) async fn strike(self) -> Result<()> {
        let ended = self.gateway.stop().await?;
        ensure!(ended.success(), "watchgate ended with {ended}");
        Ok(())
    }
}

/// The administrator, past the gateway.
pub(crate) fn direct(cluster: &Cluster) -> Result<Client> {
    cluster.client().token(cluster.token("admin")).protocol(Protocol::Http2).shared().build()
}

/// `Cache-Status`.
pub(crate) fn marks(response: &Response) -> &str {
    response.header("cache-status").unwrap_or_default()
}

/// The version that the store is at, read past the gateway.
pub(crate) async fn version_now(cluster: &Cluster, target: &str) -> Result<u64> {
    version(&direct(cluster)?.get(target).send().await?)
}

/// Makes a namespace, past the gateway.
pub(crate) async fn namespace(cluster: &Cluster, name: &str) -> Result<()> {
    let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    post(&direct(cluster)?, "/api/v1/namespaces", &object).await
}

/// Makes many objects at once, past the gateway.
pub(crate) async fn create(
    cluster: &Cluster,
    path: &str,
    count: usize,
    object: impl Fn(usize) -> Value,
) -> Result<()> {
    let object = &object;
    let writers = (0..WRITERS).map(|writer| async move {
        let client = direct(cluster)?;
        for number in (writer..count).step_by(WRITERS) {
            post(&client, path, &object(number)).await?;
        }
        anyhow::Ok(())
    });
    try_join_all(writers).await.map(drop)
}

pub(crate) async fn post(client: &Client, path: &str, object: &Value) -> Result<()> {
    let request = client.request(Method::POST, path).header("content-type", "application/json");
    let response = request.body(object.to_string()).send().await?;
    ensure!(response.status == StatusCode::CREATED, "{path}: {:?}", response.json());
    Ok(())
}

/// A small ConfigMap.
pub(crate) fn configmap(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": format!("c{number:05}"), "labels": { "half": (number % 2).to_string() } },
        "data": { "number": number.to_string() },
    })
}

/// The version of a list.
pub(crate) fn version(list: &Response) -> Result<u64> {
    let list = list.json()?;
    let version = list["metadata"]["resourceVersion"].as_str().context("no resourceVersion")?;
    Ok(version.parse()?)
}
