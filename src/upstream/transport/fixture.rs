//! A stand-in for kube-apiserver on a real socket, which notes what each connection presents.

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;

use super::{ConnectionLimits, KubeApiserver, UpgradeOutcome};
use crate::upstream::{
    Lane, RequestBody,
    credential::{CertificateSource, Credential, TokenSource, secret::Secret},
    endpoint::Endpoint,
    kubeconfig::ClusterAccess,
    tls::Trust,
};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, std::io::Error>>;
type Handler =
    Arc<dyn Fn(Request<Incoming>) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// A certificate authority, and what it signed for one server and one client.
pub(crate) struct Authority {
    pub(crate) certificate: CertificateDer<'static>,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
    pub(crate) client: Arc<CertifiedKey>,
    pub(crate) client_pem: (String, String),
    pub(crate) pem: String,
}

/// One request as upstream saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) connection: usize,
    pub(crate) client_certificate: bool,
    pub(crate) http2: bool,
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
}

/// A server over TLS, HTTP/2 and HTTP/1.1.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    /// Lets every connection of now finish what it does and no more.
    pub(crate) go_away: Arc<Mutex<CancellationToken>>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let sign = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.signed_by(&key, &issuer).unwrap(), key)
        };
        let (server, server_key) = sign("127.0.0.1");
        let (client, client_key) = sign("gateway");
        let client_pem = (client.pem(), client_key.serialize_pem());
        let certified = crate::upstream::credential::certified_key(
            "certificate",
            client_pem.0.as_bytes(),
            "key",
            client_pem.1.as_bytes(),
        );
        let server_key = PrivateKeyDer::try_from(server_key.serialize_der()).unwrap();
        let root: &rcgen::Certificate = issuer.as_ref();
        Self {
            certificate: root.der().clone(),
            server: (server.der().clone(), server_key),
            client: certified.unwrap(),
            client_pem,
            pem: root.pem(),
        }
    }

    /// Asks for client certificates without demanding one, as kube-apiserver does.
    fn acceptor(&self, protocols: &[&str]) -> TlsAcceptor {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .allow_unauthenticated()
                .build()
                .unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![self.server.0.clone()], self.server.1.clone_key())
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// The gateway's own access: certificate and token at once.
    pub(crate) fn access(&self, address: SocketAddr) -> ClusterAccess {
        ClusterAccess {
            endpoint: Endpoint::parse(&format!("https://{address}")).unwrap(),
            trust: Trust::Authorities(vec![self.certificate.clone()]),
            credential: Credential::new(
                TokenSource::Fixed(Secret::new(b"gateway-token".to_vec())),
                CertificateSource::Fixed(Arc::clone(&self.client)),
            ),
        }
    }
}

impl Server {
    pub(crate) async fn start<F, R>(authority: &Authority, protocols: &[&str], handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            go_away: Arc::default(),
        };
        let acceptor = authority.acceptor(protocols);
        let handler: Handler = Arc::new(move |request| Box::pin(handler(request)));
        let (seen, go_away) = (Arc::clone(&server.seen), Arc::clone(&server.go_away));
        tokio::spawn(async move {
            for connection in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
                let (seen, stop) = (Arc::clone(&seen), go_away.lock().clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(socket).await {
                        serve(stream, connection, handler, seen, stop).await;
                    }
                });
            }
        });
        server
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().clone()
    }
}

async fn serve(
    stream: TlsStream<TcpStream>,
    connection: usize,
    handler: Handler,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: CancellationToken,
) {
    let tls = stream.get_ref().1;
    let client_certificate = tls.peer_certificates().is_some_and(|chain| !chain.is_empty());
    let http2 = tls.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request: Request<Incoming>| {
        seen.lock().push(Seen {
            connection,
            client_certificate,
            http2,
            target: request.uri().to_string(),
            headers: request.headers().clone(),
        });
        let answer = handler(request);
        async move { Ok::<_, std::convert::Infallible>(answer.await) }
    });
    let io = TokioIo::new(stream);
    if http2 {
        let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        let served = builder.max_header_list_size(4 << 20).serve_connection(io, service);
        let mut served = std::pin::pin!(served);
        tokio::select! {
            _ = &mut served => return,
            () = stop.cancelled() => served.as_mut().graceful_shutdown(),
        }
        let _ = served.await;
    } else {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).max_buf_size(4 << 20);
        let _ = builder.serve_connection(io, service).with_upgrades().await;
    }
}

/// A server without TLS that does with each connection what it is told.
pub(crate) async fn raw<F, R>(handler: F) -> SocketAddr
where
    F: Fn(usize, TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(handler(number, socket));
        }
    });
    address
}

/// The gateway's side of a server without TLS.
pub(crate) fn plain(address: SocketAddr) -> KubeApiserver {
    let access = ClusterAccess::from_flags(&format!("http://{address}"), None, None).unwrap();
    KubeApiserver::new(access, ConnectionLimits::default()).unwrap()
}

/// Reads until the text is there, and gives everything read; panics when it does not come.
pub(crate) async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&all).contains(text) {
            let mut bytes = [0; 4096];
            match stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return false,
                Ok(count) => all.extend_from_slice(&bytes[..count]),
            }
        }
        true
    };
    let came = tokio::time::timeout(Duration::from_secs(5), reading).await;
    let all = String::from_utf8_lossy(&all).into_owned();
    assert_eq!(came, Ok(true), "wanted {text:?}, got {all:?}");
    all
}

/// Reads to the end of the connection; panics when it does not come within 5 seconds.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut all)).await;
    let _ = read.expect("the connection ends");
    String::from_utf8_lossy(&all).into_owned()
}

/// Answers every request on a connection, each read as one head without a body.
pub(crate) async fn answer_heads(mut stream: TcpStream, times: usize, answer: &str) {
    for _ in 0..times {
        read_until(&mut stream, "\r\n\r\n").await;
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
}

pub(crate) fn text(body: &'static str) -> Answer {
    Response::new(Full::from(body).map_err(|never| match never {}).boxed_unsync())
}

pub(crate) fn get(target: &str) -> Request<RequestBody> {
    Request::get(target).body(RequestBody::empty()).unwrap()
}

pub(crate) async fn body_of(server: &KubeApiserver, lane: Lane, target: &str) -> String {
    let answer = server.send(lane, get(target)).await.unwrap();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

pub(crate) fn is_switched(outcome: &UpgradeOutcome) -> bool {
    matches!(outcome, UpgradeOutcome::Switched(..))
}
