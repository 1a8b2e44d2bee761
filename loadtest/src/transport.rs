//! Requests over one connection, whatever protocol carries them.
//!
//! [`Transport`] opens connections, [`Connection`] sends on one; HTTP/1.1 and HTTP/2 over TLS stand
//! here, another protocol is another implementation. Nothing is pooled and nothing is sent again: a
//! load tester must know which connection a stream is on, and every failure counts.

use std::{fmt, io, sync::Arc, time::Duration};

use bytes::Bytes;
use clap::ValueEnum;
use futures_util::future::BoxFuture;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, sync::Mutex, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::target::Target;

/// Longest wait for a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// How much an HTTP/2 server may send ahead of what was read: per stream and per connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    stream: u32,
    connection: u32,
}

/// One request, with the path and query that it is for.
#[derive(Clone, Debug)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// In origin form.
    pub target: String,
    /// Apart from `Host` and `Authorization`.
    pub headers: HeaderMap,
    /// May be empty.
    pub body: Bytes,
}

/// An answer whose body is still to come.
pub type Answer = Response<UnsyncBoxBody<Bytes, TransportError>>;

/// Opens connections to one endpoint.
pub trait Transport: Send + Sync {
    /// A new connection.
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, TransportError>>;
}

/// One connection.
pub trait Connection: Send + Sync {
    /// Sends a request and waits for the answer's head, as long as that takes.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>>;

    /// Whether a request may still be sent, as far as is known: servers close idle connections.
    fn is_open(&self) -> bool;
}

/// The protocols spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
pub enum Protocol {
    /// One request at a time on a connection.
    #[value(name = "http1")]
    #[serde(rename = "http1")]
    Http1,
    /// Many streams on a connection.
    #[default]
    #[value(name = "http2")]
    #[serde(rename = "http2")]
    Http2,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection.
    #[error("connecting: {0}")]
    Connect(#[source] io::Error),
    /// The answer is not what Kubernetes answers.
    #[error("not the expected JSON: {0}")]
    Form(#[source] serde_json::Error),
    /// What was to be deleted is still there.
    #[error("{0}")]
    Left(String),
    /// HTTP failed.
    #[error("HTTP: {}", chain(.0))]
    Http(#[from] hyper::Error),
    /// The server does not speak the protocol asked for.
    #[error("the server did not agree to {0}")]
    Protocol(Protocol),
    /// The request cannot be put into HTTP.
    #[error("request: {0}")]
    Request(#[from] http::Error),
    /// The answer says no.
    #[error("{method} {path}: {status}: {message}")]
    Status {
        /// The request's method.
        method: Method,
        /// The request's path.
        path: String,
        /// The answer's status.
        status: StatusCode,
        /// The beginning of the answer.
        message: String,
    },
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
}

/// HTTP/1.1 or HTTP/2 over TLS over TCP.
pub struct Tcp {
    target: Arc<Target>,
    protocol: Protocol,
    windows: Windows,
    connector: TlsConnector,
}

struct Http1 {
    target: Arc<Target>,
    sender: Mutex<http1::SendRequest<Full<Bytes>>>,
}

struct Http2 {
    target: Arc<Target>,
    sender: http2::SendRequest<Full<Bytes>>,
}

/// Opens connections of a protocol: the place where another protocol is added.
pub fn open(target: &Arc<Target>, protocol: Protocol, windows: Windows) -> Arc<dyn Transport> {
    match protocol {
        Protocol::Http1 | Protocol::Http2 => {
            Arc::new(Tcp::new(Arc::clone(target), protocol, windows))
        }
    }
}

// === impl Windows ===

impl Windows {
    /// As client-go's HTTP/2 has them: never what limits a list.
    pub const LIST: Self = Self { stream: 4 << 20, connection: 1 << 30 };
    /// For a watch whose events are read as they come: room for bursts, memory for none.
    pub const WATCH: Self = Self { stream: 1 << 20, connection: 64 << 20 };
    /// For a watch that is read slowly: the server is to feel it.
    pub const SLOW: Self = Self { stream: 64 << 10, connection: 64 << 20 };
}

// === impl Protocol ===

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        })
    }
}

// === impl Call ===

impl Call {
    /// A GET for JSON.
    pub fn get(target: String) -> Self {
        Self::new(Method::GET, target, Bytes::new())
    }

