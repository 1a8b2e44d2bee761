//! The cluster, the gateway, and a few objects of every type.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use watchgate_cluster::{Client, Cluster, Fixture, Gateway, Response};

use crate::kinds::{KINDS, Kind, NAMESPACES, definition};

/// The API server and the gateway in front of it, as a user with a token sees them.
pub(crate) struct Both {
    pub(crate) direct: Client,
    pub(crate) gateway: Client,
    /// Whether the API server's feature gate `WatchList` is on.
    pub(crate) watch_list: bool,
    process: Gateway,
    cluster: Cluster,
}

impl Both {
    /// Starts both and creates the objects. The API server's feature gate `WatchList` is on or off.
    pub(crate) async fn start(watch_list: bool) -> Result<Self> {
        let cluster = Cluster::builder().feature_gate("WatchList", watch_list);
        let cluster = cluster.user("reader", &["system:masters"]).start().await?;
        let token = cluster.token("reader");
        let direct = cluster.client().token(token).build()?;
        create(&direct, "/api/v1/namespaces", &namespace(NAMESPACES[0])).await?;
        create(&direct, "/api/v1/namespaces", &namespace(NAMESPACES[1])).await?;
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        create(&direct, definitions, &definition()).await?;
        for kind in KINDS {
            populate(&direct, kind).await?;
        }

        let kubeconfig = cluster.admin_kubeconfig()?;
        let binary = Path::new(env!("CARGO_BIN_EXE_watchgate"));
        let process = Gateway::start(binary, &kubeconfig, &["-v", "2"]).await?;
        let ca = std::fs::read_to_string(process.data_directory().join("watchgate-ca.crt"))?;
        let gateway = Client::builder(process.url(), &ca).token(token).build()?;
        until_ready(&gateway).await?;
        Ok(Self { direct, gateway, watch_list, process, cluster })
    }
}

impl Fixture for Both {
    fn report(&self) -> String {
        let log = self.process.log().unwrap_or_else(|error| error.to_string());
        format!("{}\n--- watchgate:\n{log}", self.cluster.logs())
    }

    async fn stop(self) -> Result<()> {
        ensure!(self.process.stop().await?.success(), "watchgate did not end in order");
        self.cluster.stop().await
    }
}

/// Waits until the gateway knows the server's types.
async fn until_ready(gateway: &Client) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !gateway.get("/watchgate/readyz").send().await?.status.is_success() {
        ensure!(Instant::now() < deadline, "the gateway does not become ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// Two objects in each namespace, or four without.
async fn populate(client: &Client, kind: &Kind) -> Result<()> {
    for (place, namespace) in NAMESPACES.iter().enumerate() {
        for (name, tier) in [("one", "front"), ("two", "back")] {
            let name = if kind.namespaced { name.to_owned() } else { format!("{name}-{place}") };
            let object = kind.named(&name, &json!({ "tier": tier, "set": "reads" }));
            create(client, &kind.within(namespace), &object).await?;
        }
    }
    Ok(())
}

/// Creates an object; one of a type that was just defined, as soon as it is served.
pub(crate) async fn create(client: &Client, path: &str, object: &Value) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let response = write(client, Method::POST, path, "application/json", object.to_string());
        let response = response.await.with_context(|| path.to_owned())?;
        if response.status == StatusCode::CREATED {
            return Ok(());
        }
        let starting = matches!(
            response.status,
            StatusCode::NOT_FOUND | StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN
        );
        ensure!(starting && Instant::now() < deadline, "{path}: {response:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Any request with a body.
pub(crate) async fn write(
    client: &Client,
    method: Method,
    path: &str,
    content_type: &str,
    body: String,
) -> Result<Response> {
    client.request(method, path).header("content-type", content_type).body(body).send().await
}
