//! Towards the authoritative store: one handle, whatever stands behind it.
//!
//! [`Upstream`] is what the rest of the crate sends requests to: a kube-apiserver over the network
//! or the embedded store in this process. It guarantees that a request sent on any lane but
//! [`Lane::Gateway`] travels without a credential of the gateway. It does not interpret answers.

use std::{future::Future, pin::Pin, sync::Arc};

use http::Method;
use tokio::sync::watch;

use crate::telemetry::metrics::Samples;

pub mod connection;
pub mod credential;
pub mod discovery;
pub mod endpoint;
pub mod error;
pub mod freshness;
pub mod history;
pub mod kubeconfig;
pub mod pool;
pub mod probe;
pub mod reflector;
mod short_watch;
pub mod tls;
pub mod transport;
mod turns;

pub use self::{
    error::UpstreamError,
    transport::{
        KubeApiserver, UpgradeOutcome,
        body::{BoxError, RequestBody, UpstreamBody},
    },
};

/// Whose authority a request carries, and with it the connections that it may use.
///
/// kube-apiserver looks at the client certificate before the bearer token, so a connection that
/// presents the gateway's certificate lends the gateway's rights to every request on it. Lanes
/// never share connections or TLS sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Only what the request itself carries, with a credential that has been proven valid: HTTP/2
    /// where upstream speaks it.
    Client,
    /// The same for reads that end soon: HTTP/1.1, which costs both sides less
    /// (`docs/decisions/0010`), as long as the connections suffice.
    ClientBrief,
    /// The gateway's own identity, for reflectors, probes and reviews. Replaces any
    /// `Authorization` of the request.
    Gateway,
    /// Only what the request itself carries, which may be nothing or wrong. HTTP/1.1, because
    /// kube-apiserver ends a whole HTTP/2 connection after one 401 on it (semantics §12.2).
    Unproven,
}

/// An API server in this process.
pub trait LocalApiServer: Send + Sync {
    /// Answers one request; every failure is an answer. On [`Lane::Gateway`] it acts as the gateway.
    fn call(
        &self,
        lane: Lane,
        request: http::Request<RequestBody>,
    ) -> Pin<Box<dyn Future<Output = http::Response<UpstreamBody>> + Send>>;
}

/// The authoritative store; cloning shares it.
#[derive(Clone)]
pub enum Upstream {
    /// The store inside this process.
    Embedded(Arc<dyn LocalApiServer>),
    /// A kube-apiserver, or whatever speaks like one, over the network.
    KubeApiserver(KubeApiserver),
}

// === impl Lane ===

impl Lane {
    /// The lane's name in logs, metrics and errors.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ClientBrief => "client-brief",
            Self::Gateway => "gateway",
            Self::Unproven => "unproven",
        }
    }

    /// The lane of a request that ends soon. Only safe methods change to connections that upstream may
    /// close without a word: those can be sent again. Over HTTP/2 upstream says what it has not seen.
    pub fn for_brief(self, method: &Method) -> Self {
        match self {
            Self::Client if method.is_safe() => Self::ClientBrief,
            lane => lane,
        }
    }
}

// === impl Upstream ===

impl Upstream {
    /// Sends a request in origin form and gives the answer's head with a streaming body.
    ///
    /// Dropping the future or the body cancels the request upstream.
    ///
    /// # Errors
    /// When no answer arrived; see [`UpstreamError`]. The embedded store always answers.
    pub async fn send(
        &self,
        lane: Lane,
        request: http::Request<RequestBody>,
    ) -> Result<http::Response<UpstreamBody>, UpstreamError> {
        match self {
            Self::Embedded(server) => Ok(server.call(lane, request).await),
            Self::KubeApiserver(server) => {
                let answer = server.send(lane, request).await;
                server.count(lane.name(), answer.as_ref().ok().map(http::Response::status));
                answer
            }
        }
    }

    /// How many connections were opened for the gateway's own requests: behind another connection may
    /// be another server. The embedded store stays the same.
    pub fn connections_opened(&self) -> watch::Receiver<u64> {
        match self {
            Self::Embedded(_) => watch::channel(0).1,
            Self::KubeApiserver(server) => server.connections_opened(),
        }
    }

    /// What is open at present, for a scrape. The embedded store has no connections.
    pub fn sample(&self, samples: &mut Samples) {
        if let Self::KubeApiserver(server) = self {
            server.sample(samples);
        }
    }

    /// Sends a request that asks to leave HTTP (`Connection: Upgrade`), on a connection of its own
    /// without a credential of the gateway. The embedded store never switches protocols.
    ///
    /// # Errors
    /// As [`Upstream::send`].
    pub async fn send_upgrade(
        &self,
        request: http::Request<RequestBody>,
    ) -> Result<UpgradeOutcome, UpstreamError> {
        match self {
            Self::Embedded(server) => {
                Ok(UpgradeOutcome::Response(server.call(Lane::Unproven, request).await))
            }
            Self::KubeApiserver(server) => {
                let outcome = server.send_upgrade(request).await;
                server.count("upgrade", outcome.as_ref().ok().map(UpgradeOutcome::status));
                outcome
            }
        }
    }
}

impl From<KubeApiserver> for Upstream {
    fn from(server: KubeApiserver) -> Self {
        Self::KubeApiserver(server)
    }
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Embedded(_) => f.write_str("Embedded"),
            Self::KubeApiserver(server) => {
                f.debug_tuple("KubeApiserver").field(&server.endpoint().label()).finish()
            }
        }
    }
}
