//! A proxy between gateway and API server that ends TLS on both sides, sorts requests about one resource by what they are for,
//! counts them, and holds or refuses a sort on demand.
//!
//! Everything else passes. The gateway's credential passes, too: it is a token, and tells its own requests from clients'.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::{http1 as server1, http2 as server2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use watchgate_cluster::Cluster;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = BoxBody<Bytes, Failure>;

/// What a request about the resource is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sort {
    /// The gateway asks how far the store is.
    Probe,
    /// The gateway fills a shard.
    Fill,
    /// The gateway's watch that moves a quiet shard on.
    Auxiliary,
    /// The gateway's watch that keeps a shard.
    Watch,
    /// A list that the gateway asks for its clients.
    List,
    /// A client's own request.
    Forwarded,
}

/// How many requests of a sort there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) all: usize,
    /// At this moment.
    pub(crate) running: usize,
    /// At the same time, at most.
    pub(crate) at_once: usize,
}

/// The running proxy; dropping it stops it.
#[derive(Debug)]
pub(crate) struct StandIn {
    url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    /// The end of the paths that are counted.
    resource: String,
    gateway: String,
    address: SocketAddr,
    tls: Arc<ClientConfig>,
    counts: Mutex<BTreeMap<Sort, Count>>,
    rules: watch::Sender<Rules>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    held: BTreeSet<Sort>,
    refused: BTreeSet<Sort>,
    delayed: BTreeMap<Sort, Duration>,
}

/// One request on its way; counted as long as it lives.
struct Running {
    shared: Arc<Shared>,
    sort: Sort,
}

/// An answer's body, which ends the request with itself.
struct Counted {
    body: Incoming,
    _running: Option<Running>,
}

impl StandIn {
    /// Stands before the cluster's API server and counts what is asked of paths that end with `/resource`; `gateway` is the
    /// gateway's user.
    pub(crate) async fn start(cluster: &Cluster, gateway: &str, resource: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let acceptor = acceptor(cluster, resource)?;
        let shared = Arc::new(Shared {
            resource: format!("/{resource}"),
            gateway: format!("Bearer {}", cluster.token(gateway).expose()),
            address: cluster.api_server_address(),
            tls: Arc::new(client_config(cluster.ca_pem())?),
            counts: Mutex::default(),
            rules: watch::Sender::default(),
        });
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                // A connection that fails is the other side's to notice.
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serve(stream, acceptor.clone(), Arc::clone(&shared)));
                }
            }
        });
        Ok(Self { url, shared, accepting })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn count(&self, sort: Sort) -> Count {
        self.shared.counts.lock().get(&sort).copied().unwrap_or_default()
    }

    /// All counts, for messages.
    pub(crate) fn counts(&self) -> BTreeMap<Sort, Count> {
        self.shared.counts.lock().clone()
    }

    /// Forgets the requests that are over.
    pub(crate) fn reset(&self) {
        for count in self.shared.counts.lock().values_mut() {
            *count = Count { all: 0, at_once: count.running, ..*count };
        }
    }

    /// Requests of this sort do not go on until they are released.
    pub(crate) fn hold(&self, sort: Sort) {
        self.shared.rules.send_modify(|rules| {
            rules.held.insert(sort);
        });
    }

    pub(crate) fn release(&self, sort: Sort) {
        self.shared.rules.send_modify(|rules| {
            rules.held.remove(&sort);
        });
    }

    /// Requests of this sort go on after this time.
    pub(crate) fn delay(&self, sort: Sort, time: Duration) {
        self.shared.rules.send_modify(|rules| {
            rules.delayed.insert(sort, time);
        });
    }

    /// Requests of this sort are answered 429.
    pub(crate) fn refuse(&self, sort: Sort) {
        self.shared.rules.send_modify(|rules| {
            rules.refused.insert(sort);
        });
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    fn sort(&self, head: &http::request::Parts) -> Option<Sort> {
        if !head.uri.path().ends_with(&self.resource) || head.method != http::Method::GET {
            return None;
        }
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        if text(header::AUTHORIZATION) != Some(&self.gateway) {
            return Some(Sort::Forwarded);
        }
        let query = head.uri.query().unwrap_or_default();
        let has = |parameter| query.split('&').any(|found| found == parameter);
        let is_metadata = text(header::ACCEPT).unwrap_or_default().contains("as=PartialObject");
        Some(if has("sendInitialEvents=true") {
            Sort::Fill
        } else if has("watch=true") && has("timeoutSeconds=3") {
            Sort::Auxiliary
        } else if has("watch=true") {
            Sort::Watch
        } else if is_metadata && matches!(query, "limit=1" | "limit=101") {
            Sort::Probe
        } else {
            Sort::List
        })
    }

    fn begin(self: &Arc<Self>, sort: Sort) -> Running {
        let mut counts = self.counts.lock();
        let count = counts.entry(sort).or_default();
        count.all += 1;
        count.running += 1;
        count.at_once = count.at_once.max(count.running);
        Running { shared: Arc::clone(self), sort }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(count) = self.shared.counts.lock().get_mut(&self.sort) {
            count.running -= 1;
        }
    }
}

fn acceptor(cluster: &Cluster, name: &str) -> Result<TlsAcceptor> {
    let identity = cluster.authority().server(name, &["127.0.0.1"])?;
    let certificates =
        CertificateDer::pem_file_iter(&identity.certificate)?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(&identity.key)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn client_config(ca_pem: &str) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca_pem.as_bytes()) {
        roots.add(certificate?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { answer(request, shared).await.map_err(std::io::Error::other) }
    });
    let stream = TokioIo::new(stream);
    if is_http2 {
        let mut builder = server2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).serve_connection(stream, service).await?;
    } else {
        server1::Builder::new().serve_connection(stream, service).await?;
    }
    Ok(())
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Answer>> {
    let (head, body) = request.into_parts();
    let running = shared.sort(&head).map(|sort| shared.begin(sort));
    if let Some(Running { sort, .. }) = &running {
        let mut rules = shared.rules.subscribe();
        let rules = rules.wait_for(|rules| !rules.held.contains(sort)).await?.clone();
        if rules.refused.contains(sort) {
            let body = Full::default().map_err(Into::into);
            let mut response = Response::new(BoxBody::new(body));
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(header::RETRY_AFTER, "1".parse()?);
            return Ok(response);
        }
        if let Some(delay) = rules.delayed.get(sort) {
            tokio::time::sleep(*delay).await;
        }
    }
    forward(head, body, running, &shared).await
}

/// Every request has a connection of its own.
async fn forward(
    mut head: http::request::Parts,
    body: Incoming,
    running: Option<Running>,
    shared: &Shared,
) -> Result<Response<Answer>> {
    let stream = TcpStream::connect(shared.address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::from(shared.address.ip());
    let stream = TlsConnector::from(Arc::clone(&shared.tls)).connect(name, stream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    head.version = http::Version::HTTP_11;
    let target = head.uri.path_and_query().context("a request without target")?.clone();
    head.headers.insert(header::HOST, shared.address.to_string().parse()?);
    head.uri = target.into();
    let response = sender.send_request(Request::from_parts(head, body)).await?;
    let (mut head, body) = response.into_parts();
    head.version = http::Version::HTTP_11;
    for name in ["connection", "transfer-encoding"] {
        head.headers.remove(name);
    }
    Ok(Response::from_parts(head, BoxBody::new(Counted { body, _running: running })))
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
