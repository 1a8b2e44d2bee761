//! A proxy before the API server that ends TLS on both sides: what a test puts between a gateway and its upstream, to
//! count, hold or spoil what passes.
//!
//! What becomes of a request is the test's to say; [`Onward`] sends it on. Credentials pass if they are tokens.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::combinators::BoxBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1 as server1, http2 as server2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::Protocol;
use crate::cluster::Cluster;
use crate::connection::client_tls;

/// Why an answer breaks off.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The body of an answer.
pub type AnswerBody = BoxBody<Bytes, Failure>;

/// The running proxy; dropping it stops it.
#[derive(Debug)]
pub struct Intermediary {
    url: String,
    accepting: JoinHandle<()>,
}

/// The way on to the API server.
pub struct Onward {
    address: SocketAddr,
    tls: TlsConnector,
}

impl Intermediary {
    /// Stands before the cluster's API server; `name` tells its certificate's files from others. Every request is answered by
    /// `answer`; one that fails ends its connection.
    ///
    /// # Errors
    /// When it cannot listen, or has no certificate.
    pub async fn start<A, R>(cluster: &Cluster, name: &str, answer: A) -> Result<Self>
    where
        A: Fn(Request<Incoming>, Arc<Onward>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Result<Response<AnswerBody>>> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("https://{}", listener.local_addr()?);
        let acceptor = acceptor(cluster, name)?;
        let tls =
            TlsConnector::from(Arc::new(client_tls(cluster.ca_pem(), None, Protocol::Http1)?));
        let onward = Arc::new(Onward { address: cluster.api_server_address(), tls });
        let accepting = tokio::spawn(async move {
            // A connection that fails is the other side's to notice.
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, onward) = (answer.clone(), Arc::clone(&onward));
                let answer = move |request| answer(request, Arc::clone(&onward));
                tokio::spawn(serve(stream, acceptor.clone(), answer));
            }
        });
        Ok(Self { url, accepting })
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Intermediary {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Onward {
    /// Sends a request on, on a connection of its own.
    ///
    /// # Errors
    /// When the API server cannot be reached or does not answer.
    pub async fn send(&self, request: Request<Incoming>) -> Result<Response<Incoming>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::from(self.address.ip()), stream).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let (mut head, body) = request.into_parts();
        head.version = http::Version::HTTP_11;
        let target = head.uri.path_and_query().context("a request without target")?.clone();
        head.headers.insert(header::HOST, self.address.to_string().parse()?);
        head.uri = target.into();
        let mut response = sender.send_request(Request::from_parts(head, body)).await?;
        for name in [header::CONNECTION, header::TRANSFER_ENCODING] {
            response.headers_mut().remove(name);
        }
        Ok(response)
    }
}

async fn serve<A, R>(stream: TcpStream, acceptor: TlsAcceptor, answer: A) -> Result<()>
where
    A: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<AnswerBody>>> + Send + 'static,
{
    stream.set_nodelay(true)?;
    let stream = acceptor.accept(stream).await?;
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { answered.await.map_err(std::io::Error::other) }
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
