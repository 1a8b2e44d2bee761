//! Requests to a kube-apiserver: which lane's connection, which headers, and when to send again.
//!
//! Guarantees: the gateway's credential is added on [`Lane::Gateway`] only; a request is sent again
//! only if none of its body has left and either upstream cannot have processed it, or its method is
//! safe and a connection that had been idle turned out to be closed. Answers are not interpreted,
//! except that a 401 on the gateway's own lane makes the credential be fetched anew.

use std::sync::Arc;

use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{AUTHORIZATION, HOST},
    request::Parts,
    uri::{Authority, PathAndQuery},
};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use tokio::sync::watch;

pub mod body;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod tests;

use self::body::{BodySlot, Held, RequestBody, SentBody, UpstreamBody};
use super::{
    Lane,
    connection::{Connector, Windows},
    credential::Credential,
    endpoint::Endpoint,
    error::UpstreamError,
    kubeconfig::ClusterAccess,
    pool::{Affinity, Lease, Pool},
    tls::{TlsConfigs, TlsSetupError},
};
use crate::telemetry::metrics::{self, Metrics, Samples};

/// How often one request is sent at most.
const MAX_ATTEMPTS: u32 = 3;

/// Bounds on the connections to one API server.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Of the gateway's own lane; times 100 streams over HTTP/2.
    pub gateway: usize,
    /// Of proven clients' brief reads, one each; at the bound they join the others.
    pub brief: usize,
    /// Of proven clients' other requests; times 100 streams over HTTP/2.
    pub client: usize,
    /// Of unproven clients, one request each.
    pub unproven: usize,
    /// Of upgrades, one tunnel each.
    pub upgrade: usize,
}

/// A kube-apiserver reached over the network; cloning shares its connections.
#[derive(Clone)]
pub struct KubeApiserver(Arc<Shared>);

struct Shared {
    endpoint: Endpoint,
    credential: Arc<Credential>,
    /// The certificate that the gateway lane's connections presented; another one retires them.
    presented: Mutex<Option<Arc<CertifiedKey>>>,
    gateway: Arc<Pool>,
    brief: Arc<Pool>,
    client: Arc<Pool>,
    unproven: Arc<Pool>,
    upgrade: Arc<Pool>,
    metrics: Metrics,
}

/// What became of a request to leave HTTP.
pub enum UpgradeOutcome {
    /// Upstream answered as to any request.
    Response(Response<UpstreamBody>),
    /// Upstream switched: its 101, and the connection's bytes from there on.
    Switched(Response<()>, TokioIo<hyper::upgrade::Upgraded>),
}

/// A failed attempt.
struct Failure {
    error: UpstreamError,
    reused: bool,
}

// === impl UpgradeOutcome ===

impl UpgradeOutcome {
    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Response(answer) => answer.status(),
            Self::Switched(answer, _) => answer.status(),
        }
    }
}

// === impl ConnectionLimits ===

impl Default for ConnectionLimits {
    /// 6,400 HTTP/2 streams each for clients and for the gateway, which takes one for each shard, and
    /// there are clusters with 2,000 types; an upstream that only speaks HTTP/1.1 needs more connections than this, by configuration.
    fn default() -> Self {
        Self { gateway: 64, brief: 256, client: 64, unproven: 1024, upgrade: 1024 }
    }
}

// === impl KubeApiserver ===

impl KubeApiserver {
    /// Prepares the lanes; connects to nothing yet.
    ///
    /// # Errors
    /// When TLS cannot be set up with what the operator gave.
    pub fn new(access: ClusterAccess, limits: ConnectionLimits) -> Result<Self, TlsSetupError> {
        Self::counting(access, limits, Metrics::default())
    }

    /// The same, with requests counted in `metrics`.
    ///
    /// # Errors
    /// As [`KubeApiserver::new`].
    pub fn counting(
        access: ClusterAccess,
        limits: ConnectionLimits,
        metrics: Metrics,
    ) -> Result<Self, TlsSetupError> {
        let ClusterAccess { endpoint, trust, credential } = access;
        let credential = Arc::new(credential);
        let tls = if endpoint.is_tls() {
            Some(TlsConfigs::new(&trust, &endpoint.label(), &credential)?)
        } else {
            tracing::warn!(host = %endpoint.label(), "the API server is reached without TLS");
            None
        };
        let tls = tls.as_ref();
        let connector =
            |tls: Option<&Arc<_>>, windows| Connector::new(endpoint.clone(), tls.cloned(), windows);
        let clients = |name, limit, tls| {
            Pool::new(name, limit, Affinity::OwnRuntime, connector(tls, Windows::CLIENT_READER))
        };
        let own = connector(tls.map(|tls| &tls.gateway), Windows::OWN_READER);
        Ok(Self(Arc::new(Shared {
            gateway: Pool::new("gateway", limits.gateway, Affinity::None, own),
            brief: clients("client-brief", limits.brief, tls.map(|tls| &tls.brief)),
            client: clients("client", limits.client, tls.map(|tls| &tls.client)),
            unproven: clients("unproven", limits.unproven, tls.map(|tls| &tls.unproven)),
            upgrade: clients("upgrade", limits.upgrade, tls.map(|tls| &tls.upgrade)),
            presented: Mutex::new(None),
            metrics,
            endpoint,
            credential,
        })))
    }

