//! A cluster with watchgate in front of it: what the tests of clients share.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tokio::time::sleep;
use watchgate_cluster::{Client, Cluster, Fixture, Gateway};

/// The user of the tests: it has rights, but no certificate, so that all it does is by its token.
pub(crate) const USER: &str = "tester";

/// The cluster and the gateway.
pub(crate) struct Front {
    pub(crate) cluster: Cluster,
    pub(crate) gateway: Gateway,
    gateway_ca: String,
}

impl Front {
    /// Starts both. The gateway reaches the API server as administrator; [`USER`] may do anything.
    pub(crate) async fn start() -> Result<Self> {
        let cluster = Cluster::builder().user(USER, &["testers"]).start().await?;
        let kubeconfig = cluster.admin_kubeconfig()?;
        grant(&cluster, &kubeconfig).await?;
        let gateway = start_gateway(&kubeconfig).await?;
        let gateway_ca = authority(&gateway)?;
        Ok(Self { cluster, gateway, gateway_ca })
    }

    /// The user's kubeconfig for the gateway.
    pub(crate) fn kubeconfig(&self) -> Result<PathBuf> {
        self.cluster.kubeconfig_for_token(USER, self.gateway.url(), &self.gateway_ca)
    }

    /// The user's kubeconfig for the API server.
    pub(crate) fn direct_kubeconfig(&self) -> Result<PathBuf> {
        let (url, ca) = (self.cluster.api_server_url(), self.cluster.ca_pem());
        self.cluster.kubeconfig_for_token(USER, &url, ca)
    }
}

impl Fixture for Front {
    fn report(&self) -> String {
        let log = self.gateway.log().unwrap_or_else(|error| error.to_string());
        format!("{}\n--- watchgate:\n{log}", self.cluster.logs())
    }

    async fn stop(self) -> Result<()> {
        let status = self.gateway.stop().await?;
        ensure!(status.success(), "watchgate ended with {status}");
        self.cluster.stop().await
    }
}

/// Starts the watchgate of this build in front of the server which `kubeconfig` names, and waits until
/// it knows the server's types.
pub(crate) async fn start_gateway(kubeconfig: &Path) -> Result<Gateway> {
    let binary = Path::new(env!("CARGO_BIN_EXE_watchgate"));
    let gateway = Gateway::start(binary, kubeconfig, &["-v", "2"]).await?;
    let client = Client::builder(gateway.url(), &authority(&gateway)?).build()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let response = client.get("/watchgate/readyz").send().await?;
        if response.status.is_success() {
            return Ok(gateway);
        }
        ensure!(Instant::now() < deadline, "not ready: {response:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The authority of a gateway's certificate.
pub(crate) fn authority(gateway: &Gateway) -> Result<String> {
    let path = gateway.data_directory().join("watchgate-ca.crt");
    std::fs::read_to_string(&path).with_context(|| path.display().to_string())
}

/// Not `system:masters`: that group's requests pass the authorizer by, and reviews would not be tested.
async fn grant(cluster: &Cluster, kubeconfig: &Path) -> Result<()> {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": "testers" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "testers" }],
    });
    let create = ["create", "-f", "-"];
    cluster.kubectl_with_input(kubeconfig, &create, &binding.to_string()).await?.success()?;
    Ok(())
}
