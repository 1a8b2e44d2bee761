//! What answers requests, and what it may know of the connection they came by.

use std::{future::Future, net::SocketAddr, sync::Arc};

use ::http::{Request, Response};
use bytes::Buf;
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

/// Any error, as bodies report it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Answers requests. Cloned once per request: keep it a handle.
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of its answers.
    ///
    /// Over TLS and HTTP/2, hand out frames of at most [`super::http::TLS_DATA_FRAME`] bytes, and
    /// never an empty one: clients count those and give up on the connection.
    type Body: http_body::Body<Data: Buf + Send, Error: Into<BoxError>> + Send + 'static;

    /// Answers one request.
    ///
    /// On HTTP/1.1, `hyper::upgrade::on` works on the request; what runs on the upgraded
    /// connection has to heed [`ConnectionInfo::draining`] by itself.
    fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Arc<ConnectionInfo>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// What is known of a connection; shared by its requests.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    /// The other end of the TCP connection.
    pub peer: SocketAddr,
    /// The version spoken.
    pub protocol: Protocol,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Index of the core that serves it; all of its tasks run on that core's thread.
    pub core: usize,
    /// Cancelled when the connection is to finish: end long answers (watches) soon.
    pub draining: CancellationToken,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

// === impl Protocol ===

impl Protocol {
    /// The name used in logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "h1",
            Self::Http2 => "h2",
        }
    }
}