    /// The address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Open connections of a lane, those being opened included.
    pub fn connections(&self, lane: Lane) -> usize {
        self.pool(lane).connections()
    }

    /// Counts what came of a request.
    pub(super) fn count(&self, lane: &str, answer: Option<StatusCode>) {
        self.0.metrics.upstream.count(lane, answer);
    }

    pub(super) fn sample(&self, samples: &mut Samples) {
        let Shared { brief, client, gateway, unproven, upgrade, .. } = &*self.0;
        for pool in [brief, client, gateway, unproven, upgrade] {
            let (connections, streams) = (pool.connections() as u64, pool.streams() as u64);
            samples.count(&metrics::upstream::CONNECTIONS, &[pool.lane()], connections);
            samples.count(&metrics::upstream::STREAMS, &[pool.lane()], streams);
        }
    }

    /// How many connections of the gateway's own lane were opened so far.
    pub fn connections_opened(&self) -> watch::Receiver<u64> {
        self.0.gateway.opened()
    }

    /// Sends a request whose target is in origin form. `Host` is kept if there is one; the
    /// gateway's lane names the endpoint instead and replaces `Authorization`.
    ///
    /// Dropping the future, or the answer's body before its end, cancels the request upstream.
    ///
    /// # Errors
    /// When no answer arrived; what can safely be sent again has been.
    pub async fn send(
        &self,
        lane: Lane,
        request: Request<RequestBody>,
    ) -> Result<Response<UpstreamBody>, UpstreamError> {
        let (mut parts, body) = request.into_parts();
        if lane == Lane::Gateway {
            self.identify(&mut parts.headers).await?;
        }
        let mut body = BodySlot::new(body);
        let mut attempt = 1;
        loop {
            let (pool, lease) = self.lease(lane).await?;
            let http2 = matches!(lease, Lease::Http2 { .. });
            let request = self.dress(&parts, http2, body.sent())?;
            let failure = match exchange(pool, lease, request).await {
                Ok(response) => {
                    if lane == Lane::Gateway && response.status() == StatusCode::UNAUTHORIZED {
                        self.0.credential.refused();
                    }
                    return Ok(response);
                }
                Err(failure) => failure,
            };
            attempt += 1;
            if attempt > MAX_ATTEMPTS || !failure.may_replay(&parts.method) {
                return Err(failure.error);
            }
            let Some(untouched) = body.reclaim() else { return Err(failure.error) };
            body = untouched;
            tracing::debug!(error = %failure.error, attempt, "sending a request again");
        }
    }

