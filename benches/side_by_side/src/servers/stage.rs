//! All servers of a run, started and filled.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use watchgate_cluster::{Client, Cluster, Gateway, Identity, Process, Protocol, Token};

use super::{gateway, haproxy, limit};
use crate::{cpu::Pid, fill, pods::Pods, progress::Progress, wire::Endpoint};

const LIMIT_PATIENCE: Duration = Duration::from_secs(10);
const HOSTS: &[&str] = &["127.0.0.1", "localhost"];

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Side {
    /// kube-apiserver.
    A,
    /// watchgate.
    B,
    /// The bare server with the same bytes.
    Limit,
    /// HAProxy as a hop.
    Haproxy,
}

/// How to start them.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) gateway: PathBuf,
    pub(crate) gateway_flags: Vec<String>,
    pub(crate) pods: Pods,
}

/// One of the servers.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) pid: Pid,
    pub(crate) endpoint: Endpoint,
    ca_pem: String,
    token: Token,
}

/// The servers.
pub(crate) struct Stage {
    pub(crate) options: Options,
    // Dropped in this order: what stands in front goes first.
    pub(crate) haproxy: Option<(Process, Server)>,
    pub(crate) limit: (Process, Server),
    pub(crate) gateway: (Gateway, Server),
    pub(crate) api_server: Server,
    pub(crate) etcd: Pid,
    /// Whether the secrets of the rows that forward are there.
    pub(crate) secrets: bool,
    identity: Identity,
    pub(crate) cluster: Cluster,
}

// === impl Side ===

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::A => "kube-apiserver",
            Self::B => "watchgate",
            Self::Limit => "limit",
            Self::Haproxy => "HAProxy",
        })
    }
}

// === impl Server ===

impl Server {
    /// A process of this cluster, reached with the administrator's token.
    pub(super) fn new(url: &str, pid: Pid, cluster: &Cluster) -> Result<Self> {
        let token = cluster.token("admin").clone();
        let endpoint = Endpoint::new(url, cluster.ca_pem(), Some(token.expose()))?;
        Ok(Self { url: url.to_owned(), pid, endpoint, ca_pem: cluster.ca_pem().to_owned(), token })
    }

    /// A complete client, for writes and for checks.
    pub(crate) fn client(&self, protocol: Protocol) -> Result<Client> {
        let client = Client::builder(&self.url, &self.ca_pem).token(&self.token);
        client.protocol(protocol).shared().build()
    }
}

// === impl Stage ===

impl Stage {
    /// Starts the cluster and all that stands before it, and fills it.
    pub(crate) async fn set(options: Options, progress: &Progress) -> Result<Self> {
        progress.say("starting etcd and kube-apiserver");
        let cluster = Cluster::builder()
            // The harness audits everything by default, which a cluster would not.
            .extra_apiserver_arg("--audit-policy-file=")
            .extra_apiserver_arg("--audit-log-path=")
            .extra_apiserver_arg("--max-requests-inflight=2000")
            .extra_apiserver_arg("--max-mutating-requests-inflight=1000")
            .start()
            .await?;
        let api_server = cluster.api_server_pid().await.context("kube-apiserver has ended")?;
        let api_server = Server::new(&cluster.api_server_url(), Pid(api_server), &cluster)?;
        let etcd = Pid(cluster.etcd_pid().await.context("etcd has ended")?);
        fill::fill(&api_server, &options.pods, progress).await?;
        let identity = cluster.authority().server("side-by-side", HOSTS)?;
        progress.say("starting watchgate, the limit server and HAProxy");
        let gateway =
            gateway::start(&cluster, &options.gateway, &identity, &options.gateway_flags).await?;
        let limit = Self::start_limit(&cluster, &identity).await?;
        let haproxy = match haproxy::version() {
            Some(_) => Some(haproxy::start(&cluster, &identity).await?),
            None => None,
        };
        Ok(Self {
            options,
            haproxy,
            limit,
            gateway,
            api_server,
            etcd,
            secrets: false,
            identity,
            cluster,
        })
    }

    async fn start_limit(cluster: &Cluster, identity: &Identity) -> Result<(Process, Server)> {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        command.arg("limit-server").arg(&identity.certificate).arg(&identity.key);
        let mut process = cluster.spawn("limit-server", command)?;
        let listening =
            |line: &str| line.strip_prefix(limit::LISTENING).map(|it| it.trim().to_owned());
        let url = process.line(LIMIT_PATIENCE, listening).await?;
        let server = Server::new(&url, Pid(process.pid()), cluster)?;
        Ok((process, server))
    }

    /// Replaces the gateway by a fresh process, whose memory holds nothing yet.
    pub(crate) async fn restart_gateway(&mut self, flags: &[String]) -> Result<()> {
        let all: Vec<String> = self.options.gateway_flags.iter().chain(flags).cloned().collect();
        let started =
            gateway::start(&self.cluster, &self.options.gateway, &self.identity, &all).await?;
        let (old, _) = std::mem::replace(&mut self.gateway, started);
        old.stop().await?;
        Ok(())
    }

    /// A side's server; HAProxy may be missing.
    pub(crate) fn server(&self, side: Side) -> Result<&Server> {
        Ok(match side {
            Side::A => &self.api_server,
            Side::B => &self.gateway.1,
            Side::Limit => &self.limit.1,
            Side::Haproxy => &self.haproxy.as_ref().context("HAProxy is not installed")?.1,
        })
    }

    /// Ends everything in order.
    pub(crate) async fn strike(self) -> Result<()> {
        drop(self.haproxy);
        drop(self.limit);
        self.gateway.0.stop().await?;
        self.cluster.stop().await
    }
}
