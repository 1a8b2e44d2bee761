//! A proxy between gateway and API server that ends TLS on both sides and spoils answers on demand.
//!
//! Everything passes as it is, but answers about one resource: their bytes go through the [`Fault`] that is set at the moment.
//! The gateway's credential passes, too: it is a token.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::body::{Body, Frame, Incoming};
use hyper::server::conn::{http1 as server1, http2 as server2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use watchgate_cluster::Cluster;

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Answer = BoxBody<Bytes, Failure>;

/// What happens to the bytes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They pass.
    None,
    /// They are replaced by something that is no frame.
    Garbage,
    /// They are not text, and would be one very long frame.
    Noise,
    /// Half of them pass, then the answer ends as if it were whole.
    Truncated,
    /// Half of them pass, then the answer breaks off.
    BrokenOff,
    /// Objects lose their resourceVersion: every one is well-formed, none can be kept.
    Unversioned,
}

/// The running proxy; dropping it stops it.
#[derive(Debug)]
pub(crate) struct Mangler {
    url: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    resource: String,
    fault: Mutex<Fault>,
    spoilt: AtomicUsize,
    host: String,
    address: std::net::SocketAddr,
    tls: TlsConnectorConfig,
}

#[derive(Clone)]
struct TlsConnectorConfig(Arc<ClientConfig>);

impl std::fmt::Debug for TlsConnectorConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsConnectorConfig")
    }
}

impl Mangler {
    /// Stands before the cluster's API server and spoils answers to requests whose path ends with `resource`.
    pub(crate) async fn start(cluster: &Cluster, name: &str, resource: &str) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let acceptor = acceptor(cluster, name)?;
        let shared = Arc::new(Shared {
            resource: format!("/{resource}"),
            fault: Mutex::new(Fault::None),
            spoilt: AtomicUsize::new(0),
            host: "127.0.0.1".to_owned(),
            address: cluster.api_server_address(),
            tls: TlsConnectorConfig(Arc::new(client_config(cluster.ca_pem())?)),
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

    /// Spoils answers from now on, those under way included.
    pub(crate) fn set(&self, fault: Fault) {
        *self.shared.fault.lock() = fault;
    }

    /// How many pieces of answers were spoilt so far.
    pub(crate) fn spoilt(&self) -> usize {
        self.shared.spoilt.load(Ordering::Relaxed)
    }
}

impl Drop for Mangler {
    fn drop(&mut self) {
        self.accepting.abort();
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
        async move { forward(request, shared).await.map_err(std::io::Error::other) }
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

/// Every request has a connection of its own.
async fn forward(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Answer>> {
    let stream = TcpStream::connect(shared.address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(shared.host.clone())?;
    let stream = TlsConnector::from(Arc::clone(&shared.tls.0)).connect(name, stream).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let concerned = request.uri().path().ends_with(&shared.resource);
    let (mut head, body) = request.into_parts();
    head.version = http::Version::HTTP_11;
    let target = head.uri.path_and_query().context("a request without target")?.clone();
    head.headers.insert(http::header::HOST, shared.address.to_string().parse()?);
    head.uri = target.into();
    let response = sender.send_request(Request::from_parts(head, body)).await?;
    let (mut head, body) = response.into_parts();
    head.version = http::Version::HTTP_11;
    for name in ["connection", "transfer-encoding"] {
        head.headers.remove(name);
    }
    if concerned {
        // What comes may be longer or shorter than what upstream sent.
        head.headers.remove("content-length");
    }
    let shared = concerned.then_some(shared);
    let body = Spoilt { body, shared, over: None };
    Ok(Response::from_parts(head, BoxBody::new(body)))
}

/// An answer's body, through the fault.
struct Spoilt {
    body: Incoming,
    shared: Option<Arc<Shared>>,
    /// Set when nothing more is to come: whether that is a failure.
    over: Option<bool>,
}

impl Spoilt {
    fn spoil(&mut self, data: Bytes) -> Bytes {
        let Some(shared) = &self.shared else { return data };
        let fault = *shared.fault.lock();
        if fault == Fault::None {
            return data;
        }
        shared.spoilt.fetch_add(1, Ordering::Relaxed);
        match fault {
            Fault::None => data,
            Fault::Garbage => Bytes::from_static(b"{\"type\":\"MODIFIED\",\"object\":{{\"a\n"),
            Fault::Noise => Bytes::from(vec![0xfe; 4096]),
            Fault::Truncated | Fault::BrokenOff => {
                self.over = Some(fault == Fault::BrokenOff);
                data.slice(..data.len() / 2)
            }
            Fault::Unversioned => {
                let text = String::from_utf8_lossy(&data);
                Bytes::from(text.replace("\"resourceVersion\":", "\"resourceVersions\":"))
            }
        }
    }
}

impl Body for Spoilt {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.over {
            Some(true) => return Poll::Ready(Some(Err("broken off on purpose".into()))),
            Some(false) => return Poll::Ready(None),
            None => {}
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(context)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            Some(Ok(frame)) => frame,
        };
        Poll::Ready(Some(Ok(match frame.into_data() {
            Ok(data) => Frame::data(self.spoil(data)),
            Err(frame) => frame,
        })))
    }
}