    /// With JSON, for JSON.
    pub fn new(method: Method, target: String, body: Bytes) -> Self {
        let json = header::HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, json.clone());
        if !body.is_empty() {
            headers.insert(header::CONTENT_TYPE, json);
        }
        Self { method, target, headers, body }
    }

    fn into_request(
        self,
        target: &Target,
        protocol: Protocol,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        let endpoint = target.endpoint();
        let path = endpoint.target(&self.target.parse().map_err(http::Error::from)?)?;
        let uri = match protocol {
            Protocol::Http1 => Uri::from(path),
            Protocol::Http2 => Uri::builder()
                .scheme(endpoint.scheme().clone())
                .authority(endpoint.authority().clone())
                .path_and_query(path)
                .build()?,
        };
        let mut request = Request::builder().method(self.method).uri(uri);
        if protocol == Protocol::Http1 {
            request = request.header(header::HOST, endpoint.authority().as_str());
        }
        let mut request = request.body(Full::new(self.body))?;
        request.headers_mut().extend(self.headers);
        if let Some(authorization) = target.authorization() {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

// === impl Tcp ===

impl Tcp {
    /// For an endpoint.
    pub fn new(target: Arc<Target>, protocol: Protocol, windows: Windows) -> Self {
        let offered: &[u8] = match protocol {
            Protocol::Http1 => b"http/1.1",
            Protocol::Http2 => b"h2",
        };
        let connector = TlsConnector::from(target.tls(offered));
        Self { target, protocol, windows, connector }
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>, TransportError> {
        let stream =
            TcpStream::connect(self.target.addresses()).await.map_err(TransportError::Connect)?;
        stream.set_nodelay(true).map_err(TransportError::Connect)?;
        let name = self.target.endpoint().server_name();
        let name = name.map_err(|error| TransportError::Connect(io::Error::other(error)))?;
        let stream = self.connector.connect(name, stream).await.map_err(TransportError::Connect)?;
        let agreed = stream.get_ref().1.alpn_protocol();
        if self.protocol == Protocol::Http2 && agreed != Some(b"h2") {
            return Err(TransportError::Protocol(self.protocol));
        }
        Ok(stream)
    }

    async fn establish(&self) -> Result<Arc<dyn Connection>, TransportError> {
        let io = TokioIo::new(self.open().await?);
        let target = Arc::clone(&self.target);
        // A connection's task ends with the connection; its failure shows in every stream on it.
        Ok(match self.protocol {
            Protocol::Http1 => {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Arc::new(Http1 { target, sender: Mutex::new(sender) })
            }
            Protocol::Http2 => {
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(self.windows.stream)
                    .initial_connection_window_size(self.windows.connection)
                    // A header list of a Kubernetes answer has a few hundred bytes.
                    .max_header_list_size(16 << 10)
                    .max_send_buf_size(64 << 10)
                    .handshake(io)
                    .await?;
                tokio::spawn(connection);
                Arc::new(Http2 { target, sender })
            }
        })
    }
}

impl Transport for Tcp {
    fn connect(&self) -> BoxFuture<'_, Result<Arc<dyn Connection>, TransportError>> {
        Box::pin(async {
            timeout(CONNECT_PATIENCE, self.establish())
                .await
                .unwrap_or(Err(TransportError::Timeout(CONNECT_PATIENCE)))
        })
    }
}

impl Connection for Http1 {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>> {
        Box::pin(async {
            let request = call.into_request(&self.target, Protocol::Http1)?;
            let mut sender = self.sender.lock().await;
            sender.ready().await?;
            Ok(boxed(sender.send_request(request).await?))
        })
    }

    fn is_open(&self) -> bool {
        // Whoever holds it is sending, and learns of the end.
        self.sender.try_lock().map_or(true, |sender| !sender.is_closed())
    }
}

impl Connection for Http2 {
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>> {
        Box::pin(async {
            let request = call.into_request(&self.target, Protocol::Http2)?;
            let mut sender = self.sender.clone();
            sender.ready().await?;
            Ok(boxed(sender.send_request(request).await?))
        })
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// Sends a request, reads the whole answer, and makes an error of a status that is no success.
///
/// # Errors
/// Also when the answer is not complete within `patience`.
pub async fn exchange(
    connection: &dyn Connection,
    call: Call,
    patience: Duration,
) -> Result<Bytes, TransportError> {
    let (method, path) = (call.method.clone(), call.target.clone());
    let whole = async {
        let (head, body) = connection.send(call).await?.into_parts();
        Ok((head.status, body.collect().await?.to_bytes()))
    };
    let (status, body) =
        timeout(patience, whole).await.unwrap_or(Err(TransportError::Timeout(patience)))?;
    if status.is_success() {
        return Ok(body);
    }
    let message = String::from_utf8_lossy(&body).chars().take(300).collect();
    Err(TransportError::Status { method, path, status, message })
}

/// Sends a request and reads the whole answer without keeping it; gives its number of bytes.
///
/// # Errors
/// As [`exchange`].
pub async fn drain(
    connection: &dyn Connection,
    call: Call,
    patience: Duration,
) -> Result<u64, TransportError> {
    let (method, path) = (call.method.clone(), call.target.clone());
    let whole = async {
        let answer = connection.send(call).await?;
        if !answer.status().is_success() {
            return Err(refused(method, path, answer).await?);
        }
        let mut body = answer.into_body();
        let mut bytes = 0;
        while let Some(frame) = body.frame().await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(bytes)
    };
    timeout(patience, whole).await.unwrap_or(Err(TransportError::Timeout(patience)))
}

/// The error that an answer without success stands for.
///
/// # Errors
/// When the answer cannot be read.
pub async fn refused(
    method: Method,
    path: String,
    answer: Answer,
) -> Result<TransportError, TransportError> {
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let message = String::from_utf8_lossy(&body).chars().take(300).collect();
    Ok(TransportError::Status { method, path, status, message })
}

fn boxed(response: Response<hyper::body::Incoming>) -> Answer {
    response.map(|body| body.map_err(TransportError::Http).boxed_unsync())
}

/// An error with its causes, which hyper keeps apart.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
