//! A further gateway before the cluster, whose way to the API server a test can cut.

use anyhow::{Result, ensure};
use watchgate_cluster::{Client, ClientBuilder, Cluster, Cutter, Gateway};

use super::{Front, authority_of, start_gateway, until_ready};

/// The gateway and its way.
pub(crate) struct BehindCutter<'a> {
    pub(crate) cutter: Cutter,
    cluster: &'a Cluster,
    gateway: Gateway,
    authority: String,
}

impl<'a> BehindCutter<'a> {
    /// Starts one with the administrator's client certificate, as [`Front`]'s own, and waits until it is ready.
    pub(crate) async fn start(front: &'a Front) -> Result<Self> {
        let cluster = &front.cluster;
        let cutter = Cutter::start(cluster.api_server_address()).await?;
        let kubeconfig =
            cluster.kubeconfig_for_identity(cluster.admin(), &cutter.url(), cluster.ca_pem())?;
        let gateway = start_gateway(&kubeconfig).await?;
        let authority = authority_of(&gateway).await?;
        let behind = Self { cutter, cluster, gateway, authority };
        until_ready(&behind.anonymous().build()?).await?;
        Ok(behind)
    }

    /// A client of this gateway with a user's token.
    pub(crate) fn client(&self, user: &str) -> Result<Client> {
        self.anonymous().token(self.cluster.token(user)).build()
    }

    /// A client of this gateway, without credentials yet.
    pub(crate) fn anonymous(&self) -> ClientBuilder {
        Client::builder(self.gateway.url(), &self.authority)
    }

    /// Ends the gateway in order.
    pub(crate) async fn stop(self) -> Result<()> {
        let ended = self.gateway.stop().await?;
        ensure!(ended.success(), "watchgate ended with {ended}");
        Ok(())
    }
}
