//! The cluster, the gateway in front of it with a connection that can be cut, and clients of both.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use parking_lot::RwLock;
use serde_json::{Value, json};
use watchgate_cluster::{
    Client, ClientBuilder, Cluster, Cutter, Fixture, Gateway, Protocol, Token,
};

use crate::front::{authority_of, json_body, start_gateway, until_ready};
use crate::kinds::{NAMESPACES, definition};

/// One of the two servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Direct,
    Through,
}

/// How a client connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A connection for each request.
    Http1,
    /// A connection of this number, shared with others.
    Http2(usize),
    /// A connection for each request, with next to nothing in the kernel for those who don't read.
    Slow,
}

/// Shared connections to each server.
const SHARED: usize = 12;

/// What the test runs on.
pub(crate) struct Ground {
    cluster: Cluster,
    pub(crate) cutter: Cutter,
    gateway: tokio::sync::Mutex<Option<Gateway>>,
    through: RwLock<Arc<Server>>,
    direct: Arc<Server>,
}

/// A server and the ways to it.
struct Server {
    url: String,
    ca_pem: String,
    token: Token,
    shared: Vec<Client>,
}

impl Server {
    fn new(url: &str, ca_pem: &str, token: &Token) -> Result<Arc<Self>> {
        let shared = || {
            let client = Client::builder(url, ca_pem).token(token);
            client.protocol(Protocol::Http2).shared().build()
        };
        let shared = (0..SHARED).map(|_| shared()).collect::<Result<_>>()?;
        let (url, ca_pem) = (url.to_owned(), ca_pem.to_owned());
        Ok(Arc::new(Self { url, ca_pem, token: token.clone(), shared }))
    }

    fn client(&self, way: Way) -> Result<Client> {
        let builder: ClientBuilder = Client::builder(&self.url, &self.ca_pem).token(&self.token);
        match way {
            Way::Http1 => builder.build(),
            Way::Http2(place) => Ok(self.shared[place % SHARED].clone()),
            Way::Slow => builder.receive_buffer(8 * 1024).build(),
        }
    }
}

impl Ground {
    pub(crate) async fn start() -> Result<Self> {
        let cluster = Cluster::builder().start().await?;
        let token = cluster.token("admin");
        let direct = Server::new(&cluster.api_server_url(), cluster.ca_pem(), token)?;
        prepare(&direct.client(Way::Http1)?).await?;
        let cutter = Cutter::start(cluster.api_server_address()).await?;
        let (gateway, through) = gateway(&cluster, &cutter).await?;
        let gateway = tokio::sync::Mutex::new(Some(gateway));
        Ok(Self { cluster, cutter, gateway, through: RwLock::new(through), direct })
    }

    pub(crate) fn client(&self, side: Side, way: Way) -> Result<Client> {
        match side {
            Side::Direct => self.direct.client(way),
            Side::Through => self.through.read().client(way),
        }
    }

    /// Ends the gateway in order and starts another one, at another port.
    pub(crate) async fn restart_gateway(&self) -> Result<()> {
        let mut slot = self.gateway.lock().await;
        if let Some(gateway) = slot.take() {
            let ended = gateway.stop().await?;
            ensure!(ended.success(), "watchgate ended with {ended}");
        }
        let (gateway, through) = gateway(&self.cluster, &self.cutter).await?;
        *slot = Some(gateway);
        *self.through.write() = through;
        Ok(())
    }
}

impl Fixture for Ground {
    fn report(&self) -> String {
        let log = match self.gateway.try_lock() {
            Ok(slot) => slot.as_ref().map(|gateway| format!("{:?}", gateway.log())),
            Err(error) => Some(error.to_string()),
        };
        format!("{}\n--- watchgate\n{}", self.cluster.logs(), log.unwrap_or_default())
    }

    async fn stop(self) -> Result<()> {
        if let Some(gateway) = self.gateway.into_inner() {
            let ended = gateway.stop().await?;
            ensure!(ended.success(), "watchgate ended with {ended}");
        }
        self.cluster.stop().await
    }
}

/// A gateway that reaches the API server by the cutter.
async fn gateway(cluster: &Cluster, cutter: &Cutter) -> Result<(Gateway, Arc<Server>)> {
    let kubeconfig =
        cluster.kubeconfig_for_identity(cluster.admin(), &cutter.url(), cluster.ca_pem())?;
    let gateway = start_gateway(&kubeconfig).await?;
    let ca_pem = authority_of(&gateway).await?;
    until_ready(&Client::builder(gateway.url(), &ca_pem).build()?).await?;
    let server = Server::new(gateway.url(), &ca_pem, cluster.token("admin"))?;
    Ok((gateway, server))
}

/// Makes the namespaces and the custom type.
async fn prepare(client: &Client) -> Result<()> {
    for name in NAMESPACES {
        let object =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        create(client, "/api/v1/namespaces", &object).await?;
    }
    create(client, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition())
        .await?;
    let started = Instant::now();
    let list = "/apis/history.example.com/v1/widgets";
    while client.get(list).send().await?.status != StatusCode::OK {
        ensure!(started.elapsed() < Duration::from_secs(20), "the custom type is never served");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn create(client: &Client, path: &str, object: &Value) -> Result<()> {
    let response = json_body(client.request(Method::POST, path), object).send().await;
    let response = response.with_context(|| path.to_owned())?;
    ensure!(response.status == StatusCode::CREATED, "{path}: {response:?}");
    Ok(())
}
