//! What both tests stand on: a gateway, clients and writers.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use http::{Method, StatusCode};
use serde_json::Value;
use watchgate_cluster::{Client, Cluster, Gateway, Protocol, Usage};

/// The gateway's own user.
pub(crate) const GATEWAY: &str = "watchgate";

/// The user of the controller manager.
pub(crate) const CONTROLLERS: &str = "all-controllers";

/// Writers at the same time.
const WRITERS: usize = 16;

/// A running gateway with what its clients need.
pub(crate) struct Ground {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) gateway: Gateway,
    ca_pem: String,
}

impl Ground {
    /// Starts a gateway whose upstream is at `url`.
    pub(crate) async fn start(cluster: Arc<Cluster>, url: &str, flags: &[&str]) -> Result<Self> {
        let kubeconfig = cluster.kubeconfig_for_token(GATEWAY, url, cluster.ca_pem())?;
        let binary = Path::new(env!("CARGO_BIN_EXE_watchgate"));
        let gateway = Gateway::start(binary, &kubeconfig, flags).await?;
        let authority = gateway.data_directory().join("watchgate-ca.crt");
        let ca_pem = std::fs::read_to_string(authority).context("the gateway's CA")?;
        let ground = Self { cluster, gateway, ca_pem };
        let client = ground.client("admin")?;
        until("the gateway is ready", Duration::from_secs(60), || async {
            Ok(client.get("/watchgate/readyz").send().await?.status == StatusCode::OK)
        })
        .await?;
        Ok(ground)
    }

    /// A client of the gateway with a connection of its own.
    pub(crate) fn client(&self, user: &str) -> Result<Client> {
        let client = Client::builder(self.gateway.url(), &self.ca_pem);
        client.token(self.cluster.token(user)).protocol(Protocol::Http2).shared().build()
    }

    /// A kubeconfig for the gateway.
    pub(crate) fn kubeconfig(&self, user: &str) -> Result<std::path::PathBuf> {
        self.cluster.kubeconfig_for_token(user, self.gateway.url(), &self.ca_pem)
    }

    /// The sum of a metric over the series whose labels contain `labels`.
    pub(crate) async fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let text = self.client("admin")?.get("/watchgate/metrics").send().await?;
        ensure!(text.status == StatusCode::OK, "{text:?}");
        let text = String::from_utf8(text.body.to_vec())?;
        let of_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(labels)
        };
        let values = text.lines().filter(of_it).filter_map(|line| line.rsplit(' ').next());
        let values: Vec<f64> = values.map(str::parse).collect::<Result<_, _>>()?;
        Ok(values.iter().sum::<f64>() + 0.0)
    }

    /// What the gateway holds and has used.
    pub(crate) fn usage(&mut self) -> Result<Usage> {
        Usage::of(self.gateway.process().pid())
    }

    /// Ends the gateway, which must have lived.
    pub(crate) async fn end(self) -> Result<()> {
        let ended = self.gateway.stop().await?;
        ensure!(ended.success(), "watchgate ended with {ended}");
        Ok(())
    }
}

/// The administrator, past the gateway.
pub(crate) fn direct(cluster: &Cluster) -> Result<Client> {
    cluster.client().token(cluster.token("admin")).protocol(Protocol::Http2).shared().build()
}

/// Makes many objects at once, past the gateway; `object` tells the path and what to post.
pub(crate) async fn create(
    cluster: &Cluster,
    count: usize,
    object: impl Fn(usize) -> (String, Value),
) -> Result<()> {
    let object = &object;
    let writers = (0..WRITERS).map(|writer| async move {
        let client = direct(cluster)?;
        for number in (writer..count).step_by(WRITERS) {
            let (path, object) = object(number);
            let request =
                client.request(Method::POST, &path).header("content-type", "application/json");
            let response = request.body(object.to_string()).send().await?;
            ensure!(response.status == StatusCode::CREATED, "{path}: {:?}", response.json());
        }
        anyhow::Ok(())
    });
    try_join_all(writers).await.map(drop)
}

/// Keys and versions of a list.
pub(crate) async fn listed(client: &Client, path: &str) -> Result<Vec<(String, String)>> {
    let response = client.get(path).send().await?;
    ensure!(response.status == StatusCode::OK, "{path}: {response:?}");
    let list = response.json()?;
    let items = list["items"].as_array().context("no items")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found: Vec<_> = items
        .iter()
        .map(|item| {
            let metadata = &item["metadata"];
            (text(&metadata["name"]), text(&metadata["resourceVersion"]))
        })
        .collect();
    found.sort();
    Ok(found)
}

/// Waits until it is so.
pub(crate) async fn until<R>(what: &str, patience: Duration, is_so: impl Fn() -> R) -> Result<()>
where
    R: Future<Output = Result<bool>>,
{
    let started = Instant::now();
    while !is_so().await? {
        ensure!(started.elapsed() < patience, "not within {patience:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// A number from the environment, or what is good for CI.
pub(crate) fn size(variable: &str, otherwise: usize) -> Result<usize> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable}={text} is no number")),
        Err(_) => Ok(otherwise),
    }
}

/// Text that does not compress to nothing, the same for the same number.
pub(crate) fn text(number: usize, length: usize) -> String {
    let mut text = String::new();
    let mut state = number as u64 + 1;
    while text.len() < length {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let _ = write!(text, "{:x} ", state >> 20);
    }
    text.truncate(length);
    text
}
