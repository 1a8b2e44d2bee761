//! A cluster with watchgate in front of it, and how the two are asked the same.
//!
//! Shared by test binaries, each of which uses a part of it.
#![allow(dead_code, reason = "each test binary uses its part")]

pub(crate) mod answer;
pub(crate) mod behind_cutter;
pub(crate) mod rights;
pub(crate) mod wire;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use http::{Method, StatusCode};
use serde_json::Value;
use watchgate_cluster::{
    Builder, Client, ClientBuilder, Cluster, Fixture, Gateway, RequestBuilder, Response,
};

use wire::Wire;

/// A cluster and a gateway that knows its types.
pub(crate) struct Front {
    pub(crate) cluster: Cluster,
    pub(crate) gateway: Gateway,
    gateway_ca: String,
}

/// One of the two servers that a test compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Direct,
    Through,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Front {
    /// Starts both. The gateway's own credential is the administrator's client certificate: the
    /// worst that could leak into a client's request.
    pub(crate) async fn start(options: Builder) -> Result<Self> {
        let cluster = options.start().await?;
        let gateway = start_gateway(&cluster.admin_kubeconfig()?).await?;
        let gateway_ca = authority_of(&gateway).await?;
        let front = Self { cluster, gateway, gateway_ca };
        until_ready(&front.client().build()?).await?;
        Ok(front)
    }

    /// A client of the gateway, without credentials yet.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(self.gateway.url(), &self.gateway_ca)
    }

    pub(crate) fn client_of(&self, side: Side) -> ClientBuilder {
        match side {
            Side::Direct => self.cluster.client(),
            Side::Through => self.client(),
        }
    }

    /// The administrator, past the gateway.
    pub(crate) fn admin(&self) -> Result<Client> {
        self.cluster.admin_client().build()
    }

    /// The authority of the gateway's certificate, PEM.
    pub(crate) fn gateway_ca(&self) -> &str {
        &self.gateway_ca
    }

    /// A connection for bytes that no client library would send.
    pub(crate) async fn wire(&self, side: Side) -> Result<Wire> {
        match side {
            Side::Direct => {
                Wire::connect(&self.cluster.api_server_url(), self.cluster.ca_pem()).await
            }
            Side::Through => Wire::connect(self.gateway.url(), &self.gateway_ca).await,
        }
    }

    /// `Authorization`'s value for a user.
    pub(crate) fn bearer(&self, user: &str) -> String {
        format!("Bearer {}", self.cluster.token(user).expose())
    }

    /// Writes an object past the gateway.
    pub(crate) async fn create(&self, path: &str, object: &Value) -> Result<Response> {
        let request = self.admin()?.request(Method::POST, path);
        let response = json_body(request, object).send().await?;
        ensure!(response.status == StatusCode::CREATED, "{path}: {response:?}");
        Ok(response)
    }

    /// Asks until memory answers.
    pub(crate) async fn warm(&self, client: &Client, target: &str) -> Result<()> {
        let started = Instant::now();
        loop {
            let answer = client.get(target).stream().await?;
            if answer::is_hit(&answer.headers) {
                return Ok(());
            }
            ensure!(started.elapsed() < PATIENCE, "{target} is never served: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Fixture for Front {
    fn report(&self) -> String {
        let gateway = self.gateway.log().unwrap_or_else(|error| format!("{error:#}"));
        format!("{}\n--- watchgate\n{gateway}", self.cluster.logs())
    }

    async fn stop(self) -> Result<()> {
        let ended = self.gateway.stop().await?;
        ensure!(ended.success(), "watchgate ended with {ended}");
        self.cluster.stop().await
    }
}

/// Starts a gateway with this kubeconfig.
pub(crate) async fn start_gateway(kubeconfig: &Path) -> Result<Gateway> {
    Gateway::start(Path::new(env!("CARGO_BIN_EXE_watchgate")), kubeconfig, &[]).await
}

/// The authority of a gateway's certificate, PEM.
pub(crate) async fn authority_of(gateway: &Gateway) -> Result<String> {
    let path = gateway.data_directory().join("watchgate-ca.crt");
    tokio::fs::read_to_string(&path).await.with_context(|| path.display().to_string())
}

/// Waits until a gateway knows upstream's types.
pub(crate) async fn until_ready(client: &Client) -> Result<()> {
    let started = Instant::now();
    while client.get("/watchgate/readyz").send().await?.status != StatusCode::OK {
        ensure!(started.elapsed() < PATIENCE, "the gateway isn't ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A request with a JSON body.
pub(crate) fn json_body(request: RequestBuilder, body: &Value) -> RequestBuilder {
    request.header("content-type", "application/json").body(body.to_string())
}