    /// Sends a request with `Connection: Upgrade` on a connection of its own, over HTTP/1.1 and
    /// without a credential of the gateway. The connection is closed with what is returned.
    ///
    /// # Errors
    /// When no answer arrived. Nothing is sent again.
    pub async fn send_upgrade(
        &self,
        request: Request<RequestBody>,
    ) -> Result<UpgradeOutcome, UpstreamError> {
        let (parts, body) = request.into_parts();
        let request = self.dress(&parts, false, BodySlot::new(body).sent())?;
        let pool = &self.0.upgrade;
        let host = pool.host();
        let mut sender = pool.dedicated().await?;
        let mut response = sender
            .send_request(request)
            .await
            .map_err(|error| UpstreamError::from_exchange(Arc::clone(host), false, error))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let host = Arc::clone(host);
            let answer = response.map(|incoming| UpstreamBody::http(incoming, host, None));
            return Ok(UpgradeOutcome::Response(answer));
        }
        let upgraded = hyper::upgrade::on(&mut response)
            .await
            .map_err(|error| UpstreamError::from_exchange(Arc::clone(host), false, error))?;
        Ok(UpgradeOutcome::Switched(response.map(drop), TokioIo::new(upgraded)))
    }

    /// A place on the lane's connections. Brief requests of clients that find none of theirs join the
    /// others, which have the same rights.
    async fn lease(&self, lane: Lane) -> Result<(&Arc<Pool>, Lease), UpstreamError> {
        let pool = self.pool(lane);
        match pool.lease().await {
            Err(UpstreamError::Exhausted { .. }) if lane == Lane::ClientBrief => {
                let pool = &self.0.client;
                Ok((pool, pool.lease().await?))
            }
            leased => Ok((pool, leased?)),
        }
    }

    fn pool(&self, lane: Lane) -> &Arc<Pool> {
        match lane {
            Lane::ClientBrief => &self.0.brief,
            Lane::Client => &self.0.client,
            Lane::Gateway => &self.0.gateway,
            Lane::Unproven => &self.0.unproven,
        }
    }

    /// Makes a request the gateway's own.
    async fn identify(&self, headers: &mut HeaderMap) -> Result<(), UpstreamError> {
        let presented = self.0.credential.present().await.map_err(|error| {
            UpstreamError::Credential { host: Arc::clone(self.0.gateway.host()), source: error }
        })?;
        headers.remove(HOST);
        headers.remove(AUTHORIZATION);
        if let Some(authorization) = &presented.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let mut before = self.0.presented.lock();
        let same = match (&*before, &presented.certificate) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        if !same {
            before.clone_from(&presented.certificate);
            self.0.gateway.retire();
        }
        Ok(())
    }

    /// One attempt's request: absolute for HTTP/2, which carries the authority in it; origin form
    /// and `Host` for HTTP/1.1.
    fn dress(
        &self,
        parts: &Parts,
        http2: bool,
        body: SentBody,
    ) -> Result<Request<SentBody>, UpstreamError> {
        let invalid = |error: http::Error| UpstreamError::InvalidRequest {
            host: Arc::clone(self.0.client.host()),
            cause: Arc::new(error),
        };
        let root = PathAndQuery::from_static("/");
        let target = parts.uri.path_and_query().unwrap_or(&root);
        let target = self.0.endpoint.target(target).map_err(invalid)?;
        let mut request = Request::new(body);
        *request.method_mut() = parts.method.clone();
        *request.headers_mut() = parts.headers.clone();
        *request.extensions_mut() = parts.extensions.clone();
        let own = self.0.endpoint.authority();
        if http2 {
            let asked = request.headers_mut().remove(HOST);
            let asked = asked.and_then(|host| Authority::try_from(host.as_bytes()).ok());
            *request.uri_mut() = Uri::builder()
                .scheme(self.0.endpoint.scheme().clone())
                .authority(asked.unwrap_or_else(|| own.clone()))
                .path_and_query(target)
                .build()
                .map_err(invalid)?;
            *request.version_mut() = Version::HTTP_2;
        } else {
            if !request.headers().contains_key(HOST) {
                let own = HeaderValue::from_str(own.as_str()).map_err(|e| invalid(e.into()))?;
                request.headers_mut().insert(HOST, own);
            }
            *request.uri_mut() = Uri::from(target);
            *request.version_mut() = Version::HTTP_11;
        }
        Ok(request)
    }
}

// === impl Failure ===

impl Failure {
    fn may_replay(&self, method: &http::Method) -> bool {
        match &self.error {
            UpstreamError::Unsent { .. } | UpstreamError::Refused { .. } => true,
            UpstreamError::ClosedBeforeAnswer { .. } => self.reused && method.is_safe(),
            _ => false,
        }
    }
}

/// Sends one request on its lease and waits for the answer's head.
async fn exchange(
    pool: &Arc<Pool>,
    lease: Lease,
    request: Request<SentBody>,
) -> Result<Response<UpstreamBody>, Failure> {
    let host = pool.host();
    let answer = |response: Response<Incoming>, held| {
        response.map(|incoming| UpstreamBody::http(incoming, Arc::clone(host), Some(held)))
    };
    let failed = |reused, mut error: hyper::client::conn::TrySendError<Request<SentBody>>| {
        let unsent = error.take_message().is_some();
        let error = UpstreamError::from_exchange(Arc::clone(host), unsent, error.into_error());
        Failure { error, reused }
    };
    match lease {
        Lease::Http1 { mut sender, reused, keeper } => {
            let sent = sender.try_send_request(request).await;
            let response = sent.map_err(|error| failed(reused, error))?;
            Ok(answer(response, Held::Connection(keeper.after(sender))))
        }
        Lease::Http2 { mut sender, reused, permit } => {
            let sent = sender.try_send_request(request).await;
            let response = sent.map_err(|error| failed(reused, error))?;
            Ok(answer(response, Held::Stream(permit)))
        }
    }
}
